"""What it would cost that concurrent calls share one read of the head: the threads of a server, each reading for itself or together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import perf_counter, process_time

from bench.figures import Figure, median_of
from bench.processes import postgresql
from lakewarden_server.config import READ_THREADS_DEFAULT
from lakewarden_server.testing import serve

ROUNDS = 5
SECONDS = 1.0


class SharedRead:
    """A read that answers everybody who came before it began; who comes during one waits for the next."""

    def __init__(self, read: Callable[[], object]) -> None:
        self._read = read
        self._turn = threading.Condition()
        self._reading = False
        self._begun = self._done = 0
        self._answer: object = None

    def __call__(self) -> object:
        """An answer no older than the call."""
        with self._turn:
            needed = self._begun + 1
            while self._reading and self._done < needed:
                self._turn.wait()
            if self._done >= needed:
                return self._answer
            self._reading = True
            self._begun += 1
            mine = self._begun
        answer = None
        try:
            answer = self._read()
        finally:
            with self._turn:
                self._reading, self._answer, self._done = False, answer, mine
                self._turn.notify_all()
        return answer


def shared_head_figures(rounds: int = ROUNDS, seconds: float = SECONDS) -> list[Figure]:
    """The process's CPU for a read, by as many threads as answer reads, on one core as a server is; the database's own is not in it."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        return _figures(rounds, seconds)
    finally:
        os.sched_setaffinity(0, cores)


def _figures(rounds: int, seconds: float) -> list[Figure]:
    with serve() as server:
        sqlite = _compared("head_shared_vs_each_sqlite", server.app.database.head, rounds, seconds)
    with postgresql() as url, serve(database_url=url) as server:
        return [sqlite, _compared("head_shared_vs_each_pg", server.app.database.head, rounds, seconds)]


def _compared(key: str, read: Callable[[], object], rounds: int, seconds: float) -> Figure:
    shared = SharedRead(read)
    each_us, shared_us = [], []
    for _ in range(rounds):
        each_us.append(_cpu_us(read, seconds))
        shared_us.append(_cpu_us(shared, seconds))
    return Figure(
        key,
        median_of(shared_us) / median_of(each_us),
        {"shared_us": median_of(shared_us), "each_us": median_of(each_us), "threads": READ_THREADS_DEFAULT},
    )


def _cpu_us(read: Callable[[], object], seconds: float) -> float:
    counts = [0] * READ_THREADS_DEFAULT
    stop = perf_counter() + seconds

    def run(place: int) -> None:
        while perf_counter() < stop:
            read()
            counts[place] += 1

    threads = [threading.Thread(target=run, args=(place,)) for place in range(READ_THREADS_DEFAULT)]
    before = process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (process_time() - before) / sum(counts) * 1_000_000
