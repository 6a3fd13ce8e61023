"""A clean home for every test of the client, and a server that records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.wire import WireServer
from lakewarden import Client


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No setting of whoever runs the tests reaches them, and none of theirs stays."""
    for name in ("ENDPOINT", "TOKEN", "WORKSPACE", "PROFILE", "DEBUG"):
        monkeypatch.delenv(f"LAKEWARDEN_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def wire() -> Iterator[WireServer]:
    """A recording server."""
    wire = WireServer()
    server = wire.start()
    yield wire
    server.stop(None).wait()


@pytest.fixture
def client(wire: WireServer) -> Iterator[Client]:
    """A client of the recording server."""
    with Client(wire.endpoint, "lwpat_secret", "analytics") as client:
        yield client
