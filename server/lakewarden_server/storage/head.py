"""The head row: the revision everybody agrees on, with its epoch, its nonce and the database's clock."""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, bindparam, func, literal, select, update
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from lakewarden_policy.records import Head
from lakewarden_server.core.clock import time_at
from lakewarden_server.core.errors import Reason, Unavailable
from lakewarden_server.core.ids import new_id, new_nonce
from lakewarden_server.entities import AuthzHead, ChangeLog, UtcDateTime
from lakewarden_server.storage.connections import OpenFile, open_file
from lakewarden_server.storage.errors import DatabaseErrors


class DatabaseNow(FunctionElement[datetime]):
    """The database's clock: one clock for all replicas, so that a skewed one cannot stretch a token's life."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(DatabaseNow, "sqlite")
def _now_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


@compiles(DatabaseNow, "postgresql")
def _now_on_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return "clock_timestamp()"


class TakenHead(NamedTuple):
    """What a writer holds after taking the head row: its own revision, the one before, and the database's time."""

    head: Head
    previous: Head
    time: datetime


_head = AuthzHead.__table__.c
_READ = select(_head.epoch, _head.revision, _head.nonce, DatabaseNow())
_READ_WITH_TIMEOUT = _READ.add_columns(
    func.set_config("statement_timeout", bindparam("milliseconds"), literal(True))
)
_TAKE = (
    update(AuthzHead)
    .where(_head.id == 1)
    .values(revision=_head.revision + 1, previous_nonce=_head.nonce, nonce=bindparam("new_nonce"))
    .returning(_head.epoch, _head.revision, _head.nonce, _head.previous_nonce, DatabaseNow())
)

_DRIVER_TEXT = {
    "sqlite": "SELECT epoch, revision, nonce, strftime('%Y-%m-%d %H:%M:%f', 'now') FROM authz_head",
    "postgresql": (
        "SELECT epoch, revision, nonce, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM authz_head"
    ),
}
_PREPARED = b"lakewarden_head"
_TUPLES_OK = 2
"""libpq's PGRES_TUPLES_OK."""


def read_head(connection: Connection, *, timeout_milliseconds: int | None = None) -> tuple[Head, datetime]:
    """The head and the database's time in one statement, which also fixes the snapshot of a read transaction.

    `timeout_milliseconds` (PostgreSQL only) bounds every statement of the transaction without another round trip.
    """
    if timeout_milliseconds is None:
        row = connection.execute(_READ).one()
    else:
        row = connection.execute(_READ_WITH_TIMEOUT, {"milliseconds": str(timeout_milliseconds)}).one()
    return Head(row[0], row[1], row[2]), row[3]


def take_head(connection: Connection) -> TakenHead:
    """Takes the head row's lock and the next revision in one statement: revision order is commit order.

    A sequence would hand out numbers outside the lock, and a reader of `revision > last` would miss late committers.
    """
    epoch, revision, nonce, previous_nonce, time = connection.execute(_TAKE, {"new_nonce": new_nonce()}).one()
    return TakenHead(Head(epoch, revision, nonce), Head(epoch, revision - 1, previous_nonce), time)


def renew_epoch(connection: Connection) -> str:
    """Declares this database another history: after a restore, and for a copy of a template. Returns the epoch.

    The revision stays, and its nonce becomes the one the change log has for it, so that the history goes on from here whole.
    """
    epoch = new_id()
    revision = connection.execute(select(_head.revision)).scalar_one()
    logged = nonce_of(connection, revision)
    connection.execute(update(AuthzHead).values(epoch=epoch, nonce=_head.nonce if logged is None else logged))
    return epoch


def nonce_of(connection: Connection, revision: int) -> str | None:
    """The nonce a revision was committed with; None for one the log does not hold (that of the migrations)."""
    statement = select(ChangeLog.nonce).where(ChangeLog.revision == revision).limit(1)
    return connection.execute(statement).scalar_one_or_none()


class HeadReader:
    """Reads the head on a connection held per thread, outside any transaction: what every request does first.

    Text goes straight to the driver: through SQLAlchemy the same read costs three times as much (a pool checkout and
    a transaction's round trips), and it is paid by every Check.
    """

    def __init__(self, engine: Engine, dialect: str) -> None:
        self._engine = engine
        self._text = _DRIVER_TEXT[dialect]
        self._sqlite = dialect == "sqlite"
        self._local = threading.local()
        self._held: weakref.WeakSet[_Held] = weakref.WeakSet()

    def read(self) -> tuple[Head, datetime]:
        """The head as of now; a connection that broke since the last call is replaced once.

        Raises Unavailable when the database does not answer.
        """
        held: _Held | None = getattr(self._local, "held", None)
        if held is not None:
            try:
                return self._ask(held)
            except DatabaseErrors:
                self._drop()
        try:
            return self._ask(self._connect())
        except DatabaseErrors as error:
            self._drop()
            raise Unavailable(Reason.STORAGE_UNAVAILABLE, "The database cannot be reached. Retry.") from error

    def close(self) -> None:
        """Closes the connections of all threads."""
        for held in list(self._held):
            held.close()

    def _ask(self, held: _Held) -> tuple[Head, datetime]:
        if held.file is not None and held.file.is_replaced:
            # Asked of the old file, the head would never move again.
            raise DisconnectionError("the database file was replaced")
        answer = self._ask_sqlite(held.connection) if self._sqlite else _ask_libpq(held.connection.pgconn)
        if answer is None:
            raise Unavailable(Reason.STORAGE_UNAVAILABLE, "The database has no head row: run its migrations.")
        return answer

    def _ask_sqlite(self, connection: Any) -> tuple[Head, datetime] | None:
        row = connection.execute(self._text).fetchone()
        if row is None:
            return None
        epoch, revision, nonce, time = row
        return Head(epoch, revision, nonce), datetime.fromisoformat(time).replace(tzinfo=UTC)

    def _connect(self) -> _Held:
        pooled = self._engine.raw_connection()
        connection: Any = pooled.dbapi_connection
        file = open_file(pooled.info)
        # Detached: held for the thread's life, it must not use up a place in the readers' pool.
        pooled.detach()
        if not self._sqlite:
            connection.autocommit = True
            connection.pgconn.prepare(_PREPARED, self._text.encode())
        held = _Held(connection, file)
        self._local.held = held
        self._held.add(held)
        return held

    def _drop(self) -> None:
        held: _Held | None = getattr(self._local, "held", None)
        self._local.held = None
        if held is not None:
            held.close()


def _ask_libpq(connection: Any) -> tuple[Head, datetime] | None:
    """The head by one round trip of libpq: psycopg's cursor around the same statement costs as much again."""
    result = connection.exec_prepared(_PREPARED, None)
    if result.status != _TUPLES_OK:
        raise DisconnectionError(f"the head could not be read: {result.status}")
    if result.ntuples == 0:
        return None
    epoch, revision, nonce, microseconds = (result.get_value(0, column) for column in range(4))
    time = time_at(int(microseconds))
    return Head(epoch.decode(), int(revision), nonce.decode()), time


class _Held:
    """One thread's connection; goes with its thread, or with the reader."""

    def __init__(self, connection: Any, file: OpenFile | None) -> None:
        self.connection = connection
        self.file = file

    def close(self) -> None:
        """Closes quietly: a broken connection has nothing left to say."""
        with suppress(*DatabaseErrors):
            self.connection.close()

    def __del__(self) -> None:
        # A pool's threads end before the database is closed; their connections would stay open on the server until then.
        self.close()
