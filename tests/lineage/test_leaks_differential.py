"""Leaks in random worlds, against a search by hand that asks `Check` of everybody; and what the answers must not depend on."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from lakewarden import Client, LakewardenError
from lakewarden.v1 import lineage_governance_pb2 as pb
from lakewarden_server.lineage.visibility import Sight
from lakewarden_server.services import lineage_findings
from lakewarden_server.testing import serve
from lineage.corpus import dataset, event
from lineage.lake import OURS, Lake

WORLDS, WORLDS_SLOW = 2, 80
COLUMNS = ("a", "b", "c")
USERS = tuple(f"u{number}@example.com" for number in range(4))
ADMIN, STEWARD = "admin@example.com", "steward@example.com"
RUNS = itertools.count(1)
Use = tuple[str, str, bool, bool]
"""Target column, source column, whether direct, whether masked on the way."""
Finding = tuple[str, str, int, bool, frozenset[tuple[str, str, int]]]


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

    @property
    def relations(self) -> list[str]:
        return [*self.tables, self.view]


def kind(world: World, name: str) -> str:
    if name == world.view:
        return "view"
    return ("catalog", "schema", "table")[name.count(".")]


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with serve() as server:
        found = Lake(server)
        for name in (*USERS, STEWARD):
            server.client_as(name)
        found.admin.grants.grant("QUERY ENGINE", "workspace", "workspace", ADMIN)
        yield found


def build(lake: Lake, seed: int) -> World:
    """Makes a random world, without its lineage."""
    chance, name = random.Random(seed), f"w{seed}"
    world = World(name, [], f"{name}a.s.v", {}, set(), {}, [])
    make_tables(lake, world, chance)
    for number in range(3):
        make_group(lake, world, chance, number)
    make_grants(lake, world, chance)
    for table in chance.sample(world.tables, 2):
        guard(lake, world, table, chance.choice(COLUMNS), chance.randrange(3))
    guard(lake, world, chance.choice(world.tables), "", chance.randrange(3))
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


# What follows shares no code with the server: sets of (table, column) that grow until nothing changes.


def belongs(world: World, who: str, group: str) -> bool:
    if group == "account users":
        return True
    members = world.groups.get(group, set())
    return who in members or any(belongs(world, who, each) for each in members if each in world.groups)


def readings(lake: Lake, world: World) -> dict[str, set[str]]:
    """Who reads what, as `Check` says."""
    check = lake.admin.authorization.check
    return {
        each: {
            who for who in (*USERS, ADMIN, STEWARD) if check("SELECT", kind(world, each), each, subject=who)
        }
        for each in world.relations
    }


def expected(lake: Lake, world: World, caller: Client, reads: dict[str, set[str]]) -> set[Finding]:
    seen = {each for each in world.relations if works(getter, world, caller, each)}
    told = {each for each in seen if works(lists_readers, world, caller, each)}
    found: set[Finding] = set()
    for (source, column), spared in world.spared.items():
        if source not in seen:
            continue
        bare = {who for who in reads[source] if belongs(world, who, spared)} if source in told else set()
        copies = reached(world, source, column, seen)
        exact = {table for table, copy in copies if copy != "*" and table in told}
        for (table, copy), steps in copies.items():
            if table not in told or (copy == "*" and table in exact):
                continue
            through = {
                (principal, place, sum(1 for who in reads[table] - bare if covers(world, who, principal)))
                for principal, place in rows(lake, world, table)
            }
            through = {each for each in through if each[2]}
            if reads[table] - bare:
                named = "" if copy == "*" else copy
                origin = f"{source}.{column}".rstrip(".")
                found.add(
                    (origin, f"{table}.{named}".rstrip("."), steps, source not in told, frozenset(through))
                )
    return found


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


def covers(world: World, who: str, principal: str) -> bool:
    return who == principal or belongs(world, who, principal)


def rows(lake: Lake, world: World, table: str) -> set[tuple[str, str]]:
    """Every grant and ownership that is SELECT on a table."""
    found = {(who, place) for who, place in world.grants if f"{table}.".startswith(f"{place}.")}
    granted = {
        (STEWARD, table)
        for each in lake.admin.grants.list(kind(world, table), table)
        if each.principal == STEWARD and "SELECT" in each.privileges
    }
    return found | granted | {(ADMIN, table)}


def reached(world: World, source: str, column: str, seen: set[str]) -> dict[tuple[str, str], int]:
    """Unprotected copies and how far each is, by growing the set of places step by step."""
    rows_of = not column
    start = (source, column or "*", True)
    known, fresh, steps = {start: 0}, {start}, 0
    while fresh:
        steps += 1
        ahead = set()
        for at, what, guarded in fresh:
            for one, other, uses in world.edges:
                if one != at or other not in seen:
                    continue
                for into in flows(uses, what, rows_of=rows_of):
                    if other == world.view:
                        protected = guarded
                    elif rows_of:
                        protected = (other, "") in world.spared
                    elif into == "*":
                        protected = any(table == other and col for table, col in world.spared)
                    else:
                        protected = (other, into) in world.spared
                    ahead.add((other, into, protected))
        fresh = {each for each in ahead if each not in known}
        known.update(dict.fromkeys(fresh, steps))
    copies: dict[tuple[str, str], int] = {}
    for (at, what, guarded), far in known.items():
        own = at == source and what in ("*", column)
        if not guarded and not own:
            copies[at, what] = min(far, copies.get((at, what), far))
    return copies


def flows(uses: tuple[Use, ...], what: str, *, rows_of: bool) -> set[str]:
    if not uses:
        return {"*"}
    kept = {use for use in uses if use[2] and (rows_of or not use[3])}
    if what == "*":
        return {"*"} if kept else set()
    return {into for into, used, _, _ in kept if used == what}


def answered(caller: Client, world: World) -> set[Finding]:
    answer = caller.lineage_governance.leaks()
    assert answer.truncated_by == ""
    found = set()
    for leak in answer.leaks:
        first, last = (f"{step.name}.{step.column}".rstrip(".") for step in (leak.way[0], leak.way[-1]))
        through = frozenset(
            (each.source.principal, each.source.full_name, each.principal_count) for each in leak.readers
        )
        found.add((first, last, len(leak.way) - 1, leak.source_grants_hidden, through))
    assert len(found) == len(answer.leaks)
    return found


def destroy(lake: Lake, world: World) -> None:
    for catalog in ("b", "a"):
        lake.admin.workspace_bindings.update("catalog", f"{world.name}{catalog}", isolated=False)
        lake.admin.catalogs.delete(f"{world.name}{catalog}", force=True)


def judge(lake: Lake, seeds: Iterable[int]) -> int:
    """Compares worlds for two callers; returns how many findings there were."""
    steward = lake.server.client_as(STEWARD)
    found = 0
    for seed in seeds:
        world = build(lake, seed)
        record(lake, world.edges)
        reads = readings(lake, world)
        for caller in (lake.admin, steward):
            wanted = expected(lake, world, caller, reads)
            assert answered(caller, world) == wanted, seed
            found += len(wanted)
        destroy(lake, world)
    return found


def test_findings_are_those_of_a_search_by_hand(lake: Lake) -> None:
    assert judge(lake, range(WORLDS)) > 4 * WORLDS


@pytest.mark.slow
def test_findings_are_those_of_a_search_by_hand_in_many_worlds(lake: Lake) -> None:
    assert judge(lake, range(1_000, 1_000 + WORLDS_SLOW)) > 4 * WORLDS_SLOW


def differs(lake: Lake, seeds: Iterable[int]) -> Iterator[bool]:
    """World by world: whether the steward's answer changes by what it may not know: hidden lineage, and grants on what it does not manage."""
    steward = lake.server.client_as(STEWARD)
    for seed in seeds:
        world, chance = build(lake, seed), random.Random(seed)
        hidden = [each for each in world.relations if not works(getter, world, steward, each)]
        dark = [edge for edge in world.edges if edge[0] in hidden or edge[1] in hidden]
        visible = [each for each in world.relations if each not in hidden]
        if hidden and visible:
            # Ways from what it sees to what it sees, through what it does not.
            for middle in hidden:
                ends = chance.choice(visible), chance.choice(visible)
                dark += [(ends[0], middle, ()), (middle, ends[1], ())]
        record(lake, [edge for edge in world.edges if edge not in dark])
        before = told(steward)
        record(lake, dark)
        after = told(steward)
        reached = [each for each in world.relations if works(getter, world, lake.admin, each)]
        unmanaged = [each for each in reached if not works(lists_readers, world, steward, each)]
        for table, who in itertools.product(unmanaged, USERS):
            grant(lake, world, table, who)
        last = told(steward)
        destroy(lake, world)
        yield not before == after == last


def told(caller: Client) -> bytes:
    answer: pb.FindLineageLeaksResponse = caller.lineage_governance.leaks()
    answer.revision = ""
    return answer.SerializeToString(deterministic=True)


def test_an_answer_does_not_depend_on_what_its_caller_may_not_know(lake: Lake) -> None:
    assert not any(differs(lake, range(2_000, 2_000 + WORLDS)))


@pytest.mark.slow
def test_an_answer_does_not_depend_on_it_in_many_worlds(lake: Lake) -> None:
    assert not any(differs(lake, range(5_000, 5_000 + WORLDS_SLOW)))


def test_control_one_who_sees_everything_is_caught(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    class Everything(Sight):
        def __call__(self, assets: Any) -> Any:
            return np.ones(len(assets), dtype=bool)

    monkeypatch.setattr(lineage_findings, "Sight", Everything)
    assert any(differs(lake, range(3_000, 3_000 + WORLDS_SLOW)))


def test_control_one_who_is_told_all_grants_is_caught(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_findings.Assets, "tells_grants", lambda *_: True)
    assert any(differs(lake, range(4_000, 4_000 + WORLDS_SLOW)))
