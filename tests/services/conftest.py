"""A running server for each module, on SQLite, or on SQLite and PostgreSQL in turn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer, serve


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A server on SQLite."""
    with serve() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server on SQLite, then one on PostgreSQL."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with serve(database_url=url) as server:
        yield server


@pytest.fixture
def admin(server: EmbeddedServer) -> Client:
    """The account admin, who also owns the metastore and the workspace, on SQLite."""
    return server.client()


@pytest.fixture(scope="session")
def fresh() -> Callable[[str], str]:
    """Makes names that no other test uses: `fresh("catalog")` is `catalog_7`."""
    numbers = itertools.count(1)
    return lambda stem: f"{stem}_{next(numbers)}"
