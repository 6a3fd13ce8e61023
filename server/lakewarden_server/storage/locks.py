"""Locks with deadlines, put in front of SQLite's single writer: one between threads, one between processes.

SQLite's busy handler sleeps and retries, so under load some threads win again and again while others starve;
here threads of one process are served in the order they came, as those are that take turns to record lineage.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from pathlib import Path

from lakewarden_server.core.clock import monotonic


class FairLock:
    """A mutual exclusion lock that hands itself over in first-come order."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiters: deque[threading.Lock] = deque()

    def acquire(self, deadline: float, *, first: bool = False) -> bool:
        """Waits until the lock is ours or `deadline` (monotonic seconds) passes; true when it is ours. Who is `first` comes before all who wait."""
        with self._mutex:
            if not self._held:
                self._held = True
                return True
            turn = threading.Lock()
            turn.acquire()
            if first:
                self._waiters.appendleft(turn)
            else:
                self._waiters.append(turn)
        if turn.acquire(timeout=max(0.0, min(deadline - monotonic(), threading.TIMEOUT_MAX))):
            return True
        with self._mutex:
            if turn in self._waiters:
                self._waiters.remove(turn)
                return False
        # The lock was handed over in the instant we gave up: it is ours, so it must be passed on.
        self.release()
        return False

    def release(self) -> None:
        """Hands the lock to the longest waiting thread, or frees it."""
        with self._mutex:
            if self._waiters:
                self._waiters.popleft().release()
            else:
                self._held = False


class FileLock:
    """A lock between the processes that share one SQLite file; the kernel frees it when its holder dies.

    SQLite locks writers itself, but not a checkpoint against the next writer's reset of the WAL, which before 3.51.3
    can corrupt the file (sqlite.org/wal.html#walresetbug). A writer holds this lock until its COMMIT, with the
    checkpoint in it, is over.
    """

    POLL_SECONDS = 0.001

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, deadline: float) -> bool:
        """Waits until no other process holds it or `deadline` (monotonic seconds) passes; true when it is ours."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if monotonic() >= deadline:
                    return False
                # flock has no timeout, and a signal to end it would have to reach this very thread.
                time.sleep(self.POLL_SECONDS)
            else:
                return True

    def release(self) -> None:
        """Lets the next process in."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Closes the file; it stays where it is, for removing it would let two processes lock two files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
