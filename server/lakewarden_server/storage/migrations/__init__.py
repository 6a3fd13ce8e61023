"""Brings a database to the current schema; several processes may try at once, one does it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.errors import DatabaseErrors, translate

ADVISORY_LOCK = 0x1A4E3A2D
"""Our key in PostgreSQL's advisory locks: taken for one transaction, so that a crash cannot leave it held."""

MIGRATION_WAIT_MILLISECONDS = 60_000

LATEST = "head"


def migrate(database: Database, revision: str = LATEST) -> None:
    """Upgrades to `revision`, all steps in one transaction under one lock; does nothing when already there."""
    _run(database, lambda config: command.upgrade(config, revision))


def downgrade(database: Database, revision: str) -> None:
    """Goes back to `revision` (`base` empties the database): for tests and for an operator who restores."""
    _run(database, lambda config: command.downgrade(config, revision))


def current_revision(database: Database) -> str | None:
    """The schema revision the database is at, None when it was never migrated."""
    try:
        with database.engines.reader.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DatabaseErrors as error:
        raise translate(error) from error


def latest_revision() -> str:
    """The schema revision this code needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "the package carries its migrations"
    return revision


def known_revisions() -> frozenset[str]:
    """Every schema revision this code can bring to the latest."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


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
