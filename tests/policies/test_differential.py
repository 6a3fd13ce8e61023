"""Three judges: the engine against a reference evaluator (operations) and stock Casbin (atoms). Seeds are printed."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from lakewarden_policy import Decider, Policy, Row, Snapshot, load_policy
from policies.judging import FORGIVABLE, SEED, Case, cases, rules_of_allow, rules_of_deny
from policies.reference_matrix import MATRIX
from policies.snapshots import ask, snapshot_of
from policies.stock import StockJudge
from policies.worlds import WORKSPACES, make_world

WORLDS, LONG_WORLDS = 50, 300
QUESTIONS = 1000
STOCK_WORLDS = 30
STOCK_ATOMS_PER_WORLD = 75
RULE_MIN = 500
RULES = {
    "direct grant", "grant on a container", "owner", "management of an owner above", "MANAGE", "BROWSE",
    "ALL_PRIVILEGES", "group", "nested group", "account users", "workspace group", "metastore admin", "account admin",
    "oneself", "no grant", "deleted and recreated name", "view owner may", "grant with an end", "isolated, read write",
    "isolated, read only", "isolated, not bound", *FORGIVABLE.values(),
}  # fmt: skip


def judge(case: Case, outcomes: Counter[bool], rules: Counter[str]) -> None:
    """Every question of a world to both judges; counts the answers and what decided them."""
    for question in case.questions:
        decision, expected = ask(case.engine(question.now), question), case.expected(question)
        assert decision.allowed == expected, (
            f"seed {case.seed}: {question} reference says {expected}: {decision}"
        )
        outcomes[expected] += 1
        rules.update(rules_of_allow(case, question, decision) if expected else rules_of_deny(case, question))


def agree(worlds: int, *, first: int = 0) -> int:
    """How many decisions were compared in so many worlds; fails on a difference and on a lopsided mix."""
    outcomes: Counter[bool] = Counter()
    rules: Counter[str] = Counter()
    for case in cases(worlds, questions=QUESTIONS, first=first):
        judge(case, outcomes, rules)
    assert min(outcomes.values()) >= outcomes.total() / 4, outcomes
    assert {rule: rules[rule] for rule in RULES if rules[rule] < RULE_MIN} == {}, rules
    return outcomes.total()


def test_engine_and_reference_agree_on_what_can_be_granted() -> None:
    policy = load_policy()
    assert {kind: set(policy.grantable(kind)) for kind in MATRIX} == MATRIX


def test_engine_and_reference_agree_on_every_operation() -> None:
    assert agree(WORLDS) >= 10_000


@pytest.mark.slow
def test_engine_and_reference_agree_in_many_worlds() -> None:
    assert agree(LONG_WORLDS, first=WORLDS) >= 200_000


def test_engine_and_stock_casbin_agree_on_every_atom() -> None:
    outcomes: Counter[bool] = Counter()
    policy = load_policy()
    for seed in range(SEED, SEED + STOCK_WORLDS):
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
