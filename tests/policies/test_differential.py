"""Three judges: the engine against a reference evaluator (operations), stock Casbin (atoms), and broken controls."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from lakewarden_policy import Decider, Decision, Policy, Row, Snapshot, load_policy, policy_texts
from lakewarden_policy.lookups import Closures
from lakewarden_policy.reach import Reach, Unreached
from policies.reference import Reference
from policies.stock import StockJudge
from policies.worlds import Question, World, make_question, make_world, snapshot_of

SEED = 20261120
WORLDS = 60
QUESTIONS = 1000
STOCK_WORLDS = 40
STOCK_ATOMS_PER_WORLD = 75
RULE_MIN = 500
FORGIVABLE = {
    "assigned": "workspace not assigned",
    "attached": "workspace not attached",
    "workspace": "no workspace",
    "active": "deactivated",
    "gates": "gate missing",
}


def ask(decider: Decider, question: Question) -> Decision:
    """Put one question to the engine."""
    if question.operation.endswith(".use"):
        return decider.privilege(
            question.who, question.workspace, question.objects["self"], question.selector
        )
    return decider.operation(
        question.who,
        question.workspace,
        question.operation,
        question.objects,
        selector=question.selector or None,
    )


def worlds(count: int) -> Iterator[tuple[int, World, list[Question]]]:
    """Seeded worlds with their questions."""
    policy = load_policy()
    for number in range(count):
        rng = random.Random(SEED + number)
        world = make_world(rng, policy)
        yield SEED + number, world, [make_question(rng, world, policy) for _ in range(QUESTIONS)]


def by_name(world: World) -> World:
    """The world of an engine that keys by name: what a deleted object had comes back with its name."""
    deleted = world["deleted"]
    grants = {
        (deleted.get(o, {}).get("recreated_as", o), holder, privilege)
        for o, holder, privilege in world["grants"]
    }
    return {**world, "grants": sorted(grants)}


def rules_of_allow(world: World, question: Question, decision: Decision) -> set[str]:
    """Which kinds of rule the proof of an allow used."""
    rules, target = set(), question.objects.get("self") or question.objects.get("parent")
    direct_groups = {group for group, member in world["members"] if member == question.who}
    for row in decision.proof:
        kind, privilege = row.act.split(":")
        if privilege in ("MANAGE", "BROWSE", "ALL_PRIVILEGES") and kind != "METASTORE":
            rules.add(privilege)
        if privilege == "OWNER" and kind in ("CATALOG", "SCHEMA", "TABLE"):
            rules.add("owner" if row.object_id == target else "management of an owner above")
        elif privilege not in ("OWNER", "SELF"):
            rules.add("direct grant" if row.object_id == target else "grant on a container")
        rules |= {"METASTORE:OWNER": {"metastore admin"}, "ACCOUNT:ADMIN": {"account admin"}}.get(
            row.act, set()
        )
        if privilege == "SELF":
            rules.add("oneself")
        if row.principal_id == "account-users":
            rules.add("account users")
        elif row.principal_id != question.who:
            rules.add("group" if row.principal_id in direct_groups else "nested group")
    return rules


def rules_of_deny(judges: dict[str, Reference], question: Question) -> set[str]:
    """Which rules a denial hangs on: leaving that one out would have allowed."""
    return {rule for rule, judge in judges.items() if judge.allows(*question)} or {"no grant"}


def test_engine_and_reference_agree_on_every_operation() -> None:
    outcomes: Counter[bool] = Counter()
    rules: Counter[str] = Counter()
    for seed, world, questions in worlds(WORLDS):
        decider, reference = Decider(load_policy(), snapshot_of(world)), Reference(world)
        forgiving = {FORGIVABLE[rule]: Reference(world, frozenset({rule})) for rule in FORGIVABLE}
        forgiving["deleted and recreated name"] = Reference(by_name(world))
        for question in questions:
            decision, expected = ask(decider, question), reference.allows(*question)
            assert decision.allowed == expected, (
                f"seed {seed}: {question} reference says {expected}: {decision}"
            )
            outcomes[expected] += 1
            rules.update(
                rules_of_allow(world, question, decision) if expected else rules_of_deny(forgiving, question)
            )
    total = outcomes.total()
    assert total >= 20_000
    assert min(outcomes[True], outcomes[False]) >= total / 4, outcomes
    wanted = {
        "direct grant", "grant on a container", "owner", "management of an owner above", "MANAGE", "BROWSE",
        "ALL_PRIVILEGES", "group", "nested group", "account users", "metastore admin", "account admin", "oneself",
        "no grant", "deleted and recreated name", *FORGIVABLE.values(),
    }  # fmt: skip
    assert {rule: rules[rule] for rule in wanted if rules[rule] < RULE_MIN} == {}, rules


def test_engine_and_stock_casbin_agree_on_every_atom() -> None:
    outcomes: Counter[bool] = Counter()
    policy = load_policy()
    for seed, world, _ in worlds(STOCK_WORLDS):
        rng, snapshot = random.Random(seed), snapshot_of(world)
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
    who = rng.choice([who for who in snapshot.principals if row.principal_id in snapshot.closure(who)])
    home = {"m0": "w0", "m1": "w1"}.get(securable.metastore_id or "", "w2")
    return who, home if rng.random() < 0.8 else rng.choice(["w0", "w1", "w2", None]), obj, act


class ForgetsTheWorkspace(Decider):
    """A broken engine: every workspace reaches everything."""

    def _build_reach(self) -> Reach:
        class Everywhere(Reach):
            def _blocked(
                self, subject_id: str, workspace_id: str | None, home: str | None
            ) -> Unreached | None:
                return None

        return Everywhere(self.policy, self.snapshot)


class SkipsNestedGroups(Snapshot):
    """A broken snapshot: only direct memberships count."""

    def _forget_holders(self) -> None:
        super()._forget_holders()
        self.closures = DirectGroups(self)


class DirectGroups(Closures):
    """Closures that go one level up and no further."""

    def __missing__(self, principal_id: str) -> frozenset[str]:
        direct = self._snapshot.groups_above(principal_id)
        return frozenset({principal_id, "account-users", *direct})


def broken_policy(before: str, after: str) -> Policy:
    """The shipped policy with one text of privileges.csv replaced."""
    model, privileges, operations = policy_texts()
    assert before in privileges
    return Policy(model, privileges.replace(before, after), operations)


def ignores_a_gate(world: World) -> Decider:
    gate = "TABLE,SELECT,yes,WORKSPACE,,,schema SCHEMA:USE_SCHEMA & catalog CATALOG:USE_CATALOG"
    return Decider(broken_policy(gate, gate.replace("schema SCHEMA:USE_SCHEMA & ", "")), snapshot_of(world))


def inherits_owner(world: World) -> Decider:
    row = "CATALOG,OWNER,no,WORKSPACE,MANAGE ALL_PRIVILEGES BIND,"
    everything = row + "SCHEMA:ALL_PRIVILEGES TABLE:ALL_PRIVILEGES "
    return Decider(broken_policy(row, everything), snapshot_of(world))


def forgets_the_workspace(world: World) -> Decider:
    return ForgetsTheWorkspace(load_policy(), snapshot_of(world))


def keys_by_name(world: World) -> Decider:
    return Decider(load_policy(), snapshot_of(by_name(world)))


def skips_a_nested_group(world: World) -> Decider:
    return Decider(load_policy(), snapshot_of(world, SkipsNestedGroups))


@pytest.mark.parametrize(
    "control", [ignores_a_gate, inherits_owner, forgets_the_workspace, keys_by_name, skips_a_nested_group]
)
def test_broken_variant_is_caught(control) -> None:  # type: ignore[no-untyped-def]
    for _, world, questions in worlds(10):
        broken, reference = control(world), Reference(world)
        if any(ask(broken, question).allowed != reference.allows(*question) for question in questions):
            return
    pytest.fail(f"{control.__name__} decided like a correct engine: the comparison is blind to it")
