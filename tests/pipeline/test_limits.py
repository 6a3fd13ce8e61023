"""Deadlines, sizes and what travels beside a message."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.peers import LOCAL
from lakewarden_server.pipeline.errors import CallFailed
from lakewarden_server.pipeline.pipeline import Incoming
from pipeline.probe import ProbedServer, failure


@pytest.mark.parametrize(("sent", "granted"), [(None, 10), (3, 3), (29, 29), (31, 30), (100_000, 30)])
@pytest.mark.parametrize("method", ["Read", "Write"])
def test_deadline_is_the_callers_with_a_default_and_a_cap(
    probe: ProbedServer, method: str, sent: float | None, granted: float
) -> None:
    probe.call(method, seconds=sent).result()
    # gRPC rounds a deadline to its own clock, upwards.
    assert granted - 2 < probe.probe.seconds[-1] <= granted + 0.1


def test_expired_deadline_is_refused_before_any_work(probe: ProbedServer) -> None:
    incoming = Incoming({"authorization": f"Bearer {probe.server.admin_token}"}, 0.0, LOCAL)
    with pytest.raises(CallFailed) as failed:
        probe.server.app.pipeline.handle(f"{probe.name}/Read", StringValue(), incoming)
    assert "DEADLINE_PASSED" in str(failed.value.status.details[0])
    assert probe.probe.seconds == []


def test_write_that_outlives_its_deadline_is_not_stored(probe: ProbedServer) -> None:
    before = probe.server.app.follower.at_head().head.revision
    future = probe.call("Write", "wait", seconds=0.4)
    assert probe.probe.entered.acquire(timeout=10)
    assert failure(future)[0] == "DEADLINE_EXCEEDED"
    probe.probe.gate.set()
    assert probe.call("Read", "after").result().value == "after"
    _settle(probe)
    assert probe.server.app.follower.at_head().head.revision == before


def test_writer_gives_up_its_place_in_the_queue_at_its_deadline(probe: ProbedServer) -> None:
    first = probe.call("Write", "wait")
    assert probe.probe.entered.acquire(timeout=10)
    begun = monotonic()
    assert failure(probe.call("Write", "late", seconds=0.5))[0] == "DEADLINE_EXCEEDED"
    assert monotonic() - begun < 5
    probe.probe.gate.set()
    assert first.result().value == "wait"


@pytest.mark.parametrize("method", ["Read", "Write"])
def test_message_over_one_mebibyte_is_refused_with_its_reason(probe: ProbedServer, method: str) -> None:
    fitting = "x" * ((1 << 20) - 4)
    assert probe.call(method, fitting).result().value == fitting
    code, reason, text = failure(probe.call(method, fitting + "x"))
    assert (code, reason) == ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
    assert str(1 << 20) in text


def test_message_over_the_transports_limit_is_refused_too(probe: ProbedServer) -> None:
    assert failure(probe.call("Read", "x" * (9 << 20)))[0] == "RESOURCE_EXHAUSTED"
    assert probe.call("Read", "alive").result().value == "alive"


def test_metadata_over_its_limit_is_refused_and_the_server_lives(probe: ProbedServer) -> None:
    code, _, _ = failure(probe.call("Read", lakewarden_workspace="w" * 100_000))
    assert code in {"RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE"}
    assert probe.probe.seconds == []
    assert probe.call("Read", "alive").result().value == "alive"


def test_request_id_comes_back_or_is_made(probe: ProbedServer) -> None:
    chosen = str(uuid.uuid4())
    assert _initial(probe.call("Read", lakewarden_request_id=chosen))["lakewarden-request-id"] == chosen
    made = _initial(probe.call("Read"))["lakewarden-request-id"]
    assert str(uuid.UUID(made)) == made


def test_request_id_stands_in_the_error(probe: ProbedServer) -> None:
    chosen = str(uuid.uuid4())
    future = probe.call("Read", "crash", lakewarden_request_id=chosen)
    assert chosen in failure(future)[2]


def test_workspace_metadata_sent_twice_is_read_alike_everywhere(probe: ProbedServer) -> None:
    """Of a key sent twice one value counts, and a proxy that adds one cannot make half the pipeline see another."""
    stub = probe.channel.unary_unary(
        f"/{probe.name}/Read", StringValue.SerializeToString, StringValue.FromString
    )
    pairs = [("authorization", "Bearer garbage"), ("authorization", f"Bearer {probe.server.admin_token}")]
    assert stub(StringValue(value="x"), metadata=pairs, timeout=20).value == "x"
    with pytest.raises(grpc.RpcError, match="lwpat_"):
        stub(StringValue(value="x"), metadata=reversed(pairs), timeout=20)


def _initial(future: Any) -> dict[str, str]:
    future.result()
    return {key: str(value) for key, value in future.trailing_metadata()}


def _settle(probe: ProbedServer) -> None:
    """Waits until the abandoned writer has left: the next writer gets the head after it."""
    with probe.server.app.database.transaction(deadline=monotonic() + 10):
        pass
