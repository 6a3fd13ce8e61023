"""Check over gRPC beside a bare echo on the same server: one caller's latency, 32 callers' throughput, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.figures import Figure, median_of, percentile
from bench.processes import Callers, load_test, postgresql
from bench.worlds import Size

CALLERS = 32
WORLD = Size()
MICROSECONDS = 1e6
BOUNDED = ("check_bounded", "check_vs_echo_latency", "check_vs_echo_throughput")
FULL = ("check", "check_full_pg_vs_echo_latency", "check_full_pg_vs_echo_throughput_32")
FULL_SQLITE = ("check", "check_full_sqlite_vs_echo_latency", "check_full_sqlite_vs_echo_throughput_32")


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int = 7
    calls: int = 250
    """Of one caller in a round."""
    seconds: float = 1.5
    """Of many callers in a round."""


class Answers(NamedTuple):
    """What the callers told of one method, one answer for each round."""

    latency: list[dict[str, Any]]
    throughput: list[dict[str, Any]]


def rpc_figures(size: Size = WORLD, effort: Effort | None = None) -> list[Figure]:
    """Bounded and FULL on PostgreSQL, then FULL on SQLite, each against the echo of the same server."""
    wanted = effort or Effort()
    with postgresql() as url, load_test(url, size) as callers:
        figures = compare(callers, [BOUNDED, FULL], wanted)
    with load_test(None, size) as callers:
        return [*figures, *compare(callers, [FULL_SQLITE], wanted)]


def compare(callers: Callers, compared: Sequence[tuple[str, str, str]], effort: Effort) -> list[Figure]:
    """All methods take turns within each round, so that a noisy neighbour disturbs every one."""
    methods = ["echo", *(method for method, _, _ in compared)]
    answers = {method: Answers([], []) for method in methods}
    for method in methods:
        callers.measure("throughput", method=method, callers=CALLERS, seconds=effort.seconds)
    for number in range(effort.rounds):
        first = number % len(methods)
        order = methods[first:] + methods[:first]
        for method in order:
            answers[method].latency.append(callers.measure("latency", method=method, count=effort.calls))
        for method in order:
            answers[method].throughput.append(
                callers.measure("throughput", method=method, callers=CALLERS, seconds=effort.seconds)
            )
    return [
        figure
        for method, latency_key, throughput_key in compared
        for figure in (
            _latency(latency_key, answers[method].latency, answers["echo"].latency),
            _throughput(throughput_key, answers[method].throughput, answers["echo"].throughput),
        )
    ]


def _latency(key: str, check: list[dict[str, Any]], echo: list[dict[str, Any]]) -> Figure:
    raw: dict[str, Any] = {"callers": 1, "rounds": len(check)}
    for name, answers in (("check", check), ("echo", echo)):
        medians = [median_of(answer["seconds"]) * MICROSECONDS for answer in answers]
        everything = [seconds * MICROSECONDS for answer in answers for seconds in answer["seconds"]]
        raw[f"{name}_p50_us"] = median_of(medians)
        raw[f"{name}_p99_us"] = percentile(everything, 0.99)
    raw["allowed_share"] = median_of([answer["allowed_share"] for answer in check])
    return Figure(key, raw["check_p50_us"] / raw["echo_p50_us"], raw)


def _throughput(key: str, check: list[dict[str, Any]], echo: list[dict[str, Any]]) -> Figure:
    raw: dict[str, Any] = {"callers": CALLERS, "rounds": len(check)}
    for name, answers in (("check", check), ("echo", echo)):
        raw[f"{name}_per_second"] = median_of([answer["per_second"] for answer in answers])
        if all(answer["server_cpu_seconds"] is not None for answer in answers):
            raw[f"{name}_server_cpu_us"] = median_of(
                [answer["server_cpu_seconds"] / answer["calls"] * MICROSECONDS for answer in answers]
            )
    return Figure(key, raw["check_per_second"] / raw["echo_per_second"], raw)
