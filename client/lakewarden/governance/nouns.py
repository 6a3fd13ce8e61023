"""What governance files can describe, as one table: a row for each noun, with how the client lists, creates and changes it.

A new kind of securable is one more row. Where its client methods have the usual shapes (`create(full_name, **fields)`,
`update(full_name, **fields, etag)`, `set_owner`, `delete(full_name, etag)`) its fields are all there is to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lakewarden._client import Client

TEXT, FLAG, TEXTS, PAIRS, COLUMNS = "text", "flag", "texts", "pairs", "columns"
WORD, PRINCIPAL, REFERENCE = "word", "principal", "reference"
"""What the value of a field may be. A word is compared in upper case, principals and references as names are."""

NAME: Final = "name"
"""The own name, as a field that changes."""

COLUMN_FIELDS: Final[Mapping[str, str]] = {"name": TEXT, "type_text": TEXT, "required": FLAG, "comment": TEXT}


@dataclass(frozen=True)
class Field:
    """One field of a noun's rows.

    A field left out has its `default`; None means that it may be anything then, and is left as it is on the server.
    """

    name: str
    shape: str = TEXT
    default: Any = ""
    at_create: bool = True
    """Given when the object is created; otherwise set right afterwards."""
    immutable: bool = False
    set: Callable[[Any, str, Any, str], Any] | None = None
    """Changes this field alone, in a call of its own: (resource, name, value, etag)."""


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
        found: Iterator[Any] = resource.list(parent) if parent else resource.list()
        return found

    def create(self, client: Client, name: str, values: Mapping[str, Any]) -> Any:
        """Create an object; one call."""
        return getattr(client, self.resource).create(name, **values, **dict(self.always))

    def update(self, client: Client, name: str, changes: Mapping[str, Any], etag: str) -> Any:
        """Change some fields; one call. A field with a setter of its own comes alone."""
        resource = getattr(client, self.resource)
        if NAME in changes:
            return resource.rename(name, changes[NAME], etag=etag)
        for field in self.fields:
            if field.set is not None and field.name in changes:
                return field.set(resource, name, changes[field.name], etag)
        return resource.update(name, **changes, etag=etag)

    def delete(self, client: Client, name: str, etag: str) -> None:
        """Delete an object that is empty; one call."""
        getattr(client, self.resource).delete(name, etag=etag)


def _set_owner(resource: Any, name: str, value: Any, etag: str) -> Any:
    return resource.set_owner(name, value, etag=etag)


def _attach(resource: Any, name: str, value: Any, etag: str) -> Any:
    return resource.attach(name, value, etag=etag) if value else resource.detach(name, etag=etag)


OWNER: Final = Field("owner", PRINCIPAL, None, at_create=False, set=_set_owner)
COMMENT: Final = Field("comment")
PROPERTIES: Final = Field("properties", PAIRS, {})
MEMBERS: Final = Field("members", TEXTS, (), at_create=False)
"""Handled apart from the other fields: what is missing is added, and what is too much removed only when pruning."""

ACTIVE: Final = Field("active", FLAG, True, at_create=False)

_COMMON = (OWNER, COMMENT, PROPERTIES)

NOUNS: Final[Mapping[str, Noun]] = {
    noun.name: noun
    for noun in (
        Noun("user", "users", "name", (Field("display_name"), ACTIVE), of_account=True, is_principal=True),
        Noun(
            "service_principal",
            "service_principals",
            "display_name",
            (ACTIVE,),
            of_account=True,
            is_principal=True,
        ),
        Noun("group", "groups", "name", (MEMBERS,), of_account=True, is_principal=True),
        Noun(
            "metastore",
            "metastores",
            "full_name",
            (*_COMMON, Field("region", immutable=True, default=None)),
            of_account=True,
        ),
        Noun(
            "workspace",
            "workspaces",
            "full_name",
            (*_COMMON, Field("metastore", REFERENCE, set=_attach)),
            of_account=True,
            always=(("omit_catalog", True),),
        ),
        Noun(
            "catalog",
            "catalogs",
            "full_name",
            _COMMON,
            comes_with=lambda name, values: [("schema", f"{name}.default")],
        ),
        Noun("schema", "schemas", "full_name", _COMMON, inside="catalog"),
        Noun(
            "table",
            "tables",
            "full_name",
            (
                *_COMMON,
                Field("data_source_format", WORD, "DELTA", immutable=True),
                Field("columns", COLUMNS, ()),
            ),
            inside="schema",
        ),
    )
}
"""In the order in which a file lists them, and in which they can be created."""


def values_of(noun: Noun, message: Any) -> dict[str, Any]:
    """The fields of a message as a file would give them; what has its default is left out."""
    found = {}
    for field in noun.fields:
        if field is MEMBERS:
            continue
        value = _plain(field, getattr(message, field.name))
        if value != field.default and (value or field.default is not None):
            found[field.name] = value
    return found


def _plain(field: Field, value: Any) -> Any:
    if field.shape == PAIRS:
        return dict(sorted(value.items()))
    if field.shape == COLUMNS:
        return [_column(column) for column in value] or ()
    return value


def _column(message: Any) -> dict[str, Any]:
    values = {name: getattr(message, name) for name in COLUMN_FIELDS}
    return {name: value for name, value in values.items() if value or name in ("name", "type_text")}
