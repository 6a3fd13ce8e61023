"""Whose turn it is to read events or to record them: one interpreter does the work of one thread, and threads that take it from each other all take longer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from lakewarden_server.core.errors import Overloaded, Reason
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.locks import FairLock

TURN_BYTES_MAX: Final = 131_072
"""Of events that are read in one turn, about a tenth of a second at worst; larger ones, which may take seconds, have turns of their own."""
LARGE_OF_PRINCIPAL_MAX: Final = 4
"""Calls of one principal that have or wait for a turn of a large event: half of the threads that take events, the others are for the small ones."""


class Turns:
    """Those of the threads of one process, first come first served. Each raises DeadlineExceeded for who waits too long."""

    def __init__(self) -> None:
        self._working, self._large = FairLock(), FairLock()
        self._principals: dict[str, _Turn] = {}
        self._counting = threading.Lock()

    @contextmanager
    def recording(self, deadline: float) -> Iterator[None]:
        """For who holds what everybody waits for who writes: nobody who reads comes before."""
        with _held(self._working, deadline, first=True):
            yield

    @contextmanager
    def reading(self, size: int, principal_id: str, deadline: float) -> Iterator[None]:
        """For who reads events of so many bytes. Of large ones one is read at a time beside all else, and one of a principal's waits for that.

        Raises Overloaded for who has too many large ones read already.
        """
        if size <= TURN_BYTES_MAX:
            with _held(self._working, deadline):
                yield
        else:
            with self._own(principal_id, deadline), _held(self._large, deadline):
                yield

    @contextmanager
    def _own(self, principal_id: str, deadline: float) -> Iterator[None]:
        with self._counting:
            turn = self._principals.setdefault(principal_id, _Turn())
            if turn.count >= LARGE_OF_PRINCIPAL_MAX:
                raise Overloaded(Reason.OVERLOADED, "too many large lineage events of yours wait: retry")
            turn.count += 1
        try:
            with _held(turn.lock, deadline):
                yield
        finally:
            with self._counting:
                turn.count -= 1
                if not turn.count:
                    del self._principals[principal_id]


class _Turn:
    """That of one principal, and how many have or wait for it."""

    def __init__(self) -> None:
        self.lock = FairLock()
        self.count = 0


@contextmanager
def _held(lock: FairLock, deadline: float, *, first: bool = False) -> Iterator[None]:
    if not lock.acquire(deadline, first=first):
        raise deadline_passed()
    try:
        yield
    finally:
        lock.release()
