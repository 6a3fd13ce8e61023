"""How soon a server answers again after a crash: printed for whoever reads the run, and bounded."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from durability.processes import FORKED, Installation, ServerProcess
from lakewarden import Unavailable

PROMISED_SECONDS = 5.0
"""On a machine that has nothing else to do."""
SECONDS_MAX = 30.0
"""What one is given that has."""


class Recoveries:
    """Seconds from the start of a server, or of its database, to its first answer."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    @contextmanager
    def serve(self, installation: Installation, *, command: Sequence[str] = ()) -> Iterator[ServerProcess]:
        """A server on what a crash left. How soon a forked one answers tells nothing: it has no code to read."""
        begun = time.monotonic()
        with installation.serve(command=command) as server:
            self.wait(installation, server, since=begun, counts=command[:1] != (FORKED,))
            yield server

    def wait(
        self, installation: Installation, server: ServerProcess, *, since: float, counts: bool = True
    ) -> None:
        """Waits until it answers a read."""
        with installation.client(server) as client:
            while True:
                try:
                    list(client.catalogs.list(limit=1))
                except Unavailable:
                    assert time.monotonic() < since + SECONDS_MAX, server.output
                    time.sleep(0.02)
                else:
                    break
        if counts:
            self.seconds.append(time.monotonic() - since)

    def check(self) -> None:
        """Prints and judges."""
        slow = sum(seconds > PROMISED_SECONDS for seconds in self.seconds)
        print(
            f"{len(self.seconds)} recoveries: {statistics.median(self.seconds):.2f} s in the median, "
            f"{max(self.seconds):.2f} s at most, {slow} above {PROMISED_SECONDS:g} s"
        )
        assert max(self.seconds) < SECONDS_MAX
