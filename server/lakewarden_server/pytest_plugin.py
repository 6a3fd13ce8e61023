"""The pytest fixture `lakewarden_server`: one embedded server for the test session's module. Installed by entry point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lakewarden_server.testing import EmbeddedServer


@pytest.fixture(scope="module")
def lakewarden_server() -> Iterator[EmbeddedServer]:
    """A running server with an admin, a metastore and a workspace; see `lakewarden_server.testing.serve`."""
    # Imported here, so that a test run that never asks for the fixture does not load the server.
    from lakewarden_server.testing import serve

    with serve() as server:
        yield server
