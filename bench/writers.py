"""Check while writers queue for the head: 24 callers grant as fast as they are answered, one asks, in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from bench.figures import Figure, median_of
from bench.processes import Callers, Target, bench_server, callers_of, postgresql
from bench.worlds import Size

WRITERS = 24
WORLD = Size()
MICROSECONDS = 1e6


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int = 3
    seconds: float = 2.0
    """Of writing in a round."""
    calls: int = 50
    """Asked between two looks at whether the writers are still at it."""


def writer_figures(size: Size = WORLD, effort: Effort | None = None) -> list[Figure]:
    """On PostgreSQL, where each commit waits for the disk, then on SQLite, where one writer also locks the file."""
    wanted = effort or Effort()
    with postgresql() as url:
        figure = writer_figure("check_p50_with_24_writers_vs_idle", url, size, wanted)
    return [figure, writer_figure("check_p50_with_24_writers_vs_idle_sqlite", None, size, wanted)]


def writer_figure(key: str, database_url: str | None, size: Size, effort: Effort) -> Figure:
    """One database. Raises RuntimeError when the writers end before anything was asked beside them."""
    with bench_server(database_url, size) as target:
        return beside_writers(key, target, effort)


def beside_writers(key: str, target: Target, effort: Effort) -> Figure:
    """The same of a server that runs."""
    idle: list[float] = []
    busy: list[float] = []
    writes: list[float] = []
    with callers_of(target) as asking, callers_of(target) as writing:
        asked(asking, effort.calls)
        write = partial(
            writing.measure, "throughput", method="grant", callers=WRITERS, seconds=effort.seconds
        )
        for _ in range(effort.rounds):
            idle.append(median_of(asked(asking, effort.calls * 4)))
            during, written = asked_while(asking, write, effort.calls)
            busy.append(median_of(during))
            writes.append(written["per_second"])
    return Figure(
        key,
        median_of(busy) / median_of(idle),
        {
            "idle_p50_us": median_of(idle),
            "busy_p50_us": median_of(busy),
            "writes_per_second": median_of(writes),
            "rounds": effort.rounds,
        },
    )


def asked(callers: Callers, calls: int) -> list[float]:
    """Microseconds of each of so many Checks, one after the other."""
    answer = callers.measure("latency", method="check", count=calls)
    return [seconds * MICROSECONDS for seconds in answer["seconds"]]


def asked_while(
    asking: Callers, work: Callable[[], dict[str, Any]], calls: int
) -> tuple[list[float], dict[str, Any]]:
    """Microseconds of the Checks made while something else was at work, and what that answered.

    Raises RuntimeError when it was done before anything was asked beside it.
    """
    during: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        # The first calls may come before the work begins.
        asked(asking, calls)
        while not working.done():
            last = asked(asking, calls)
            if not working.done():
                during += last
        answer = working.result()
    if not during:
        raise RuntimeError("the work was done before anything was asked: let it go on for longer")
    return during, answer
