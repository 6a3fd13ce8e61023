"""Check while writers queue for the head: 24 callers grant as fast as they are answered, one asks, in processes of their own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from bench.figures import Figure, median_of
from bench.processes import Callers, bench_server, callers_of, postgresql
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
    idle: list[float] = []
    busy: list[float] = []
    writes: list[float] = []
    with (
        bench_server(database_url, size) as target,
        callers_of(target) as asking,
        callers_of(target) as writing,
    ):
        _asked(asking, effort.calls)
        for _ in range(effort.rounds):
            idle.append(median_of(_asked(asking, effort.calls * 4)))
            during, per_second = _asked_while(asking, writing, effort)
            busy.append(median_of(during))
            writes.append(per_second)
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


def _asked(callers: Callers, calls: int) -> list[float]:
    """Microseconds of each call."""
    answer = callers.measure("latency", method="check", count=calls)
    return [seconds * MICROSECONDS for seconds in answer["seconds"]]


def _asked_while(asking: Callers, writing: Callers, effort: Effort) -> tuple[list[float], float]:
    """Microseconds of the calls made while all writers were writing, and what these wrote per second."""
    during: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(
            writing.measure, "throughput", method="grant", callers=WRITERS, seconds=effort.seconds
        )
        # The first calls may come before the first write.
        _asked(asking, effort.calls)
        while not written.done():
            last = _asked(asking, effort.calls)
            if not written.done():
                during += last
        per_second: float = written.result()["per_second"]
    if not during:
        raise RuntimeError("the writers were done before anything was asked: let them write for longer")
    return during, per_second
