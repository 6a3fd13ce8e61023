"""Random worlds of masked and filtered tables inside a real server, with what was made of what in them."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from lakewarden import Client, LakewardenError
from lakewarden_server.testing import serve
from lineage.corpus import dataset, event
from lineage.lake import OURS, Lake

COLUMNS = ("a", "b", "c")
USERS = tuple(f"u{number}@example.com" for number in range(4))
ADMIN, STEWARD = "admin@example.com", "steward@example.com"
RUNS = itertools.count(1)
Use = tuple[str, str, bool, bool]
"""Target column, source column, whether direct, whether masked on the way."""


class World(NamedTuple):
    """One catalog that is open and one that may be closed to the workspace, and what is in them."""

    name: str
    tables: list[str]
    view: str
    groups: dict[str, set[str]]
    grants: set[tuple[str, str]]
    """Who may SELECT on what: a catalog, schema, table or view."""
    spared: dict[tuple[str, str], str]
    """The group that a mask on a column spares; with the column "" that a row filter spares."""
    edges: list[tuple[str, str, tuple[Use, ...]]]
    tags: dict[tuple[str, str], str]
    """Value of the tag `pii` on a catalog, schema, table or view, with the column "", or on a column."""

    @property
    def relations(self) -> list[str]:
        return [*self.tables, self.view]


def kind(world: World, name: str) -> str:
    if name == world.view:
        return "view"
    return ("catalog", "schema", "table")[name.count(".")]


def build(lake: Lake, seed: int) -> World:
    """Makes a random world, without its lineage."""
    chance, name = random.Random(seed), f"w{seed}"
    world = World(name, [], f"{name}a.s.v", {}, set(), {}, [], {})
    make_tables(lake, world, chance)
    for number in range(3):
        make_group(lake, world, chance, number)
    make_grants(lake, world, chance)
    for table in chance.sample(world.tables, 2):
        guard(lake, world, table, chance.choice(COLUMNS), chance.randrange(3))
    guard(lake, world, chance.choice(world.tables), "", chance.randrange(3))
    make_tags(lake, world, random.Random(f"tags {seed}"))
    if chance.random() < 0.4:
        lake.admin.workspace_bindings.update("catalog", f"{name}b", isolated=True, remove=["workspace"])
    for _ in range(16):
        source, target = chance.choice(world.relations), chance.choice(world.relations)
        uses: list[Use] = [
            (chance.choice(COLUMNS), chance.choice(COLUMNS), chance.random() < 0.9, chance.random() < 0.15)
            for _ in range(chance.choice((0, 2, 2, 3)))
        ]
        world.edges.append((source, target, tuple(uses)))
    return world


def make_tables(lake: Lake, world: World, chance: random.Random) -> None:
    columns = [{"name": each, "type_text": "VARCHAR"} for each in COLUMNS]
    for catalog, schema in (("a", "s"), ("a", "t"), ("b", "s")):
        if schema == "s":
            lake.admin.catalogs.create(f"{world.name}{catalog}")
        lake.admin.schemas.create(f"{world.name}{catalog}.{schema}")
        for number in range(2):
            table = f"{world.name}{catalog}.{schema}.t{number}"
            lake.admin.tables.create(table, columns=columns)
            world.tables.append(table)
    text = f"SELECT a, b, c FROM {chance.choice(world.tables)}"
    lake.admin.views.create(world.view, text, columns=list(COLUMNS))


def make_tags(lake: Lake, world: World, chance: random.Random) -> None:
    """On two columns, two tables or views, a schema, and now and then a catalog."""
    places = [(each, chance.choice(COLUMNS)) for each in chance.sample(world.relations, 2)]
    places += [(each, "") for each in chance.sample(world.relations, 2)]
    places += [(f"{world.name}{chance.choice(('a.s', 'a.t', 'b.s'))}", "")]
    places += [(f"{world.name}a", "")] if chance.random() < 0.3 else []
    for place, column in places:
        tag(lake, world, place, column, chance.choice(("high", "low")))


def tag(lake: Lake, world: World, place: str, column: str, value: str) -> None:
    lake.admin.tags.update(kind(world, place), place, set={"pii": value}, column=column)
    world.tags[place, column] = value


def make_group(lake: Lake, world: World, chance: random.Random, number: int) -> None:
    """A group, and a mask and a row filter that spare it; the last has the first as a member."""
    group = f"{world.name}g{number}"
    lake.admin.groups.create(group)
    members = set(chance.sample((*USERS, ADMIN), 2)) | ({f"{world.name}g0"} if number == 2 else set())
    lake.admin.groups.update_members(group, add=sorted(members))
    world.groups[group] = members
    for what, returns, text in (
        ("mask", "VARCHAR", f"CASE WHEN is_account_group_member('{group}') THEN x ELSE '*' END"),
        ("rows", "BOOLEAN", f"x = 'EU' OR is_account_group_member('{group}')"),
    ):
        lake.admin.functions.create(f"{world.name}a.s.{what}{number}", ["x VARCHAR"], returns, text)


def make_grants(lake: Lake, world: World, chance: random.Random) -> None:
    who = (*USERS, *world.groups, "account users")
    for catalog in ("a", "b"):
        for principal in (*chance.sample(who, 4), STEWARD):
            lake.admin.grants.grant(
                ["USE CATALOG", "USE SCHEMA"], "catalog", f"{world.name}{catalog}", principal
            )
    places = [f"{world.name}{each}" for each in ("a", "b", "a.s", "a.t")]
    for _ in range(16):
        grant(lake, world, chance.choice([*places, *world.relations]), chance.choice(who))
    for table in chance.sample(world.relations, 4):
        privilege = chance.choice(("MANAGE", "SELECT"))
        lake.admin.grants.grant(privilege, kind(world, table), table, STEWARD)


def grant(lake: Lake, world: World, place: str, principal: str) -> None:
    lake.admin.grants.grant("SELECT", kind(world, place), place, principal)
    world.grants.add((principal, place))


def guard(lake: Lake, world: World, table: str, column: str, number: int) -> None:
    if column:
        lake.admin.tables.set_column_mask(table, column, f"{world.name}a.s.mask{number}")
    else:
        lake.admin.tables.set_row_filter(table, f"{world.name}a.s.rows{number}", ["a"])
    world.spared[table, column] = f"{world.name}g{number}"


def record(lake: Lake, edges: list[tuple[str, str, tuple[Use, ...]]]) -> None:
    for source, target, uses in edges:
        fields: dict[str, Any] = {}
        for column, used, direct, masking in uses:
            how = {
                "type": "DIRECT" if direct else "INDIRECT",
                "subtype": "IDENTITY" if direct else "FILTER",
                "masking": masking,
            }
            one = {"namespace": OURS, "name": source, "field": used, "transformations": [how]}
            fields.setdefault(column, {"inputFields": []})["inputFields"].append(one)
        facets = {"columnLineage": {"fields": fields}} if fields else {}
        run = next(RUNS)
        made, of = dataset(target, OURS, **facets), dataset(source, OURS)
        now = time.time() - 1_767_225_600
        lake.record(event(second=now, run=run, job=f"job {run}", inputs=[of], outputs=[made]))


def readings(lake: Lake, world: World) -> dict[str, set[str]]:
    """Who reads what, as `Check` says."""
    check = lake.admin.authorization.check
    return {
        each: {
            who for who in (*USERS, ADMIN, STEWARD) if check("SELECT", kind(world, each), each, subject=who)
        }
        for each in world.relations
    }


def getter(world: World, caller: Client, name: str) -> object:
    return (caller.views if name == world.view else caller.tables).get(name)


def lists_readers(world: World, caller: Client, name: str) -> object:
    return list(caller.authorization.list_principals("SELECT", kind(world, name), name))


def works(call: Callable[..., object], *arguments: Any) -> bool:
    try:
        call(*arguments)
    except LakewardenError:
        return False
    return True


def destroy(lake: Lake, world: World) -> None:
    for catalog in ("b", "a"):
        lake.admin.workspace_bindings.update("catalog", f"{world.name}{catalog}", isolated=False)
        lake.admin.catalogs.delete(f"{world.name}{catalog}", force=True)


@contextmanager
def peopled_lake() -> Iterator[Lake]:
    """A server with the users of the worlds, whose admin may ask about them."""
    with serve() as server:
        found = Lake(server)
        for name in (*USERS, STEWARD):
            server.client_as(name)
        found.admin.grants.grant("QUERY ENGINE", "workspace", "workspace", ADMIN)
        yield found
