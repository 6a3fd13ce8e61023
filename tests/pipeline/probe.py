"""A service of the tests' own, offered by a real server beside all others: it shows its call, fails, and waits when told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import lakewarden_server.app
from access.descriptors import service
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import Internal, Reason
from lakewarden_server.testing import EmbeddedServer, serve

SECRET_TEXT = "password=hunter2 at /etc/shadow"


@dataclass
class Probe:
    """What the probe saw, and the gate its waiting methods stand at."""

    seconds: list[float] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    gate: threading.Event = field(default_factory=threading.Event)

    def read(self, request: StringValue, call: Any) -> StringValue:
        """Answers what it was asked."""
        return self._act(request, call)

    def write(self, request: StringValue, call: Any) -> StringValue:
        """The same inside a write transaction."""
        return self._act(request, call)

    def revoke(self, request: StringValue, call: Any) -> StringValue:
        """The same in a write that is urgent."""
        return self._act(request, call)

    def watch(self, request: StringValue, call: Any) -> StringValue:
        """The same as an engine's watch."""
        return self._act(request, call)

    def trace(self, request: StringValue, call: Any) -> StringValue:
        """The same as a question about lineage."""
        return self._act(request, call)

    def large(self, request: StringValue, call: Any) -> StringValue:
        """The same for requests of several MiB."""
        return self._act(request, call)

    def _act(self, request: StringValue, call: Any) -> StringValue:
        self.seconds.append(call.deadline - monotonic())
        self.threads.append(threading.current_thread().name)
        if request.value.startswith("wait"):
            self.entered.release()
            assert self.gate.wait(20)
        if request.value == "crash":
            raise RuntimeError(SECRET_TEXT)
        if request.value == "internal":
            raise Internal(Reason.INTERNAL_ERROR, SECRET_TEXT)
        return StringValue(value=request.value)


@dataclass
class ProbedServer:
    """A running server that offers the probe, and how to call it."""

    server: EmbeddedServer
    probe: Probe
    name: str
    channel: grpc.Channel

    def call(self, method: str, value: str = "", *, seconds: float | None = 20, **metadata: str) -> Any:
        """Starts a call, as the admin where nothing else is shown, and returns its future."""
        shown = {"authorization": f"Bearer {self.server.admin_token}", **metadata}
        pairs = [(key.replace("_", "-"), text) for key, text in shown.items()]
        stub = self.channel.unary_unary(
            f"/{self.name}/{method}", StringValue.SerializeToString, StringValue.FromString
        )
        return stub.future(StringValue(value=value), timeout=seconds, metadata=pairs)


@contextmanager
def probed(monkeypatch: pytest.MonkeyPatch, *, urgent: bool = True, **options: Any) -> Iterator[ProbedServer]:
    """A server with the probe among its services; `urgent` says whether its Revoke has threads of its own."""
    descriptor = service(
        ("Read", {"operation": "session.get"}),
        ("Write", {"operation": "session.get", "write": True}),
        ("Revoke", {"operation": "session.get", "write": True, "urgent": urgent}),
        ("Watch", {"operation": "session.get", "pool": "watch"}),
        ("Trace", {"operation": "session.get", "pool": "lineage"}),
        ("Large", {"operation": "session.get", "large_requests": True}),
    )
    probe, offer = Probe(), lakewarden_server.app.services
    monkeypatch.setattr(
        lakewarden_server.app, "services", lambda *given: {**offer(*given), descriptor: probe}
    )
    with (
        serve(workspace=False, **options) as server,
        grpc.insecure_channel(server.endpoint, [("grpc.max_metadata_size", 1 << 20)]) as channel,
    ):
        try:
            yield ProbedServer(server, probe, descriptor.full_name, channel)
        finally:
            # The server waits for its threads, and those wait at the gate.
            probe.gate.set()


def reason_of(error: Any) -> str:
    """The reason in a failed call's details; empty where it has none."""
    status = rpc_status.from_call(error)
    information = error_details_pb2.ErrorInfo()
    for detail in status.details if status else ():
        if detail.Unpack(information):
            return str(information.reason)
    return ""


def failure(future: Any) -> tuple[str, str, str]:
    """Code, reason and text of a call that must fail."""
    with pytest.raises(grpc.RpcError) as raised:
        future.result()
    error: Any = raised.value
    return error.code().name, reason_of(error), error.details()
