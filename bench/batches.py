"""BatchCheck of 1,000 over gRPC: decisions per second about another subject with each call, and about one and the same."""

from __future__ import annotations

from typing import Any

from bench.figures import Figure, median_of
from bench.processes import Callers, load_test
from bench.requests import BATCH
from bench.worlds import Size

ROUNDS = 5
CALLS_PER_ROUND = 40
CALLERS = 4
"""Enough that the server never waits for one of them."""
WORLD = Size()
MICROSECONDS = 1e6


def batch_figures(size: Size = WORLD, rounds: int = ROUNDS, calls: int = CALLS_PER_ROUND) -> list[Figure]:
    """Cold and warm take turns, FULL freshness, on SQLite."""
    cold: list[dict[str, Any]] = []
    warm: list[dict[str, Any]] = []
    with load_test(None, size) as callers:
        # The subjects of this round are never asked about again.
        _rate(callers, "batch_cold", calls)
        _rate(callers, "batch_warm", calls)
        for _ in range(rounds):
            cold.append(_rate(callers, "batch_cold", calls))
            warm.append(_rate(callers, "batch_warm", calls))
    return [
        _figure("batch_decisions_per_s_cold", cold, calls),
        _figure("batch_decisions_per_s_warm", warm, calls),
    ]


def _rate(callers: Callers, method: str, calls: int) -> dict[str, Any]:
    return callers.measure("rate", method=method, callers=CALLERS, count=calls)


def _figure(key: str, answers: list[dict[str, Any]], calls: int) -> Figure:
    rates = [answer["per_second"] * BATCH for answer in answers]
    raw: dict[str, Any] = {
        "callers": CALLERS,
        "allowed_share": median_of([answer["allowed_share"] for answer in answers]),
        "round_rates": rates,
    }
    if all(answer["server_cpu_seconds"] is not None for answer in answers):
        raw["server_cpu_us_per_decision"] = median_of(
            [answer["server_cpu_seconds"] / (calls * BATCH) * MICROSECONDS for answer in answers]
        )
    return Figure(key, median_of(rates), raw)
