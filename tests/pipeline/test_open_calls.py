"""One address has some calls open, and few streams of reflection: others are answered meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lakewarden import Client
from lakewarden_server.rpc import open_calls, streams
from lakewarden_server.rpc.open_calls import OpenCalls
from lakewarden_server.rpc.streams import REFLECTION_STREAMS_PER_PEER_MAX, REFLECTION_THREADS, StreamPool
from pipeline.probe import ProbedServer, failure, probed
from pipeline.silent import SECONDS, Silent, calls_running, until
from services.relays import relayed

EVE, MALLORY, TRENT = "127.0.0.66", "127.0.0.67", "127.0.0.68"
ASK = reflection_pb2.ServerReflectionRequest(list_services="")


@contextmanager
def from_address(probe: ProbedServer, source: str) -> Iterator[grpc.Channel]:
    """A connection that comes from another address."""
    with relayed(probe.server.endpoint, source) as endpoint, grpc.insecure_channel(endpoint) as channel:
        yield channel


class Idle:
    """A stream of reflection that asks nothing until it is told."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._over = threading.Event()
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self.answers: Any = stub.ServerReflectionInfo(self._requests())

    def _requests(self) -> Iterator[reflection_pb2.ServerReflectionRequest]:
        self._over.wait(2 * SECONDS)
        yield from ()

    def let_go(self) -> None:
        """Lets it end without a question, whenever its turn comes."""
        self._over.set()

    def end(self) -> str:
        """Ends it, if it is not over; tells how it was."""
        self.let_go()
        return self.outcome()

    def outcome(self) -> str:
        """Waits for its end."""
        try:
            return f"{len(list(self.answers))} answers"
        except grpc.RpcError as error:
            failed: Any = error
            return f"{failed.code().name} {failed.details()}"


def services(channel: grpc.Channel) -> int:
    """How many services reflection tells of."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = stub.ServerReflectionInfo(iter([ASK]), timeout=SECONDS)
    return len(answer.list_services_response.service)


def test_an_address_has_so_many_open_calls_and_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakewarden_server.rpc.lanes.OpenCalls", lambda: OpenCalls(peer_max=10))
    with (
        probed(monkeypatch) as probe,
        from_address(probe, EVE) as eve,
        from_address(probe, MALLORY) as mallory,
    ):
        open_now = probe.server.app.rpc._lanes.open_calls
        # Several programs behind one address, on connections of their own.
        with from_address(probe, EVE) as another:
            calls = [Silent(probe, "Read", channel=channel) for channel in (eve, another) for _ in range(5)]
            until(lambda: len(open_now) == 10)
            refused = Silent(probe, "Read", channel=eve)
            assert failure(refused.call)[::2] == ("RESOURCE_EXHAUSTED", open_calls.TOO_MANY_OPEN)
            other = Silent(probe, "Read", channel=mallory)
            other.send("through")
            assert other.call.result().value == "through"
            assert probe.call("Read", "through").result().value == "through"
            for each in calls:
                each.send("at last")
            assert {each.call.result().value for each in calls} == {"at last"}
        until(lambda: len(open_now) == 0)
        again = Silent(probe, "Read", channel=eve)
        again.send("again")
        assert again.call.result().value == "again"
        until(lambda: open_now._counts == {})


def test_calls_of_every_end_are_counted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with probed(monkeypatch) as probe:
        for authorization in (None, "Bearer nonsense", ""):
            for act in (Silent.end, lambda silent: silent.call.cancel(), lambda silent: silent.send("x")):
                silent = Silent(probe, "Read", authorization=authorization)
                act(silent)
                until(silent.call.done)
                silent.end()
        failure(probe.call("Read", "x" * (9 << 20)))
        failure(probe.call("Read", "crash"))
        until(lambda: probe.server.app.rpc._lanes.open_calls._counts == {})


def test_streams_of_reflection_use_up_no_calls_and_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than a server takes calls, from one address: few are open, and everybody else is answered."""
    with probed(monkeypatch) as probe, ExitStack() as stack:
        monkeypatch.setattr(probe.server.app.rpc._server._state, "maximum_concurrent_rpcs", 60)
        eve = [stack.enter_context(from_address(probe, EVE)) for _ in range(2)]
        idle = [Idle(channel) for channel in eve for _ in range(40)]
        until(
            lambda: sum(each.answers.done() for each in idle) == len(idle) - REFLECTION_STREAMS_PER_PEER_MAX
        )
        calls_running(probe, REFLECTION_STREAMS_PER_PEER_MAX)
        with Client(probe.server.endpoint, token="", retries=0) as client:
            assert client.health() == "SERVING"
        for method in ("Read", "Write", "Revoke", "Watch"):
            assert probe.call(method, "through", seconds=SECONDS).result().value == "through"
        # Reflection too, for others.
        assert services(probe.channel) > 5
        outcomes = Counter(each.end() for each in idle)
        refused = f"RESOURCE_EXHAUSTED {open_calls.TOO_MANY_OPEN}"
        assert outcomes == {
            "0 answers": REFLECTION_STREAMS_PER_PEER_MAX,
            refused: len(idle) - REFLECTION_STREAMS_PER_PEER_MAX,
        }
        assert services(eve[0]) > 5


