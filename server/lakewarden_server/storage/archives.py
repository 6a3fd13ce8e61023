"""Backup archives: one consistent revision of either database in a zip of `manifest.json` and `database.sqlite`.

The SQLite file has the schema of the release that made it, also when it came from PostgreSQL, so an archive can be restored into
either database, and an older one is migrated before it is. `lakewarden_server.backups` makes and restores them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, select, text

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import OperatorError
from lakewarden_server.entities import AuthzHead, Base, ChangeLog, Token
from lakewarden_server.storage import audit
from lakewarden_server.storage.audit import ChainHead
from lakewarden_server.storage.engine import Database, create_database
from lakewarden_server.storage.head import nonce_of, read_head
from lakewarden_server.storage.migrations import (
    current_revision,
    known_revisions,
    latest_revision,
    migrate,
)
from lakewarden_server.storage.unit_of_work import StepHook

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "database.sqlite"
COPY_ROWS = 1_000
"""Rows read and inserted at a time."""
MANIFEST_BYTES_MAX = 1 << 20
LOCK_SECONDS_MAX = 60.0
"""How long a restore waits for the writers of the database it replaces, and a copy for its own lock."""
_BLOCK_BYTES = 1 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, KeyError, RuntimeError)  # fmt: skip


class ArchiveError(OperatorError):
    """A backup that cannot be made or restored; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself; every field is compared with its database before anything is restored."""

    format: int
    release: str
    schema: str
    epoch: str
    revision: int
    nonce: str
    time: str
    audit_sequence: int
    audit_hash: str
    key_ids: tuple[str, ...]
    """Ids of the key files its tokens were made with (`Keys.id`)."""
    sha256: str
    """Of the database file, in hexadecimal."""

    @property
    def audit_head(self) -> ChainHead:
        """The last link of the audit chain in the archive."""
        return ChainHead(self.audit_sequence, self.audit_hash)


def ignore(_step: str) -> None:
    """The hook of production: nobody listens."""


def write_archive(database: Database, file: Path, *, release: str, on_step: StepHook = ignore) -> Manifest:
    """Writes one revision of a database in use to `file`, which must not exist: whole, synced and verified, or not at all.

    A broken audit chain is copied as it is: it is evidence. Raises `ArchiveError` and what `errors.translate` lists.
    """
    if file.exists():
        raise ArchiveError(f"{file} exists already: name another file")
    if current_revision(database) != latest_revision():
        raise ArchiveError(
            f"the schema is {current_revision(database) or 'empty'}, this release has {latest_revision()}: "
            "back up with the release that serves it"
        )
    with scratch_directory(file.absolute().parent) as directory:
        copied = directory / DATABASE
        _copy_out(database, copied)
        on_step("copied")
        with _opened(copied) as copy:
            manifest = _described(copy, copied, release)
            _verify(copy, manifest)
        on_step("verified")
        # Closing it moved its WAL into the one file.
        manifest = _sealed(manifest, copied)
        packed = directory / "archive"
        _pack(copied, manifest, packed)
        on_step("packed")
        os.replace(packed, file)
        _sync(file.absolute().parent)
    return manifest


@contextmanager
def opened_archive(file: Path, directory: Path) -> Iterator[tuple[Database, Manifest]]:
    """The verified database of an archive, brought to the schema of this release, and its manifest; both go at the end.

    Raises `ArchiveError` for what is no archive, damaged, cut short, or of a newer release.
    """
    with scratch_directory(directory) as place:
        manifest = _unpack(file, place / DATABASE)
        if manifest.schema not in known_revisions():
            raise ArchiveError(
                f"{file} has schema {manifest.schema}, newer than {latest_revision()} of this release: restore it with release {manifest.release} or a later one"
            )
        with _opened(place / DATABASE) as database:
            if current_revision(database) != manifest.schema:
                raise ArchiveError(f"{file} is damaged: its database has another schema than its manifest")
            migrate(database)
            _verify(database, manifest)
            yield database, manifest


def verify_audit(database: Database, manifest: Manifest, exported: ChainHead | None) -> None:
    """Verifies the audit chain of an archive up to its own head, and against one that was kept off the machine.

    Raises `ArchiveError` where it was changed, and for an exported head the archive is too old for.
    """
    if exported is not None and exported.sequence > manifest.audit_sequence:
        raise ArchiveError(
            f"the audit head given is of record {exported.sequence}, the backup ends with {manifest.audit_sequence}: give one from before the backup"
        )
    with database.reading() as connection:
        for head in dict.fromkeys((manifest.audit_head, exported or manifest.audit_head)):
            for finding in audit.verify(connection, head):
                raise ArchiveError(
                    f"the audit chain is broken at record {finding.sequence}: {finding.problem}"
                )


@contextmanager
def replacing(database: Database) -> Iterator[Connection]:
    """A transaction that nobody writes beside, while readers go on with the state before; rolled back unless committed."""
    with database.transaction(deadline=monotonic() + LOCK_SECONDS_MAX) as connection:
        if database.dialect == "postgresql":
            _without_timeouts(connection)
            # The head first, as every writer does, so that nobody waits for each other. TRUNCATE would empty the tables
            # also for readers whose transaction began before.
            others = sorted(set(Base.metadata.tables) - {AuthzHead.__tablename__})
            names = ", ".join((AuthzHead.__tablename__, *others))
            connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
        yield connection


def is_unused(connection: Connection) -> bool:
    """Whether nothing was ever written to this migrated database."""
    return connection.execute(select(func.count()).select_from(ChangeLog)).scalar_one() == 0


def copy_rows(source: Connection, target: Connection, *, on_step: StepHook = ignore) -> None:
    """Replaces every row of `target` by those of `source`, which has the same schema, in the callers' transactions."""
    tables = Base.metadata.sorted_tables
    for table in reversed(tables):
        target.execute(delete(table))
    on_step("emptied")
    for table in tables:
        rows = source.execute(select(table), execution_options={"yield_per": COPY_ROWS})
        for batch in rows.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in batch])
        on_step(f"copied {table.name}")


