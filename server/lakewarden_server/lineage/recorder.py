"""Takes events from many calls at once and records them in common transactions: one commit answers all who waited for it.

Whoever finds nobody recording does it for everybody in the queue; there is no thread of its own. A call is answered after its
events are committed, never before.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, islice
from typing import Final, TypeVar

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded, Overloaded, Reason, ResourceExhausted, Unavailable
from lakewarden_server.lineage.recording import Budget, Fresh, Origin, Received, packed, record
from lakewarden_server.lineage.shares import Shares
from lakewarden_server.lineage.turns import Turns
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.repositories.lineage import LineageStore

Result = TypeVar("Result")

QUEUE_EVENTS_MAX: Final = 10_000
"""Events that wait to be recorded; what OpenLineage's Python client holds too."""
COMMIT_EVENTS_MAX: Final = 200
"""Events of one transaction: one or two tenths of a second, after which on SQLite whoever else has something to write has a turn."""
COMMIT_WEIGHT_MAX: Final = 3_000
"""Names, edges and pages of text of one transaction, for where events are large; a single one may be more."""
RECORD_SECONDS_MAX: Final = 10.0
"""Of one transaction, after which it is given up."""


@dataclass(eq=False)
class _Submission:
    """The events of one call, and how they fared."""

    origin: Origin
    received: Sequence[Received]
    """Those that are still to be recorded."""
    time: datetime
    fresh: list[Fresh] = field(default_factory=list)
    error: Exception | None = None
    done: bool = False
    alone: bool = False
    """It was among others with something nobody foresaw, so each is recorded by its own caller now."""


