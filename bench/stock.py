"""An unmodified `casbin.Enforcer` over the shipped model and the same rows: what the decisions are compared with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from time import thread_time_ns
from typing import TypeVar

import casbin
from casbin.model import Model
from casbin.rbac.default_role_manager import RoleManager

from bench.decisions import decide
from bench.figures import Figure, median_of
from bench.worlds import METASTORE, WORKSPACE, Question, Size, ask, make_world
from lakewarden_policy import Decider, load_policy, policy_texts

Asked = TypeVar("Asked")

LINKS_MAX = 64
ROUNDS = 7
STOCK_QUESTIONS = 4
SMALL = Size(users=1_000, groups=100, catalogs=10, schemas_per_catalog=10, tables_per_schema=20, grants=8_900)
"""A world with 10,000 policy rows, the implicit ones (owner, self) included."""


class StockEnforcer:
    """Answers one atom the way any user of pycasbin would ask it. For one thread."""

    def __init__(self, decider: Decider) -> None:
        """Loads every row and role link of the decider's snapshot."""
        model = Model()
        model.load_model_from_text(policy_texts()[0])
        self._enforcer = casbin.Enforcer(model)
        for name in ("g", "g2", "g3", "g4"):
            # The manager's default gives up after ten links, without a word.
            self._enforcer.rm_map[name] = RoleManager(LINKS_MAX)
            model.model["g"][name].rm = self._enforcer.rm_map[name]
        _load(model, decider)
        self._enforcer.build_role_links()
        # The workspace rule is ours on both sides, so that only the scan differs.
        self._enforcer.add_function("reachable", decider.reach)

    def allows(self, subject: str, workspace: str, securable: str, act: str) -> bool:
        """What stock Casbin says."""
        return bool(self._enforcer.enforce(subject, workspace, securable, act))


def stock_figures() -> list[Figure]:
    """Denied checks at 10,000 policy rows: an unmodified `casbin.Enforcer`, one atom, against our whole decision."""
    world = make_world(SMALL)
    snapshot = world.snapshot()
    decider = Decider(load_policy(), snapshot)
    stock = StockEnforcer(decider)
    denied = (question for question in ask(world, 20_000, seed=9) if not decide(decider, question))
    stock_rounds, our_rounds = [], []
    for _ in range(ROUNDS):
        questions = list(itertools.islice(denied, STOCK_QUESTIONS + 500))
        stock_rounds.append(
            cpu_microseconds(
                lambda question: _assert_denied(stock, decider, question), questions[:STOCK_QUESTIONS]
            )
        )
        our_rounds.append(
            cpu_microseconds(lambda question: decide(decider, question), questions[STOCK_QUESTIONS:])
        )
    figure = Figure(
        "stock_casbin_vs_ours_at_10k",
        median_of(stock_rounds) / median_of(our_rounds),
        {
            "stock_cpu_us": median_of(stock_rounds),
            "ours_cpu_us": median_of(our_rounds),
            "policy_rows": sum(1 for _ in snapshot.rows()),
            "rounds": ROUNDS,
        },
    )
    return [figure]


def cpu_microseconds(ask_one: Callable[[Asked], object], questions: Sequence[Asked]) -> float:
    """CPU time per question: a busy machine interrupts a tenth of a second often and a few microseconds hardly ever."""
    started = thread_time_ns()
    for question in questions:
        ask_one(question)
    return (thread_time_ns() - started) / len(questions) / 1_000


def _assert_denied(stock: StockEnforcer, decider: Decider, question: Question) -> None:
    """Asks stock Casbin for the atom that our decision misses; both must say no, or the comparison is of nothing."""
    snapshot = decider.snapshot
    subject = snapshot.principal_named(question.user)
    table = snapshot.resolve("TABLE", question.table, METASTORE)
    if subject is None or table is None:
        raise AssertionError(f"the world has no {question}")
    missing = decider.privilege(subject.id, WORKSPACE, table.id, "SELECT").missing[0]
    if missing.object_id is None or stock.allows(subject.id, WORKSPACE, missing.object_id, missing.act):
        raise AssertionError(f"stock Casbin and ours disagree about {question}")


def _load(model: Model, decider: Decider) -> None:
    snapshot, policy = decider.snapshot, decider.policy
    for row in snapshot.rows():
        model.add_policy("p", "p", list(row))
    for principal in snapshot.principals.values():
        for group in snapshot.groups_of(principal.id):
            model.add_policy("g", "g", [principal.id, group])
        if principal.kind != "GROUP":
            model.add_policy("g", "g", [principal.id, "account-users"])
    for securable in snapshot.securables.values():
        if securable.parent_id:
            model.add_policy("g", "g2", [securable.id, securable.parent_id])
    for name, conferred in (("g3", policy.here), ("g4", policy.inside)):
        for act, others in conferred.items():
            for other in others - {act}:
                model.add_policy("g", name, [act, other])
