"""Decisions in this process: what one costs with a million grants, how that grows from a thousand, and with closures of 50."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from time import perf_counter, perf_counter_ns
from typing import NamedTuple

from bench.figures import Figure, median_of, percentile
from bench.worlds import METASTORE, WORKSPACE, Question, Size, World, ask, make_world
from lakewarden_policy import Decider, Snapshot, load_policy

ROUNDS = 7
QUESTIONS = 4_000
CURVE = {grants: Size(grants=grants) for grants in (1_000, 10_000, 100_000, 1_000_000)}
"""Worlds of one tree and the same principals, by the number of their grants."""
WIDE = Size(grants=1_000_000, closure=50)


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


class Cost(NamedTuple):
    """What decisions cost in one world, and what that world is."""

    rounds: Rounds
    build_seconds: float
    mean_closure: float


def decision_figures(
    curve: Mapping[int, Size] = CURVE, wide: Size = WIDE, questions: int = QUESTIONS
) -> list[Figure]:
    """The cost in the largest world of the curve, the same with wide closures, and the growth along the curve."""
    costs = {grants: cost_in(size, questions) for grants, size in curve.items()}
    return [
        _cost("decision_us_1m", costs[max(costs)]),
        _cost("decision_us_1m_closure50", cost_in(wide, questions)),
        _growth(costs),
    ]


def cost_in(size: Size, questions: int = QUESTIONS) -> Cost:
    """Builds a world, asks it, and forgets it."""
    world = make_world(size)
    snapshot, build_seconds = _timed_build(world)
    asked = [ask(world, questions, seed=number) for number in range(ROUNDS)]
    cost = Cost(measure(Decider(load_policy(), snapshot), asked), build_seconds, _mean_closure(snapshot))
    del world, snapshot, asked
    gc.collect()
    return cost


def _timed_build(world: World) -> tuple[Snapshot, float]:
    """As the follower does it: with the cyclic collector off."""
    gc.collect()
    gc.disable()
    started = perf_counter()
    snapshot = world.snapshot()
    seconds = perf_counter() - started
    gc.enable()
    return snapshot, seconds


def _mean_closure(snapshot: Snapshot) -> float:
    """How many principals a user stands for, itself included: what was meant, as it really is."""
    users = [row.id for row in snapshot.principals.values() if row.kind == "USER"]
    return sum(len(snapshot.closure(user)) for user in users) / len(users)


def _cost(key: str, cost: Cost) -> Figure:
    rounds = cost.rounds
    return Figure(
        key,
        median_of(rounds.medians),
        {
            "p99_us": percentile(rounds.all, 0.99),
            "mean_us": sum(rounds.all) / len(rounds.all),
            "allowed_share": rounds.allowed_share,
            "mean_closure": cost.mean_closure,
            "snapshot_build_seconds": cost.build_seconds,
            "round_medians_us": rounds.medians,
        },
    )


def _growth(costs: Mapping[int, Cost]) -> Figure:
    """Its raw figures are the curve that docs/growth.svg draws."""
    medians = {grants: median_of(cost.rounds.medians) for grants, cost in costs.items()}
    return Figure(
        "decision_growth_1k_to_1m",
        medians[max(medians)] / medians[min(medians)],
        {
            "grants": list(medians),
            "decision_us": list(medians.values()),
            "allowed_share": [cost.rounds.allowed_share for cost in costs.values()],
        },
    )
