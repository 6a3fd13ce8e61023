"""One seeded world with its questions, its judges at every time, and which rule decided an answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterator

from lakewarden_policy import Decider, Decision, load_policy
from policies.calls import Question
from policies.questions import elsewhere, make_question
from policies.reference import Reference
from policies.reference_matrix import RUN_BY
from policies.snapshots import snapshot_of
from policies.worlds import World, by_name, make_world

SEED = 20261126
FORGIVABLE = {
    "assigned": "workspace not assigned",
    "attached": "workspace not attached",
    "workspace": "no workspace",
    "active": "deactivated",
    "gates": "gate missing",
    "isolated": "isolated",
    "read_only": "read-only binding",
    "read_only_place": "read-only place",
    "expiry": "expired",
    **{f"{kind.lower()}_owner": f"{kind.lower()} owner may not" for kind in RUN_BY},
    "all_exclusions": "outside ALL PRIVILEGES",
    "deleted": "deleted and recreated name",
}
NO_GRANT = "no grant"


class Case:
    """A world and its questions; the judges of each time are made when first needed."""

    def __init__(self, seed: int, *, questions: int) -> None:
        rng = random.Random(seed)
        self.seed = seed
        self.world: World = make_world(rng)
        self._by_name = by_name(self.world)
        self._references: dict[object, Reference] = {}
        self._deciders: dict[int, Decider] = {}
        self.questions = [self._question(rng) for _ in range(questions)]

    def _question(self, rng: random.Random) -> Question:
        """A question; one that would be allowed is now and then asked from elsewhere."""
        question = make_question(rng, self.world)
        return elsewhere(rng, question) if rng.random() < 0.15 and self.expected(question) else question

    def reference(self, now: int, *forgive: str) -> Reference:
        """The second judge at a time, without the rules it is to forgive."""
        key = now, forgive
        if key not in self._references:
            world = self._by_name if "deleted" in forgive else self.world
            self._references[key] = Reference(world, now=now, forgive=frozenset(forgive))
        return self._references[key]

    def expected(self, question: Question, *forgive: str) -> bool:
        """What the second judge says."""
        return self.reference(question.now, *forgive).allows(*question[:5])

    def engine(self, now: int) -> Decider:
        """The engine at a time."""
        if now not in self._deciders:
            self._deciders[now] = Decider(load_policy(), snapshot_of(self.world, now=now))
        return self._deciders[now]

    def differ(
        self, make: Callable[[World, int], Decider], ask: Callable[[Decider, Question], Decision]
    ) -> bool:
        """Does a variant of the engine answer any question unlike the second judge?"""
        variants = {now: make(self.world, now) for now in {question.now for question in self.questions}}
        return any(
            ask(variants[question.now], question).allowed != self.expected(question)
            for question in self.questions
        )


def cases(worlds: int, *, questions: int, first: int = 0) -> Iterator[Case]:
    """Seeded worlds, one after another."""
    for number in range(first, first + worlds):
        yield Case(SEED + number, questions=questions)


def rules_of_deny(case: Case, question: Question, *, known: Container[str] = ()) -> set[str]:
    """Which rules a denial hangs on: leaving that one out would have allowed. Those ``known`` are not tried again."""
    tried = {words: rule for rule, words in FORGIVABLE.items() if words not in known}
    found = {words for words, rule in tried.items() if case.expected(question, rule)}
    return found or ({NO_GRANT} if len(tried) == len(FORGIVABLE) else set())


def rules_of_allow(case: Case, question: Question, decision: Decision) -> set[str]:
    """Which kinds of rule an allow used, by the rows that prove it."""
    world = case.world
    target = question.objects.get("self") or question.objects.get("parent") or ""
    direct_groups = {group for group, member in world["members"] if member == question.who}
    ending = {grant[:2] for grant in world["grants"] if grant[3] is not None}
    rules = _rules_of_place(world, question, target)
    for row in decision.proof:
        kind, privilege = row.act.split(":")
        if privilege in ("MANAGE", "BROWSE", "ALL_PRIVILEGES") and kind != "METASTORE":
            rules.add(privilege)
        if privilege == "OWNER" and kind not in ("METASTORE", "WORKSPACE"):
            rules.add("owner" if row.object_id == target else "management of an owner above")
        elif privilege not in ("OWNER", "SELF"):
            rules.add("direct grant" if row.object_id == target else "grant on a container")
        if (row.object_id, row.principal_id) in ending:
            rules.add("grant with an end")
        if privilege == "SELF":
            rules.add("oneself")
        rules |= {"METASTORE:OWNER": {"metastore admin"}, "ACCOUNT:ADMIN": {"account admin"}}.get(
            row.act, set()
        )
        rules |= _rules_of_holder(row.principal_id, question.who, direct_groups)
    return rules


def _rules_of_holder(holder: str, who: str, direct_groups: set[str]) -> set[str]:
    if ":" in holder:
        return {"workspace group"}
    if holder == "account-users":
        return {"account users"}
    if holder == who:
        return set()
    return {"group" if holder in direct_groups else "nested group"}


def _rules_of_place(world: World, question: Question, target: str) -> set[str]:
    """The owner of what was run and the binding of the workspace, where an allow needed them."""
    thing = world["objects"].get(target, {})
    kind = thing.get("kind", "")
    by_privilege = question.operation.endswith(".use") and question.selector == RUN_BY.get(kind)
    running = by_privilege or question.operation.endswith(".refresh")
    rules = {f"{kind.lower()} owner may"} if running and thing["references"] else set()
    while thing.get("kind") not in (None, "METASTORE", "WORKSPACE"):
        if thing.get("isolation") == "ISOLATED":
            bound = thing["bindings"].get(question.workspace)
            rules.add(f"isolated, {'not bound' if bound is None else bound.lower().replace('_', ' ')}")
        thing = world["objects"].get(thing["parent"], {})
    return rules
