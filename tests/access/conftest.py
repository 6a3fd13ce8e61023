"""One world for the access tests: everything exists, and a principal that was given nothing."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from access.world import World, build
from lakewarden_server.testing import serve


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A server with one of each noun, and the token of a user and of a service principal without grants."""
    with serve() as server:
        yield build(server)


@pytest.fixture(scope="module")
def channel(world: World) -> Iterator[grpc.Channel]:
    """A bare channel to it."""
    with grpc.insecure_channel(world.server.endpoint) as channel:
        yield channel
