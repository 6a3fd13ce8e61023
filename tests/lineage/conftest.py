"""Databases that lineage is recorded in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lakewarden_server.storage import Database, create_database
from lineage.stored import Lineage


@pytest.fixture
def lineage(database: Database) -> Lineage:
    """A metastore's lineage, on each database."""
    return Lineage(database)


@pytest.fixture
def sqlite_database(make_database_url: Callable[[str], str]) -> Iterator[Database]:
    """A fresh migrated SQLite, for what takes long and is the same on both."""
    opened = create_database(make_database_url("sqlite"))
    yield opened
    opened.close()
