"""Lineage of what a governed connection ran: a bounded queue of statements, and a thread that tells the server of them.

A statement is put here after it succeeded, and nothing that happens here reaches who ran it: what does not fit is dropped and
counted, and what the server does not take is logged.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakewarden._duckdb_binder import Table
from lakewarden._duckdb_parse import ascii_fold
from lakewarden._duckdb_rewrite import literal, quoted
from lakewarden._duckdb_volumes import Place
from lakewarden._errors import LakewardenError, PermissionDenied

QUEUE_STATEMENTS_MAX = 1_000
QUEUE_CHARACTERS_MAX = 10_000_000
"""Of the text of the statements that wait."""
FLUSH_SECONDS_MAX = 5.0
"""How long closing waits for what is still to be told."""
IDLE_SECONDS_MAX = 10.0
"""How long a thread waits for the next statement before it ends; one after that starts another."""
_LOGGER = logging.getLogger("lakewarden.duckdb")


class SqlRecorder(Protocol):
    """Who is told; `Client.lineage_events` is one."""

    def record_sql(
        self, sql: str, *, dialect: str, job_name: str, run_id: str, event_time: datetime
    ) -> object:
        """Record what SQL that was run read and wrote."""


class Copied(NamedTuple):
    """A COPY: the file it is about, its format, whether the file was written, and the columns that a COPY FROM lists."""

    place: Place
    file_format: str
    into_file: bool
    columns: tuple[str, ...] = ()


class Ran(NamedTuple):
    """A statement that succeeded: its text, the tables that names mean in it by the place of their first character, and when."""

    sql: str
    tables: Mapping[int, tuple[Table, str]]
    """The DuckDB table and its full name in Lakewarden."""
    target: tuple[Table, str] | None
    run_id: str
    time: datetime
    copied: Copied | None = None
    """Where it was a COPY; `sql` is the query then whose rows a file was made of, and `target` what a file was read into."""


class SqlLineage:
    """The statements of one governed database, on their way. For any number of threads."""

    def __init__(
        self,
        recorder: SqlRecorder,
        *,
        job_name: str = "",
        queue_statements_max: int = QUEUE_STATEMENTS_MAX,
    ) -> None:
        self._recorder = recorder
        self._job_name = job_name
        self._queue_statements_max = queue_statements_max
        self._changed = threading.Condition()
        self._queue: deque[Ran] = deque()
        self._characters = 0
        self._telling = False
        self._closed = False
        self._refused = False
        self._thread: threading.Thread | None = None
        self.recorded = 0
        """Statements that the server was told of."""
        self.failed = 0
        """Statements that it did not take."""
        self.dropped = 0
        """Statements that found the queue full, or that could not be told before the end."""

    def add(
        self,
        sql: str,
        tables: Mapping[int, tuple[Table, str]],
        target: tuple[Table, str] | None,
        copied: Copied | None = None,
    ) -> None:
        """Take a statement that has succeeded just now. Neither waits nor raises."""
        ran = Ran(sql, tables, target, str(uuid4()), datetime.now(UTC), copied)
        with self._changed:
            if self._refused:
                self.failed += 1
                return
            full = len(self._queue) >= self._queue_statements_max
            if not (self._closed or full or self._characters + len(sql) > QUEUE_CHARACTERS_MAX):
                self._queue.append(ran)
                self._characters += len(sql)
                self._start()
                self._changed.notify_all()
                return
            self.dropped += 1
            first = self.dropped == 1
        if first:
            _LOGGER.warning("lineage is not recorded of all statements: more wait than are kept")

    def flush(self, timeout_seconds: float = FLUSH_SECONDS_MAX) -> bool:
        """Wait until the server was told of all statements so far; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._telling, timeout_seconds)

    def close(self, timeout_seconds: float = FLUSH_SECONDS_MAX) -> None:
        """Flush, and take no more; what cannot be told in time is dropped."""
        until = time.monotonic() + timeout_seconds
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self.flush(max(0.0, until - time.monotonic()))
        with self._changed:
            self.dropped += len(self._queue)
            self._queue.clear()
            dropped, failed = self.dropped, self.failed
        if dropped or failed > 1:
            _LOGGER.warning("lineage of %d statements was dropped and of %d not taken", dropped, failed)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._tell, name="lakewarden-lineage", daemon=True)
            # Of whoever ends without closing the server is told all the same.
            atexit.register(self.close)
            self._thread.start()

    def _tell(self) -> None:
        while True:
            with self._changed:
                self._telling = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue or self._closed, IDLE_SECONDS_MAX)
                if not self._queue:
                    self._thread = None
                    atexit.unregister(self.close)
                    return
                ran = self._queue.popleft()
                self._characters -= len(ran.sql)
                self._telling = True
            self._record(ran)

    def _record(self, ran: Ran) -> None:
        try:
            self._recorder.record_sql(
                in_full(ran) if ran.copied is None else self._copy_in_full(ran, ran.copied),
                dialect="duckdb",
                job_name=self._job_name,
                run_id=ran.run_id,
                event_time=ran.time,
            )
        except (LakewardenError, SqlglotError, RecursionError, ValueError) as error:
            # A ValueError is gRPC's word for a channel that was closed before.
            self._fail(error)
        else:
            self.recorded += 1

    def _copy_in_full(self, ran: Ran, copied: Copied) -> str:
        url = literal(_path(copied.place))
        if ran.target is None:
            return f"COPY ({in_full(ran)}) TO {url}"
        columns = f" ({', '.join(map(quoted, copied.columns))})" if copied.columns else ""
        table = ".".join(map(quoted, ran.target[1].split(".")))
        return f"COPY {table}{columns} FROM {url} (FORMAT {copied.file_format})"

    def _fail(self, error: Exception) -> None:
        self.failed += 1
        if self.failed == 1:
            _LOGGER.warning("lineage is not recorded: %s", error)
        if isinstance(error, PermissionDenied):
            # Asked again it would say the same, and each denial is a line of the server's decision log.
            with self._changed:
                self._refused = True
                self.failed += len(self._queue)
                self._queue.clear()


