"""Check over gRPC beside a bare echo on the same server: one caller's latency, 32 callers' throughput, on both databases."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.figures import Bar, Figure, at_least, at_most, median_of, percentile
from bench.processes import Callers, load_test, postgresql
from bench.worlds import Size

ROUNDS = 9
CALLS_PER_ROUND = 250
CALLERS = 32
SECONDS_PER_ROUND = 1.5
WORLD = Size()


class Bars(NamedTuple):
    """DESIGN 8, FULL mode: latency at most, throughput at least, both as ratios to the echo."""

    latency: Bar
    throughput: Bar


BARS = {
    "sqlite": Bars(at_most(1.35), at_least(0.85)),
    "postgresql": Bars(at_most(1.35), at_least(0.60)),
}


def rpc_figures(rounds: int = ROUNDS) -> list[Figure]:
    """Latency and throughput on SQLite, then on PostgreSQL; the headline figures are PostgreSQL's, which bars are set for."""
    with load_test(None, WORLD) as callers:
        sqlite = _measure(callers, "sqlite", rounds)
    with postgresql() as url, load_test(url, WORLD) as callers:
        served = _measure(callers, "postgresql", rounds)
    return [*served, *sqlite]


def _measure(callers: Callers, database: str, rounds: int) -> list[Figure]:
    """Check and echo take turns within each round, so that a noisy neighbour disturbs both."""
    _warm_up(callers)
    latency: dict[str, list[dict[str, Any]]] = {"check": [], "echo": []}
    throughput: dict[str, list[dict[str, Any]]] = {"check": [], "echo": []}
    for number in range(rounds):
        order = ("check", "echo") if number % 2 else ("echo", "check")
        for method in order:
            latency[method].append(callers.measure("latency", method=method, count=CALLS_PER_ROUND))
        for method in order:
            throughput[method].append(
                callers.measure("throughput", method=method, callers=CALLERS, seconds=SECONDS_PER_ROUND)
            )
    suffix = "" if database == "postgresql" else f"_{database}"
    return [_latency(latency, database, suffix), _throughput(throughput, database, suffix)]


def _warm_up(callers: Callers) -> None:
    for method in ("echo", "check"):
        callers.measure("throughput", method=method, callers=CALLERS, seconds=SECONDS_PER_ROUND)


def _latency(rounds: dict[str, list[dict[str, Any]]], database: str, suffix: str) -> Figure:
    raw: dict[str, Any] = {"database": database, "callers": 1, "rounds": len(rounds["check"])}
    for method, answers in rounds.items():
        medians = [median_of(answer["seconds"]) * 1e6 for answer in answers]
        everything = [seconds * 1e6 for answer in answers for seconds in answer["seconds"]]
        raw[f"{method}_p50_us"] = median_of(medians)
        raw[f"{method}_p99_us"] = percentile(everything, 0.99)
    raw["allowed_share"] = median_of([answer["allowed_share"] for answer in rounds["check"]])
    return Figure(
        f"check_vs_echo_latency{suffix}",
        f"median latency of Check (FULL) / echo, one caller, {database}",
        raw["check_p50_us"] / raw["echo_p50_us"],
        "x",
        BARS[database].latency,
        raw,
    )


def _throughput(rounds: dict[str, list[dict[str, Any]]], database: str, suffix: str) -> Figure:
    raw: dict[str, Any] = {"database": database, "callers": CALLERS, "rounds": len(rounds["check"])}
    for method, answers in rounds.items():
        raw[f"{method}_per_second"] = median_of([answer["per_second"] for answer in answers])
        if all(answer["server_cpu_seconds"] is not None for answer in answers):
            raw[f"{method}_server_cpu_us"] = median_of(
                [
                    answer["server_cpu_seconds"] / (answer["per_second"] * SECONDS_PER_ROUND) * 1e6
                    for answer in answers
                ]
            )
    return Figure(
        f"check_vs_echo_throughput{suffix}",
        f"throughput of Check (FULL) / echo, {CALLERS} callers, {database}",
        raw["check_per_second"] / raw["echo_per_second"],
        "x",
        BARS[database].throughput,
        raw,
    )