class Recorder:
    """Shared by all threads of a process; replicas order themselves by the head row."""

    def __init__(self, database: Database, *, queue_events_max: int = QUEUE_EVENTS_MAX) -> None:
        self._database = database
        self._queue_events_max = queue_events_max
        self._queue: deque[_Submission] = deque()
        self._events = 0
        self._recording = False
        self._turn = threading.Condition()
        self._shares = Shares()
        self.turns = Turns()

    @property
    def waiting(self) -> int:
        """How many events wait to be recorded."""
        return self._events

    def record(
        self, origin: Origin, received: Sequence[Received], *, time: datetime, deadline: float
    ) -> list[Fresh]:
        """Records events; of each, whether it was new, None for one of a run that was purged. `deadline` is in monotonic seconds.

        Raises Overloaded at once when too many wait, DeadlineExceeded, and what a transaction can raise; some of the events may be
        recorded then, and sending them all again does no harm.
        """
        fresh: list[Fresh] = []
        for start in range(0, len(received), COMMIT_EVENTS_MAX):
            part = received[start : start + COMMIT_EVENTS_MAX]
            self._refuse_too_many(len(part))
            part = [packed(each) for each in part]
            fresh += self._submit(_Submission(origin, part, time), deadline)
        return fresh

    def _submit(self, submission: _Submission, deadline: float) -> list[Fresh]:
        with self._turn:
            self._refuse_too_many(len(submission.received))
            self._append(submission)
        while not submission.done:
            batch = self._wait(submission, deadline)
            if batch:
                self._lead(batch)
        if submission.error is not None:
            raise submission.error
        return submission.fresh

    def _refuse_too_many(self, count: int) -> None:
        if self._events + count > self._queue_events_max:
            raise Overloaded(Reason.OVERLOADED, "more lineage events wait than this server takes: retry")

    def _append(self, submission: _Submission) -> None:
        self._queue.append(submission)
        self._events += len(submission.received)
        self._shares.join(submission.origin.principal_id)

    def _wait(self, submission: _Submission, deadline: float) -> list[_Submission]:
        """Waits until the submission is done, or its caller is the one to record: then what to record."""
        with self._turn:
            while not submission.done and self._recording:
                arrived = self._turn.wait(max(0.01, deadline - monotonic()))
                if not arrived and submission in self._queue:
                    raise self._given_up(submission)
            if submission.done:
                return []
            if submission.fresh and submission in self._queue and monotonic() > deadline:
                raise self._given_up(submission)
            self._recording = True
            return [submission] if submission.alone else self._take()

    def _given_up(self, submission: _Submission) -> DeadlineExceeded:
        self._queue.remove(submission)
        self._events -= len(submission.received)
        return deadline_passed()

    def _take(self) -> list[_Submission]:
        """The first of those who took least so far. Events of who took more are in another transaction, however little they look like."""
        rank = min((self._rank(each) for each in self._queue), default=0)
        batch: list[_Submission] = []
        count = 0
        for submission in self._queue:
            if self._rank(submission) != rank:
                continue
            if batch and count + len(submission.received) > COMMIT_EVENTS_MAX:
                break
            count += len(submission.received)
            batch.append(submission)
        for submission in batch:
            self._queue.remove(submission)
        self._events -= count
        return batch

    def _rank(self, submission: _Submission) -> int:
        return self._shares.rank(submission.origin.principal_id)

    def _lead(self, batch: list[_Submission]) -> None:
        done = True
        try:
            self._commit(batch)
        except Exception as error:  # noqa: BLE001 - whoever submitted it raises it
            # What is nobody's doing is told to all. Anything else is some event's, and not for the caller who records to raise.
            if len(batch) > 1 and not isinstance(error, (Unavailable, DeadlineExceeded, ResourceExhausted)):
                done = False
            else:
                for submission in batch:
                    submission.error = error
        finally:
            with self._turn:
                for submission in batch:
                    submission.done = submission.error is not None or not submission.received
                    submission.alone = submission.alone or not done
                self._put_back([each for each in batch if not (each.done or each.alone)])
                self._recording = False
                if not self._queue:
                    self._shares.clear()
                self._turn.notify_all()

    def _put_back(self, batch: list[_Submission]) -> None:
        """What there was no budget for comes next, the rest of what was begun after whoever waits."""
        for submission in batch:
            if submission.fresh:
                self._append(submission)
        for submission in reversed(batch):
            if not submission.fresh:
                self._queue.appendleft(submission)
                self._events += len(submission.received)

    def _commit(self, batch: list[_Submission]) -> None:
        """Records calls of one origin that follow one another as one: most of what a call costs it costs once."""
        budget = Budget(COMMIT_WEIGHT_MAX)
        alike = [list(group) for _origin, group in groupby(batch, key=_origin)]
        told = self.transact(
            lambda store: [self._record(store, group, budget) for group in alike],
            deadline=monotonic() + RECORD_SECONDS_MAX,
        )
        for group, fresh in zip(alike, told, strict=True):
            rest = iter(fresh)
            for submission in group:
                done = list(islice(rest, len(submission.received)))
                submission.fresh += done
                submission.received = submission.received[len(done) :]

    def _record(self, store: LineageStore, group: Sequence[_Submission], budget: Budget) -> list[Fresh]:
        """Records calls of one origin, whose principal took that long."""
        origin, received = group[0].origin, [each for said in group for each in said.received]
        began = monotonic()
        try:
            return record(store, origin, received, group[-1].time, budget)
        finally:
            self._shares.took(origin.principal_id, monotonic() - began)

    def transact(self, work: Callable[[LineageStore], Result], *, deadline: float) -> Result:
        """What `work` gives, in a transaction of its own that holds lineage's head; committed unless it raises."""
        with self._database.transaction(deadline=deadline) as connection:
            store = LineageStore(connection, deadline=deadline)
            store.take()
            with self.turns.recording(deadline):
                done = work(store)
            store.keep_ids()
            connection.commit()
        return done


def _origin(submission: _Submission) -> tuple[object, ...]:
    """What calls have in common that can be recorded as one; snapshots are told apart by which they are."""
    *named, snapshot, own_hosts = submission.origin
    return (*named, id(snapshot), own_hosts)
