"""The database's share of a FULL check: the read of the head row as the server does it, beside the bare driver on the same file or server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import perf_counter_ns
from typing import Any

from bench.figures import Figure, median_of
from bench.processes import postgresql
from lakewarden_server.testing import serve

ROUNDS = 7
READS = 500
HEAD = "SELECT epoch, revision, nonce FROM authz_head"


def head_figures(rounds: int = ROUNDS, reads: int = READS) -> list[Figure]:
    """One caller, a connection held open on both sides; the drivers begin no transaction."""
    with serve() as server:
        path = server.app.database.engines.path
        with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
            sqlite = _compared(
                "full_read_vs_raw_driver_sqlite",
                server.app.database.head,
                lambda: connection.execute(HEAD).fetchone(),
                rounds,
                reads,
            )
    with postgresql() as url, serve(database_url=url) as server, _psycopg(url) as execute:
        return [
            sqlite,
            _compared("full_read_vs_raw_driver_pg", server.app.database.head, execute, rounds, reads),
        ]


@contextmanager
def _psycopg(url: str) -> Iterator[Callable[[], Any]]:
    import psycopg

    with closing(psycopg.connect(url, autocommit=True)) as connection:
        yield lambda: connection.execute(HEAD, prepare=True).fetchone()


def _compared(
    key: str, ours: Callable[[], object], driver: Callable[[], object], rounds: int, reads: int
) -> Figure:
    _microseconds(ours, reads)
    _microseconds(driver, reads)
    our_rounds, driver_rounds = [], []
    for _ in range(rounds):
        our_rounds.append(_microseconds(ours, reads))
        driver_rounds.append(_microseconds(driver, reads))
    return Figure(
        key,
        median_of(our_rounds) / median_of(driver_rounds),
        {"ours_us": median_of(our_rounds), "driver_us": median_of(driver_rounds), "rounds": rounds},
    )


def _microseconds(read: Callable[[], object], reads: int) -> float:
    """The median of single reads: the wait for the database counts, what interrupts one of them does not."""
    times = []
    for _ in range(reads):
        started = perf_counter_ns()
        read()
        times.append((perf_counter_ns() - started) / 1_000)
    return median_of(times)
