"""More calls than the server can take: the rest is refused at once, says when to come back, and revokes get through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from lakewarden import Client
from lakewarden_server.config import READ_THREADS_DEFAULT
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import Overloaded
from lakewarden_server.rpc.lanes import (
    READS_WAITING_MAX,
    URGENT_THREADS,
    URGENT_WAITING_MAX,
    WRITE_THREADS,
    WRITES_WAITING_MAX,
)
from pipeline.probe import ProbedServer, failure, probed

SECONDS = 15
FULL = {
    "Read": READ_THREADS_DEFAULT + READS_WAITING_MAX,
    "Write": WRITE_THREADS + WRITES_WAITING_MAX,
    "Revoke": URGENT_THREADS + URGENT_WAITING_MAX,
}


def fill(probe: ProbedServer, method: str) -> list[Any]:
    """As many calls as the lane takes: those with a thread wait at the gate, or for the one writer that does."""
    running = {"Read": READ_THREADS_DEFAULT}.get(method, 1)
    # Of urgent calls nobody has more than half.
    ada = {"authorization": f"Bearer {probe.server.token_of('ada')}"}
    others = [ada if method == "Revoke" and number % 2 else {} for number in range(FULL[method])]
    calls = [probe.call(method, "wait", seconds=SECONDS, **shown) for shown in others]
    for _ in range(running):
        assert probe.probe.entered.acquire(timeout=10)
    until(lambda: lane_is_full(probe, method))
    return calls


def lane_is_full(probe: ProbedServer, method: str) -> bool:
    """Asks the server's own lane; the calls are under way, and none of them tells when it has arrived."""
    lanes = probe.server.app.rpc._lanes
    return {"Read": lanes.reads, "Write": lanes.writes, "Revoke": lanes.urgent}[method].is_full


def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition."""
    give_up = monotonic() + SECONDS
    while not condition():
        assert monotonic() < give_up


@pytest.mark.parametrize("method", FULL)
def test_call_whose_lane_is_full_is_refused_at_once_and_told_when_to_retry(
    probe: ProbedServer, method: str
) -> None:
    calls = fill(probe, method)
    begun = monotonic()
    refused = probe.call(method, "one too many", seconds=SECONDS)
    code, reason, _ = failure(refused)
    assert (code, reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    assert monotonic() - begun < SECONDS / 3
    assert retry_seconds(refused) == Overloaded.retry_seconds
    for call in calls[WRITE_THREADS:]:
        call.cancel()
    probe.probe.gate.set()
    assert all(
        call.result().value == "wait" for call in calls[: 1 if method != "Read" else READ_THREADS_DEFAULT]
    )
    # Calls whose callers gave up left their places.
    until(lambda: not lane_is_full(probe, method))
    assert probe.call(method, "again").result().value == "again"


def test_call_whose_deadline_passes_in_the_queue_is_not_run(probe: ProbedServer) -> None:
    running = [probe.call("Read", "wait", seconds=SECONDS) for _ in range(READ_THREADS_DEFAULT)]
    for _ in running:
        assert probe.probe.entered.acquire(timeout=10)
    assert failure(probe.call("Read", "late", seconds=0.3))[0] == "DEADLINE_EXCEEDED"
    ran = len(probe.probe.threads)
    probe.probe.gate.set()
    assert [call.result().value for call in running] == ["wait"] * READ_THREADS_DEFAULT
    assert probe.call("Read", "after").result().value == "after"
    assert len(probe.probe.threads) == ran + 1


@pytest.mark.parametrize("urgent", [True, False], ids=["urgent", "control"])
def test_revoke_and_health_get_through_when_reads_and_writes_wait(
    monkeypatch: pytest.MonkeyPatch, urgent: bool
) -> None:
    """The control shows what the lane is for: without it the revoke finds no place."""
    with probed(monkeypatch, urgent=urgent) as probe:
        reads = [probe.call("Read", "wait", seconds=SECONDS) for _ in range(FULL["Read"])]
        until(lambda: lane_is_full(probe, "Read"))
        # Writers that have not got so far as to hold the head: they wait in the queue of their lane.
        writers = probe.server.app.rpc._lanes.writes
        blocked = [writers.submit(probe.probe.gate.wait, SECONDS) for _ in range(FULL["Write"])]
        revoke = probe.call("Revoke", "through", seconds=SECONDS)
        if urgent:
            assert revoke.result().value == "through"
        else:
            assert failure(revoke)[:2] == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        with Client(probe.server.endpoint, token="", retries=0) as client:
            assert client.health() == "SERVING"
        probe.probe.gate.set()
        assert all(future.result() for future in blocked)
        assert {read.result().value for read in reads} == {"wait"}


def test_the_client_waits_as_long_as_it_is_told_and_gets_its_answer(
    probe: ProbedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fill(probe, "Read")
    with Client(probe.server.endpoint, token=probe.server.admin_token, retries=2) as client:
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            probe.probe.gate.set()
            for call in calls:
                call.result()

        monkeypatch.setattr("lakewarden._connection.time.sleep", sleep)
        assert client.session.get().principal
    assert Overloaded.retry_seconds is not None
    assert [Overloaded.retry_seconds <= pause <= 2 * Overloaded.retry_seconds for pause in pauses] == [True]


def retry_seconds(call: grpc.Future) -> float | None:
    """What the details say about a retry."""
    information = error_details_pb2.RetryInfo()
    for detail in rpc_status.from_call(call).details:
        if detail.Unpack(information):
            return information.retry_delay.seconds + information.retry_delay.nanos / 1e9
    return None
