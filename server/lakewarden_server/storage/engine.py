"""The database as the rest of the server sees it: a head to read, transactions to open, nothing else."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime

from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session

from lakewarden_policy.records import Head
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import Internal, LakewardenError, Reason
from lakewarden_server.entities import ChangeLogged
from lakewarden_server.storage.change_log import Stamp
from lakewarden_server.storage.connections import (
    LOCK_TIMEOUT_MILLISECONDS,
    SQLITE_BUSY_MILLISECONDS,
    STATEMENT_TIMEOUT_MILLISECONDS,
    Engines,
    create_engines,
    open_file,
)
from lakewarden_server.storage.errors import DatabaseErrors, deadline_passed, translate
from lakewarden_server.storage.head import HeadReader, read_head, take_head
from lakewarden_server.storage.locks import FairLock, FileLock
from lakewarden_server.storage.unit_of_work import NEWEST, StepHook, UnitOfWork, WriteUnit

POOL_SIZE = 20
READ_SECONDS = 10.0


def _ignore(_step: str) -> None:
    """The hook of production: nobody listens."""


def create_database(url: str, *, pool_size: int = POOL_SIZE, on_step: StepHook = _ignore) -> Database:
    """Opens a database by URL: `sqlite:///path/to/file` or `postgresql://…`; connects only when first used.

    `pool_size` bounds the readers: one for each thread that may hold a read, and one to rebuild the snapshot. `on_step` lets a crash test stop the process
    between the steps of a write.
    """
    return Database(create_engines(url, pool_size=pool_size), on_step=on_step)


class Database:
    """Engines, the writers' queue and the head's held connections; safe to share between threads."""

    def __init__(self, engines: Engines, *, on_step: StepHook = _ignore) -> None:
        self.engines = engines
        self.dialect = engines.dialect
        self._on_step = on_step
        self._writers = FairLock()
        self._file_lock = (
            FileLock(engines.path.with_name(f"{engines.path.name}-writer")) if engines.path else None
        )
        self._head = HeadReader(engines.reader, engines.dialect)
        self.errors: Counter[str] = Counter()
        """How often the database failed, by the reason callers were told."""
        self._counting = threading.Lock()

    def head(self) -> tuple[Head, datetime]:
        """The head and the database's time now, on this thread's held connection. Raises Unavailable."""
        try:
            return self._head.read()
        except LakewardenError as error:
            self._count(error)
            raise

    @contextmanager
    def read(self, *, deadline: float | None = None) -> Iterator[UnitOfWork]:
        """A read-only transaction, whole at one revision; `deadline` in monotonic seconds, 10 s from now if absent."""
        deadline = monotonic() + READ_SECONDS if deadline is None else deadline
        with self._translated(deadline), self.engines.reader.connect() as connection, connection.begin():
            milliseconds = None
            if self.dialect == "postgresql":
                milliseconds = _milliseconds_left(deadline, STATEMENT_TIMEOUT_MILLISECONDS)
            head, time = read_head(connection, timeout_milliseconds=milliseconds)
            with _ReadSession(
                bind=connection, autoflush=False, join_transaction_mode="rollback_only"
            ) as session:
                yield UnitOfWork(session, head=head, previous=head, time=time, deadline=deadline)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only transaction of as long as it takes, for what copies or verifies a whole database."""
        with self._translated(None), self.engines.reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(
        self, *, deadline: float, request_id: str, actor_id: str, policy_digest: str
    ) -> Iterator[WriteUnit]:
        """A write transaction that takes the head before anything else; it is rolled back unless committed.

        Raises, besides what `errors.translate` lists, DeadlineExceeded while it waits for its turn.
        """
        with self.transaction(deadline=deadline) as connection:
            self._on_step("begun")
            taken = take_head(connection)
            self._on_step("head_taken")
            stamp = Stamp(taken.head, taken.time, actor_id, request_id, policy_digest)
            unit = WriteUnit(connection, taken=taken, stamp=stamp, deadline=deadline, on_step=self._on_step)
            try:
                yield unit
            finally:
                unit.session.close()

    @contextmanager
    def transaction(self, *, deadline: float) -> Iterator[Connection]:
        """A short write transaction without the head, for what changes no decision; rolled back unless committed."""
        with self._translated(deadline), self._turn(deadline), self.engines.writer.connect() as connection:
            if self.dialect == "sqlite":
                _limit_busy_wait(connection, deadline)
            with _rolled_back(connection):
                if self.dialect == "postgresql":
                    _limit_transaction(connection, deadline)
                yield connection
            if (file := open_file(connection.info)) is not None and file.is_replaced:
                # What was committed to a file that nobody reads any more must not be acknowledged.
                raise DisconnectionError("the database file was replaced")

    def close(self) -> None:
        """Closes every connection; on SQLite the writer last, so that it is the one that checkpoints."""
        self._head.close()
        self.engines.reader.dispose()
        self.engines.writer.dispose()
        if self._file_lock is not None:
            self._file_lock.close()

    def _turn(self, deadline: float) -> AbstractContextManager[None]:
        return self._queue(deadline) if self.dialect == "sqlite" else nullcontext()

    @contextmanager
    def _queue(self, deadline: float) -> Iterator[None]:
        assert self._file_lock is not None
        if not self._writers.acquire(deadline):
            raise deadline_passed()
        try:
            if not self._file_lock.acquire(deadline):
                raise deadline_passed()
            try:
                yield
            finally:
                self._file_lock.release()
        finally:
            self._writers.release()

    @contextmanager
    def _translated(self, deadline: float | None) -> Iterator[None]:
        try:
            yield
        except DatabaseErrors as error:
            translated = translate(error, deadline=deadline)
            self._count(translated)
            raise translated from error
        except LakewardenError as error:
            # A failed COMMIT was translated where it was known to be one.
            if isinstance(error.__cause__, DatabaseErrors):
                self._count(error)
            raise

    def _count(self, error: LakewardenError) -> None:
        with self._counting:
            self.errors[error.reason] += 1


