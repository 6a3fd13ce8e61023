"""Followers with a defect each, which the suites must catch. None of them exists in production."""

from __future__ import annotations

import copy
import threading
import time
from datetime import timedelta

from lakewarden_policy import Decider, Head, Policy
from lakewarden_server.authz.follower import Follower, Fresh
from lakewarden_server.core.clock import utc_now
from lakewarden_server.storage import Database, WriteUnit, load_snapshot

CACHE_SECONDS = 0.5


class NeverRefreshes(Follower):
    """Has its refresh off: what it loaded once is what it answers from."""

    def __init__(self, database: Database, policy: Policy) -> None:
        super().__init__(database, policy)
        self._kept: Fresh | None = None

    def at_head(self) -> Fresh:
        """The first state there was."""
        if self._kept is None:
            self._kept = super().at_head()
        return self._kept


class FillsWithoutVersion(Follower):
    """A cache whose filler files what it read under the version of when it is done: a change in between is never seen."""

    def __init__(self, database: Database, policy: Policy) -> None:
        super().__init__(database, policy)
        self._filled: tuple[Head, Decider] | None = None

    def at_head(self) -> Fresh:
        """What is filed under the version of now."""
        head, now = self._database.head()
        filled = self._filled
        if filled is None or filled[0] != head:
            with self._database.read() as uow:
                snapshot = load_snapshot(uow.connection, head=uow.head, now=uow.time)
            decider = Decider(self.policy, snapshot)
            head, now = self._database.head()
            filled = self._filled = (head, decider)
        return Fresh(filled[1], now)


class ChangesInPlace(Follower):
    """One mutable state for all threads, as a shared Casbin enforcer is: whoever finds it old loads it anew under the others' eyes."""

    def __init__(self, database: Database, policy: Policy) -> None:
        super().__init__(database, policy)
        self._shared: dict[str, dict[str, tuple[str, ...]]] = {}
        self._loaded: Head | None = None

    def at_head(self) -> Fresh:
        """The shared grants, which may be half of one state and half of another, beside the objects of now."""
        fresh = super().at_head()
        if fresh.head != self._loaded:
            self._loaded = fresh.head
            with self._database.read() as uow:
                loaded = load_snapshot(uow.connection, head=uow.head, now=uow.time).held
            for object_id in [*loaded, *self._shared.keys() - loaded.keys()]:
                self._shared[object_id] = dict(loaded.get(object_id, {}))
        mixed = copy.copy(fresh.snapshot)
        mixed.held = self._shared
        return Fresh(Decider(self.policy, mixed), fresh.now)


class SkipsHeadRead(Follower):
    """Answers from what it holds and asks the database only now and then, as a cache with a time to live does."""

    def __init__(self, database: Database, policy: Policy) -> None:
        super().__init__(database, policy)
        self._kept: tuple[Fresh, float] | None = None

    def at_head(self) -> Fresh:
        """A decider of up to `CACHE_SECONDS` ago."""
        kept = self._kept
        if kept is None or time.monotonic() - kept[1] > CACHE_SECONDS:
            kept = self._kept = (super().at_head(), time.monotonic())
        return kept[0]


class JudgesByOwnClock(Follower):
    """Asks its own clock what has expired, which is ten minutes behind, where production asks the database's."""

    def at_head(self) -> Fresh:
        """The state of the head, at another time."""
        return super().at_head()._replace(now=utc_now() - timedelta(minutes=10))


class CachesGrants(Follower):
    """Sees every object at once but remembers who holds what for a while: the new enemy's friend."""

    def __init__(self, database: Database, policy: Policy) -> None:
        super().__init__(database, policy)
        self._grants: tuple[Fresh, float] | None = None

    def at_head(self) -> Fresh:
        """Objects of now, grants of up to `CACHE_SECONDS` ago."""
        fresh = super().at_head()
        kept = self._grants
        if kept is None or time.monotonic() - kept[1] > CACHE_SECONDS:
            kept = self._grants = (fresh, time.monotonic())
        mixed = copy.copy(fresh.snapshot)
        mixed.held = kept[0].snapshot.held
        return Fresh(Decider(self.policy, mixed), fresh.now)


class CachesRedactions(Follower):
    """Sees every grant at once but remembers for a while which rows and columns are hidden."""

    def __init__(self, database: Database, policy: Policy) -> None:
        super().__init__(database, policy)
        self._redactions: tuple[Fresh, float] | None = None

    def at_head(self) -> Fresh:
        """Grants of now, row filters and masks of up to `CACHE_SECONDS` ago."""
        fresh = super().at_head()
        kept = self._redactions
        if kept is None or time.monotonic() - kept[1] > CACHE_SECONDS:
            kept = self._redactions = (fresh, time.monotonic())
        mixed = copy.copy(fresh.snapshot)
        mixed.row_filters, mixed.column_masks = kept[0].snapshot.row_filters, kept[0].snapshot.column_masks
        return Fresh(Decider(self.policy, mixed), fresh.now)


class TrustsCheapCheck(Follower):
    """Lets a write go on with the state its cheap check saw, instead of the one under the head row."""

    def __init__(self, database: Database, policy: Policy) -> None:
        super().__init__(database, policy)
        self._told = threading.local()

    def at_head(self) -> Fresh:
        """As production does, noting what this thread was told."""
        fresh = super().at_head()
        self._told.decider = fresh.decider
        return fresh

    def before_write(self, uow: WriteUnit) -> Decider:
        """What the cheap check saw."""
        decider: Decider = self._told.decider
        return decider
