"""Takes events from many calls at once and records them in common transactions: one commit answers all who waited for it.

Whoever finds nobody recording does it for everybody in the queue; there is no thread of its own. A call is answered after its
events are committed, never before.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded, Overloaded, Reason, ResourceExhausted, Unavailable
from lakewarden_server.lineage.recording import Origin, Received, record
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.repositories.lineage import LineageStore

QUEUE_EVENTS_MAX: Final = 10_000
"""Events that wait to be recorded; what OpenLineage's Python client holds too."""
COMMIT_EVENTS_MAX: Final = 200
"""Events of one transaction: a tenth of a second, after which on SQLite whoever else has something to write has a turn."""
RECORD_SECONDS_MAX: Final = 10.0


@dataclass(eq=False)
class _Submission:
    """The events of one call, and how they fared."""

    origin: Origin
    received: Sequence[Received]
    time: datetime
    fresh: list[bool] = field(default_factory=list)
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

    @property
    def waiting(self) -> int:
        """How many events wait to be recorded."""
        return self._events

    def record(
        self, origin: Origin, received: Sequence[Received], *, time: datetime, deadline: float
    ) -> list[bool]:
        """Records events; of each, whether it was new. `deadline` is in monotonic seconds.

        Raises Overloaded at once when too many wait, DeadlineExceeded, and what a transaction can raise; some of the events may be
        recorded then, and sending them all again does no harm.
        """
        fresh: list[bool] = []
        for start in range(0, len(received), COMMIT_EVENTS_MAX):
            part = received[start : start + COMMIT_EVENTS_MAX]
            fresh += self._submit(_Submission(origin, part, time), deadline)
        return fresh

    def _submit(self, submission: _Submission, deadline: float) -> list[bool]:
        count = len(submission.received)
        with self._turn:
            if self._events + count > self._queue_events_max:
                raise Overloaded(Reason.OVERLOADED, "more lineage events wait than this server takes: retry")
            self._queue.append(submission)
            self._events += count
        while not submission.done:
            batch = self._wait(submission, deadline)
            if batch:
                self._lead(batch)
        if submission.error is not None:
            raise submission.error
        return submission.fresh

    def _wait(self, submission: _Submission, deadline: float) -> list[_Submission]:
        """Waits until the submission is done, or its caller is the one to record: then what to record."""
        with self._turn:
            while not submission.done and self._recording:
                arrived = self._turn.wait(max(0.01, deadline - monotonic()))
                if not arrived and submission in self._queue:
                    self._queue.remove(submission)
                    self._events -= len(submission.received)
                    raise deadline_passed()
            if submission.done:
                return []
            self._recording = True
            return [submission] if submission.alone else self._take()

    def _take(self) -> list[_Submission]:
        batch: list[_Submission] = []
        count = 0
        while self._queue and (not batch or count + len(self._queue[0].received) <= COMMIT_EVENTS_MAX):
            submission = self._queue.popleft()
            count += len(submission.received)
            batch.append(submission)
        self._events -= count
        return batch

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
                    submission.done, submission.alone = done, not done
                self._recording = False
                self._turn.notify_all()

    def _commit(self, batch: list[_Submission]) -> None:
        with self._database.transaction(deadline=monotonic() + RECORD_SECONDS_MAX) as connection:
            store = LineageStore(connection)
            store.take()
            for submission in batch:
                submission.fresh = record(store, submission.origin, submission.received, submission.time)
            store.keep_ids()
            connection.commit()