@contextmanager
def scratch_directory(parent: Path) -> Iterator[Path]:
    """A private directory on the same file system, removed at the end; only a kill -9 leaves it behind."""
    with tempfile.TemporaryDirectory(prefix=".lakewarden-", dir=parent) as directory:
        yield Path(directory)


@contextmanager
def _opened(path: Path) -> Iterator[Database]:
    database = create_database(f"sqlite:///{path}")
    try:
        yield database
    finally:
        database.close()


def _copy_out(database: Database, path: Path) -> None:
    """One consistent state, while others write: SQLite's own online copy, or one snapshot transaction of PostgreSQL."""
    with database.reading() as source:
        if database.dialect == "sqlite":
            driver = source.connection.dbapi_connection
            assert isinstance(driver, sqlite3.Connection)
            with closing(sqlite3.connect(path)) as target:
                # All pages in one step: a copy in several would start again with every commit in between.
                driver.backup(target)
            return
        _without_timeouts(source)
        with _opened(path) as copy:
            migrate(copy)
            with copy.transaction(deadline=monotonic() + LOCK_SECONDS_MAX) as target:
                copy_rows(source, target)
                target.commit()


def _without_timeouts(connection: Connection) -> None:
    """Lifts the limits of requests from this transaction of PostgreSQL alone."""
    limits = {
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "lock_timeout": f"{LOCK_SECONDS_MAX:.0f}s",
    }
    connection.execute(
        select(*(func.set_config(name, value, text("true")) for name, value in limits.items()))
    )


def _described(database: Database, path: Path, release: str) -> Manifest:
    with database.reading() as connection:
        head, time = read_head(connection)
        chain = audit.chain_head(connection)
        key_ids = connection.scalars(select(Token.pepper_id).distinct().order_by(Token.pepper_id)).all()
    schema = current_revision(database)
    assert schema is not None, f"{path} was migrated"
    return Manifest(
        format=FORMAT,
        release=release,
        schema=schema,
        epoch=head.epoch,
        revision=head.revision,
        nonce=head.nonce,
        time=time.astimezone(UTC).isoformat(timespec="seconds"),
        audit_sequence=chain.sequence,
        audit_hash=chain.hash,
        key_ids=tuple(key_ids),
        sha256="",
    )


def _verify(database: Database, manifest: Manifest) -> None:
    """Raises `ArchiveError` where file, head or change log are not what the manifest says."""
    with database.reading() as connection:
        verdict = connection.execute(text("PRAGMA integrity_check")).scalar_one()
        broken = connection.execute(text("PRAGMA foreign_key_check")).first()
        head, _ = read_head(connection)
        logged = nonce_of(connection, head.revision)
    if verdict != "ok" or broken is not None:
        raise ArchiveError(
            f"the database is damaged: {verdict if verdict != 'ok' else 'rows refer to rows that are not there'}"
        )
    if tuple(head) != (manifest.epoch, manifest.revision, manifest.nonce) or logged not in (head.nonce, None):
        raise ArchiveError(
            "the database is damaged: its head, change log and manifest do not name the same revision"
        )


def _sealed(manifest: Manifest, path: Path) -> Manifest:
    return Manifest(**{**asdict(manifest), "sha256": _sha256(path)})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(database: Path, manifest: Manifest, packed: Path) -> None:
    with os.fdopen(os.open(packed, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=2) + "\n")
            archive.write(database, DATABASE)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unpack(file: Path, path: Path) -> Manifest:
    with file.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            raise ArchiveError(f"{file} is no backup of Lakewarden")
        try:
            with zipfile.ZipFile(stream) as archive:
                if sorted(archive.namelist()) != sorted((MANIFEST, DATABASE)):
                    raise ArchiveError(f"{file} is no backup of Lakewarden")
                manifest = _manifest(file, archive)
                with archive.open(DATABASE) as source, path.open("xb") as target:
                    shutil.copyfileobj(source, target, _BLOCK_BYTES)
        except _DAMAGED as error:
            raise ArchiveError(f"{file} is damaged or was cut short: {error}") from error
    if _sha256(path) != manifest.sha256:
        raise ArchiveError(f"{file} is damaged: its database is not the one its manifest was made for")
    return manifest


def _manifest(file: Path, archive: zipfile.ZipFile) -> Manifest:
    with archive.open(MANIFEST) as stream:
        told = json.loads(stream.read(MANIFEST_BYTES_MAX))
    found = told.get("format") if isinstance(told, dict) else None
    if not isinstance(found, int):
        raise ArchiveError(f"{file} is no backup of Lakewarden")
    if found > FORMAT:
        raise ArchiveError(
            f"{file} has format {found}, this release reads up to {FORMAT}: use a newer release"
        )
    try:
        datetime.fromisoformat(told["time"])
        return Manifest(**{**told, "key_ids": tuple(told["key_ids"])})
    except TypeError as error:
        raise ArchiveError(f"{file} is damaged: {error}") from error
