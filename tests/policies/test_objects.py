"""Workspace objects before three judges: the engine, a reference written from semantics 6, stock Casbin; and broken engines."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lakewarden_policy import Decider, Decision, Policy, Snapshot, load_policy, policy_texts
from lakewarden_policy.kinds import IN_WORKSPACE
from lakewarden_policy.lookups import Chains, Containers, Kin, Upward
from lakewarden_policy.reach import Reach, Unreached
from policies.object_worlds import ObjectQuestion, make_object_question, make_object_world
from policies.reference_objects import (
    BELOW,
    FOLDERED,
    FOLDERS,
    LEVELS,
    OWNED,
    ObjectReference,
    inside,
    is_about_objects,
)
from policies.snapshots import snapshot_of
from policies.stock import StockJudge
from policies.worlds import World

SEED = 20261126
WORLDS, QUESTIONS = 16, 1500
CONTROL_WORLDS = 24
STOCK_WORLDS, STOCK_ATOMS = 4, 60

Make = Callable[[World, int], Decider]


def _ask(decider: Decider, question: ObjectQuestion) -> Decision:
    who, workspace, operation, level, objects, _ = question
    if operation.endswith(".use"):
        return decider.privilege(who, workspace, objects["self"], level)
    return decider.operation(who, workspace, operation, objects, selector=level or None)


def _engine(world: World, now: int) -> Decider:
    return Decider(load_policy(), snapshot_of(world, now=now))


class _Case:
    """One seeded world with its questions and, for each time, its judges."""

    def __init__(self, seed: int, make: Make = _engine) -> None:
        rng = random.Random(seed)
        self.world, self._make = make_object_world(rng), make
        self._engines: dict[int, Decider] = {}
        self._references: dict[object, ObjectReference] = {}
        self.questions = [make_object_question(rng, self.world) for _ in range(QUESTIONS)]

    def decided(self, question: ObjectQuestion) -> bool:
        if question.now not in self._engines:
            self._engines[question.now] = self._make(self.world, question.now)
        return _ask(self._engines[question.now], question).allowed

    def expected(self, question: ObjectQuestion, *forgive: str) -> bool:
        key = question.now, forgive
        if key not in self._references:
            judge = ObjectReference(self.world, now=question.now, forgive=frozenset(forgive))
            self._references[key] = judge
        return self._references[key].allows(*question[:5])


def _cases(worlds: int, make: Make = _engine) -> Iterator[_Case]:
    return (_Case(SEED + number, make) for number in range(worlds))


def test_engine_and_reference_agree_on_every_level_and_operation() -> None:
    outcomes: Counter[tuple[str, bool]] = Counter()
    hung_on: Counter[str] = Counter()
    for case in _cases(WORLDS):
        for question in case.questions:
            expected = case.expected(question)
            assert case.decided(question) == expected, f"{question}: the reference says {expected}"
            outcomes[f"{question.operation}.{question.level}".rstrip("."), expected] += 1
            if not expected:
                hung_on.update(
                    rule
                    for rule in ("elsewhere", "assigned", "active", "expiry")
                    if case.expected(question, rule)
                )
            elif not case.expected(question, "folders"):
                hung_on["folders"] += 1
    assert min(hung_on[rule] for rule in ("elsewhere", "assigned", "active", "expiry", "folders")) >= 20, (
        hung_on
    )
    allowed = sum(times for (_, answer), times in outcomes.items() if answer)
    assert outcomes.total() / 4 <= allowed <= outcomes.total() * 3 / 4, allowed
    wanted = {f"{kind.lower()}.use.{level}" for kind, levels in LEVELS.items() for level in levels}
    wanted |= {name for name in load_policy().operations if is_about_objects(name)} - {
        "workspace_object.list"
    }
    assert {name for name in wanted if not (outcomes[name, True] and outcomes[name, False])} == set()


def test_engine_and_reference_agree_on_the_levels_of_each_kind() -> None:
    policy = load_policy()
    assert set(LEVELS) == IN_WORKSPACE == policy.levels.kinds
    for kind, levels in LEVELS.items():
        assert {level.name for level in policy.levels.listed(kind)} == set(levels), kind
        for level in levels:
            included = {act.partition(":")[2] for act in policy.here[f"{kind}:{level}"]} & set(levels)
            assert included == {level, *BELOW[kind][level]}, (kind, level)
    assert {kind for kind in LEVELS if policy.levels.owned(kind)} == set(OWNED)
    assert {kind for kind in LEVELS if policy.levels.created(kind) is None} == {
        *OWNED, "CLUSTER_POLICY", "PASSWORDS",
    }  # fmt: skip


def test_engine_and_reference_agree_on_what_folders_pass_down() -> None:
    policy = load_policy()
    for folder in FOLDERS:
        for level in LEVELS[folder]:
            passed = {
                act
                for act in policy.inside[f"{folder}:{level}"]
                if act.partition(":")[2] in LEVELS[act.partition(":")[0]]
            }
            expected = set()
            for kind in FOLDERED:
                if (found := inside(kind, level)) is not None:
                    expected |= {f"{kind}:{each}" for each in (found, *BELOW[kind][found])}
            assert passed == expected, (folder, level)


def test_a_level_of_the_same_name_confers_nothing_on_another_kind() -> None:
    policy = load_policy()
    for act, privilege in policy.privileges.items():
        if privilege.kind in LEVELS:
            assert all(other.startswith(f"{privilege.kind}:") for other in policy.here[act]), act
            if privilege.kind not in FOLDERS:
                assert policy.inside[act] == frozenset(), act


def test_engine_and_stock_casbin_agree_on_objects() -> None:
    outcomes: Counter[bool] = Counter()
    policy = load_policy()
    for seed in range(SEED, SEED + STOCK_WORLDS):
        rng = random.Random(seed)
        world = make_object_world(rng)
        snapshot = snapshot_of(world, now=5)
        decider, stock = Decider(policy, snapshot), StockJudge(policy, snapshot)
        for _ in range(STOCK_ATOMS):
            question = make_object_question(rng, world)
            while "self" not in question.objects:
                question = make_object_question(rng, world)
            obj = question.objects["self"]
            act = f"{world['objects'][obj]['kind']}:{question.level or 'SEE'}"
            act = act if act in policy.privileges else f"{world['objects'][obj]['kind']}:TRANSFER"
            ours = decider.atom(question.who, question.workspace, obj, act) is not None
            assert ours == stock.allows(question.who, question.workspace, obj, act), (seed, question, act)
            outcomes[ours] += 1
    assert min(outcomes.values()) >= outcomes.total() / 5, outcomes


class _ForgetsWhereItIs(Reach):
    """Broken: an object is reached from every workspace the subject works in."""

    def _away(self, subject_id: str, workspace_id: str | None, home: str | None) -> Unreached | None:
        return super()._away(subject_id, workspace_id, workspace_id)


class _ForgetsAssignment(Reach):
    """Broken: who has left the workspace keeps what was granted there."""

    def _away(self, subject_id: str, workspace_id: str | None, home: str | None) -> Unreached | None:
        found = super()._away(subject_id, workspace_id, home)
        return None if found is Unreached.NOT_ASSIGNED else found


def _reaching(rule: type[Reach]) -> Make:
    broken = type("Broken", (Decider,), {"_build_reach": lambda self: rule(self.policy, self.snapshot)})
    return lambda world, now: broken(load_policy(), snapshot_of(world, now=now))


class _Shallow(Chains):
    """Broken: the nearest folder alone passes anything down."""

    def __missing__(self, parent_id: str | None) -> tuple[str, ...]:
        found = Chains.__missing__(self, parent_id)
        shallow = self[parent_id] = (*found[:1], *found[-2:]) if len(found) > 3 else found
        return shallow


def _shallow(world: World, now: int) -> Decider:
    snapshot: Snapshot = snapshot_of(world, now=now)
    snapshot.chains = _Shallow(snapshot.securables)
    snapshot.kin = Kin(snapshot.securables, snapshot.chains)
    snapshot.upward = Upward(snapshot.kin, snapshot.chains)
    snapshot.containers = Containers(snapshot.securables, snapshot.chains)
    return Decider(load_policy(), snapshot)


def _levels(kind: str, level: str, column: str, value: str) -> Make:
    """The engine with one cell of permission_levels.csv changed."""
    *others, text = policy_texts()
    rows = list(csv.DictReader(io.StringIO(text)))
    (row,) = (row for row in rows if (row["kind"], row["level"]) == (kind, level))
    assert row[column] != value, "the control no longer breaks anything"
    row[column] = value
    broken = io.StringIO()
    writer = csv.DictWriter(broken, list(row))
    writer.writeheader()
    writer.writerows(rows)
    policy = Policy(*others, broken.getvalue())
    return lambda world, now: Decider(policy, snapshot_of(world, now=now))


def _operations(before: str, after: str) -> Make:
    model, privileges, operations, levels = policy_texts()
    assert before in operations, "the control no longer breaks anything"
    policy = Policy(model, privileges, operations.replace(before, after), levels)
    return lambda world, now: Decider(policy, snapshot_of(world, now=now))


CONTROLS: dict[str, Make] = {
    "forgets which workspace it belongs to": _reaching(_ForgetsWhereItIs),
    "forgets assignment": _reaching(_ForgetsAssignment),
    "inherits from the nearest folder alone": _shallow,
    "takes the levels of a warehouse for a chain": _levels("WAREHOUSE", "CAN_USE", "here", "CAN_VIEW"),
    "lets a folder's CAN_RUN run nothing": _levels("DIRECTORY", "CAN_RUN", "inside", ""),
    "lets an owner manage less": _levels("JOB", "IS_OWNER", "here", "CAN_MANAGE_RUN"),
    "lets managers name the next owner": _levels("JOB", "CAN_MANAGE", "here", "CAN_MANAGE_RUN MANAGE TRANSFER"),
    "forgets the admins": _levels("CLUSTER", "CAN_MANAGE", "held_by", "grant creator"),
    "keeps policies from admins": _levels("CLUSTER_POLICY", "CAN_USE", "held_by", "grant"),
    "hides folders from users": _levels("DIRECTORY", "LIST", "held_by", "admins"),
    "lets users see everything": _levels("*", "SEE", "held_by", "engines users"),
    "lets runners of a job change its permissions": _levels("JOB", "CAN_MANAGE_RUN", "here", "CAN_VIEW MANAGE"),
    "lets any user state what exists": _operations(
        "*.create,workspace has WORKSPACE:QUERY_ENGINE", "*.create,workspace has WORKSPACE:USER"
    ),
    "unregisters from another workspace": _operations("*.delete,self has *:SEE & workspace", "*.delete,workspace"),
    "ignores expiry": lambda world, now: _engine(world, 0),
}  # fmt: skip


@pytest.mark.parametrize("control", CONTROLS)
def test_broken_engine_is_caught(control: str) -> None:
    for case in _cases(CONTROL_WORLDS, CONTROLS[control]):
        if any(case.decided(question) != case.expected(question) for question in case.questions):
            return
    pytest.fail(f"{control}: decided like a correct engine, so the comparison is blind to it")
