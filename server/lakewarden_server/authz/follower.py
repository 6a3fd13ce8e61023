"""Holds the process's one immutable snapshot and keeps it at the head of the change log.

A reader asks `at_head`, which reads the head row from the primary first: an acknowledged revoke can never be missed. A
writer asks `before_write`, which sees the state just before its own revision on its own connection.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from math import inf
from typing import Any, NamedTuple, NoReturn

from lakewarden_policy import Decider, Head, Policy, Snapshot
from lakewarden_server.authz.feed import Feed
from lakewarden_server.authz.past import Past
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.collector import collector_paused
from lakewarden_server.core.errors import Reason, Unavailable
from lakewarden_server.storage import deltas
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.head import nonce_of, renew_epoch
from lakewarden_server.storage.snapshot import load_snapshot
from lakewarden_server.storage.unit_of_work import UnitOfWork, WriteUnit

logger = logging.getLogger("lakewarden.follower")

REBUILD_SECONDS_MAX = 30.0
"""Catching up serves every waiting call, so it outlives the deadline of the one that began it."""


class Fresh(NamedTuple):
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
        self._reading = threading.Lock()
        self._expiring = threading.Lock()
        self._seen: Head | None = None
        self.rebuilds = 0
        self.deltas = 0
        self.past = Past(policy)
        self.feed = Feed(database)

    @property
    def policy(self) -> Policy:
        """The policy every decider of this process uses."""
        return self._policy

    @property
    def held(self) -> Snapshot | None:
        """The state in memory, however old; None where there is none. Nothing is decided on it."""
        held = self._decider
        return held.snapshot if held else None

    @property
    def revision(self) -> int:
        """The revision of the state held; 0 where there is none."""
        held = self._decider
        return held.snapshot.head.revision if held else 0

    @property
    def lag(self) -> int:
        """How many revisions the state held is behind the newest head seen."""
        held, seen = self._decider, self._seen
        if seen is None:
            return 0
        same = held is not None and held.snapshot.head.epoch == seen.epoch
        return max(0, seen.revision - self.revision) if same else seen.revision

    def at_head(self) -> Fresh:
        """A decider no older than this call.

        Raises `Unavailable` when the primary cannot be asked, and once for a database that shows another history: no answer
        is better than a stale one (promise G5).
        """
        # Held first, head second: in one history the head is then never behind the decider.
        held = self._decider
        head, now = self._database.head()
        self._seen = head
        if held is None or held.snapshot.head != head:
            held = self._caught_up(head, held)
        return Fresh(self.without_expired(held, now), now)

    def before_write(self, uow: WriteUnit) -> Decider:
        """The state at the revision just before the write that holds the head (promise G8)."""
        held = self._decider
        if held is not None and held.snapshot.head == uow.previous:
            return self.without_expired(held, uow.time)
        decider = None
        if held is not None and _is_later(uow.previous, held):
            decider = self._brought(held, uow.connection, uow.previous, uow.time)
        if decider is None:
            decider = Decider(self._policy, load_snapshot(uow.connection, head=uow.previous, now=uow.time))
            self.rebuilds += 1
        # That revision is committed, so readers may have it too; should the write fail, it still is the head.
        if held is not None and _is_later(uow.previous, held):
            self._decider = decider
        return decider

    def after_flush(self, before: Decider, uow: WriteUnit) -> Decider:
        """The state a write is about to commit, for rules about its result; `before` is that of its previous revision."""
        if not uow.has_changes:
            return before
        decider = self._brought(before, uow.connection, uow.head, uow.time)
        if decider is None:
            # More than a delta holds.
            decider = Decider(self._policy, load_snapshot(uow.connection, head=uow.head, now=uow.time))
        return decider

    def without_expired(self, decider: Decider, now: datetime) -> Decider:
        """The same state without the grants that expired by the database's clock; kept, so that it is worked out once."""
        next_expiry = decider.snapshot.next_expiry
        if next_expiry == inf or (stamp := now.timestamp()) < next_expiry:
            return decider
        with self._expiring:
            # From where others have brought the same state, which may be further than what the caller holds.
            held = self._decider
            same = held is not None and held.snapshot.head == decider.snapshot.head
            base = held if held is not None and same else decider
            snapshot = base.snapshot.at(stamp)
            if snapshot is base.snapshot:
                return base
            later = Decider(self._policy, snapshot, before=base)
            if self._decider is base:
                self._decider = later
            return later

    def _caught_up(self, head: Head, held: Decider | None) -> Decider:
        """Reads what is new once; other readers wait for it instead of reading it too, and take it when it is new enough."""
        with self._reading:
            decider = self._decider
            if decider is not None and decider is not held and _covers(decider, head):
                return decider
            with self._database.read(deadline=monotonic() + REBUILD_SECONDS_MAX) as uow:
                continues = decider is None or _continues(uow, decider.snapshot.head)
                later = self._later(decider, uow) if continues else None
            if later is None:
                self._leave_history()
            if not _covers(later, head):
                raise Unavailable(
                    Reason.SNAPSHOT_UNAVAILABLE, "the database answered from an older state: retry"
                )
            self._decider = later
            return later

    def _later(self, held: Decider | None, uow: UnitOfWork) -> Decider:
        """The state `uow` sees: what is held with the changes since, or all of it where those do not lead there."""
        if held is not None and held.snapshot.head.epoch == uow.head.epoch:
            brought = self._brought(held, uow.connection, uow.head, uow.time)
            if brought is not None:
                return brought
        started = monotonic()
        with collector_paused():
            snapshot = load_snapshot(uow.connection, head=uow.head, now=uow.time)
        decider = Decider(self._policy, snapshot)
        self.rebuilds += 1
        logger.info("read the whole state of revision %d in %.2f s", uow.revision, monotonic() - started)
        return decider

    def _brought(self, held: Decider, connection: Any, head: Head, now: datetime) -> Decider | None:
        """What is held, brought forward by the change log; None when that does not lead from it to the head."""
        delta = deltas.between(connection, held.snapshot.head, head)
        if delta is None:
            return None
        snapshot = held.snapshot.changed(head, delta.removed, delta.added, now=now.timestamp())
        self.deltas += 1
        return Decider(self._policy, snapshot, before=held)

    def _leave_history(self) -> NoReturn:
        """The database was restored or lost its tail under this server: what clients remember of it is void.

        The new epoch makes every server refuse revision tokens of the old history (DESIGN 5.4); this call is denied, the
        next one is answered from a new snapshot.
        """
        with self._database.transaction(deadline=monotonic() + REBUILD_SECONDS_MAX) as connection:
            epoch = renew_epoch(connection)
            connection.commit()
        self._decider = None
        logger.error("the database shows another history than before: it is epoch %s now", epoch)
        raise Unavailable(
            Reason.SNAPSHOT_UNAVAILABLE, "the database shows another history than before: retry"
        )


def _is_later(head: Head, decider: Decider) -> bool:
    held = decider.snapshot.head
    return head.epoch == held.epoch and head.revision > held.revision


def _covers(decider: Decider, head: Head) -> bool:
    """Whether the decider's state is that of `head`, or a later one of its epoch."""
    held = decider.snapshot.head
    return held == head or (held.epoch == head.epoch and held.revision > head.revision)


def _continues(uow: UnitOfWork, held: Head) -> bool:
    """Whether what `uow` sees came after the state held before: another epoch says so openly and is no surprise."""
    if uow.head.epoch != held.epoch:
        return True
    if uow.revision == held.revision:
        return uow.head.nonce == held.nonce
    return uow.revision > held.revision and nonce_of(uow.connection, held.revision) in (held.nonce, None)
