"""Nobody gets further by a chain of steps than each step allows: the engine lets no walk into a forbidden state."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from lakewarden_policy import Decider, load_policy
from policies.judging import SEED
from policies.reference import Reference
from policies.reference_matrix import RELATIONS, RUN_BY
from policies.snapshots import ask, snapshot_of
from policies.walks import HOME, NOW, OUTSIDER, Step, Walk, begin
from policies.worlds import World, make_world

WALKS, LONG_WALKS = 8, 20
ATTEMPTS, LONG_ATTEMPTS = 250, 400
WATCHED = ("u1", "u2", "u3", "p1", OUTSIDER)
DATA = dict.fromkeys(RELATIONS, "SELECT") | {
    "VOLUME": "READ_VOLUME",
    "FUNCTION": "EXECUTE",
    "REGISTERED_MODEL": "EXECUTE",
    "EXTERNAL_LOCATION": "READ_FILES",
}

Access = set[tuple[str, str]]


class State:
    """A world on its way, with both judges of it and who can reach which data."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reference = Reference(world, now=NOW)
        self.engine = Decider(load_policy(), snapshot_of(world, now=NOW))
        self.access: Access = {
            (who, obj)
            for obj, thing in world["objects"].items()
            if thing["kind"] in DATA
            for who in WATCHED
            if self.engine.privilege(who, HOME[thing["metastore"]], obj, DATA[thing["kind"]]).allowed
        }

    def forbidden(self) -> Access:
        """What the engine gives and the reference does not, or the other way round."""
        allowed = {
            (who, obj)
            for obj, thing in self.world["objects"].items()
            if thing["kind"] in DATA
            for who in WATCHED
            if self.reference.allows(
                who,
                HOME[thing["metastore"]],
                f"{thing['kind'].lower()}.use",
                DATA[thing["kind"]],
                {"self": obj},
            )
        }
        return self.access ^ allowed

    def explains(self, step: Step, who: str, obj: str) -> bool:
        """Is new access to the object what the step was about?"""
        reference, thing = self.reference, self.world["objects"][obj]
        if step.named & reference.everyone(who):
            return True
        if step.widened:
            return step.widened in (obj, *reference.containers(obj)) or thing["kind"] in RUN_BY
        if step.created == obj:
            # Made in a container on which the privilege is held; nothing of what once had the name.
            return any(
                reference.granted(who, place, name)
                for place in reference.containers(obj)
                for name in (DATA[thing["kind"]], "ALL_PRIVILEGES")
            )
        # Who may run it runs it as its owner: what the owner gained, or what the names mean now.
        owners = {t["owner"] for t in self.world["objects"].values() if t["kind"] in RUN_BY}
        gained = any(step.named & reference.everyone(owner) for owner in owners)
        return thing["kind"] in RUN_BY and (step.moves_names or gained)


def walk(seed: int, *, attempts: int) -> Counter[str]:
    """One walk; counts the steps that were taken, and those refused to the outsider."""
    rng = random.Random(seed)
    state = State(begin(make_world(rng)))
    path, taken = Walk(rng, state.world), Counter[str]()
    named: set[str] = set()
    for number in range(attempts):
        step = path.step(state.reference)
        allowed = ask(state.engine, step.question).allowed
        where = f"seed {seed}, step {number}: {step.move} {step.question}"
        assert allowed == state.reference.allows(*step.question[:5]), f"{where}: engine says {allowed}"
        unnamed = not named & state.reference.everyone(OUTSIDER)
        if not allowed:
            taken["refused to the outsider"] += step.question.who == OUTSIDER and unnamed
            continue
        assert not (step.question.who == OUTSIDER and unnamed), (
            f"{where}: allowed to somebody nobody gave anything"
        )
        step.apply(state.world)
        before, state = state.access, State(state.world)
        opened = [new for new in state.access - before if not state.explains(step, *new)]
        assert opened == [], f"{where}: opened {opened}"
        named |= step.named
        if not named & state.reference.everyone(OUTSIDER):
            assert OUTSIDER not in {who for who, _ in state.access}, where
        taken[step.move] += 1
        taken["opened"] += len(state.access - before)
    assert state.forbidden() == set(), f"seed {seed}"
    return taken


def stroll(walks: int, *, attempts: int, first: int = 0) -> None:
    """Walks whose steps cover every kind of move often enough to mean something."""
    taken = sum((walk(SEED + first + number, attempts=attempts) for number in range(walks)), Counter[str]())
    moves = (
        "grant", "revoke", "transfer", "edit a group", "rename", "create", "recreate", "delete", "bind", "define", "staff"
    )  # fmt: skip
    assert {move: taken[move] for move in moves if taken[move] < walks} == {}, taken
    assert taken["opened"] > walks * 5, taken
    assert taken["refused to the outsider"] > walks * 5, taken


def test_no_walk_of_limited_principals_reaches_a_forbidden_state() -> None:
    stroll(WALKS, attempts=ATTEMPTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_long_walk_of_limited_principals_reaches_a_forbidden_state(part: int) -> None:
    stroll(LONG_WALKS, attempts=LONG_ATTEMPTS, first=WALKS + part * LONG_WALKS)