def test_control_without_a_limit_they_use_up_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "lakewarden_server.rpc.lanes.StreamPool",
        lambda name, open_calls: ThreadPoolExecutor(REFLECTION_THREADS),
    )
    with probed(monkeypatch) as probe:
        state = probe.server.app.rpc._server._state
        monkeypatch.setattr(state, "maximum_concurrent_rpcs", 60)
        idle = [Idle(probe.channel) for _ in range(60)]
        until(lambda: state.active_rpc_count == 60)
        code, _, words = failure(probe.call("Read", "no way through"))
        assert (code, words) == ("RESOURCE_EXHAUSTED", "Concurrent RPC limit exceeded!")
        # All at once: who is in the queue for a thread waits for those who have one.
        for each in idle:
            each.let_go()
        for each in idle:
            each.end()


def test_of_too_many_streams_the_one_that_is_open_longest_ends(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with probed(monkeypatch) as probe, ExitStack() as stack:
        eve, mallory, trent = (
            stack.enter_context(from_address(probe, source)) for source in (EVE, MALLORY, TRENT)
        )
        pool = probe.server.app.rpc._lanes.reflection
        idle = []
        for channel in (eve, eve, mallory, mallory):
            idle.append(Idle(channel))
            until(lambda: len(pool._open) == len(idle))
        assert len(idle) == REFLECTION_THREADS
        assert services(trent) > 5
        assert idle[0].outcome() == f"RESOURCE_EXHAUSTED {streams.MADE_ROOM}"
        assert [each.end() for each in idle[1:]] == ["0 answers"] * 3
        until(lambda: not pool._open)
    # Its thread was let go, and nothing was sent twice.
    assert "Traceback" not in capfd.readouterr().err


def test_a_stream_of_reflection_ends_in_time_whether_it_asks_or_not(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "lakewarden_server.rpc.lanes.StreamPool",
        lambda name, open_calls: StreamPool(name, open_calls=open_calls, seconds_max=0.5),
    )
    with probed(monkeypatch) as probe:
        idle = Idle(probe.channel)
        busy = reflection_pb2_grpc.ServerReflectionStub(probe.channel).ServerReflectionInfo(_asking())
        with pytest.raises(grpc.RpcError) as ended:
            list(busy)
        assert idle.outcome() == f"DEADLINE_EXCEEDED {streams.OVER}"
        error: Any = ended.value
        assert (error.code().name, error.details()) == ("DEADLINE_EXCEEDED", streams.OVER)
        idle.end()
        until(lambda: not probe.server.app.rpc._lanes.reflection._open)
        assert services(probe.channel) > 5
        until(lambda: probe.server.app.rpc._lanes.open_calls._counts == {})
        calls_running(probe, 0)
    assert "Traceback" not in capfd.readouterr().err


def _asking() -> Iterator[reflection_pb2.ServerReflectionRequest]:
    while True:
        yield ASK
        threading.Event().wait(0.01)
