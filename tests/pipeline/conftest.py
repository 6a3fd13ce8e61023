"""A server with a probe among its services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.probe import ProbedServer, probed


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProbedServer]:
    """A fresh server for one test."""
    with probed(monkeypatch) as server:
        yield server
