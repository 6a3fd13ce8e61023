"""Callers that open calls and send nothing: everybody else is answered, and they are not kept for ever."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc import _server
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lakewarden_server.config import READ_THREADS_DEFAULT
from lakewarden_server.core.clock import monotonic
from lakewarden_server.rpc import arrivals, pooled_calls
from lakewarden_server.rpc.arrivals import Arrivals, CallPool
from lakewarden_server.rpc.lanes import PROMPT_THREADS, READS_WAITING_MAX
from lakewarden_server.rpc.open_calls import OpenCalls
from lakewarden_server.rpc.pooled_calls import PooledCall
from lakewarden_server.rpc.streams import REFLECTION_STREAMS_PER_PEER_MAX
from pipeline.probe import ProbedServer, failure, probed
from pipeline.silent import SECONDS, Silent, calls_running, expected

SILENT = 2 * READ_THREADS_DEFAULT


@pytest.fixture
def silent(probe: ProbedServer) -> Iterator[Callable[..., Silent]]:
    calls: list[Silent] = []

    def start(method: str, **options: Any) -> Silent:
        calls.append(Silent(probe, method, **options))
        return calls[-1]

    yield start
    for each in calls:
        each.end()
        each.call.cancel()


def test_calls_without_a_request_hold_no_thread(probe: ProbedServer, silent: Callable[..., Silent]) -> None:
    # Of one principal so many would hold up its own next ones.
    shown = {
        method: f"Bearer {probe.server.token_of(method.lower())}"
        for method in ("Read", "Write", "Revoke", "Watch")
    }
    waiting = [silent(method, authorization=shown[method]) for method in shown for _ in range(SILENT)]
    expected(probe, len(waiting))
    for method in ("Read", "Write", "Revoke", "Watch"):
        assert probe.call(method, "through", seconds=SECONDS).result().value == "through"
    for each in waiting:
        each.send("at last")
    assert {each.call.result().value for each in waiting} == {"at last"}
    expected(probe, 0)


def test_control_without_it_as_many_silent_calls_as_threads_stop_every_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PooledCall, "of", lambda function, arguments: None)
    with probed(monkeypatch) as probe:
        waiting = [Silent(probe, "Read") for _ in range(READ_THREADS_DEFAULT)]
        pool = probe.server.app.rpc._lanes.reads
        give_up = monotonic() + SECONDS
        while pool._calls < READ_THREADS_DEFAULT:
            assert monotonic() < give_up
        assert failure(probe.call("Read", "no way through", seconds=1.0))[0] == "DEADLINE_EXCEEDED"
        for each in waiting:
            each.send("at last")
            each.call.result()


def test_silent_calls_of_health_and_reflection_hold_up_neither_health_nor_refusals(
    probe: ProbedServer, silent: Callable[..., Silent]
) -> None:
    for _ in range(2 * PROMPT_THREADS):
        silent("/grpc.health.v1.Health/Check")
    expected(probe, 2 * PROMPT_THREADS)
    stub = reflection_pb2_grpc.ServerReflectionStub(probe.channel)
    idle = threading.Event()

    def nothing() -> Iterator[reflection_pb2.ServerReflectionRequest]:
        idle.wait(SECONDS)
        yield from ()

    streams = [stub.ServerReflectionInfo(nothing()) for _ in range(REFLECTION_STREAMS_PER_PEER_MAX)]
    check = probe.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    assert check(health_pb2.HealthCheckRequest(), timeout=SECONDS).status
    assert probe.call("Read", "through", seconds=SECONDS).result().value == "through"
    idle.set()
    for stream in streams:
        assert list(stream) == []


def test_a_call_closed_without_a_request_is_told(probe: ProbedServer, silent: Callable[..., Silent]) -> None:
    call = silent("Read")
    expected(probe, 1)
    call.end()
    code, _, details = failure(call.call)
    assert (code, details) == ("UNIMPLEMENTED", pooled_calls.NONE_SENT)
    expected(probe, 0)
    assert probe.call("Read", "after").result().value == "after"


def test_a_call_given_up_before_its_request_leaves_nothing(
    probe: ProbedServer, silent: Callable[..., Silent]
) -> None:
    calls = [silent("Read") for _ in range(SILENT)]
    expected(probe, SILENT)
    for each in calls:
        each.call.cancel()
    late = silent("Read", seconds=0.3)
    assert failure(late.call)[0] == "DEADLINE_EXCEEDED"
    expected(probe, 0)
    calls_running(probe, 0)


def test_a_request_that_does_not_come_ends_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "lakewarden_server.rpc.lanes.Arrivals", lambda: Arrivals(seconds_max=0.3, look_seconds=0.05)
    )
    with probed(monkeypatch) as probe:
        begun = monotonic()
        call = Silent(probe, "Read")
        code, _, details = failure(call.call)
        assert (code, details) == ("DEADLINE_EXCEEDED", arrivals.LATE)
        assert 0.3 <= monotonic() - begun < SECONDS / 2
        expected(probe, 0)
        call.end()
        # One that is being answered is nobody's business here.
        running = probe.call("Read", "wait", seconds=SECONDS)
        assert probe.probe.entered.acquire(timeout=SECONDS)
        threading.Event().wait(0.6)
        probe.probe.gate.set()
        assert running.result().value == "wait"


def test_of_too_many_silent_calls_the_one_that_waits_longest_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakewarden_server.rpc.lanes.Arrivals", lambda: Arrivals(expected_max=20))
    with probed(monkeypatch) as probe:
        first = []
        for count in range(1, 21):
            first.append(Silent(probe, "Read"))
            # Calls opened together may come in any order.
            expected(probe, count)
        later = [Silent(probe, "Write") for _ in range(5)]
        assert failure(first[0].call)[::2] == ("RESOURCE_EXHAUSTED", arrivals.DRIVEN_OUT)
        assert probe.call("Read", "through", seconds=SECONDS).result().value == "through"
        give_up = monotonic() + SECONDS
        while sum(each.call.done() for each in first) < 5:
            assert monotonic() < give_up
        for each in (*first, *later):
            each.send("at last")
        assert {each.call.result().value for each in later} == {"at last"}


def test_requests_that_arrive_at_once_after_their_headers_are_no_more_than_the_lane_takes(
    probe: ProbedServer, silent: Callable[..., Silent]
) -> None:
    running = [probe.call("Read", "wait", seconds=SECONDS) for _ in range(READ_THREADS_DEFAULT)]
    for _ in running:
        assert probe.probe.entered.acquire(timeout=SECONDS)
    extra = 20
    # Fewer streams than a connection may have; every one was let in by its headers.
    waiting = [silent("Read") for _ in range(READS_WAITING_MAX + extra)]
    expected(probe, len(waiting))
    for each in waiting:
        each.send("late")
    expected(probe, 0)
    refused = 0
    give_up = monotonic() + SECONDS
    while refused < extra:
        assert monotonic() < give_up, refused
        refused = sum(each.call.done() for each in waiting)
    assert {failure(each.call)[:2] for each in waiting if each.call.done()} == {
        ("RESOURCE_EXHAUSTED", "OVERLOADED")
    }
    probe.probe.gate.set()
    assert [call.result().value for call in running] == ["wait"] * len(running)
    answered = [each for each in waiting if each.call.code() is grpc.StatusCode.OK]
    assert len(answered) == READS_WAITING_MAX


def test_what_grpcio_hands_to_a_pool_is_what_is_read_here() -> None:
    """Whoever upgrades grpcio learns it here: the names and the order of its own parts."""
    thunk = _server._unary_request(None, None, None)
    parts = (None, None, None, None, thunk, None, None)
    call = PooledCall.of(print, parts)
    assert call is not None
    assert call.request is thunk
    assert PooledCall.of(print, (*parts[:4], lambda: None, None, None)) is None
    assert list(inspect.signature(_server._unary_response_in_pool).parameters) == [
        "rpc_event", "state", "behavior", "argument_thunk", "request_deserializer", "response_serializer"
    ]  # fmt: skip
    stream = PooledCall.stream_of(print, (None, None, _server._RPCState(), None, lambda: None, None, None))
    assert stream is not None
    assert stream.is_active
    assert PooledCall.stream_of(print, (1, 2, 3)) is None
    assert list(inspect.signature(_server._Context).parameters) == [
        "rpc_event",
        "state",
        "request_deserializer",
    ]
    for name, parameters in {
        "_receive_message": ["state", "call", "request_deserializer"],
        "_abort": ["state", "call", "code", "details"],
        "_is_rpc_state_active": ["state"],
    }.items():
        assert list(inspect.signature(getattr(_server, name)).parameters) == parameters


def test_a_pool_runs_what_is_no_call_as_any_pool() -> None:
    with CallPool("test", threads=1, arrivals=Arrivals(), open_calls=OpenCalls()) as pool:
        assert isinstance(pool, ThreadPoolExecutor)
        assert pool.submit(sum, [1, 2]).result() == 3
