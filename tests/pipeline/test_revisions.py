"""The revision in every reply, and the refusal to answer from before what a caller has seen."""

from __future__ import annotations

import pytest

from pipeline.probe import ProbedServer, failure


def _head(probe: ProbedServer) -> tuple[str, int]:
    head = probe.server.app.follower.at_head().head
    return head.epoch, head.revision


def _revision(probe: ProbedServer, method: str) -> str:
    future = probe.call(method)
    future.result()
    return str(dict(future.trailing_metadata())["lakewarden-revision"])


def test_reply_carries_the_revision_it_was_made_at(probe: ProbedServer) -> None:
    epoch, revision = _head(probe)
    assert _revision(probe, "Read") == f"{epoch}:{revision}"
    assert _revision(probe, "Write") == f"{epoch}:{revision + 1}"
    assert _revision(probe, "Read") == f"{epoch}:{revision + 1}"


@pytest.mark.parametrize("behind", [0, 1])
def test_revision_already_reached_is_answered(probe: ProbedServer, behind: int) -> None:
    epoch, revision = _head(probe)
    sent = f"{epoch}:{revision - behind}"
    assert probe.call("Read", "x", lakewarden_at_least_revision=sent).result().value == "x"


@pytest.mark.parametrize("method", ["Read", "Write"])
def test_future_revision_is_not_answered(probe: ProbedServer, method: str) -> None:
    epoch, revision = _head(probe)
    future = probe.call(method, lakewarden_at_least_revision=f"{epoch}:{revision + 1}")
    assert failure(future)[:2] == ("UNAVAILABLE", "SNAPSHOT_UNAVAILABLE")
    assert probe.probe.seconds == []


@pytest.mark.parametrize("method", ["Read", "Write"])
def test_revision_of_another_history_is_refused(probe: ProbedServer, method: str) -> None:
    future = probe.call(method, lakewarden_at_least_revision="00000000-0000-7000-8000-000000000000:1")
    assert failure(future)[:2] == ("FAILED_PRECONDITION", "HISTORY_MISMATCH")


@pytest.mark.parametrize("sent", ["1", ":", "x:", ":1", "x:-1", "x:1.5", "x:1x", "x:0x1", "x:1_000"])
def test_malformed_revision_is_refused(probe: ProbedServer, sent: str) -> None:
    future = probe.call("Read", lakewarden_at_least_revision=sent)
    assert failure(future)[:2] == ("INVALID_ARGUMENT", "FIELD_INVALID")


def test_largest_revision_is_only_a_future_one(probe: ProbedServer) -> None:
    epoch, _ = _head(probe)
    future = probe.call("Read", lakewarden_at_least_revision=f"{epoch}:{'9' * 19}")
    assert failure(future)[:2] == ("UNAVAILABLE", "SNAPSHOT_UNAVAILABLE")


@pytest.mark.parametrize("digits", [20, 5_000])
def test_endless_revision_is_no_server_error(probe: ProbedServer, digits: int) -> None:
    """Python refuses to read an integer of more than 4,300 digits; the caller must not see that as our bug."""
    epoch, _ = _head(probe)
    future = probe.call("Read", lakewarden_at_least_revision=f"{epoch}:{'9' * digits}")
    assert failure(future)[:2] == ("INVALID_ARGUMENT", "FIELD_INVALID")
