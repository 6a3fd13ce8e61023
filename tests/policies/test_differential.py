"""Three judges: the engine against a reference evaluator (operations) and stock Casbin (atoms). Seeds are printed."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from lakewarden_policy import Decider, Policy, Row, Snapshot, load_policy
from policies.judging import FORGIVABLE, NO_GRANT, SEED, Case, cases, rules_of_allow, rules_of_deny
from policies.reference_matrix import MATRIX
from policies.reference_objects import is_about_objects
from policies.snapshots import ask, operations_of, snapshot_of
from policies.stock import StockJudge
from policies.worlds import WORKSPACES, make_world

WORLDS, LONG_WORLDS = 50, 280
QUESTIONS = 1200
STOCK_WORLDS, STOCK_WORLDS_LONG = 8, 24
STOCK_ATOMS_PER_WORLD = 75
RULE_MIN = 500
"""How often each rule must decide. Until it has, every denial is judged again without it, which is most of the work."""
RULES = {
    "direct grant", "grant on a container", "owner", "management of an owner above", "MANAGE", "BROWSE",
    "ALL_PRIVILEGES", "group", "nested group", "account users", "workspace group", "metastore admin", "account admin",
    "oneself", NO_GRANT, "view owner may", "materialized_view owner may", "function owner may",
    "grant with an end", "isolated, read write",
    "isolated, read only", "isolated, not bound", *FORGIVABLE.values(),
}  # fmt: skip


class Tally:
    """What was compared: answers, the rules that decided them, and the operations asked, by answer."""

    def __init__(self) -> None:
        self.outcomes: Counter[bool] = Counter()
        self.rules: Counter[str] = Counter()
        self.operations: Counter[tuple[str, bool]] = Counter()

    def judge(self, case: Case) -> None:
        """Puts every question of a world to both judges; fails on the first difference."""
        for question in case.questions:
            decision, expected = ask(case.engine(question.now), question), case.expected(question)
            assert decision.allowed == expected, (
                f"seed {case.seed}: {question} reference says {expected}: {decision}"
            )
            self.outcomes[expected] += 1
            self.operations.update((name, expected) for name in operations_of(question))
            self.rules.update(
                rules_of_allow(case, question, decision)
                if expected
                else rules_of_deny(case, question, known=self.known())
            )

    def known(self) -> set[str]:
        """The rules that have decided often enough; trying each on every denial would cost most of the time."""
        return {rule for rule, times in self.rules.items() if times >= RULE_MIN and rule != NO_GRANT}


def agree(worlds: int, *, first: int = 0) -> Tally:
    """Compares so many worlds; fails on a lopsided mix of answers, rules or operations."""
    tally = Tally()
    for case in cases(worlds, questions=QUESTIONS, first=first):
        tally.judge(case)
    assert min(tally.outcomes.values()) >= tally.outcomes.total() / 4, tally.outcomes
    assert {rule: tally.rules[rule] for rule in RULES if tally.rules[rule] < RULE_MIN} == {}, tally.rules
    asked = {name for name, _ in tally.operations}
    assert _judged_here() - asked == set(), "the judge and the questions know nothing of these"
    return tally


def _judged_here() -> set[str]:
    """All operations but those about objects of workspaces, which `test_objects.py` asks about."""
    return {name for name in load_policy().operations if not is_about_objects(name)}


def test_engine_and_reference_agree_on_what_can_be_granted() -> None:
    policy = load_policy()
    assert {kind: set(policy.grantable(kind)) for kind in MATRIX} == MATRIX


def test_engine_and_reference_agree_on_every_operation() -> None:
    assert agree(WORLDS).outcomes.total() >= 10_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_engine_and_reference_agree_in_many_worlds() -> None:
    tally = agree(LONG_WORLDS, first=WORLDS)
    assert tally.outcomes.total() >= 200_000
    one_sided = {
        name
        for name, operation in load_policy().operations.items()
        if name in _judged_here()
        and not (operation.opens or (tally.operations[name, True] and tally.operations[name, False]))
    }
    assert one_sided == set()


def test_engine_and_stock_casbin_agree_on_every_atom() -> None:
    agree_with_stock(STOCK_WORLDS)


@pytest.mark.slow
def test_engine_and_stock_casbin_agree_on_every_atom_of_many_worlds() -> None:
    agree_with_stock(STOCK_WORLDS_LONG, first=STOCK_WORLDS)


def agree_with_stock(worlds: int, *, first: int = 0) -> None:
    """Compares random atoms of so many worlds; fails on a lopsided mix of answers."""
    outcomes: Counter[bool] = Counter()
    policy = load_policy()
    for seed in range(SEED + first, SEED + first + worlds):
        rng = random.Random(seed)
        snapshot = snapshot_of(make_world(rng), now=5)
        decider, stock = Decider(policy, snapshot), StockJudge(policy, snapshot)
        rows = list(snapshot.rows())
        for _ in range(STOCK_ATOMS_PER_WORLD):
            who, workspace, obj, act = make_atom(rng, policy, snapshot, rows)
            ours = decider.atom(who, workspace, obj, act) is not None
            assert ours == stock.allows(who, workspace, obj, act), (
                f"seed {seed}: {who} {workspace} {obj} {act}"
            )
            outcomes[ours] += 1
    assert min(outcomes.values()) >= outcomes.total() / 4, outcomes


def make_atom(
    rng: random.Random, policy: Policy, snapshot: Snapshot, rows: list[Row]
) -> tuple[str, str | None, str, str]:
    """An atom some row may allow: on its object or inside it, often one of the acts the row confers."""
    row = rng.choice(rows)
    inside = [row.object_id, *(o for o in snapshot.securables if row.object_id in snapshot.ancestors(o))]
    obj = rng.choice(inside[:12])
    securable = snapshot.securables[obj]
    acts = [act for act, privilege in policy.privileges.items() if privilege.kind == securable.kind]
    conferred = policy.here[row.act] if obj == row.object_id else policy.inside[row.act]
    fitting = [act for act in acts if act in conferred]
    act = rng.choice(fitting if fitting and rng.random() < 0.8 else acts)
    members = [who for who in snapshot.principals if row.principal_id in snapshot.closure(who)]
    who = rng.choice(members or list(snapshot.principals))
    home = {"m0": "w0", "m1": "w1"}.get(securable.metastore_id or "", "w2")
    return who, home if rng.random() < 0.8 else rng.choice([*WORKSPACES, None]), obj, act
