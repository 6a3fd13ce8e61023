"""The one translation from database errors to ours. Driver text stays in the exception's cause, for the log."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    LakewardenError,
    Reason,
    ResourceExhausted,
    Unavailable,
)


class _NotInstalled(Exception):
    """Stands for psycopg's errors where the extra `postgres` is not installed; never raised."""


def _psycopg_errors() -> tuple[type[Exception], type[Exception]]:
    try:
        import psycopg
    except ModuleNotFoundError:
        return _NotInstalled, _NotInstalled
    return psycopg.Error, psycopg.DataError


_PsycopgError, _PsycopgDataError = _psycopg_errors()

DatabaseErrors: tuple[type[Exception], ...] = (SQLAlchemyError, sqlite3.Error, _PsycopgError)
"""Everything a statement can raise, through SQLAlchemy or from the driver of a held connection."""

NAMED_TABLES = frozenset({"securables", "principals", "columns"})

_SQLITE_UNIQUE_TABLE = re.compile(r"UNIQUE constraint failed: (\w+)\.")
_SQLITE_KINDS = {
    "SQLITE_FULL": "full",
    "SQLITE_BUSY": "lock",
    "SQLITE_LOCKED": "lock",
    "SQLITE_INTERRUPT": "lock",
    "SQLITE_CONSTRAINT_UNIQUE": "unique",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "unique",
    "SQLITE_CONSTRAINT_ROWID": "unique",
    "SQLITE_CONSTRAINT_FOREIGNKEY": "conflict",
    "SQLITE_IOERR": "lost",
    "SQLITE_CANTOPEN": "lost",
    "SQLITE_NOTADB": "lost",
    "SQLITE_CORRUPT": "lost",
    "SQLITE_READONLY": "lost",
    "SQLITE_PROTOCOL": "lost",
}
_POSTGRESQL_KINDS = {
    "53100": "full",
    "55P03": "lock",
    "57014": "lock",
    "23505": "unique",
    "23503": "conflict",
    "40001": "conflict",
    "40P01": "conflict",
    "25006": "lost",
    "25P03": "lost",
    "57P05": "lost",
}


def translate(
    error: BaseException, *, deadline: float | None = None, committing: bool = False
) -> LakewardenError:
    """The error a caller may see for a database error.

    `deadline` (monotonic seconds) tells a lock wait that used up the caller's time from one that only hit our own
    limit; `committing` says the error came from COMMIT, where a lost connection leaves the outcome unknown.
    """
    if isinstance(error, LakewardenError):
        return error
    if isinstance(error, StaleDataError):
        return Aborted(
            Reason.CONCURRENT_CHANGE, "The object was changed or deleted meanwhile. Read it, then retry."
        )
    if isinstance(error, PoolTimeout):
        return Unavailable(Reason.STORAGE_UNAVAILABLE, "No database connection became free in time. Retry.")
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return _by_kind("lost", cause, deadline, committing)
    return _by_kind(_kind(cause), cause, deadline, committing)


def _kind(cause: BaseException | None) -> str:
    if isinstance(cause, sqlite3.Error):
        name = getattr(cause, "sqlite_errorname", "") or ""
        # Extended codes refine a primary one: SQLITE_BUSY_SNAPSHOT is a SQLITE_BUSY.
        return _SQLITE_KINDS.get(name) or _SQLITE_KINDS.get("_".join(name.split("_")[:2]), "bug")
    if isinstance(cause, _PsycopgError):
        code: str | None = getattr(cause, "sqlstate", None)
        if code is None:
            return "text" if isinstance(cause, _PsycopgDataError) else "lost"
        return _POSTGRESQL_KINDS.get(code) or ("lost" if code[:2] in {"08", "53", "57", "58"} else "bug")
    return "bug"


def _by_kind(
    kind: str, cause: BaseException | None, deadline: float | None, committing: bool
) -> LakewardenError:
    if kind == "lock":
        return _waited(deadline)
    if kind == "unique":
        return _taken(cause)
    if kind == "conflict":
        return Aborted(
            Reason.CONCURRENT_CHANGE, "The call lost against a concurrent change. Read again, then retry."
        )
    if kind == "full":
        return ResourceExhausted(
            Reason.STORAGE_FULL, "The database is out of space; reads go on. Tell the operator."
        )
    if kind == "text":
        return InvalidArgument(Reason.FIELD_INVALID, "A text contains a NUL character. Remove it.")
    if kind == "lost" and committing:
        return Unavailable(
            Reason.STORAGE_UNAVAILABLE,
            "The database was lost while committing: the change may or may not be stored. Retry with the same request id.",
        )
    if kind == "lost":
        return Unavailable(Reason.STORAGE_UNAVAILABLE, "The database cannot be reached. Retry.")
    return Internal(Reason.INTERNAL_ERROR, "The database refused a statement.")


def _waited(deadline: float | None) -> LakewardenError:
    if deadline is not None and monotonic() >= deadline - 0.005:
        return deadline_passed()
    return Unavailable(Reason.STORAGE_UNAVAILABLE, "The database did not answer in time. Retry.")


def deadline_passed() -> DeadlineExceeded:
    """The error of a call whose time ran out before its COMMIT: nothing was stored."""
    return DeadlineExceeded(Reason.DEADLINE_PASSED, "The deadline passed before the change was stored.")


def _taken(cause: BaseException | None) -> LakewardenError:
    table = _unique_table(cause)
    if table in NAMED_TABLES:
        return AlreadyExists(
            Reason.NAME_TAKEN, "An object of that name already exists there. Choose another name."
        )
    if table == "bootstrap":
        return FailedPrecondition(
            Reason.ALREADY_INITIALIZED,
            "The first administrator has already been made: log in, or run `lakewarden-server recover --admin EMAIL` for a lost token.",
        )
    return Aborted(
        Reason.CONCURRENT_CHANGE, "The call lost against a concurrent change. Read again, then retry."
    )


def _unique_table(cause: BaseException | None) -> str | None:
    """The table whose name or single row was taken; None for a duplicate id, which is no taken name."""
    if isinstance(cause, _PsycopgError):
        diagnostics: Any = getattr(cause, "diag", None)
        table, is_id = diagnostics.table_name, (diagnostics.constraint_name or "").startswith("pk_")
    else:
        match = _SQLITE_UNIQUE_TABLE.search(str(cause))
        table = match.group(1) if match else None
        is_id = getattr(cause, "sqlite_errorname", "") != "SQLITE_CONSTRAINT_UNIQUE"
    return None if is_id and table in NAMED_TABLES else table
