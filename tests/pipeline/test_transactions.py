"""A call that reads opens a transaction when it needs one, at most one, and none that outlives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from lakewarden import Client, InvalidArgument, NotFound, PermissionDenied
from lakewarden_server.pipeline.pipeline import Pipeline
from lakewarden_server.storage import UnitOfWork
from lakewarden_server.testing import EmbeddedServer, serve
from lineage.lake import Lake

ORDERS, COPY = "main.sales.orders", "main.sales.copy"


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


class Meanwhile:
    """What happens once between a decision and the transaction that reads for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._reading = Pipeline._reading
        self._acts: list[Callable[[], object]] = []
        monkeypatch.setattr(Pipeline, "_reading", lambda *arguments: self.reading(*arguments))

    def do(self, *acts: Callable[[], object]) -> None:
        """Has these done before the next transaction opens."""
        self._acts = list(acts)

    @property
    def waits(self) -> bool:
        """Whether it has not happened yet."""
        return bool(self._acts)

    @contextmanager
    def reading(self, *arguments: Any) -> Iterator[UnitOfWork]:
        acts, self._acts = self._acts, []
        for act in acts:
            act()
        with self._reading(*arguments) as uow:
            yield uow


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    return Meanwhile(monkeypatch)


@pytest.fixture
def ann(server: EmbeddedServer) -> Client:
    """Reads a table that has lineage."""
    server.client().catalogs.delete("main", force=True)
    lake = Lake(server, ("sales.orders", "sales.copy"))
    lake.made("sales.orders", "sales.copy")
    client = server.client_as("ann")
    lake.admin.grants.grant(["USE CATALOG", "USE SCHEMA", "SELECT"], "catalog", "main", "ann@example.com")
    for table in (ORDERS, COPY):
        lake.admin.grants.grant("MANAGE", "table", table, "ann@example.com")
    return client


def test_no_refusal_tells_of_what_came_after_the_decision(
    server: EmbeddedServer, ann: Client, meanwhile: Meanwhile
) -> None:
    """That something is not there is read from no row that would say how new it is."""
    admin = server.client()
    with pytest.raises(InvalidArgument, match="has no column"):
        list(ann.tags.list("table", ORDERS, column="nope"))
    meanwhile.do(lambda: admin.catalogs.update("main", comment="new"))
    with pytest.raises(InvalidArgument, match="has no column"):
        list(ann.tags.list("table", ORDERS, column="nope"))
    meanwhile.do(partial(admin.grants.revoke, "USE CATALOG", "catalog", "main", "ann@example.com"))
    with pytest.raises(PermissionDenied):
        list(ann.tags.list("table", ORDERS, column="nope"))


def test_no_leak_is_told_of_a_tag_that_came_after_the_decision(
    server: EmbeddedServer, ann: Client, meanwhile: Meanwhile
) -> None:
    admin = server.client()
    server.client_as("bob")
    admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", "main", "bob@example.com")
    admin.grants.grant("SELECT", "table", COPY, "bob@example.com")
    assert ann.lineage_governance.leaks(tags=["pii"]).leaks == []
    admin.tags.update("table", ORDERS, set={"told": "yes"})
    assert len(ann.lineage_governance.leaks(tags=["told"]).leaks) == 1
    meanwhile.do(
        partial(admin.grants.revoke, "USE CATALOG", "catalog", "main", "ann@example.com"),
        partial(admin.tags.update, "table", ORDERS, set={"pii": "yes"}),
    )
    assert ann.lineage_governance.leaks(tags=["pii"]).leaks == []
    assert not meanwhile.waits
