"""The decision log: denials and engine decisions, written in batches beside the authorization head.

Loss window: what was decided in the last `FLUSH_SECONDS` before a crash, and what a caller exceeds `PER_CALLER_PER_SECOND_MAX`
records with; both are stated in the documentation. Changes are never here: they are audited in their own transaction.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import Aborted, DeadlineExceeded, Unavailable
from lakewarden_server.pipeline.redaction import redacted_record
from lakewarden_server.storage.decisions import DecisionRecord, append_decisions
from lakewarden_server.storage.engine import Database

FLUSH_SECONDS = 1.0
BATCH_MAX = 500
QUEUE_MAX = 10_000
PER_CALLER_PER_SECOND_MAX = 100
CALLERS_MAX = 10_000
WRITE_SECONDS_MAX = 5.0

logger = logging.getLogger("lakewarden.decisions")


class DecisionLog:
    """One background thread that writes what `record` queued; `stop` writes the rest."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: deque[DecisionRecord] = deque(maxlen=QUEUE_MAX)
        self._used: dict[tuple[str, bool], int] = {}
        self._window = 0
        self.dropped = {"caller": 0, "queue": 0, "refused": 0}
        """Records left out: beyond a caller's share, for want of room in the queue, and refused by the database."""
        self._flushing = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lakewarden-decisions", daemon=True)

    def start(self) -> None:
        """Begins writing."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many records wait to be written."""
        return len(self._queue)

    def share(self, caller_id: str, *, refusal: bool, wanted: int) -> int:
        """How many records more the caller, who has `wanted`, may leave this second. Asked before records are made.

        Refusals of the caller have a share of their own, so that an engine's many answers do not hide them.
        """
        window = int(monotonic())
        if window != self._window or len(self._used) > CALLERS_MAX:
            self._window, self._used = window, {}
        share = PER_CALLER_PER_SECOND_MAX - self._used.get((caller_id, refusal), 0)
        if wanted > share:
            self.dropped["caller"] += wanted - max(share, 0)
        return share

    def record(self, records: Sequence[DecisionRecord], *, refusal: bool) -> None:
        """Queues records of one caller. Never blocks the call."""
        key = (records[0].actor_id, refusal)
        self._used[key] = self._used.get(key, 0) + len(records)
        self.dropped["queue"] += max(0, len(self._queue) + len(records) - QUEUE_MAX)
        self._queue.extend(records)

    def stop(self) -> None:
        """Writes what is queued and ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    def flush(self) -> None:
        """Writes everything queued so far; what another thread has begun to write is written then, too."""
        with self._flushing:
            self._flush()

    def _flush(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_MAX))]
            try:
                self._write(batch)
            except (Unavailable, DeadlineExceeded, Aborted) as error:
                # Kept for the next try; a full queue makes room for them by dropping its newest.
                self.dropped["queue"] += max(0, len(self._queue) + len(batch) - QUEUE_MAX)
                self._queue.extendleft(reversed(batch))
                logger.warning("%d decisions wait for the database: %s", len(self._queue), error.message)
                return
            except Exception:
                # One that can never be written must not keep the others waiting.
                logger.exception("a batch of decisions could not be written: trying them one by one")
                self._write_each(batch)

    def _write(self, batch: list[DecisionRecord]) -> None:
        with self._database.transaction(deadline=monotonic() + WRITE_SECONDS_MAX) as connection:
            append_decisions(connection, [redacted_record(record) for record in batch])
            connection.commit()

    def _write_each(self, batch: list[DecisionRecord]) -> None:
        for record in batch:
            try:
                self._write([record])
            except Exception:
                self.dropped["refused"] += 1
                logger.exception("the decision of request %s could not be written", record.request_id)

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            try:
                self.flush()
            except Exception:
                logger.exception("decisions could not be logged")
