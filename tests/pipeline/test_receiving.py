"""How much of requests is received at once: of one caller, of all, of strangers, and of large ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from grpc_health.v1 import health_pb2

from lakewarden_server.config import READ_THREADS_DEFAULT
from lakewarden_server.pipeline.headers import MESSAGE_BYTES_MAX
from lakewarden_server.rpc import arrivals
from lakewarden_server.rpc.arrivals import RECEIVED_OF_STRANGERS_MAX, Arrivals
from lakewarden_server.rpc.lanes import LARGE_REQUESTS_MAX
from pipeline.probe import ProbedServer, failure, probed
from pipeline.silent import SECONDS, Silent, calls_running, expected, until

HEALTH = "/grpc.health.v1.Health/Check"


def bearer(probe: ProbedServer, name: str) -> str:
    return f"Bearer {probe.server.token_of(name)}"


@contextmanager
def known(monkeypatch: pytest.MonkeyPatch, **limits: float) -> Iterator[ProbedServer]:
    """A server that receives as little as `limits` say, and has verified the admin: the calls of a test keep their order."""
    monkeypatch.setattr("lakewarden_server.rpc.lanes.Arrivals", lambda: Arrivals(**limits))  # type: ignore[arg-type]
    with probed(monkeypatch) as probe:
        probe.call("Read").result()
        yield probe


def test_one_caller_has_a_few_received_at_once_and_its_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    with known(monkeypatch, received_per_caller_max=2) as probe:
        shown = bearer(probe, "bob")
        first, second, third = (Silent(probe, "Read") for _ in range(3))
        expected(probe, 3)
        third.send("third")
        # It would be answered if it were asked for.
        threading.Event().wait(0.3)
        assert not third.call.done()
        bob = Silent(probe, "Read", authorization=shown)
        bob.send("bob")
        assert bob.call.result().value == "bob"
        first.send("first")
        assert [each.call.result().value for each in (first, third)] == ["first", "third"]
        second.send("second")
        assert second.call.result().value == "second"
        expected(probe, 0)


def test_a_call_given_up_in_the_queue_makes_room_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with known(monkeypatch, received_per_caller_max=1) as probe:
        calls = [Silent(probe, "Read") for _ in range(200)]
        last = Silent(probe, "Read")
        expected(probe, 201)
        for each in calls[1:]:
            each.call.cancel()
        last.send("last")
        calls[0].send("first")
        assert [each.call.result().value for each in (calls[0], last)] == ["first", "last"]
        expected(probe, 0)
        assert probe.server.app.rpc._lanes.arrivals._callers == {}
        for each in calls:
            each.end()


def test_a_queued_call_ends_when_it_waits_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with known(monkeypatch, received_per_caller_max=1, seconds_max=0.3, look_seconds=0.05) as probe:
        calls = [Silent(probe, "Read") for _ in range(3)]
        assert {failure(each.call)[::2] for each in calls} == {("DEADLINE_EXCEEDED", arrivals.LATE)}
        expected(probe, 0)
        calls_running(probe, 0)
        for each in calls:
            each.end()


def test_when_all_that_may_are_received_who_has_most_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    with known(monkeypatch, received_max=4) as probe:
        bob = Silent(probe, "Read", authorization=bearer(probe, "bob"))
        expected(probe, 1)
        mine = [Silent(probe, "Read") for _ in range(3)]
        expected(probe, 4)
        carol = Silent(probe, "Read", authorization=bearer(probe, "carol"))
        carol.send("carol")
        assert carol.call.result().value == "carol"
        assert failure(mine[0].call)[::2] == ("RESOURCE_EXHAUSTED", arrivals.DRIVEN_OUT)
        bob.send("bob")
        assert bob.call.result().value == "bob"
        for each in mine:
            each.send("mine")
        assert [each.call.result().value for each in mine[1:]] == ["mine", "mine"]
        expected(probe, 0)


def test_strangers_who_ask_for_health_are_few_at_once_and_health_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with probed(monkeypatch) as probe:
        silent = [Silent(probe, HEALTH, authorization="") for _ in range(3 * RECEIVED_OF_STRANGERS_MAX)]
        until(lambda: sum(each.call.done() for each in silent) == 2 * RECEIVED_OF_STRANGERS_MAX)
        check = probe.channel.unary_unary(
            HEALTH, health_pb2.HealthCheckRequest.SerializeToString, health_pb2.HealthCheckResponse.FromString
        )
        assert check(health_pb2.HealthCheckRequest(), timeout=SECONDS).status
        assert probe.call("Read", "through").result().value == "through"
        for each in silent:
            each.end()


def test_of_large_requests_a_lane_has_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    with probed(monkeypatch) as probe:
        text = "wait" + "x" * MESSAGE_BYTES_MAX
        large = [probe.call("Large", text) for _ in range(LARGE_REQUESTS_MAX)]
        for _ in range(READ_THREADS_DEFAULT):
            assert probe.probe.entered.acquire(timeout=10)
        lane = probe.server.app.rpc._lanes.reads
        until(lambda: lane._large == LARGE_REQUESTS_MAX)
        assert failure(probe.call("Large", text))[:2] == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        small = probe.call("Large", "small")
        probe.probe.gate.set()
        assert {len(call.result().value) for call in large} == {len(text)}
        assert small.result().value == "small"
        until(lambda: lane._large == lane._calls == 0)
        assert len(probe.call("Large", text).result().value) == len(text)


@pytest.mark.parametrize(("method", "size"), [("Read", (1 << 20) + 1), ("Large", (8 << 20) + 1)])
def test_a_request_that_is_too_large_takes_no_place_of_its_lane(
    monkeypatch: pytest.MonkeyPatch, method: str, size: int
) -> None:
    with probed(monkeypatch) as probe:
        code, reason, words = failure(probe.call(method, "x" * size))
        assert (code, reason) == ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
        assert "split it" in words
        # The credential was verified by the call's first thread; none ran the method.
        assert probe.probe.threads == []
        assert probe.server.app.rpc._lanes.reads._large == 0


def test_a_lane_that_was_shut_down_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with probed(monkeypatch) as probe:
        lane = probe.server.app.rpc._lanes.writes
        lane.shutdown()
        with pytest.raises(RuntimeError):
            lane.start(print)
        assert lane._calls == 0
