"""Who may, of many objects at once: each principal's answer is the decision about it, and few decisions are made."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from lakewarden_policy import Audience, Changes, Decider, Row, audiences, changed_snapshot, load_policy
from lakewarden_policy.audiences import Alike
from lakewarden_policy.kinds import RELATIONS
from lakewarden_policy.records import Grant, Head, Membership, Principal, Securable
from lakewarden_policy.snapshot import Snapshot
from policies.snapshots import snapshot_of
from policies.worlds import WORKSPACES, make_world

WORLDS = 25
POLICY = load_policy()


def worlds() -> Iterator[tuple[random.Random, Decider, str, list[str]]]:
    for seed in range(WORLDS):
        chance = random.Random(seed)
        decider = Decider(POLICY, snapshot_of(make_world(chance), now=5))
        securables = decider.snapshot.securables
        relations = sorted(each for each in securables if securables[each].kind in RELATIONS)
        yield chance, decider, chance.choice(WORKSPACES), relations


def one_by_one(decider: Decider, workspace: str, object_id: str) -> set[str]:
    return {
        principal.id
        for principal in decider.snapshot.principals.values()
        if principal.kind != "GROUP"
        and decider.privilege(principal.id, workspace, object_id, "SELECT").allowed
    }


def members(found: tuple[Alike, ...]) -> set[str]:
    return {member for alike in found for member in alike.members}


def differing() -> tuple[int, int]:
    """Of how many objects the answer is not that of each decision, and how many answers there were with somebody in them."""
    wrong = some = 0
    for chance, decider, workspace, relations in worlds():
        audience = Audience(decider, workspace, relations)
        rows = [
            row
            for row in decider.snapshot.rows()
            if row.act.endswith((":SELECT", ":USE_SCHEMA", ":USE_CATALOG"))
        ]
        revoked = tuple(chance.sample(sorted(rows), len(rows) // 3))
        later = Decider(POLICY, changed_snapshot(decider.snapshot, Changes(revoked=revoked)))
        for object_id in relations:
            for judge, asked in ((decider, audience), (later, audience.under(later))):
                wanted = one_by_one(judge, workspace, object_id)
                wrong += members(asked.allowed(object_id, "SELECT")) != wanted
                some += bool(wanted)
    return wrong, some


def test_everybody_is_decided_as_one_by_one() -> None:
    wrong, some = differing()
    assert wrong == 0
    assert some > 200


def test_control_one_who_takes_different_people_for_alike_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told apart by their groups alone, and not by what they hold themselves."""
    holders = audiences._holders

    def of_groups(snapshot: Snapshot, workspace: str | None, ids: list[str]) -> frozenset[str]:
        found = holders(snapshot, workspace, ids)
        return frozenset(each for each in found if snapshot.principals[each].kind == "GROUP")

    monkeypatch.setattr(audiences, "_holders", of_groups)
    assert differing()[0] > 0


def test_rows_are_all_that_would_have_to_go() -> None:
    checked = 0
    for _, decider, workspace, relations in worlds():
        audience = Audience(decider, workspace, relations)
        for object_id in relations:
            for alike in audience.allowed(object_id, "SELECT"):
                rows = audience.rows(alike, object_id, "SELECT")
                assert rows
                owned = [row for row in rows if row.act.endswith(":OWNER")]
                granted = tuple(row for row in rows if row not in owned)
                later = Decider(POLICY, changed_snapshot(decider.snapshot, Changes(revoked=granted)))
                still = later.privilege(alike.example, workspace, object_id, "SELECT").allowed
                assert not still or owned
                checked += 1
    assert checked > 100


class _Counting(Decider):
    """How many decisions are made."""

    count = 0

    def privilege(self, *asked: str | None) -> object:  # type: ignore[override]
        self.count += 1
        return super().privilege(*asked)  # type: ignore[arg-type]


def test_a_group_of_ten_thousand_costs_one_decision_for_each_object() -> None:
    people = [
        Principal(f"u{number}", "USER", f"u{number}@x", f"u{number}@x", True) for number in range(10_000)
    ]
    groups = [Principal("analysts", "GROUP", "analysts", "analysts", True)]
    tables = [
        Securable(f"t{number}", "TABLE", "s", "m", f"t{number}", f"t{number}", None, 1)
        for number in range(50)
    ]
    snapshot = Snapshot.build(
        Head("epoch", 1, "nonce"),
        principals=[*people, *groups],
        memberships=[Membership("analysts", each.id) for each in people],
        securables=[
            Securable("m", "METASTORE", "account", "m", "m", "m", None, 1),
            Securable("w", "WORKSPACE", "account", "m", "w", "w", None, 1),
            Securable("c", "CATALOG", "m", "m", "c", "c", None, 1),
            Securable("s", "SCHEMA", "c", "m", "s", "s", None, 1),
            *tables,
        ],
        grants=[
            Grant("w", "analysts", "USER"),
            Grant("c", "analysts", "USE_CATALOG"),
            Grant("s", "analysts", "USE_SCHEMA"),
            Grant("c", "analysts", "SELECT"),
        ],
        tokens=[],
    )
    decider = _Counting(POLICY, snapshot)
    audience = Audience(decider, "w", [table.id for table in tables])
    for table in tables:
        (alike,) = audience.allowed(table.id, "SELECT")
        assert len(alike.members) == 10_000
        assert audience.rows(alike, table.id, "SELECT") == (Row("analysts", "c", "CATALOG:SELECT"),)
    assert decider.count == len(tables)
