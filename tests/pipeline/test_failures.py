"""What goes wrong inside: never told as text, always found again by its request id, and no end for the server."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

import pytest

from pipeline.probe import SECRET_TEXT, ProbedServer, failure

QUIET = "lakewarden.errors"


@pytest.mark.parametrize("value", ["crash", "internal"])
@pytest.mark.parametrize("method", ["Read", "Write"])
def test_unexpected_exception_is_internal_without_its_text(
    probe: ProbedServer, caplog: pytest.LogCaptureFixture, method: str, value: str
) -> None:
    request_id = str(uuid.uuid4())
    with caplog.at_level(logging.ERROR, logger=QUIET):
        code, reason, text = failure(probe.call(method, value, lakewarden_request_id=request_id))
    assert (code, reason) == ("INTERNAL", "INTERNAL_ERROR")
    assert request_id in text
    assert SECRET_TEXT not in text
    assert "RuntimeError" not in text
    assert request_id in caplog.text
    assert SECRET_TEXT in caplog.text
    assert probe.call(method, "alive").result().value == "alive"


def test_crashed_write_leaves_nothing(probe: ProbedServer) -> None:
    before = probe.server.app.follower.at_head().head
    failure(probe.call("Write", "crash"))
    assert probe.server.app.follower.at_head().head == before


@pytest.mark.parametrize("method", ["Read", "Write"])
def test_database_that_is_down_is_unavailable_and_comes_back(probe: ProbedServer, method: str) -> None:
    """The file is moved away and every open connection closed, as when a volume is lost; then it is put back."""
    app = probe.server.app
    path = app.database.engines.path
    assert path is not None
    away = path.with_suffix(".away")
    assert probe.call(method, "before").result().value == "before"
    _disconnect(probe)
    path.rename(away)
    path.mkdir()
    code, reason, text = failure(probe.call(method, "during"))
    assert (code, reason) == ("UNAVAILABLE", "STORAGE_UNAVAILABLE")
    assert str(path) not in text
    assert "sqlite" not in text.lower()
    path.rmdir()
    away.rename(path)
    assert probe.call(method, "after").result().value == "after"


def test_unreachable_database_makes_the_server_not_ready(probe: ProbedServer) -> None:
    from time import sleep

    from lakewarden_server.core.clock import monotonic

    path = probe.server.app.database.engines.path
    assert path is not None
    client, away = probe.server.client(), path.with_suffix(".away")

    def becomes(status: str) -> bool:
        give_up = monotonic() + 15
        while client.health() != status and monotonic() < give_up:
            sleep(0.1)
        return client.health() == status

    assert becomes("SERVING")
    _disconnect(probe)
    path.rename(away)
    path.mkdir()
    assert becomes("NOT_SERVING")
    path.rmdir()
    away.rename(path)
    assert becomes("SERVING")


def _disconnect(probe: ProbedServer) -> None:
    """Closes every connection the server holds, but not the server."""
    database = probe.server.app.database
    database._head.close()
    database.engines.reader.dispose()
    database.engines.writer.dispose()
    for suffix in ("-wal", "-shm"):
        Path(f"{database.engines.path}{suffix}").unlink(missing_ok=True)
