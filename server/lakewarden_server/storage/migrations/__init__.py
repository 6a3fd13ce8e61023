"""Brings a database to the current schema; several processes may try at once, one does it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, column, create_engine, event, inspect, select, table, text
from sqlalchemy.pool import NullPool

from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.errors import DatabaseErrors, translate

if TYPE_CHECKING:
    # Imported where something is migrated: each server looks at its revision, and what migrates is slow to import.
    from alembic.config import Config

ADVISORY_LOCK = 0x1A4E3A2D
"""Our key in PostgreSQL's advisory locks: taken for one transaction, so that a crash cannot leave it held."""

MIGRATION_WAIT_MILLISECONDS = 60_000

LATEST = "head"

_VERSION = table("alembic_version", column("version_num"))
_VERSIONS = Path(__file__).parent / "versions"


def migrate(database: Database, revision: str = LATEST) -> None:
    """Upgrades to `revision`, all steps in one transaction under one lock; does nothing when already there."""
    from alembic import command

    _run(database, lambda config: command.upgrade(config, revision))


def downgrade(database: Database, revision: str) -> None:
    """Goes back to `revision` (`base` empties the database): for tests and for an operator who restores."""
    from alembic import command

    _run(database, lambda config: command.downgrade(config, revision))


def current_revision(database: Database) -> str | None:
    """The schema revision the database is at, None when it was never migrated."""
    try:
        with database.engines.reader.connect() as connection:
            if not inspect(connection).has_table(_VERSION.name):
                return None
            return connection.scalar(select(_VERSION.c.version_num))
    except DatabaseErrors as error:
        raise translate(error) from error


def latest_revision() -> str:
    """The schema revision this code needs."""
    return max(known_revisions())


def known_revisions() -> frozenset[str]:
    """Every schema revision this code can bring to the latest."""
    return frozenset(path.name[1:5] for path in _VERSIONS.glob("v[0-9]*.py"))


def _run(database: Database, step: Callable[[Config], None]) -> None:
    engine = _migration_engine(database)
    try:
        with engine.begin() as connection:
            _lock(connection)
            config = _config()
            config.attributes["connection"] = connection
            step(config)
    except DatabaseErrors as error:
        raise translate(error) from error
    finally:
        engine.dispose()


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _migration_engine(database: Database) -> Engine:
    """An engine of its own: migrations wait longer for their lock than a request may."""
    # The pool of the writers is not used up meanwhile, and a half-migrated connection never returns to it.
    writer = database.engines.writer
    engine = create_engine(writer.url, poolclass=NullPool, hide_parameters=True)
    if database.dialect == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN EXCLUSIVE"))
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {MIGRATION_WAIT_MILLISECONDS}")
    connection.execute("PRAGMA synchronous = FULL")
    # Only writers checkpoint, under their lock.
    connection.execute("PRAGMA wal_autocheckpoint = 0")


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
