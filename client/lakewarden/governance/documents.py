"""A state of governance as values: what files describe, or what a server has. Read, written and compared by the other modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from lakewarden.governance.nouns import NOUNS
from lakewarden_policy import ACCOUNT_USERS_NAME, WORKSPACE_GROUPS, name_key

SERVICE_PRINCIPAL_PREFIX = "service_principal/"
"""Marks a service principal wherever a principal is named. No group name may hold a slash."""


class Place(NamedTuple):
    """Where something stands in the files, for messages."""

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


NOWHERE = Place()


class Identity(NamedTuple):
    """What makes two rows the same object: the noun, and the name as the server compares names."""

    noun: str
    key: str


@dataclass(frozen=True)
class Row:
    """One object. `values` holds the fields that do not have their default."""

    noun: str
    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    place: Place = field(default=NOWHERE, compare=False)
    etag: str = field(default="", compare=False)

    @property
    def identity(self) -> Identity:
        """What it is compared by."""
        return identity(self.noun, self.name)


class Terms(NamedTuple):
    """Until when a grant holds (None: for good), and why it was made."""

    expire_time: datetime | None = None
    reason: str = ""


FOR_GOOD = Terms()


@dataclass(frozen=True)
class Grant:
    """One privilege of one principal on one securable."""

    principal: str
    privilege: str
    kind: str
    object: str
    terms: Terms = FOR_GOOD
    place: Place = field(default=NOWHERE, compare=False)

    @property
    def identity(self) -> tuple[Identity, str, str]:
        """The securable, the principal's key and the privilege."""
        return securable(self.kind, self.object), principal_key(self.principal), self.privilege


@dataclass(frozen=True)
class Binding:
    """One workspace that an isolated securable can be reached from."""

    kind: str
    object: str
    workspace: str
    binding_type: str = "READ_WRITE"
    place: Place = field(default=NOWHERE, compare=False)

    @property
    def identity(self) -> tuple[Identity, str]:
        """The securable, and the key of the workspace."""
        return identity(self.kind, self.object), name_key(self.workspace)


@dataclass(frozen=True)
class Assertion:
    """What `lakewarden test` asks, and the answer it expects."""

    principal: str
    privilege: str
    kind: str
    object: str
    allow: bool
    workspace: str = ""
    reason: str = ""
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Scope:
    """Which part of a server files describe completely: what they leave out there is not supposed to exist.

    `metastore` names the one whose content it is (empty: none of any); `catalogs` limits that to some (None: all of it).
    """

    account: bool = False
    metastore: str = ""
    catalogs: tuple[str, ...] | None = None
    places: bool = False
    """With some catalogs only: whether also what lies in no catalog. Files cannot say it; it is what they imply."""


@dataclass
class Document:
    """All rows of a state. `scope` is None for files that do not say what they are complete for."""

    scope: Scope | None = None
    rows: dict[Identity, Row] = field(default_factory=dict)
    grants: dict[tuple[Identity, str, str], Grant] = field(default_factory=dict)
    bindings: dict[tuple[Identity, str], Binding] = field(default_factory=dict)
    assertions: list[Assertion] = field(default_factory=list)

    def of(self, noun: str) -> list[Row]:
        """The rows of a noun, in the order of their names."""
        return sorted(
            (row for row in self.rows.values() if row.noun == noun), key=lambda row: order(row.name)
        )

    def add(self, row: Row) -> None:
        """Add a row, in place of the one before."""
        self.rows[row.identity] = row

    def add_grants(self, grants: Iterable[Grant]) -> None:
        """Add grants, each in place of the one before."""
        self.grants.update((grant.identity, grant) for grant in grants)

    def add_bindings(self, bindings: Iterable[Binding]) -> None:
        """Add bindings, each in place of the one before."""
        self.bindings.update((binding.identity, binding) for binding in bindings)

    def keeps_itself(self, name: str) -> bool:
        """Whether the server keeps the group of that name: that of everybody, or one of a workspace described here."""
        workspace, _, role = name_key(name).rpartition(" ")
        of_workspace = role in WORKSPACE_GROUPS and identity("workspace", workspace) in self.rows
        return name_key(name) == ACCOUNT_USERS_NAME or of_workspace

    def catalogs_named(self) -> tuple[str, ...]:
        """The catalogs that rows or grants speak of."""
        names = [row.name for row in self.rows.values() if in_catalog(row.noun)]
        names += [grant.object for grant in self.grants.values() if in_catalog(grant.kind)]
        names += [binding.object for binding in self.bindings.values() if in_catalog(binding.kind)]
        return tuple(sorted({name.partition(".")[0] for name in names}))

    def concerns_places(self) -> bool:
        """Whether any row, grant or binding is of a metastore's content and of no catalog."""
        nouns = {each.noun for each in self.rows} | {each.kind for each in self.grants.values()}
        nouns |= {each.kind for each in self.bindings.values()}
        return any(not of_account(noun) and not in_catalog(noun) for noun in nouns)

    def concerns_account(self) -> bool:
        """Whether any row or grant is of the account itself."""
        return any(NOUNS[row.noun].of_account for row in self.rows.values()) or any(
            of_account(grant.kind) for grant in self.grants.values()
        )


def identity(noun: str, name: str) -> Identity:
    """The identity of an object; a service principal's display name is compared as it is written."""
    return Identity(noun, name if noun == "service_principal" else name_key(name))


def securable(kind: str, name: str) -> Identity:
    """The identity of what a grant is made on."""
    return identity(kind, name)


def principal_key(name: str) -> str:
    """What a principal's name is compared by."""
    return name if name.startswith(SERVICE_PRINCIPAL_PREFIX) else name_key(name)


def principal_identities(name: str) -> tuple[Identity, ...]:
    """The rows a principal's name may stand for."""
    if name.startswith(SERVICE_PRINCIPAL_PREFIX):
        return (identity("service_principal", name.removeprefix(SERVICE_PRINCIPAL_PREFIX)),)
    return (identity("user" if "@" in name else "group", name),)


def of_account(kind: str) -> bool:
    """Whether grants on a kind belong to the account and not to the content of a metastore."""
    return kind == "account" or (kind in NOUNS and NOUNS[kind].of_account)


def in_catalog(noun: str) -> bool:
    """Whether a noun's objects are a catalog or lie in one."""
    while noun in NOUNS and NOUNS[noun].inside:
        noun = NOUNS[noun].inside
    return noun == "catalog"


def order(name: str) -> tuple[list[str], str]:
    """Sorts names as a person would look for them: level by level, and alike names always the same way."""
    return [name_key(part) for part in name.split(".")], name
