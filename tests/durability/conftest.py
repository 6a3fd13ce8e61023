"""Installations that servers of several processes are started on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from durability.processes import Installation, install
from lakewarden_server.storage.template import SqliteTemplate


@pytest.fixture
def installed_once(make_database_url: Callable[[str], str], tmp_path: Path) -> Installation:
    """A set-up SQLite database, for what does not depend on the database."""
    return install(make_database_url("sqlite"), tmp_path / "data")


@pytest.fixture(scope="module")
def install_shared(
    request: pytest.FixtureRequest,
    sqlite_template: SqliteTemplate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Installation]:
    """Sets up a database of the given dialect that the tests of a module share."""

    def make(dialect: str) -> Installation:
        home = tmp_path_factory.mktemp(dialect)
        if dialect == "postgresql":
            url = request.getfixturevalue("postgresql_server").create_migrated()
        else:
            url = f"sqlite:///{home / 'lakewarden.db'}"
            sqlite_template.create(home / "lakewarden.db").close()
        return install(url, home / "data")

    return make
