"""One transaction per RPC: what the pipeline opens, services work in, and only the pipeline commits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from lakewarden_policy.records import Head
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import audit, idempotency
from lakewarden_server.storage.audit import AuditRecord
from lakewarden_server.storage.change_log import Stamp, WriteSession
from lakewarden_server.storage.errors import DatabaseErrors, deadline_passed, translate
from lakewarden_server.storage.head import TakenHead
from lakewarden_server.storage.idempotency import RequestKey

StepHook = Callable[[str], None]
"""Called with the name of each step a transaction has reached; crash tests stop the process there."""


NEWEST = "newest_revision"
"""Where a read session notes the newest revision among the rows it loaded."""


class UnitOfWork:
    """One open transaction. Everything read through it is one consistent state.

    `head` is the state it sees, or, for a write, the one it makes; `previous` is the state it began on; `time` is the
    database's clock; `deadline` is in monotonic seconds.
    """

    def __init__(
        self, session: Session, *, head: Head, previous: Head, time: datetime, deadline: float
    ) -> None:
        self.session = session
        self.head = head
        self.previous = previous
        self.time = time
        self.deadline = deadline

    @property
    def connection(self) -> Connection:
        """The connection of this transaction, for Core statements that only read."""
        return self.session.connection()

    @property
    def newest_revision(self) -> int:
        """The newest revision among the change-logged rows read so far, 0 before the first."""
        newest: int = self.session.info.get(NEWEST, 0)
        return newest

    @property
    def revision(self) -> int:
        """The revision of `head`."""
        return self.head.revision


class WriteUnit(UnitOfWork):
    """A write transaction that holds the head row: it becomes revision `head.revision` if it commits.

    Leaving it without `commit` rolls everything back.
    """

    def __init__(
        self, connection: Connection, *, taken: TakenHead, stamp: Stamp, deadline: float, on_step: StepHook
    ) -> None:
        self._logged = WriteSession(connection, stamp)
        super().__init__(
            self._logged, head=taken.head, previous=taken.previous, time=taken.time, deadline=deadline
        )
        self.committed = False
        self._connection = connection
        self._stamp = stamp
        self._on_step = on_step
        self._audit: list[AuditRecord] = []

    @property
    def has_changes(self) -> bool:
        """Whether anything that was flushed stands in the change log."""
        return self._logged.position > 0

    def audit(self, record: AuditRecord) -> None:
        """Adds a record to the audit chain; it is written just before COMMIT, in this transaction."""
        self._audit.append(record)

    def recall(self, *, method: str, request_id: str, payload_hash: str) -> bytes | None:
        """The response this actor's request got before, or None; see `idempotency.recall` for what it refuses."""
        key = RequestKey(self._stamp.actor_id, method, request_id)
        return idempotency.recall(self._connection, key, payload_hash=payload_hash, time=self.time)

    def remember(self, *, method: str, request_id: str, payload_hash: str, response: bytes) -> None:
        """Stores the response for a retry of the same request; it becomes visible with the change itself."""
        idempotency.remember(
            self._connection,
            RequestKey(self._stamp.actor_id, method, request_id),
            payload_hash=payload_hash,
            response=response,
            revision=self.head.revision,
            time=self.time,
        )

    def commit(self) -> None:
        """Writes what is pending, closes the change log and the audit, and commits; returns once it is durable.

        Raises DeadlineExceeded instead of committing for a caller who has gone, and Unavailable when the connection
        was lost during COMMIT, so that nobody knows whether it was stored.
        """
        self._logged.flush()
        self._logged.record_commit()
        self._on_step("data_written")
        audit.append(self._connection, self._audit, revision=self.head.revision, time=self.time)
        self._on_step("audit_written")
        if monotonic() >= self.deadline:
            raise deadline_passed()
        try:
            self._connection.commit()
        except DatabaseErrors as error:
            raise translate(error, deadline=self.deadline, committing=True) from error
        self.committed = True
        self._on_step("committed")
