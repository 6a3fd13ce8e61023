"""Builds the SQLAlchemy engines: one for writers, one for readers, each connection set up and asserted.

Readers and writers have pools of their own, so that writers queueing for the head never starve a read.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import FailedPrecondition, InvalidArgument, Reason, Unavailable

SQLITE_BUSY_MILLISECONDS = 5_000
SQLITE_WAL_SWITCH_SECONDS = 10.0
SQLITE_WRITER_CACHE_KIB = 32_768
"""Of pages of the one writing connection of a process. A batch of lineage changes a thousand, of 4 KiB; with SQLite's own 2 MB they would
be written before the transaction ends, read back and written again."""
POOL_TIMEOUT_SECONDS = 5.0
WRITERS_MAX = 15
"""One for each thread that writes, urgent ones included, and three for what the server itself writes, lineage among it."""
CONNECT_TIMEOUT_SECONDS = 5
LOCK_TIMEOUT_MILLISECONDS = 2_000
STATEMENT_TIMEOUT_MILLISECONDS = 5_000
IDLE_IN_TRANSACTION_MILLISECONDS = 10_000
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "fuse.sshfs"}
)


class Engines(NamedTuple):
    """`writer` begins write transactions, `reader` read-only ones; `path` is SQLite's file."""

    dialect: str
    writer: Engine
    reader: Engine
    path: Path | None


def create_engines(url: str, *, pool_size: int) -> Engines:
    """Engines for `sqlite:///path/to/file` or `postgresql://…` (psycopg 3); `pool_size` bounds the readers' pool.

    Raises InvalidArgument for a URL that names neither, and for a SQLite database in memory: it would be another
    database in every connection, and lost with the process.
    """
    parsed = make_url(url)
    dialect = parsed.get_backend_name()
    if dialect == "sqlite":
        return _sqlite_engines(parsed, pool_size=pool_size)
    if dialect == "postgresql":
        return _postgresql_engines(parsed, pool_size=pool_size)
    raise InvalidArgument(
        Reason.FIELD_INVALID, f"Database {dialect!r} is not supported: use sqlite or postgresql."
    )


def _sqlite_engines(url: URL, *, pool_size: int) -> Engines:
    name = url.database or ""
    if name in {"", ":memory:"} or name.startswith("file:"):
        raise InvalidArgument(
            Reason.FIELD_INVALID, "A SQLite database must be a file: use sqlite:///path/to/lakewarden.db."
        )
    path = Path(name).absolute()
    refuse_network_file_system(path)
    _create_private(path)
    address = URL.create("sqlite+pysqlite", database=str(path))
    # One writing connection per process: it alone checkpoints, because two connections that checkpoint and write
    # at once can corrupt the file before SQLite 3.51.3 (sqlite.org/wal.html#walresetbug).
    writer = _engine(address, pool_size=1)
    reader = _engine(address, pool_size=pool_size)
    event.listen(writer, "connect", _set_up_sqlite_writer)
    event.listen(reader, "connect", _set_up_sqlite_reader)
    for engine in (writer, reader):
        event.listen(engine, "do_connect", _open_named_file)
        event.listen(engine, "checkout", _refuse_replaced_file)
    event.listen(writer, "begin", _begin_immediate)
    event.listen(reader, "begin", _begin_deferred)
    return Engines("sqlite", writer, reader, path)


def _engine(url: URL, **options: Any) -> Engine:
    # Parameters hold names and digests: they must not reach a log through an exception's text.
    return create_engine(
        url,
        hide_parameters=True,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_use_lifo=True,
        **options,
    )


def refuse_network_file_system(path: Path, *, mounts: Path = Path("/proc/mounts")) -> None:
    """Raises InvalidArgument for a file on a network mount, where SQLite's locks and WAL do not hold.

    Where the system has no list of mounts (`mounts`, in the format of fstab(5)) nothing is refused.
    """
    if not mounts.exists():
        return
    longest, file_system = Path("/"), ""
    for line in mounts.read_text().splitlines():
        _device, point, kind = line.split(" ")[:3]
        mounted = Path(point.replace("\\040", " "))
        if path.is_relative_to(mounted) and len(mounted.parts) >= len(longest.parts):
            longest, file_system = mounted, kind
    if file_system in NETWORK_FILE_SYSTEMS:
        raise InvalidArgument(
            Reason.FIELD_INVALID,
            f"The database file {path} is on {file_system}, where SQLite is not safe. Use a local disk or PostgreSQL.",
        )


def _create_private(path: Path) -> None:
    """Makes the file readable by its owner only; SQLite gives its -wal and -shm files the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise Unavailable(
            Reason.STORAGE_UNAVAILABLE, f"The database file {path} cannot be created."
        ) from error


class OpenFile(NamedTuple):
    """The file a SQLite connection has open, which another one may have taken the place of: what is under the name counts."""

    path: Path
    device: int
    inode: int

    @classmethod
    def named(cls, path: Path) -> OpenFile:
        """What is under the name now. Raises OperationalError where nothing is, as SQLite would not: it makes an empty file."""
        try:
            found = path.stat()
        except OSError as error:
            raise sqlite3.OperationalError("unable to open database file") from error
        return cls(path, found.st_dev, found.st_ino)

    @property
    def is_replaced(self) -> bool:
        """Whether the name is another file's now. While it is open, no other file can have its inode."""
        return OpenFile.named(self.path) != self


