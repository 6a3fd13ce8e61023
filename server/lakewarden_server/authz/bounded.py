"""Bounded freshness (promise G4): for calls that ask for it, a state confirmed at most `BOUND_SECONDS` ago instead of at their arrival.

While such calls come, a thread reads the head every `LOOK_SECONDS`; they themselves read it only when that thread is late. The age is
counted from when the confirming read was sent, by this machine's monotonic clock, so that a delay anywhere makes it older and never younger.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import NamedTuple

from lakewarden_server.authz.follower import Follower, Fresh
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import LakewardenError

logger = logging.getLogger("lakewarden.follower")

BOUND_SECONDS = 0.25
"""How old the state may be that a bounded call is answered from; where none is young enough the database is asked, or it is UNAVAILABLE."""
LOOK_SECONDS = 0.05
"""How often the head is read while bounded calls come: a revoke holds on every replica after that and a read, as a rule."""
IDLE_SECONDS = 2.0
"""How long after the last bounded call the head is still read."""


class _Confirmed(NamedTuple):
    fresh: Fresh
    sent: float
    """Monotonic seconds at which the read was sent that found this state at the head."""
    received: float
    """Monotonic seconds at which its answer was here: the database's clock was read before."""


class Bounded:
    """One per process; its thread lives while bounded calls come."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._confirmed: _Confirmed | None = None
        self._asked = 0.0
        self._starting = threading.Lock()
        self._looking = False
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def latest(self) -> Fresh:
        """A state that was at the head `BOUND_SECONDS` ago or later, and the database's time as it is now. Raises Unavailable."""
        now = self._asked = monotonic()
        if not self._looking:
            self._start()
        confirmed = self._confirmed
        if confirmed is None or now - confirmed.sent > BOUND_SECONDS:
            return self._look()
        # What ended since must be gone, though nobody changed anything; counted from `sent`, it would end before its time.
        time = confirmed.fresh.now + timedelta(seconds=max(0.0, now - confirmed.received))
        return Fresh(self._follower.without_expired(confirmed.fresh.decider, time), time)

    def stop(self) -> None:
        """Ends the thread and waits for it: the database is closed next, and a late read would open it again."""
        self._stopping.set()
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _look(self) -> Fresh:
        sent = monotonic()
        fresh = self._follower.at_head()
        confirmed = self._confirmed
        if confirmed is None or confirmed.sent < sent:
            self._confirmed = _Confirmed(fresh, sent, monotonic())
        return fresh

    def _start(self) -> None:
        with self._starting:
            if self._looking or self._stopping.is_set():
                return
            self._looking = True
            self._thread = threading.Thread(target=self._run, name="lakewarden-bounded", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            while monotonic() - self._asked < IDLE_SECONDS and not self._stopping.wait(LOOK_SECONDS):
                try:
                    self._look()
                except LakewardenError as error:
                    # Calls meet the same error once what is confirmed is too old.
                    logger.warning("the head cannot be read: %s", error.message)
        finally:
            self._looking = False
