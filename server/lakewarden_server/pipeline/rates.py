"""How many calls a second a principal, and a peer, may make of this process: the pipeline asks before it does anything for them.

Urgent calls have buckets of their own, so that whoever reads too much can still revoke. An HTTP request counts as one call, whatever
RPCs it becomes.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import Reason, RetryLater
from lakewarden_server.core.peers import Peer

BURST_SECONDS: Final = 2.0
"""So many seconds' worth of calls may come at once."""
BUCKETS_MAX: Final = 10_000
"""Buckets kept at once of each kind; then the one that granted a call longest ago goes."""
RETRY_SECONDS_MIN: Final = 0.1
"""Whoever is refused is told to wait no less: a bucket has a call again after a millisecond, and would be asked for it by all at once."""


class Charge:
    """What one request is charged: one call of its peer and one of its principal."""

    __slots__ = ("peer_is_charged", "principal_is_charged", "urgent")

    def __init__(self, *, urgent: bool) -> None:
        self.urgent = urgent
        self.peer_is_charged = self.principal_is_charged = False


class _Level(NamedTuple):
    calls: float
    at: float


class Buckets:
    """A token bucket for each key. Safe for threads."""

    def __init__(self, per_second: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, per_second * BURST_SECONDS, clock
        self._levels: OrderedDict[tuple[str, bool], _Level] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: tuple[str, bool]) -> float:
        """Takes one call and returns 0; or takes nothing and returns in how many seconds there is one."""
        with self._lock:
            now = self._clock()
            level = self._levels.get(key)
            calls = self._burst if level is None else self._now(level, now)
            if calls < 1:
                return (1 - calls) / self._per_second
            self._levels[key] = _Level(calls - 1, now)
            self._levels.move_to_end(key)
            self._drop(now)
            return 0.0

    def seconds_left(self, key: tuple[str, bool]) -> float:
        """In how many seconds there is a call; 0 where there is one. Asking takes none."""
        with self._lock:
            level = self._levels.get(key)
            calls = self._burst if level is None else self._now(level, self._clock())
            return max(0.0, 1 - calls) / self._per_second

    def _now(self, level: _Level, now: float) -> float:
        return min(self._burst, level.calls + (now - level.at) * self._per_second)

    def _drop(self, now: float) -> None:
        """At most two for each that may have come: a full bucket is as good as none."""
        for _ in range(2):
            oldest = next(iter(self._levels))
            if len(self._levels) <= BUCKETS_MAX and self._now(self._levels[oldest], now) < self._burst:
                return
            del self._levels[oldest]


class Rates:
    """Holds up whoever calls too often; one per process."""

    def __init__(
        self, *, per_principal: int = 0, per_peer: int = 0, clock: Callable[[], float] = monotonic
    ) -> None:
        """Calls a second; with 0 nobody is held up."""
        self.of_peers = Buckets(per_peer, clock) if per_peer else None
        self.of_principals = Buckets(per_principal, clock) if per_principal else None

    def charge_peer(self, charge: Charge, peer: Peer) -> None:
        """Counts a request of the peer, once. Raises RATE_LIMITED."""
        if self.of_peers is not None and not charge.peer_is_charged:
            _check(self.of_peers.take((peer.site, charge.urgent)), peer.text)
            charge.peer_is_charged = True

    def check_peer(self, charge: Charge, peer: Peer) -> None:
        """Counts nothing. Raises RATE_LIMITED where `charge_peer` would."""
        if self.of_peers is not None:
            _check(self.of_peers.seconds_left((peer.site, charge.urgent)), peer.text)

    def count_peer(self, charge: Charge, peer: Peer) -> None:
        """Counts a request of the peer that was refused already."""
        if self.of_peers is not None:
            self.of_peers.take((peer.site, charge.urgent))

    def asks_who(self, charge: Charge) -> bool:
        """Whether a principal is yet to be charged."""
        return self.of_principals is not None and not charge.principal_is_charged

    def charge_principal(self, charge: Charge, principal_id: str, name: str) -> None:
        """Counts a request of the principal, once. Raises RATE_LIMITED."""
        if self.of_principals is not None and not charge.principal_is_charged:
            _check(self.of_principals.take((principal_id, charge.urgent)), name)
            charge.principal_is_charged = True


def _check(seconds: float, who: str) -> None:
    if seconds > 0:
        raise RetryLater(
            Reason.RATE_LIMITED,
            f"{who} calls too often: try again in {math.ceil(seconds)} s",
            retry_seconds=max(seconds, RETRY_SECONDS_MIN),
        )
