"""What a caller sends cannot end the decision log, nor fill it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from lakewarden import Client, LakewardenError
from lakewarden.v1 import catalogs_pb2, catalogs_pb2_grpc
from lakewarden_server.storage.decisions import TEXT_CHARACTERS_MAX
from lakewarden_server.testing import EmbeddedServer, serve


@pytest.fixture
def server(database_url: str) -> Iterator[EmbeddedServer]:
    with serve(database_url=database_url) as running:
        yield running


def logged(server: EmbeddedServer, method: str) -> list[object]:
    server.app.decisions.flush()
    return [record for record in server.client().audit.list() if record.method.endswith(method)]


def test_a_nul_in_a_name_is_logged_and_what_comes_after_it_too(server: EmbeddedServer) -> None:
    bob: Client = server.client_as("bob")
    assert not bob.authorization.check("SELECT", "table", "main.s.t\0x")
    assert not bob.authorization.check("SELECT", "table", "main.s.after")
    names = [record.object_name for record in logged(server, "/Check")]
    assert {"main.s.t\ufffdx", "main.s.after"} <= set(names)


def test_a_long_update_mask_leaves_a_short_record(server: EmbeddedServer) -> None:
    server.client().catalogs.create("main")
    bob = server.client_as("bob")
    request = catalogs_pb2.UpdateCatalogRequest(catalog=catalogs_pb2.Catalog(full_name="main"))
    request.update_mask.paths.append("x" * 100_000)
    stub = catalogs_pb2_grpc.CatalogServiceStub(bob._connection.open_channel)
    with pytest.raises(LakewardenError):
        bob._connection.call(stub.UpdateCatalog, request)
    (record,) = logged(server, "/UpdateCatalog")
    assert len(record.operation) <= TEXT_CHARACTERS_MAX


def test_a_record_that_can_never_be_written_keeps_nobody_waiting(server: EmbeddedServer) -> None:
    bob = server.client_as("bob")
    bob.authorization.check("SELECT", "table", "main.s.first")
    log = server.app.decisions
    (first,) = [record for record in log._queue if record.object_name == "main.s.first"]
    log._queue.appendleft(replace(first, actor_id=None))  # type: ignore[arg-type]
    assert "main.s.first" in [record.object_name for record in logged(server, "/Check")]
    assert not log._queue
    assert log.dropped["refused"] == 1


def test_who_has_it_written_waits_for_what_another_thread_writes(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, begun, gate = server.app.decisions, threading.Event(), threading.Event()
    write = log._write

    def slow(batch: list[Any]) -> None:
        begun.set()
        assert gate.wait(10)
        write(batch)

    monkeypatch.setattr(log, "_write", slow)
    server.client_as("bob").authorization.check("SELECT", "table", "main.s.slow")
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(log.flush)
        assert begun.wait(10)
        second = threads.submit(log.flush)
        with pytest.raises(TimeoutError):
            second.result(0.2)
        gate.set()
        first.result(10)
        second.result(10)
    assert "main.s.slow" in [record.object_name for record in logged(server, "/Check")]