_FILE = "file"
"""Where a pooled connection's `info` has its `OpenFile`; PostgreSQL's have none."""


def open_file(info: Mapping[Any, Any]) -> OpenFile | None:
    """The file of a pooled connection, by its `info`; None on PostgreSQL."""
    found: OpenFile | None = info.get(_FILE)
    return found


def _open_named_file(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
    """Connects and notes which file that opened, for certain: the name may come to be another's while it connects."""
    path = Path(arguments[0])
    while True:
        before = OpenFile.named(path)
        connection = dialect.connect(*arguments, **options)
        # SQLite opens the file with the first statement that needs it.
        connection.execute("PRAGMA schema_version").fetchone()
        if not before.is_replaced:
            record.info[_FILE] = before
            return connection
        connection.close()


def _refuse_replaced_file(_connection: DBAPIConnection, record: Any, _proxy: object) -> None:
    """Sends the pool for a new connection where the file was replaced: the old one lives on, unseen by anybody else."""
    if record.info[_FILE].is_replaced:
        raise DisconnectionError("the database file was replaced")


def _begin_immediate(connection: Connection) -> None:
    # A deferred transaction that turns writer later fails at once with SQLITE_BUSY, whatever the busy timeout.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _set_up_sqlite_writer(connection: DBAPIConnection, _record: object) -> None:
    _set_up_sqlite(connection, {"wal_autocheckpoint": 1000, "cache_size": -SQLITE_WRITER_CACHE_KIB})


def _set_up_sqlite_reader(connection: DBAPIConnection, _record: object) -> None:
    _set_up_sqlite(connection, {"wal_autocheckpoint": 0, "query_only": 1})


def _set_up_sqlite(connection: Any, extra: dict[str, int]) -> None:
    # The driver would otherwise begin transactions by its own rules, and never before a SELECT.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_MILLISECONDS}")
    _switch_to_wal(connection)
    settings = {"synchronous": 2, "foreign_keys": 1, **extra}
    for name, value in settings.items():
        connection.execute(f"PRAGMA {name} = {value}")
        (actual,) = connection.execute(f"PRAGMA {name}").fetchone()
        if actual != value:
            raise Unavailable(Reason.STORAGE_UNAVAILABLE, f"SQLite refused PRAGMA {name} = {value}.")


def _switch_to_wal(connection: Any) -> None:
    """Only the first process ever switches; it needs the file alone and SQLite does not wait for that by itself."""
    give_up = monotonic() + SQLITE_WAL_SWITCH_SECONDS
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError:
            if monotonic() > give_up:
                raise
            time.sleep(0.01)
            continue
        if mode != "wal":
            raise Unavailable(
                Reason.STORAGE_UNAVAILABLE, "The file system of the database does not support WAL."
            )
        return


def _postgresql_engines(url: URL, *, pool_size: int) -> Engines:
    if find_spec("psycopg") is None:
        raise FailedPrecondition(
            Reason.STORAGE_UNAVAILABLE,
            "PostgreSQL needs its driver: pip install 'lakewarden[server,postgres]'",
        )
    address = url.set(drivername="postgresql+psycopg")
    writer = _postgresql_engine(
        address, pool_size=WRITERS_MAX, isolation_level="READ COMMITTED", read_only=False
    )
    reader = _postgresql_engine(
        address, pool_size=pool_size, isolation_level="REPEATABLE READ", read_only=True
    )
    return Engines("postgresql", writer, reader, None)


def _postgresql_engine(url: URL, *, pool_size: int, isolation_level: str, read_only: bool) -> Engine:
    settings = {
        "synchronous_commit": "on",
        "timezone": "UTC",
        "lock_timeout": LOCK_TIMEOUT_MILLISECONDS,
        "statement_timeout": STATEMENT_TIMEOUT_MILLISECONDS,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MILLISECONDS,
        "default_transaction_read_only": "on" if read_only else "off",
    }
    given = url.query.get("options", "")
    ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
    engine = _engine(
        url,
        pool_size=pool_size,
        pool_pre_ping=True,
        isolation_level=isolation_level,
        connect_args={
            # The last -c wins, so a URL may add settings but not take ours away.
            "options": f"{given} {ours}" if isinstance(given, str) else ours,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            # A standby may be behind: decisions are read from the primary only.
            "target_session_attrs": "read-write" if not read_only else "primary",
            "application_name": "lakewarden",
        },
    )
    event.listen(engine, "connect", _assert_postgresql)
    return engine


def _assert_postgresql(connection: Any, _record: object) -> None:
    """Refuses a session whose COMMIT would return before its WAL is flushed (a pooler may have eaten our options)."""
    row = connection.execute("SELECT current_setting('synchronous_commit'), pg_is_in_recovery()").fetchone()
    connection.rollback()
    if row[0] not in {"on", "remote_apply"} or row[1]:
        raise Unavailable(
            Reason.STORAGE_UNAVAILABLE,
            "PostgreSQL must be the primary and have synchronous_commit=on in our sessions.",
        )
