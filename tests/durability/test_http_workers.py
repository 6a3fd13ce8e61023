"""`serve --http-workers`: processes that answer HTTP alone, beside those that answer gRPC."""

from __future__ import annotations

import json
import os
import re
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import pytest

from durability.groups import Group, connections, is_running, until, workers_of
from durability.processes import EXECUTABLE, WORKSPACE, Installation, ServerProcess
from lakewarden_server.worker import HTTP_NICE

pytestmark = pytest.mark.timeout(240)
SERVE = (str(EXECUTABLE), "serve", "--workers", "1", "--http", "127.0.0.1:0", "--http-workers", "1")
HTTP = re.compile(r"over HTTP on (127\.0\.0\.1:\d+)")
GRPC_WORKER, HTTP_WORKER = 0, 1


@pytest.fixture(scope="module")
def group(install_shared: Callable[[str], Installation]) -> Iterator[Group]:
    """A running server of one worker of each kind; each test leaves both serving."""
    installation = install_shared("sqlite")
    with _served(installation) as server:
        yield Group(installation, server)


def test_each_kind_of_worker_answers_its_own(group: Group) -> None:
    server = group.server
    with group.installation.client(server) as client, _sender(server) as sender:
        workers = workers_of(server)
        assert sorted(workers) == [GRPC_WORKER, HTTP_WORKER]
        assert _sent(sender, group.installation, "told") == 201
        # What one worker acknowledged the other has.
        found = client.lineage.traverse("/told", namespace="file", direction="upstream")
        assert [node.name for node in found.nodes] == ["file /told", "file /raw"]
        ports = {
            "grpc": int(server.endpoint.rpartition(":")[2]),
            "http": int(_address(server).rpartition(":")[2]),
        }
        accepted = {
            kind: [connections(workers[worker], port) for worker in (GRPC_WORKER, HTTP_WORKER)]
            for kind, port in ports.items()
        }
    assert accepted == {"grpc": [1, 0], "http": [0, 1]}


def test_http_steps_back_where_there_is_not_a_core_for_each(group: Group) -> None:
    workers = workers_of(group.server)
    grpc, http = (os.getpriority(os.PRIO_PROCESS, workers[worker]) for worker in (GRPC_WORKER, HTTP_WORKER))
    assert grpc == os.getpriority(os.PRIO_PROCESS, 0)
    assert http == grpc + HTTP_NICE


def test_a_killed_worker_of_http_leaves_grpc_alone_and_comes_back(group: Group) -> None:
    server = group.server
    with group.installation.client(server) as client:
        before = workers_of(server)
        os.kill(before[HTTP_WORKER], signal.SIGKILL)
        assert client.health() == "SERVING"
        until(lambda: workers_of(server)[HTTP_WORKER] != before[HTTP_WORKER], server.output)
        assert workers_of(server)[GRPC_WORKER] == before[GRPC_WORKER]
        with _sender(server) as sender:
            assert _sent(sender, group.installation, "again") == 201


def test_all_are_replaced_and_stopped(installed_once: Installation) -> None:
    with _served(installed_once) as server:
        before = set(workers_of(server).values())
        server.signal(signal.SIGHUP)
        until(lambda: not before & set(workers_of(server).values()), server.output)
        until(lambda: not any(map(is_running, before)), server.output)
        assert server.stop() == 0
        assert not any(map(is_running, workers_of(server).values()))


@contextmanager
def _served(installation: Installation) -> Iterator[ServerProcess]:
    """A server of one worker of each kind."""
    with installation.serve(command=SERVE) as server:
        until(lambda: HTTP.search(server.output) is not None, server.output)
        yield server


def _sender(server: ServerProcess) -> closing[HTTPConnection]:
    return closing(HTTPConnection(_address(server), timeout=30))


def _address(server: ServerProcess) -> str:
    found = HTTP.search(server.output)
    assert found
    return found[1]


def _sent(sender: HTTPConnection, installation: Installation, output: str) -> int:
    """The answer to an event that something made `output` of `raw`."""
    event = {
        "eventType": "COMPLETE",
        "eventTime": "2026-11-27T10:00:00Z",
        "producer": "https://example.com/etl",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": str(uuid.uuid4())},
        "job": {"namespace": "etl", "name": output},
        "inputs": [{"namespace": "file", "name": "/raw"}],
        "outputs": [{"namespace": "file", "name": f"/{output}"}],
    }
    headers = {
        "Authorization": f"Bearer {installation.token}",
        "Lakewarden-Workspace": WORKSPACE,
        "Content-Type": "application/json",
    }
    sender.request("POST", "/api/v1/lineage", json.dumps(event), headers)
    answer = sender.getresponse()
    answer.read()
    return answer.status
