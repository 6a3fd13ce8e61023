"""Deciders of earlier states, built from the change log when somebody asks about the past."""

from __future__ import annotations

import threading
from datetime import datetime

from lakewarden_policy import Decider, Policy, Snapshot
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded, Reason
from lakewarden_server.storage import history
from lakewarden_server.storage.history import Moment
from lakewarden_server.storage.unit_of_work import UnitOfWork


class Past:
    """One per process. Keeps the state asked about last: questions about one time come together, and a state can be large."""

    def __init__(self, policy: Policy) -> None:
        self._policies = {policy.digest: policy}
        self._held: Snapshot | None = None
        self._decider: Decider | None = None
        self._lock = threading.Lock()

    def moment(self, uow: UnitOfWork, *, revision: int | None = None, time: datetime | None = None) -> Moment:
        """The moment of a revision, or of a time. Raises HISTORY_UNAVAILABLE."""
        if revision is not None:
            return history.at_revision(uow.connection, uow.head, revision, now=uow.time)
        assert time is not None
        return history.at_time(uow.connection, uow.head, time, now=uow.time)

    def decider(self, uow: UnitOfWork, moment: Moment) -> Decider:
        """The decider of a moment, by the policy of its time. Raises HISTORY_UNAVAILABLE where that policy is not kept."""
        snapshot = self._snapshot(uow, moment).at(moment.time.timestamp())
        policy, held = self._policy(uow, moment.policy_digest), self._decider
        if held is None or held.snapshot is not snapshot or held.policy is not policy:
            held = self._decider = Decider(policy, snapshot)
        return held

    def _snapshot(self, uow: UnitOfWork, moment: Moment) -> Snapshot:
        held, head = self._held, moment.head
        if held is not None and held.head == head:
            return held
        # One at a time: several large states built at once would not fit into memory.
        if not self._lock.acquire(timeout=max(0.0, uow.deadline - monotonic())):
            raise DeadlineExceeded(
                Reason.DEADLINE_PASSED, "others ask about other times: ask again, or give the call more time"
            )
        try:
            if self._held is None or self._held.head != head:
                self._held = history.load_past(uow.connection, moment)
            return self._held
        finally:
            self._lock.release()

    def _policy(self, uow: UnitOfWork, digest: str) -> Policy:
        if digest not in self._policies:
            self._policies[digest] = history.load_policy_of(uow.connection, digest)
        return self._policies[digest]
