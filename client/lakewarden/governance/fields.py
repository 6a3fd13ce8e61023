"""What a noun and a field of it are to governance files, and the fields that many nouns have. `nouns.py` has the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lakewarden.governance.shapes import (
    FLAG,
    PAIRS,
    PRINCIPAL,
    RECORDS,
    TEXT,
    TEXTS,
    WORD,
    normal,
    taken,
)

if TYPE_CHECKING:
    from lakewarden._client import Client

NAME: Final = "name"
"""The own name, as a field that changes."""

EARLY, POLICY, OWNERSHIP, SWITCH = "early", "policy", "ownership", "switch"
"""When a field is changed: with the object, when everything exists, when everything is granted, at the very end."""


class Collection(NamedTuple):
    """How the client tells and changes a set of names that belongs to an object and is no field of its message."""

    read: Callable[[Client, str], Iterable[str]]
    change: Callable[[Client, str, list[str], list[str]], Any]
    """(client, name, added, removed)"""
    one_by_one: bool = False
    """Whether a call changes one name only."""


Setter = Callable[[Any, str, Mapping[str, Any], str], Any]
"""(the client's resource, name, all wanted values, etag) -> the changed object."""


@dataclass(frozen=True)
class Field:
    """One field of a noun's rows.

    A field left out has its `default`; None means that it may be anything then, and is left as it is on the server.
    """

    name: str
    shape: str = TEXT
    default: Any = ""
    at_create: bool = True
    """Given when the object is created; otherwise set afterwards."""
    immutable: bool = False
    stage: str = EARLY
    """When it is changed; what is not EARLY is never given when the object is created."""
    set: Setter | None = None
    """Changes this field in a call of its own, together with those that have the same setter."""
    read: Callable[[Any], Any] | None = None
    """Takes the value from a message, where that is not simply the field of the same name."""
    collection: Collection | None = None
    """For a set of names: what is missing is added, and what is too much removed only when pruning."""
    refers_to: str = ""
    """The noun whose object is named."""
    each: str = ""
    """The part that tells the elements of a list apart, where each element is set by a call of its own."""


@dataclass(frozen=True)
class Noun:
    """One noun: the table of its rows in a file, and the client's resource for it."""

    name: str
    resource: str
    key: str
    fields: tuple[Field, ...]
    inside: str = ""
    """The noun its objects are created in; empty for the account's and the metastore's own."""
    of_account: bool = False
    is_principal: bool = False
    is_defined: bool = False
    """Whether it is defined by SQL: lists leave the text out, and what it names has to exist before."""
    prepare: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]] | None = None
    """Turns the values of a row into those that the client's `create` takes."""
    always: tuple[tuple[str, Any], ...] = ()
    """What every creation says besides the row: the rows themselves say what else there shall be."""
    comes_with: Callable[[str, Mapping[str, Any]], Iterable[tuple[str, str]]] | None = None
    """What the server creates along with an object: (noun, name) of each, owned by the same principal."""

    @property
    def label(self) -> str:
        """The noun as words."""
        return self.name.replace("_", " ")

    @property
    def can_be_renamed(self) -> bool:
        """Whether the spelling of a name can change while it stays the same name: `Sales` to `sales`."""
        return self.name not in ("user", "service_principal")

    def field(self, name: str) -> Field:
        """The field of that name. Raises KeyError."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def list(self, client: Client, parent: str) -> Iterator[Any]:
        """The messages of the objects directly inside `parent`."""
        resource = getattr(client, self.resource)
        for message in resource.list(parent) if parent else resource.list():
            yield resource.get(message.full_name) if self.is_defined else message

    def create(self, client: Client, name: str, values: Mapping[str, Any]) -> Any:
        """Create an object; one call."""
        resource = getattr(client, self.resource)
        given = values if self.prepare is None else self.prepare(resource, values)
        return resource.create(name, **given, **dict(self.always))

    def update(
        self, client: Client, name: str, fields: Iterable[str], values: Mapping[str, Any], etag: str
    ) -> Any:
        """Bring some fields, which are set together, to their wanted values; one call."""
        resource, names = getattr(client, self.resource), list(fields)
        if NAME in names:
            return resource.rename(name, values[NAME], etag=etag)
        setter = self.field(names[0]).set
        if setter is not None:
            return setter(resource, name, values, etag)
        return resource.update(
            name, **{each: values.get(each, self.field(each).default) for each in names}, etag=etag
        )

    def delete(self, client: Client, name: str, etag: str) -> None:
        """Delete an object that is empty; one call."""
        getattr(client, self.resource).delete(name, etag=etag)


def _set_owner(resource: Any, name: str, values: Mapping[str, Any], etag: str) -> Any:
    return resource.set_owner(name, values[OWNER.name], etag=etag)


OWNER: Final = Field("owner", PRINCIPAL, None, at_create=False, stage=OWNERSHIP, set=_set_owner)
COMMENT: Final = Field("comment")
PROPERTIES: Final = Field("properties", PAIRS, {})
MEMBERS: Final = Field(
    "members",
    TEXTS,
    (),
    at_create=False,
    collection=Collection(
        lambda client, name: (member.name for member in client.groups.members(name)),
        lambda client, name, added, removed: client.groups.update_members(name, add=added, remove=removed),
    ),
)
ACTIVE: Final = Field("active", FLAG, True, at_create=False)

ISOLATION: Final = Field("isolation_mode", WORD, "OPEN", at_create=False)
"""Handled with the bindings, which are one call with it."""
COMMON: Final = (OWNER, COMMENT, PROPERTIES)


def values_of(noun: Noun, message: Any) -> dict[str, Any]:
    """The fields of a message as a file would give them; what has its default is left out.

    Collections and isolation are told by calls of their own.
    """
    found = {}
    for field in noun.fields:
        if field.collection is not None or field is ISOLATION:
            continue
        value = _value(field, message)
        if value != field.default and (value or field.default is not None):
            found[field.name] = value
    return found


def _value(field: Field, message: Any) -> Any:
    if field.read is not None:
        return normal(field.shape, field.read(message))
    described = message.DESCRIPTOR.fields_by_name[field.name]
    value = getattr(message, field.name)
    if described.enum_type is not None:
        return described.enum_type.values_by_number[value].name.removeprefix(f"{field.name.upper()}_")
    is_record = described.message_type is not None and field.shape in RECORDS
    if is_record and not RECORDS[field.shape].many and not message.HasField(field.name):
        return field.default
    return taken(field.shape, value)
