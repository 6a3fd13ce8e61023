"""Calls that send their headers and then nothing, until they are told."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue

from lakewarden_server.core.clock import monotonic
from pipeline.probe import ProbedServer

SECONDS = 15.0


class Silent:
    """A call that sends its headers and then, only when told, a request or the end of its stream. As the admin, unless another `authorization` is given."""

    def __init__(
        self,
        probe: ProbedServer,
        method: str,
        *,
        seconds: float = SECONDS,
        authorization: str | None = None,
        channel: grpc.Channel | None = None,
    ) -> None:
        self._sent: queue.Queue[StringValue | None] = queue.Queue()
        # A stream of requests on the caller's side is the same on the wire.
        stub = (channel or probe.channel).stream_unary(
            f"/{probe.name}/{method}" if "/" not in method else method,
            StringValue.SerializeToString,
            StringValue.FromString,
        )
        shown = f"Bearer {probe.server.admin_token}" if authorization is None else authorization
        metadata = (("authorization", shown),) if shown else ()
        self.call: Any = stub.future(iter(self._sent.get, None), timeout=seconds, metadata=metadata)

    def send(self, value: str) -> None:
        """Sends the request and ends the stream."""
        self._sent.put(StringValue(value=value))
        self._sent.put(None)

    def end(self) -> None:
        """Ends the stream without a request."""
        self._sent.put(None)


def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition."""
    give_up = monotonic() + SECONDS
    while not condition():
        assert monotonic() < give_up


def expected(probe: ProbedServer, count: int) -> None:
    """Waits until the server waits for so many requests."""
    arrivals = probe.server.app.rpc._lanes.arrivals
    until(lambda: len(arrivals) == count)


def calls_running(probe: ProbedServer, count: int) -> None:
    """Waits until so many calls run on the server: a caller may know of an end a moment before it."""
    server: Any = probe.server.app.rpc._server
    until(lambda: server._state.active_rpc_count == count)
