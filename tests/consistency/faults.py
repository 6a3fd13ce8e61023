"""What a storm does to its replicas, to their links to the database, to the database and to a clock; all drawn from one seed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from consistency.cluster import Cluster
from consistency.links import DatabaseLink
from consistency.skewed import JUMP, command
from durability.mortal import MortalPostgresql
from durability.processes import ServerProcess

FREEZE_SECONDS = 3.0
CUT_SECONDS_MAX = 2.0
HOLD_SECONDS_MAX = 2.0
DELAY_SECONDS_MAX = 0.2
SKEWS_SECONDS = (600.0, -600.0)
"""Where the clocks of the replicas stand, beside the machine's; the other way round after a jump."""


class Fault(NamedTuple):
    """What was done and, in seconds of the one clock, when."""

    kind: str
    time: float


class Replica:
    """A replica in a process of its own, with a skewed clock and, where the database is PostgreSQL, a link of its own to it."""

    def __init__(self, cluster: Cluster, number: int, stack: ExitStack) -> None:
        self._cluster, self._number, self._starts = cluster, number, 0
        self._skew = SKEWS_SECONDS[number % len(SKEWS_SECONDS)]
        postgresql = cluster.url.startswith("postgresql")
        self.link = stack.enter_context(DatabaseLink(cluster.url)) if postgresql else None
        self.process = self._start()

    @property
    def endpoint(self) -> str:
        """Where it listens now."""
        return self.process.endpoint

    def kill(self) -> None:
        """kill -9, and another process in its place."""
        self.process.kill()
        self.process = self._start()

    def freeze(self) -> None:
        """Stops it where it stands and lets it go on."""
        self.process.freeze()
        time.sleep(FREEZE_SECONDS)
        self.process.signal(signal.SIGCONT)

    def jump(self) -> None:
        """Its clock jumps by twice its skew, to the other side of the true time."""
        self.process.signal(JUMP)

    def _start(self) -> ServerProcess:
        self._starts += 1
        return self._cluster.process(
            f"storm-{self._number}-{self._starts}.log",
            url=self.link.url if self.link else "",
            command=command(self._skew),
        )


class Harm:
    """Draws and does one fault after the other."""

    def __init__(self, replicas: list[Replica], postgresql: MortalPostgresql | None, seed: int) -> None:
        self._rng = random.Random(f"{seed} faults")
        self._replicas, self._postgresql = replicas, postgresql
        self._turn: list[str] = []
        self.done: list[Fault] = []

    def do_next(self) -> None:
        """Does one fault; every kind comes once before any comes again."""
        kinds = self._kinds()
        if not self._turn:
            self._turn = self._rng.sample(sorted(kinds), len(kinds))
        kind = self._turn.pop()
        self.done.append(Fault(kind, time.monotonic()))
        kinds[kind](self._rng.choice(self._replicas))

    def pause(self) -> float:
        """Seconds of quiet before the next."""
        return 1.0 + self._rng.random()

    def _kinds(self) -> dict[str, Callable[[Replica], object]]:
        kinds: dict[str, Callable[[Replica], object]] = {
            "SIGKILL": Replica.kill,
            "SIGSTOP": Replica.freeze,
            "clock jump": Replica.jump,
        }
        if all(replica.link for replica in self._replicas):
            kinds |= {"link cut": self._cut, "link held": self._hold, "link slow": self._slow}
        if self._postgresql is not None:
            kinds |= {
                "database restart": lambda _: self._postgresql.interrupt("fast"),
                "database crash": lambda _: self._postgresql.interrupt("immediate"),
            }
        return kinds

    def _cut(self, replica: Replica) -> None:
        replica.link.cut(self._rng.random() * CUT_SECONDS_MAX)

    def _hold(self, replica: Replica) -> None:
        replica.link.hold(self._rng.random() * HOLD_SECONDS_MAX)

    def _slow(self, replica: Replica) -> None:
        replica.link.slow(self._rng.random() * DELAY_SECONDS_MAX, seconds=HOLD_SECONDS_MAX)
