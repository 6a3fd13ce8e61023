"""Answers in streams: who reads slowly holds a thread of streams and no other, for a time, and what goes wrong on the way is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

import lakewarden_server.app
from access.descriptors import service
from lakewarden_server.core.clock import monotonic
from lakewarden_server.rpc import lanes
from lakewarden_server.rpc.lanes import STREAM_CALLER_MAX, STREAM_THREADS
from lakewarden_server.testing import EmbeddedServer, serve
from observability.watching import samples, watched
from pipeline.probe import SECRET_TEXT, reason_of
from pipeline.silent import until

MESSAGE = "x" * (1 << 18)
"""Larger than what is sent to who does not read."""
LONG = "1000"


class Telling:
    """Tells as many messages as it is asked for, and how many streams are open."""

    def __init__(self) -> None:
        self.open = self.told = 0

    def tell(self, request: StringValue, _call: Any) -> Iterator[StringValue]:
        """The messages; `crash` fails after two."""
        return self._tell(2 if request.value == "crash" else int(request.value), request.value == "crash")

    def _tell(self, count: int, crash: bool) -> Iterator[StringValue]:
        self.open += 1
        try:
            for _ in range(count):
                self.told += 1
                yield StringValue(value=MESSAGE)
            if crash:
                raise RuntimeError(SECRET_TEXT)
        finally:
            self.open -= 1


class Streaming:
    """A server that streams, and how it is asked."""

    def __init__(self, server: EmbeddedServer, telling: Telling, name: str, channel: grpc.Channel) -> None:
        self.server, self.telling, self._name, self._channel = server, telling, name, channel

    def tell(self, value: str, token: str = "", *, seconds: float | None = 20) -> Any:
        """Begins a stream, as the admin unless another token is given; nothing of it is read yet."""
        stub = self._channel.unary_stream(
            f"/{self._name}/Tell", StringValue.SerializeToString, StringValue.FromString
        )
        metadata = (("authorization", f"Bearer {token or self.server.admin_token}"),)
        return stub(StringValue(value=value), timeout=seconds, metadata=metadata)


@contextmanager
def streaming(monkeypatch: pytest.MonkeyPatch, *, metrics: str = "") -> Iterator[Streaming]:
    descriptor = service(
        ("Tell", {"operation": "session.get", "pool": "lineage_stream"}), streaming="replies"
    )
    telling, offer = Telling(), lakewarden_server.app.services
    monkeypatch.setattr(
        lakewarden_server.app, "services", lambda *given: {**offer(*given), descriptor: telling}
    )
    with serve() as server:
        watching = watched(server, metrics=metrics) if metrics else server
        with grpc.insecure_channel(watching.endpoint) as channel:
            yield Streaming(watching, telling, descriptor.full_name, channel)


def code_of(stream: Any) -> str:
    with pytest.raises(grpc.RpcError):
        list(stream)
    return str(stream.code().name)


def test_a_stream_ends_with_revision_and_request_id(monkeypatch: pytest.MonkeyPatch) -> None:
    with streaming(monkeypatch) as asked:
        stream = asked.tell("3")
        assert len(list(stream)) == 3
        assert {"lakewarden-revision", "lakewarden-request-id"} <= {
            key for key, _ in stream.trailing_metadata()
        }


def test_what_fails_on_the_way_is_said_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with streaming(monkeypatch) as asked:
        stream = asked.tell("crash")
        assert [len(next(stream).value), len(next(stream).value)] == [len(MESSAGE)] * 2
        with pytest.raises(grpc.RpcError) as failed:
            next(stream)
    assert (failed.value.code().name, reason_of(failed.value)) == ("INTERNAL", "INTERNAL_ERROR")
    assert SECRET_TEXT not in failed.value.details()


def test_who_reads_slowly_holds_no_thread_that_answers_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with streaming(monkeypatch) as asked:
        others = [asked.server.token_of(name) for name in ("ada", "bob", "eve")]
        unread = [asked.tell(LONG, token) for token in others for _ in range(STREAM_CALLER_MAX)]
        until(lambda: asked.telling.open == STREAM_THREADS)
        admin = asked.server.client()
        admin.catalogs.create("main")
        admin.schemas.create("main.s")
        admin.tables.create("main.s.t")
        assert len(admin.lineage.traverse("main.s.t").nodes) == 1
        # And what is sent waits with its readers: of each stream no more than a window and what the sockets hold.
        assert asked.telling.told < STREAM_THREADS * int(LONG) / 4
        for stream in unread:
            stream.cancel()
        until(lambda: asked.telling.open == 0)
        assert len(list(asked.tell("3"))) == 3


def test_one_caller_leaves_threads_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with streaming(monkeypatch) as asked:
        flood = [asked.tell(LONG) for _ in range(STREAM_CALLER_MAX)]
        until(lambda: asked.telling.open == STREAM_CALLER_MAX)
        assert code_of(asked.tell(LONG)) == "RESOURCE_EXHAUSTED"
        assert len(list(asked.tell("3", asked.server.token_of("ada"), seconds=5))) == 3
        for stream in flood:
            stream.cancel()
        until(lambda: asked.telling.open == 0)
        assert len(list(asked.tell("3"))) == 3


def test_what_is_not_read_is_cut_off_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "STREAM_SECONDS_MAX", 1.0)
    with streaming(monkeypatch) as asked:
        began = monotonic()
        unread = asked.tell(LONG, seconds=None)
        until(lambda: asked.telling.open == 1)
        until(lambda: asked.telling.open == 0)
        assert 0.5 < monotonic() - began < 5
        assert code_of(unread) in {"DEADLINE_EXCEEDED", "CANCELLED"}


def test_a_stream_that_is_done_in_time_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[str] = []
    monkeypatch.setattr(
        "lakewarden_server.rpc.pooled_calls.PooledCall.cut_off", lambda *told: cut.append(told[-1])
    )
    monkeypatch.setattr(lanes, "STREAM_SECONDS_MAX", 0.5)
    with streaming(monkeypatch) as asked:
        assert len(list(asked.tell("3"))) == 3
        began = monotonic()
        until(lambda: monotonic() > began + 0.7)
        assert cut == []
        with_reader = asked.tell(LONG)
        until(lambda: bool(cut))
        with_reader.cancel()


def test_streams_are_counted_as_calls_when_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with streaming(monkeypatch, metrics="127.0.0.1:0") as asked:
        assert len(list(asked.tell("3"))) == 3
        assert code_of(asked.tell("crash")) == "INTERNAL"
        given_up = asked.tell(LONG)
        until(lambda: asked.telling.open == 1)
        assert samples(asked.server)["lakewarden_calls_in_flight", ()] == 1
        given_up.cancel()
        until(lambda: asked.telling.open == 0)
        until(lambda: samples(asked.server)["lakewarden_calls_in_flight", ()] == 0)
        found = samples(asked.server)
        told = {
            labels[0]: value
            for (name, labels), value in found.items()
            if name == "lakewarden_calls_total" and labels[-1].endswith("/Tell")
        }
        assert told == {"OK": 1, "INTERNAL": 1, "CANCELLED": 1}
