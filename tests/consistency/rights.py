"""The rights a storm changes and asks about: each is one right of one person, and one lever gives and takes it.

`LEVERS` names them; what else a person needs for its right it has from the start, and no right is given at the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lakewarden import Client
from lakewarden_server.testing import ADMIN, WORKSPACE

PEOPLE = "storm people"
SHARED_SCHEMA = "main.shared"
EXPIRY, TOKEN = "expiry", "token"
"""Rights that end by themselves, and rights to be who one is: a writer handles them apart."""

Act = Callable[[Client], object]


class Right(NamedTuple):
    """May this person use this privilege on this securable?"""

    lever: str
    person: str
    kind: str
    full_name: str
    privilege: str = "SELECT"
    other_name: str = ""
    """Where the securable is while it is not under `full_name`."""

    @property
    def key(self) -> str:
        """What the checker calls it."""
        return f"{self.lever} {self.person}"

    @property
    def parent(self) -> str:
        """Full name of what its list is asked of; empty for a catalog."""
        return self.full_name.rpartition(".")[0]

    @property
    def group(self) -> str:
        """A group of the person's own."""
        return f"group of {self.person.partition('@')[0]}"


class Lever(NamedTuple):
    """`set_up` makes the securable (its reply is handed to the acts), `give` and `take` change the right."""

    set_up: Callable[[Client, Right], object]
    give: Callable[[Client, Right, object], object]
    take: Callable[[Client, Right, object], object]


def set_up_people(admin: Client, rights: list[Right]) -> None:
    """What all have in common: a catalog, a schema and the workspace, each usable by a group of nearly all persons."""
    admin.catalogs.create("main")
    admin.schemas.create(SHARED_SCHEMA)
    admin.groups.create(PEOPLE)
    admin.grants.grant("USER", "workspace", WORKSPACE, PEOPLE)
    for name in {right.person for right in rights}:
        admin.users.create(name)
    visitors = [right.person for right in rights if right.lever == "workspace"]
    members = [right.person for right in rights if right.lever != "workspace"]
    admin.groups.update_members(PEOPLE, add=members)
    for holder in (PEOPLE, *visitors):
        admin.grants.grant("USE CATALOG", "catalog", "main", holder)
        admin.grants.grant("USE SCHEMA", "schema", SHARED_SCHEMA, holder)


def make_right(lever: str) -> Right:
    """The right of one lever, of a person of its own."""
    person = f"{lever}@example.com"
    if lever == "catalog":
        return Right(lever, person, "catalog", "own", "USE CATALOG")
    schema = f"main.{lever}" if lever in {"schema", "drop"} else SHARED_SCHEMA
    table = f"{schema}.{lever}"
    return Right(lever, person, "table", table, other_name=f"{table}_other" if lever == "rename" else "")


def _table(admin: Client, right: Right) -> object:
    admin.tables.create(right.full_name)
    return None


def _readable_table(admin: Client, right: Right) -> object:
    _table(admin, right)
    return admin.grants.grant("SELECT", "table", right.full_name, right.person)


def _gated_table(admin: Client, right: Right) -> object:
    admin.schemas.create(right.parent)
    return _readable_table(admin, right)


def _table_of_group(admin: Client, right: Right) -> object:
    _table(admin, right)
    admin.groups.create(right.group)
    return admin.grants.grant("SELECT", "table", right.full_name, right.group)


def _readable_schema(admin: Client, right: Right) -> object:
    admin.schemas.create(right.parent)
    return admin.grants.grant(["USE SCHEMA", "SELECT"], "schema", right.parent, right.person)


def _deleted_table(admin: Client, right: Right) -> object:
    table_id = admin.tables.create(right.full_name).id
    admin.grants.grant("SELECT", "table", right.full_name, right.person)
    admin.tables.delete(right.full_name)
    return table_id


def _table_of_another_name(admin: Client, right: Right) -> object:
    _readable_table(admin, right)
    return admin.tables.rename(right.full_name, _own_name(right.other_name))


def _own_name(full_name: str) -> str:
    return full_name.rpartition(".")[2]


def _table_of_the_disabled(admin: Client, right: Right) -> object:
    _readable_table(admin, right)
    return admin.users.disable(right.person)


def _grants(kind: str, privilege: str, name: Callable[[Right], str]) -> tuple[Callable[..., object], ...]:
    """`give` and `take` of one privilege on one securable."""
    return (
        lambda client, right, _: client.grants.grant(privilege, kind, name(right), right.person),
        lambda client, right, _: client.grants.revoke(privilege, kind, name(right), right.person),
    )


LEVERS: dict[str, Lever] = {
    "grant": Lever(_table, *_grants("table", "SELECT", lambda right: right.full_name)),
    "schema": Lever(_gated_table, *_grants("schema", "USE SCHEMA", lambda right: right.parent)),
    "workspace": Lever(_readable_table, *_grants("workspace", "USER", lambda _: WORKSPACE)),
    "catalog": Lever(
        lambda admin, right: admin.catalogs.create(right.full_name),
        *_grants("catalog", "USE CATALOG", lambda right: right.full_name),
    ),
    "member": Lever(
        _table_of_group,
        lambda client, right, _: client.groups.update_members(right.group, add=[right.person]),
        lambda client, right, _: client.groups.update_members(right.group, remove=[right.person]),
    ),
    "owner": Lever(
        _table,
        lambda client, right, _: client.tables.set_owner(right.full_name, right.person),
        lambda client, right, _: client.tables.set_owner(right.full_name, ADMIN),
    ),
    "drop": Lever(
        _readable_schema,
        lambda client, right, _: client.tables.create(right.full_name),
        lambda client, right, _: client.tables.delete(right.full_name),
    ),
    "restore": Lever(
        _deleted_table,
        lambda client, right, table_id: client.tables.undelete(right.full_name, table_id=str(table_id)),
        lambda client, right, _: client.tables.delete(right.full_name),
    ),
    "rename": Lever(
        _table_of_another_name,
        lambda client, right, _: client.tables.rename(right.other_name, _own_name(right.full_name)),
        lambda client, right, _: client.tables.rename(right.full_name, _own_name(right.other_name)),
    ),
    "principal": Lever(
        _table_of_the_disabled,
        lambda client, right, _: client.users.enable(right.person),
        lambda client, right, _: client.users.disable(right.person),
    ),
    # What gives these two is not the admin's change alone; see the writer.
    EXPIRY: Lever(_table, *_grants("table", "SELECT", lambda right: right.full_name)),
    TOKEN: Lever(
        _readable_table,
        lambda client, _right, __: client.tokens.create(),
        lambda client, _right, token_id: client.tokens.delete(str(token_id)),
    ),
}