@contextmanager
def _rolled_back(connection: Connection) -> Iterator[None]:
    """Begins a transaction and rolls back whatever was not committed, also when the body raised."""
    transaction = connection.begin()
    try:
        yield
    finally:
        if transaction.is_active:
            transaction.rollback()
        elif not connection.invalidated:
            # SQLite keeps the transaction open when COMMIT fails, SQLAlchemy thinks it is over, and the next BEGIN
            # on this connection would fail for ever. After a successful COMMIT this does nothing.
            connection.connection.rollback()


def _limit_busy_wait(connection: Connection, deadline: float) -> None:
    """Bounds the wait of BEGIN IMMEDIATE for another process that holds the file."""
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute(f"PRAGMA busy_timeout = {_milliseconds_left(deadline, SQLITE_BUSY_MILLISECONDS)}")


def _limit_transaction(connection: Connection, deadline: float) -> None:
    """Bounds lock waits and statements of this transaction by the caller's deadline, in one round trip."""
    connection.execute(
        select(
            func.set_config(
                "lock_timeout", str(_milliseconds_left(deadline, LOCK_TIMEOUT_MILLISECONDS)), text("true")
            ),
            func.set_config(
                "statement_timeout",
                str(_milliseconds_left(deadline, STATEMENT_TIMEOUT_MILLISECONDS)),
                text("true"),
            ),
        )
    )


def _milliseconds_left(deadline: float, limit: int) -> int:
    """What is left until the deadline, at most `limit`; raises DeadlineExceeded when nothing is."""
    left = int((deadline - monotonic()) * 1_000)
    if left <= 0:
        raise deadline_passed()
    return min(left, limit)


class _ReadSession(Session):
    """A session that refuses to write: a change in a read would be lost without a word."""


@event.listens_for(_ReadSession, "loaded_as_persistent")
def _note_revision(session: Session, entity: object) -> None:
    if isinstance(entity, ChangeLogged):
        session.info[NEWEST] = max(session.info.get(NEWEST, 0), entity.revision)


@event.listens_for(_ReadSession, "before_flush")
def _refuse_flush(session: Session, _context: object, _instances: object) -> None:
    if session.new or session.deleted or any(session.is_modified(entity) for entity in session.dirty):
        raise Internal(Reason.INTERNAL_ERROR, "a read transaction was asked to write")
