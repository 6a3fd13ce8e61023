"""A call that reads opens a transaction when it needs one, at most one, and none that outlives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lakewarden import InvalidArgument, NotFound, PermissionDenied
from lakewarden_server.storage import UnitOfWork
from lakewarden_server.testing import EmbeddedServer, serve


class Counted:
    """The read transactions of a server: how many were begun, and how many have ended."""

    def __init__(self, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = self.ended = 0
        self._read = server.app.database.read
        monkeypatch.setattr(server.app.database, "read", self.read)

    @contextmanager
    def read(self, **options: Any) -> Iterator[UnitOfWork]:
        self.begun += 1
        try:
            with self._read(**options) as uow:
                yield uow
        finally:
            self.ended += 1


@pytest.fixture
def counted(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(server, monkeypatch)


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with serve() as running:
        running.client().catalogs.create("main")
        # Reads the graph of lineage, which is done once.
        with pytest.raises(PermissionDenied):
            running.client().lineage.traverse("main.sales.orders")
        yield running


def test_what_the_state_in_memory_refuses_opens_none(server: EmbeddedServer, counted: Counted) -> None:
    with pytest.raises(NotFound):
        server.client().catalogs.get("nowhere")
    with pytest.raises(PermissionDenied):
        server.client().lineage.traverse("main.sales.orders")
    assert counted.begun == 0


def test_what_reads_rows_opens_one_that_ends_with_the_call(server: EmbeddedServer, counted: Counted) -> None:
    assert server.client().catalogs.get("main").name == "main"
    assert (counted.begun, counted.ended) == (1, 1)
    assert [catalog.name for catalog in server.client().catalogs.list()].count("main") == 1
    assert (counted.begun, counted.ended) == (2, 2)


def test_one_that_fails_on_the_way_ends_too(server: EmbeddedServer, counted: Counted) -> None:
    with pytest.raises(InvalidArgument, match="has no column"):
        list(server.client().tags.list("catalog", "main", column="nope"))
    assert counted.begun == counted.ended == 1
