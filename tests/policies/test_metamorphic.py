"""Changes of a world that must not change an answer: order, duplicates, rebuilding, renames, what came and went."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import pytest

from lakewarden_policy import Decider, load_policy
from policies.judging import Case, cases
from policies.snapshots import ask, snapshot_of
from policies.worlds import RELATIONS, World, follow_names, make_world

WORLDS, QUESTIONS = 10, 400
NOW = 5

Change = Callable[[random.Random, World], World]


def shuffled(rng: random.Random, world: World) -> World:
    """Every list and table in another order."""
    changed = copy.deepcopy(world)
    for name in ("grants", "members"):
        rng.shuffle(changed[name])
    for name in ("principals", "objects"):
        changed[name] = dict(rng.sample(list(changed[name].items()), len(changed[name])))
    for thing in changed["objects"].values():
        rng.shuffle(thing.get("references", []))
    return changed


def doubled(rng: random.Random, world: World) -> World:
    """Every grant, membership and reference twice, not always side by side."""
    changed = copy.deepcopy(world)
    for name in ("grants", "members"):
        changed[name] = rng.sample(changed[name] * 2, len(changed[name]) * 2)
    for thing in changed["objects"].values():
        if "references" in thing:
            thing["references"] *= 2
    return changed


def renamed(rng: random.Random, world: World) -> World:
    """Every object with another name; views go on naming what they named."""
    changed = copy.deepcopy(world)
    for number, thing in enumerate(rng.sample(list(changed["objects"].values()), len(world["objects"]))):
        thing["name"] = f"renamed{number}"
    follow_names(world, changed)
    return changed


def granted_and_expired(rng: random.Random, world: World) -> World:
    """Grants beside those of the world, each over by now."""
    changed = copy.deepcopy(world)
    held = {grant[:3] for grant in world["grants"]}
    other = make_world(rng)
    changed["grants"] += [
        (*grant[:3], NOW - rng.random()) for grant in other["grants"] if grant[:3] not in held
    ]
    return changed


def with_something_unrelated(rng: random.Random, world: World) -> World:
    """Another metastore with all that is in it, other people, and rights of these on everything there is."""
    changed = copy.deepcopy(world)
    other = _elsewhere(make_world(rng))
    changed["principals"] |= other["principals"]
    changed["members"] += other["members"]
    changed["objects"] |= other["objects"]
    changed["grants"] += other["grants"]
    strangers = list(other["principals"])
    changed["grants"] += [
        (o, rng.choice(strangers), privilege, None) for o, _, privilege, _ in world["grants"]
    ]
    return changed


def _elsewhere(world: World) -> World:
    """A world in which no id is one of any other's, but for the account and everybody's group, who get nothing."""

    def other(identity: str | None) -> str | None:
        return f"other-{identity}" if identity is not None else None

    objects = {
        other(obj): {
            **thing,
            "name": f"other-{thing['name']}",
            "parent": thing["parent"] if thing["parent"] == "account" else other(thing["parent"]),
            "metastore": other(thing["metastore"]),
            "owner": other(thing["owner"]),
            "bindings": {other(place): binding for place, binding in thing.get("bindings", {}).items()},
        }
        for obj, thing in world["objects"].items()
    }
    return {
        "principals": {other(who): p for who, p in world["principals"].items() if who != "account-users"},
        "members": [(other(group), other(member)) for group, member in world["members"]],
        "objects": objects,
        "grants": [
            (other(obj), other(who), *rest) for obj, who, *rest in world["grants"] if obj != "account"
        ],
    }


CHANGES: dict[str, Change] = {
    "another order": shuffled,
    "duplicates": doubled,
    "renaming": renamed,
    "a grant that expired": granted_and_expired,
    "something unrelated": with_something_unrelated,
}


def answers(case: Case, world: World) -> list[bool]:
    """What the engine says to every question, all at one time."""
    engine = Decider(load_policy(), snapshot_of(world, now=NOW))
    return [ask(engine, question).allowed for question in case.questions]


@pytest.mark.parametrize("change", CHANGES)
def test_answers_do_not_change_with(change: str) -> None:
    allowed = 0
    for case in cases(WORLDS, questions=QUESTIONS):
        before = answers(case, case.world)
        assert answers(case, CHANGES[change](random.Random(case.seed), case.world)) == before, (
            f"seed {case.seed}"
        )
        allowed += sum(before)
    assert allowed > WORLDS * QUESTIONS / 5


def test_answers_do_not_depend_on_the_way_to_a_time() -> None:
    """A snapshot built now, one built earlier, and one brought here in steps are the same."""
    for case in cases(WORLDS, questions=QUESTIONS):
        snapshot = snapshot_of(case.world)
        for now in range(NOW + 1):
            snapshot = snapshot.at(now)
        in_steps = Decider(load_policy(), snapshot)
        assert [ask(in_steps, question).allowed for question in case.questions] == answers(case, case.world)


def test_a_privilege_granted_and_revoked_leaves_no_trace() -> None:
    """Answers given in between, and what they made the snapshot remember, do not count afterwards."""
    opened = 0
    for case in cases(WORLDS, questions=QUESTIONS):
        before = answers(case, case.world)
        generous = {**case.world, "grants": [*case.world["grants"], *_to_everybody(case.world)]}
        during = answers(case, generous)
        assert not any(was and not now for was, now in zip(before, during, strict=True)), (
            "a grant took something away"
        )
        opened += sum(during) - sum(before)
        assert answers(case, case.world) == before
    assert opened > 200


def _to_everybody(world: World) -> list[tuple[str, str, str, None]]:
    return [
        (obj, "account-users", "ALL_PRIVILEGES", None)
        for obj, thing in world["objects"].items()
        if thing["kind"] in ("CATALOG", *RELATIONS)
    ]
