"""How many calls a peer has open: counted until the last of each is out, so that who never reads an answer counts too."""

from __future__ import annotations

import threading
from functools import partial

from lakewarden_server.rpc.pooled_calls import PooledCall

PEER_CALLS_MAX = 500
"""Open calls of one address, half of what a server takes: what its threads run and let wait is less, so engines behind one address lose nothing."""
TOO_MANY_OPEN = "too many calls from this address are open: let some end first"


class OpenCalls:
    """Counts by peer. Safe for threads."""

    def __init__(self, peer_max: int = PEER_CALLS_MAX) -> None:
        self._peer_max = peer_max
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(self._counts.values())

    def admit(self, call: PooledCall) -> bool:
        """Counts a call until it is over; False, and not counted, where its peer has as many as it may."""
        site = call.site
        with self._lock:
            count = self._counts.get(site, 0)
            if count >= self._peer_max:
                return False
            self._counts[site] = count + 1
        call.when_over(partial(self._end, site))
        return True

    def _end(self, site: str) -> None:
        with self._lock:
            count = self._counts.pop(site) - 1
            if count:
                self._counts[site] = count
