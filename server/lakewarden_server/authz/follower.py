"""Holds the process's one immutable snapshot and keeps it at the head of the change log.

A reader asks `at_head`, which reads the head row from the primary first: an acknowledged revoke can never be missed. A
writer asks `before_write`, which sees the state just before its own revision on its own connection.
"""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass
from datetime import datetime

from lakewarden_policy import Decider, Head, Policy, Snapshot
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import Reason, Unavailable
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.snapshot import load_snapshot
from lakewarden_server.storage.unit_of_work import UnitOfWork, WriteUnit

REBUILD_SECONDS_MAX = 30.0
"""A rebuild serves every waiting call, so it outlives the deadline of the one that began it."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """A decider at a known revision and the database's time at which that revision was the head."""

    decider: Decider
    now: datetime

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot the decider decides on."""
        return self.decider.snapshot

    @property
    def head(self) -> Head:
        """Revision, epoch and nonce of the snapshot."""
        return self.decider.snapshot.head


class Follower:
    """One per process. Readers share the held decider; it is replaced by one assignment, never changed."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self._database = database
        self._policy = policy
        self._decider: Decider | None = None
        self._rebuild = threading.Lock()

    @property
    def policy(self) -> Policy:
        """The policy every decider of this process uses."""
        return self._policy

    def at_head(self) -> Fresh:
        """A decider no older than this call.

        Raises `Unavailable` when the primary cannot be asked: no answer is better than a stale one (promise G5).
        """
        head, now = self._database.head()
        decider = self._decider
        if decider is None or decider.snapshot.head != head:
            decider = self._rebuilt(head)
        return Fresh(decider, now)

    def before_write(self, uow: WriteUnit) -> Decider:
        """The state at the revision just before the write that holds the head (promise G8)."""
        decider = self._decider
        if decider is not None and decider.snapshot.head == uow.previous:
            return decider
        return Decider(self._policy, load_snapshot(uow.connection, head=uow.previous))

    def after_flush(self, uow: WriteUnit) -> Decider:
        """The state a write is about to commit, for rules about its result."""
        return Decider(self._policy, load_snapshot(uow.connection, head=uow.head))

    def _rebuilt(self, head: Head) -> Decider:
        """Builds one snapshot while other readers that need it wait for it instead of building their own."""
        with self._rebuild:
            decider = self._decider
            if decider is not None and decider.snapshot.head == head:
                return decider
            with self._database.read(deadline=monotonic() + REBUILD_SECONDS_MAX) as uow:
                snapshot = _load(uow)
            if snapshot.head.epoch == head.epoch and snapshot.head.revision < head.revision:
                raise Unavailable(
                    Reason.SNAPSHOT_UNAVAILABLE,
                    "the database went back behind an acknowledged revision: retry",
                )
            decider = Decider(self._policy, snapshot)
            self._decider = decider
            return decider


def _load(uow: UnitOfWork) -> Snapshot:
    """Loads with the cyclic collector off: a large state would set it off again and again for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return load_snapshot(uow.connection, head=uow.head)
    finally:
        if enabled:
            gc.enable()
