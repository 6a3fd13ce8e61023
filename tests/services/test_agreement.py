"""Through the server: every question gives the answers of Check (promise G7), in full pages that stay whole while things change."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer, serve

SEED = 20_261_126
PEOPLE = [f"user{number}@example.com" for number in range(4)]
GROUPS = {"wide": PEOPLE[:3], "narrow": PEOPLE[1:2]}
SCHEMAS = ("main.a", "main.b", "other.a")
TABLES = [f"{schema}.t{number}" for schema in SCHEMAS for number in range(4)]
GATES = (("USE CATALOG", "catalog"), ("USE SCHEMA", "schema"))


@pytest.fixture(scope="module")
def world() -> Iterator[EmbeddedServer]:
    """Random grants at every level, to people and to groups, and an owner here and there."""
    rng = random.Random(SEED)
    with serve() as server:
        admin = server.client()
        for person in PEOPLE:
            server.client_as(person)
        for group, members in GROUPS.items():
            admin.groups.create(group)
            admin.groups.update_members(group, add=members)
        admin.groups.update_members("wide", add=["narrow"])
        holders = [*PEOPLE, *GROUPS]
        for catalog in ("main", "other"):
            admin.catalogs.create(catalog)
            admin.grants.grant("USE CATALOG", "catalog", catalog, rng.choice(["wide", "narrow"]))
            admin.grants.grant("BROWSE", "catalog", catalog, rng.choice(holders))
        for schema in SCHEMAS:
            admin.schemas.create(schema)
            admin.grants.grant("USE SCHEMA", "schema", schema, "wide")
            admin.grants.grant(
                rng.choice(["SELECT", "MODIFY", "MANAGE"]), "schema", schema, rng.choice(holders)
            )
        for table in TABLES:
            admin.tables.create(table)
            admin.grants.grant(rng.choice(["SELECT", "ALL PRIVILEGES"]), "table", table, rng.choice(holders))
            if rng.random() < 0.3:
                admin.tables.set_owner(table, rng.choice(holders))
        yield server


def _access(table: str, privilege: str) -> SimpleNamespace:
    return SimpleNamespace(full_name=table, privilege=privilege, securable_type="TABLE")


@pytest.mark.parametrize("privilege", ["SELECT", "MODIFY", "MANAGE"])
def test_all_questions_answer_as_check_does(world: EmbeddedServer, privilege: str) -> None:
    admin, checked = world.client(), dict[tuple[str, str], bool]()
    for person in PEOPLE:
        asking = world.client_as(person).authorization
        for table in TABLES:
            checked[person, table] = asking.check(privilege, "table", table).allowed
        allowed = [table for table in TABLES if checked[person, table]]
        batch = asking.batch_check([_access(table, privilege) for table in TABLES])
        assert [table for table, verdict in zip(TABLES, batch, strict=True) if verdict] == allowed
        plans = [table for table in TABLES if asking.authorize_plan([_access(table, privilege)])]
        assert plans == allowed
        assert asking.filter_securables("table", TABLES, privilege) == allowed
        assert list(asking.list_accessible("table", privilege, page_size=2)) == allowed
        assert [table for table in TABLES if _explains(world.client_as(person), privilege, table)] == allowed
    assert set(checked.values()) == {True, False}
    for table in TABLES:
        may = {person for person in PEOPLE if checked[person, table]}
        found = {each.principal for each in admin.authorization.list_principals(privilege, "table", table)}
        assert found & set(PEOPLE) == may
        held = {person for person in PEOPLE if _holds(admin, person, privilege, table)}
        assert held == may


def test_what_is_seen_is_what_lists_show(world: EmbeddedServer) -> None:
    for person in PEOPLE:
        client = world.client_as(person)
        listed = [row.full_name for schema in SCHEMAS for row in client.tables.list(schema)]
        assert client.authorization.filter_securables("table", TABLES) == listed
        assert list(client.authorization.list_accessible("table")) == listed


def _explains(client: Client, privilege: str, table: str) -> bool:
    """The answer of Explain; no where neither caller nor subject sees the table."""
    if not client.authorization.filter_securables("table", [table]):
        return False
    return client.authorization.explain(privilege, "table", table).allowed


def _holds(admin: Client, person: str, privilege: str, table: str) -> bool:
    held = admin.grants.effective("table", table, person)
    return any(each.usable for each in held if each.privilege == privilege)


def test_pages_are_full_and_stay_whole_while_things_change(
    server: EmbeddedServer, admin: Client, fresh: Callable[[str], str]
) -> None:
    catalog, reader = fresh("catalog"), server.client_as("reader")
    admin.catalogs.create(catalog)
    admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", catalog, "reader@example.com")
    names = [f"{catalog}.default.t{number:02}" for number in range(30)]
    for name in names:
        admin.tables.create(name)
        # Every third is nobody's: a page is filled from what is left.
        if not name.endswith(("0", "3", "6", "9")):
            admin.grants.grant("SELECT", "table", name, "reader@example.com")
    granted = [name for name in names if not name.endswith(("0", "3", "6", "9"))]
    assert list(reader.authorization.list_accessible("table", "SELECT", limit=7)) == granted[:7]
    rows = reader.authorization.list_accessible("table", "SELECT", parent=catalog, page_size=6)
    first = [next(rows) for _ in range(6)]
    admin.tables.delete(granted[2])
    admin.tables.create(f"{catalog}.default.t00a")
    admin.grants.grant("SELECT", "table", f"{catalog}.default.t00a", "reader@example.com")
    admin.grants.revoke("SELECT", "table", granted[12], "reader@example.com")
    admin.tables.rename(granted[14], "zz")
    assert first == granted[:6]
    kept = [name for name in granted[6:] if name not in (granted[12], granted[14])]
    assert list(rows) == [*kept, f"{catalog}.default.zz"]


def test_principals_are_listed_whole_while_they_change(
    server: EmbeddedServer, admin: Client, fresh: Callable[[str], str]
) -> None:
    catalog = fresh("catalog")
    admin.catalogs.create(catalog)
    people = [f"{catalog}-{letter}@example.com" for letter in "abcdef"]
    for person in people:
        server.client_as(person)
        admin.grants.grant("USE CATALOG", "catalog", catalog, person)
    rows = admin.authorization.list_principals("USE CATALOG", "catalog", catalog, page_size=2)
    # The owner of the catalog is the first of all.
    assert [next(rows).principal for _ in range(2)] == ["admin@example.com", people[0]]
    admin.grants.revoke("USE CATALOG", "catalog", catalog, people[3])
    admin.users.disable(people[4])
    assert [row.principal for row in rows] == [people[1], people[2], people[5]]
