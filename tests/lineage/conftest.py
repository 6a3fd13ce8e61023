"""Databases that lineage is recorded in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lakewarden_server.lineage import registering
from lakewarden_server.storage import Database, create_database
from lakewarden_server.testing import serve
from lineage.lake import Lake
from lineage.stored import Lineage
from lineage.volume_files import ROLE


@pytest.fixture
def lineage(database: Database) -> Lineage:
    """A metastore's lineage, on each database."""
    return Lineage(database)


@pytest.fixture
def ada(database: Database) -> Lineage:
    """The lineage that one principal tells of."""
    return Lineage(database)


@pytest.fixture
def eve(database: Database) -> Lineage:
    """That of another one."""
    other = Lineage(database)
    other.origin = other.origin._replace(principal_id="eve")
    return other


@pytest.fixture
def sqlite_database(make_database_url: Callable[[str], str]) -> Iterator[Database]:
    """A fresh migrated SQLite, for what takes long and is the same on both."""
    opened = create_database(make_database_url("sqlite"))
    yield opened
    opened.close()


@pytest.fixture
def stored_lake(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """Tables, and `s3://lake` as an external location; what was registered is looked for when a test says so."""
    monkeypatch.setattr(registering, "LOOK_SECONDS", 3_600.0)
    with serve(database_url=database_url) as server:
        lake = Lake(server, ("raw.orders", "sales.report"))
        lake.admin.storage_credentials.create("key", "aws_iam_role", ROLE)
        lake.admin.external_locations.create("lake", "s3://lake", "key")
        yield lake
