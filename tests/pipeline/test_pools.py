"""Reads flow while writers queue and engines watch: all have threads of their own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import grpc
import pytest
from sqlalchemy import text

from lakewarden_server import app as app_module
from lakewarden_server.config import READ_THREADS_DEFAULT
from lakewarden_server.rpc.lanes import URGENT_CALLER_MAX, WATCH_THREADS
from lakewarden_server.testing import serve
from pipeline.probe import ProbedServer

WRITERS = 12
WATCHERS = 50


def test_reads_are_answered_while_more_writers_wait_than_there_are_threads(probe: ProbedServer) -> None:
    first = probe.call("Write", "wait")
    assert probe.probe.entered.acquire(timeout=10)
    queued = [probe.call("Write", f"queued {number}") for number in range(WRITERS)]
    for number in range(50):
        assert probe.call("Read", f"read {number}", seconds=5).result().value == f"read {number}"
    assert not any(future.done() for future in (first, *queued))
    probe.probe.gate.set()
    assert first.result().value == "wait"
    assert [future.result().value for future in queued] == [f"queued {number}" for number in range(WRITERS)]


def test_reads_and_writes_are_answered_while_fifty_engines_wait_for_their_answers(
    probe: ProbedServer,
) -> None:
    watchers = [probe.call("Watch", "wait") for _ in range(WATCHERS)]
    for _ in range(WATCH_THREADS):
        assert probe.probe.entered.acquire(timeout=10)
    for number in range(50):
        assert probe.call("Read", f"read {number}", seconds=5).result().value == f"read {number}"
    assert probe.call("Write", "through", seconds=5).result().value == "through"
    assert not any(watcher.done() for watcher in watchers)
    probe.probe.gate.set()
    assert [watcher.result().value for watcher in watchers] == ["wait"] * WATCHERS


def test_each_kind_of_call_runs_in_its_own_pool(probe: ProbedServer) -> None:
    """Pins what grpcio reads to choose the pool: without it every call would share the readers' threads."""
    probe.call("Read").result()
    probe.call("Write").result()
    probe.call("Watch").result()
    probe.call("Trace").result()
    assert [name.rpartition("_")[0] for name in probe.probe.threads] == [
        "lakewarden-read",
        "lakewarden-write",
        "lakewarden-watch",
        "lakewarden-lineage",
    ]


def test_writes_are_answered_while_readers_hold_their_threads(probe: ProbedServer) -> None:
    readers = [probe.call("Read", "wait") for _ in range(READ_THREADS_DEFAULT)]
    for _ in readers:
        assert probe.probe.entered.acquire(timeout=10)
    assert probe.call("Write", "through", seconds=5).result().value == "through"
    probe.probe.gate.set()
    assert [reader.result().value for reader in readers] == ["wait"] * READ_THREADS_DEFAULT


def test_one_principal_leaves_room_for_the_revokes_of_others(probe: ProbedServer) -> None:
    ada = {"authorization": f"Bearer {probe.server.token_of('ada')}"}
    flood = [probe.call("Revoke", "wait") for _ in range(2 * URGENT_CALLER_MAX)]
    assert probe.probe.entered.acquire(timeout=10)
    others = [probe.call("Revoke", f"of ada {number}", **ada) for number in range(5)]
    give_up = monotonic() + 10
    # What is too much is refused while the rest waits at the gate.
    while sum(call.done() for call in flood) < URGENT_CALLER_MAX:
        assert monotonic() < give_up
    probe.probe.gate.set()
    answers = [call.code() for call in flood]
    assert answers.count(grpc.StatusCode.OK) == URGENT_CALLER_MAX
    assert answers.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == URGENT_CALLER_MAX
    assert [call.result().value for call in others] == [f"of ada {number}" for number in range(5)]
    assert probe.call("Revoke", "again").result().value == "again"


@pytest.mark.parametrize("http", [False, True])
def test_no_call_waits_for_a_connection_when_every_thread_holds_one(http: bool) -> None:
    """One that waited for another's would be held up by whoever reads slowly."""
    with serve(workspace=False, http=http) as server:
        # Started anew it opens its database itself, as a server does.
        server.restart()
        app, database = server.app, server.app.database
        lanes = app.rpc._lanes
        every: list[ThreadPoolExecutor] = [lanes.reads, lanes.writes, lanes.urgent]
        every += [*lanes.apart.values(), *lanes.streamed.values()]
        if http:
            every += [app._http._application._threads.pool, app._http._application._producers.pool]
        threads = sum(pool._max_workers for pool in every)
        together = threading.Barrier(threads)

        def hold() -> None:
            with database.reading() as connection:
                connection.execute(text("SELECT 1"))
                together.wait(10)

        held = [
            ThreadPoolExecutor.submit(pool, hold) for pool in every for _thread in range(pool._max_workers)
        ]
        assert [future.exception(timeout=30) for future in held] == [None] * threads
        assert database.engines.reader.pool.size() == threads + app_module.SPARE_READERS  # type: ignore[attr-defined]