def in_full(ran: Ran) -> str:
    """The statement with every table by its full name in Lakewarden, in the place of DuckDB's. Raises SqlglotError."""
    root = sqlglot.parse_one(ran.sql, dialect="duckdb")
    target = root.this.this if isinstance(root.this, exp.Schema) else root.this
    columns = list(root.find_all(exp.Column))
    for table in list(root.find_all(exp.Table)):
        meant = ran.target if ran.target and table is target else ran.tables.get(_start(table))
        if meant is not None:
            _name(table, meant[1].split("."), ("catalog", "db", "this"))
    known = set(ran.tables.values()) | ({ran.target} if ran.target else set())
    for column in columns:
        qualifier = [part.name for key in ("catalog", "db", "table") if (part := column.args.get(key))]
        found = [full_name for table, full_name in known if _means(qualifier, table)]
        if len(qualifier) > 1 and len(found) == 1:
            _name(column, found[0].split("."), ("catalog", "db", "table"))
    return root.sql(dialect="duckdb")


def _start(table: exp.Expr) -> int:
    first = next((part for key in ("catalog", "db", "this") if (part := table.args.get(key))), None)
    return int(first.meta.get("start", -1)) if isinstance(first, exp.Identifier) else -1


def _name(node: exp.Expr, parts: list[str], keys: tuple[str, ...]) -> None:
    for key, part in zip(keys, parts, strict=True):
        node.set(key, exp.to_identifier(part, quoted=True))


def _means(qualifier: list[Any], table: Table) -> bool:
    """Whether `s.t` or `d.s.t` before a column is this table; `d.t` too, as DuckDB reads it."""
    parts = tuple(map(ascii_fold, qualifier))
    database, schema, name = table.key
    return parts in ((database, schema, name), (schema, name), (database, name))


def _path(place: Place) -> str:
    """The file by its volume, which the server knows also where who tells does not see it."""
    return f"/Volumes/{place.volume.replace('.', '/')}/{place.below}"
