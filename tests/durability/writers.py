"""Clients that write as fast as they are answered and remember, outside the server, what it acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lakewarden import Client, LakewardenError

WAIT_SECONDS_MAX = 30.0


@dataclass
class Ledger:
    """What was tried and what was acknowledged, over all rounds of a test; each write creates one catalog."""

    attempted: set[str] = field(default_factory=set)
    acknowledged: dict[str, int] = field(default_factory=dict)
    """Name to the revision the reply named."""
    errors: list[str] = field(default_factory=list)
    """Failures that no kill explains."""

    @property
    def revision(self) -> int:
        """The highest acknowledged revision."""
        return max(self.acknowledged.values(), default=0)


class Writers:
    """Threads that create catalogs until stopped or until the server is gone."""

    def __init__(self, make_client: Callable[[], Client], ledger: Ledger, *, threads: int, name: str) -> None:
        self._ledger = ledger
        self._stopping = threading.Event()
        self._first = len(ledger.acknowledged)
        self._threads = [
            threading.Thread(target=self._write, args=(make_client, f"{name}_{number}"))
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        """Returns once at least `count` writes of this round were acknowledged: the load floor of a run."""
        give_up = time.monotonic() + WAIT_SECONDS_MAX
        while len(self._ledger.acknowledged) - self._first < count:
            assert not self._ledger.errors, self._ledger.errors
            assert time.monotonic() < give_up, f"fewer than {count} writes in {WAIT_SECONDS_MAX:g} s"
            time.sleep(0.005)

    def stop(self) -> None:
        """Ends the threads; the server may be gone."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self, make_client: Callable[[], Client], name: str) -> None:
        with make_client() as client:
            number = 0
            while not self._stopping.is_set():
                number += 1
                catalog = f"{name}_{number}"
                self._ledger.attempted.add(catalog)
                try:
                    client.catalogs.create(catalog)
                except LakewardenError as error:
                    if error.code not in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
                        self._ledger.errors.append(repr(error))
                    return
                # The thread's own client: its last revision is the one of this very reply.
                self._ledger.acknowledged[catalog] = int(client.revision.rpartition(":")[2])


@contextmanager
def writing(
    make_client: Callable[[], Client], ledger: Ledger, *, threads: int = 4, name: str
) -> Iterator[Writers]:
    """Writers that run during the block; the block kills the server, or they are stopped at its end."""
    writers = Writers(make_client, ledger, threads=threads, name=name)
    try:
        yield writers
    finally:
        writers.stop()
