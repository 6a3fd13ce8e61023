"""Leaks in random worlds, against a search by hand that asks `Check` of everybody; and what the answers must not depend on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from lakewarden import Client
from lakewarden.v1 import lineage_governance_pb2 as pb
from lakewarden_server.lineage import visibility
from lakewarden_server.lineage.visibility import Sight
from lakewarden_server.services import lineage_findings, lineage_tagged
from lineage.lake import Lake
from lineage.protected import (
    ADMIN,
    STEWARD,
    USERS,
    Use,
    World,
    build,
    destroy,
    getter,
    grant,
    kind,
    lists_readers,
    peopled_lake,
    readings,
    record,
    tag,
    works,
)

WORLDS, WORLDS_SLOW = 2, 80
Finding = tuple[str, str, int, bool, frozenset[tuple[str, str, int]]]


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with peopled_lake() as found:
        yield found


# What follows shares no code with the server: sets of (table, column) that grow until nothing changes.


def belongs(world: World, who: str, group: str) -> bool:
    if group == "account users":
        return True
    members = world.groups.get(group, set())
    return who in members or any(belongs(world, who, each) for each in members if each in world.groups)


def bearing(world: World, seen: set[str], value: str) -> set[tuple[str, str]]:
    """What bears `pii` with a value, any where it is empty; the column is "" for a whole table."""
    found = {
        (table, column) for (table, column), held in world.tags.items() if column and held in (value or held,)
    }
    for table in seen:
        catalog, schema, _ = table.split(".")
        held = [
            world.tags[each, ""]
            for each in (table, f"{catalog}.{schema}", catalog)
            if (each, "") in world.tags
        ]
        if held and held[0] in (value or held[0],):
            found.add((table, ""))
    return found


def expected(
    lake: Lake, world: World, caller: Client, reads: dict[str, set[str]], value: str | None = None
) -> set[Finding]:
    """Of everything masked or filtered, or with a value of what bears the tag."""
    seen = {each for each in world.relations if works(getter, world, caller, each)}
    sources = world.spared.keys() if value is None else bearing(world, seen, value)
    told = {each for each in seen if works(lists_readers, world, caller, each)}
    found: set[Finding] = set()
    for source, column in sources:
        if source not in seen:
            continue
        spared = world.spared.get((source, column), "account users")
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
    start = (source, column or "*", (source, column) in world.spared)
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


def answered(caller: Client, value: str | None = None) -> set[Finding]:
    tags = [] if value is None else [f"pii={value}" if value else "pii"]
    answer = caller.lineage_governance.leaks(tags=tags)
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


def judge(lake: Lake, seeds: Iterable[int], values: tuple[str | None, ...] = (None,)) -> int:
    """Compares worlds for two callers, by masks and filters or by values of a tag; returns how many findings there were."""
    steward = lake.server.client_as(STEWARD)
    found = 0
    for seed in seeds:
        world = build(lake, seed)
        record(lake, world.edges)
        reads = readings(lake, world)
        for caller in (lake.admin, steward):
            for value in values:
                wanted = expected(lake, world, caller, reads, value)
                assert answered(caller, value) == wanted, (seed, value)
                found += len(wanted)
        destroy(lake, world)
    return found


def test_findings_are_those_of_a_search_by_hand(lake: Lake) -> None:
    assert judge(lake, range(WORLDS)) > 4 * WORLDS


@pytest.mark.slow
def test_findings_are_those_of_a_search_by_hand_in_many_worlds(lake: Lake) -> None:
    assert judge(lake, range(1_000, 1_000 + WORLDS_SLOW)) > 4 * WORLDS_SLOW


def test_findings_by_tags_are_those_of_a_search_by_hand(lake: Lake) -> None:
    assert judge(lake, range(8_000, 8_000 + WORLDS), ("", "high")) > 4 * WORLDS


@pytest.mark.slow
def test_findings_by_tags_are_those_of_a_search_by_hand_in_many_worlds(lake: Lake) -> None:
    assert judge(lake, range(6_000, 6_000 + WORLDS_SLOW // 2), ("", "high")) > 4 * WORLDS_SLOW


def test_control_one_who_follows_a_tag_of_any_value_is_caught(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = lineage_tagged.matches
    by_key = [pb.LeakTag(key="pii")]
    monkeypatch.setattr(lineage_tagged, "matches", lambda tags, values: original(by_key, values))
    with pytest.raises(AssertionError):
        judge(lake, range(7_000, 7_000 + WORLDS_SLOW), ("high",))


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
        for table in set(hidden) & set(reached):
            for column in ("", "a"):
                tag(lake, world, table, column, "high")
        last = told(steward)
        destroy(lake, world)
        yield not before == after == last


def told(caller: Client) -> bytes:
    """All it is told of masks and filters, then of a tag."""
    answers: list[pb.FindLineageLeaksResponse] = [
        caller.lineage_governance.leaks(tags=tags) for tags in ((), ("pii",))
    ]
    for answer in answers:
        answer.revision = ""
    return b"".join(answer.SerializeToString(deterministic=True) for answer in answers)


def test_an_answer_does_not_depend_on_what_its_caller_may_not_know(lake: Lake) -> None:
    assert not any(differs(lake, range(2_000, 2_000 + WORLDS)))


@pytest.mark.slow
def test_an_answer_does_not_depend_on_it_in_many_worlds(lake: Lake) -> None:
    assert not any(differs(lake, range(5_000, 5_000 + WORLDS_SLOW)))


def test_control_one_who_sees_everything_is_caught(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    class Everything(Sight):
        def __call__(self, assets: Any) -> Any:
            return np.ones(len(assets), dtype=bool)

    monkeypatch.setattr(visibility, "Sight", Everything)
    assert any(differs(lake, range(3_000, 3_000 + WORLDS_SLOW)))


def test_control_one_who_is_told_all_grants_is_caught(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_findings.Assets, "tells_grants", lambda *_: True)
    assert any(differs(lake, range(4_000, 4_000 + WORLDS_SLOW)))
