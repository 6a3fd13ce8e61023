"""Failed authentications: who shows credentials that are not good waits longer each time.

Counted in this process for each peer, and for each credential a peer names. So nobody's failures hold up another peer, whatever names they
use; whether a name exists plays no part in it; and every pause ends.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import Reason, RetryLater, Unauthenticated
from lakewarden_server.core.peers import Peer

NAMES_PER_PEER: Final = 3
"""All names of a peer together have so many times as many."""
WINDOW_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 60.0
"""The first pause; each failure after it doubles the next one."""
PAUSE_SECONDS_MAX: Final = 300.0
PAUSES_MAX: Final = math.ceil(math.log2(PAUSE_SECONDS_MAX / PAUSE_SECONDS))
FORGET_SECONDS: Final = 600.0
"""Without a failure after a pause: then the next one is a first one again."""
COUNTS_MAX: Final = 10_000
"""Counts kept at once; then the one that failed longest ago goes. A peer has one count of its own, and makes no more names than failures it
is granted: to drive out one's own count takes as many other addresses as there are counts, and gains no more than each of those has anyway."""
GUESSES: Final = frozenset({Reason.TOKEN_MALFORMED, Reason.TOKEN_CHECKSUM_WRONG, Reason.TOKEN_INVALID})
"""What a wrong guess meets. Who shows the right secret too late (expired, disabled) is not guessing."""


class _Count:
    __slots__ = ("pauses", "times", "until")

    def __init__(self, failures_max: int) -> None:
        self.times: deque[float] = deque(maxlen=failures_max)
        self.pauses = 0
        self.until = -math.inf


class Counts:
    """Failures by key, and until when a key has to wait. Safe for threads."""

    def __init__(self, failures_max: int, clock: Callable[[], float]) -> None:
        self._failures_max, self._clock = failures_max, clock
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def seconds_left(self, key: tuple[str, str]) -> float:
        """How long the key has to wait yet; 0 for one that has not. Asking counts as nothing."""
        found = self._counts.get(key)
        return max(0.0, found.until - self._clock()) if found is not None else 0.0

    def failed(self, key: tuple[str, str]) -> None:
        """Counts one failure."""
        with self._lock:
            now = self._clock()
            found = self._counts.get(key)
            if found is None:
                found = self._counts[key] = _Count(self._failures_max)
                if len(self._counts) > COUNTS_MAX:
                    self._counts.popitem(last=False)
            self._counts.move_to_end(key)
            if now - found.until > FORGET_SECONDS:
                found.pauses = 0
            found.times.append(now)
            often = len(found.times) == self._failures_max and now - found.times[0] < WINDOW_SECONDS
            if often or found.pauses:
                found.until = now + min(PAUSE_SECONDS * 2.0**found.pauses, PAUSE_SECONDS_MAX)
                # No further than the longest pause: whoever fails for days must not reach numbers that are none.
                found.pauses = min(found.pauses + 1, PAUSES_MAX)

    def forget(self, key: tuple[str, str]) -> None:
        """Starts anew for a key."""
        with self._lock:
            self._counts.pop(key, None)


class Guesses:
    """Holds up whoever guesses; one per process."""

    def __init__(self, failures_per_minute: int, *, clock: Callable[[], float] = monotonic) -> None:
        """`failures_per_minute` with one name from one peer; with 0 nobody is held up."""
        self._is_on = failures_per_minute > 0
        self._of_names = Counts(failures_per_minute, clock)
        self._of_peers = Counts(failures_per_minute * NAMES_PER_PEER, clock)

    def check_peer(self, peer: Peer) -> None:
        """Raises TOO_MANY_FAILURES while the peer has to wait, before what it shows is looked at."""
        if self._is_on:
            _check(self._of_peers.seconds_left((peer.site, "")), peer)

    def check_name(self, peer: Peer, name: str) -> None:
        """Raises TOO_MANY_FAILURES while the peer has to wait with what it names, before that is looked up."""
        if self._is_on:
            _check(self._of_names.seconds_left((peer.site, name)), peer)

    def failed(self, peer: Peer, name: str, error: Unauthenticated) -> None:
        """Counts a refused credential, if it was a guess."""
        if self._is_on and error.reason in GUESSES:
            self._of_peers.failed((peer.site, ""))
            self._of_names.failed((peer.site, name))

    def succeeded(self, peer: Peer, name: str) -> None:
        """What was named has been proven. The peer's own count stays: one good credential would else buy guesses at others."""
        if self._is_on:
            self._of_names.forget((peer.site, name))


def _check(seconds: float, peer: Peer) -> None:
    if seconds > 0:
        raise RetryLater(
            Reason.TOO_MANY_FAILURES,
            f"too many credentials from {peer.text} were not good: try again in {math.ceil(seconds)} s",
            retry_seconds=seconds,
        )
