"""Decisions in this process: what one costs, how it grows with grants and groups, and against stock Casbin."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from time import perf_counter, perf_counter_ns, thread_time_ns
from typing import NamedTuple

from bench.figures import Figure, at_least, at_most, median_of, percentile
from bench.stock import StockEnforcer
from bench.worlds import METASTORE, WORKSPACE, Question, Size, World, ask, make_world
from lakewarden_policy import Decider, Snapshot, load_policy

ROUNDS = 7
QUESTIONS = 4_000
STOCK_QUESTIONS = 4
SMALL = Size(users=1_000, groups=100, catalogs=10, schemas_per_catalog=10, tables_per_schema=20, grants=8_900)
"""A world with 10,000 policy rows, the implicit ones (owner, self) included."""


class Rounds(NamedTuple):
    """One median per round, all single times together, and how many decisions allowed."""

    medians: list[float]
    all: list[float]
    allowed_share: float


def measure(decider: Decider, questions: list[list[Question]]) -> Rounds:
    """Microseconds of the whole decision from two strings, each question asked once: nothing can be cached."""
    medians, everything, allowed = [], [], 0
    for round_questions in questions:
        times = []
        for question in round_questions:
            started = perf_counter_ns()
            verdict = decide(decider, question)
            times.append((perf_counter_ns() - started) / 1_000)
            allowed += verdict
        medians.append(median_of(times))
        everything.extend(times)
    return Rounds(medians, everything, allowed / len(everything))


def decide(decider: Decider, question: Question) -> bool:
    """What the Check service does once a request is parsed: both names to ids, then the privilege with its gates."""
    snapshot = decider.snapshot
    subject = snapshot.principal_named(question.user)
    table = snapshot.resolve("TABLE", question.table, METASTORE)
    return (
        subject is not None
        and table is not None
        and decider.privilege(subject.id, WORKSPACE, table.id, "SELECT").allowed
    )


def decision_figures() -> list[Figure]:
    """The cost at 100,000 grants, with closures of 12 and 50, beside the same tree with 1,000 and with a million."""
    figures = []
    costs: dict[str, Rounds] = {}
    for name, size in _sizes().items():
        world = make_world(size)
        snapshot, build_seconds = _timed_build(world)
        decider = Decider(load_policy(), snapshot)
        costs[name] = measure(decider, _fresh(world))
        if name == "100k":
            figures.append(
                Figure(
                    "snapshot_build_seconds_100k",
                    "build of the snapshot from rows in memory",
                    build_seconds,
                    "s",
                    raw={"securables": len(world.securables), "grants": len(world.grants)},
                )
            )
            figures.append(_closures(snapshot))
        del world, snapshot, decider
        gc.collect()
    return [_cost("decision_us_100k", costs["100k"], 10), _cost("decision_us_100k_closure_50", costs["closure 50"], 25),
            _growth(costs), *figures]  # fmt: skip


def stock_figure() -> Figure:
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
            _cpu_microseconds(
                lambda question: _assert_denied(stock, decider, question), questions[:STOCK_QUESTIONS]
            )
        )
        our_rounds.append(
            _cpu_microseconds(lambda question: decide(decider, question), questions[STOCK_QUESTIONS:])
        )
    return Figure(
        "stock_casbin_vs_ours_at_10k",
        "denied check, stock casbin.Enforcer (one atom) / ours (resolve, three atoms)",
        median_of(stock_rounds) / median_of(our_rounds),
        "x",
        at_least(3_000),
        raw={
            "stock_cpu_us": median_of(stock_rounds),
            "ours_cpu_us": median_of(our_rounds),
            "policy_rows": sum(1 for _ in snapshot.rows()),
            "rounds": ROUNDS,
        },
    )


def _cpu_microseconds(ask_one: Callable[[Question], object], questions: list[Question]) -> float:
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


def _sizes() -> dict[str, Size]:
    return {
        "1k": Size(grants=1_000),
        "100k": Size(),
        "closure 50": Size(closure=50),
        "1M": Size(grants=1_000_000),
    }


def _fresh(world: World) -> list[list[Question]]:
    return [ask(world, QUESTIONS, seed=number) for number in range(ROUNDS)]


def _timed_build(world: World) -> tuple[Snapshot, float]:
    """As the follower does it: with the cyclic collector off."""
    gc.collect()
    gc.disable()
    started = perf_counter()
    snapshot = world.snapshot()
    seconds = perf_counter() - started
    gc.enable()
    return snapshot, seconds


def _cost(key: str, rounds: Rounds, bar: float) -> Figure:
    return Figure(
        key,
        "resolve + USE CATALOG & USE SCHEMA & SELECT, fresh pairs",
        median_of(rounds.medians),
        "us",
        at_most(bar),
        raw={
            "p99_us": percentile(rounds.all, 0.99),
            "mean_us": sum(rounds.all) / len(rounds.all),
            "allowed_share": rounds.allowed_share,
            "round_medians_us": rounds.medians,
        },
    )


def _growth(costs: dict[str, Rounds]) -> Figure:
    small, large = median_of(costs["1k"].medians), median_of(costs["1M"].medians)
    return Figure(
        "decision_growth_1k_to_1m",
        "median at 1 M grants / at 1 k, same tree and principals",
        large / small,
        "x",
        at_most(2),
        raw={
            "us_at_1k": small,
            "us_at_1m": large,
            "allowed_share_at_1k": costs["1k"].allowed_share,
            "allowed_share_at_1m": costs["1M"].allowed_share,
        },
    )


def _closures(snapshot: Snapshot) -> Figure:
    """The mean that was meant to be 12, as it really is."""
    users = [row.id for row in snapshot.principals.values() if row.kind == "USER"]
    mean = sum(len(snapshot.closure(user)) for user in users) / len(users)
    return Figure(
        "mean_closure_100k",
        "principals a user stands for, in the world above",
        mean,
        "",
        raw={"users": len(users)},
    )
