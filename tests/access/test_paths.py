"""A path that is not exactly an RPC's reaches nothing, whoever sends it."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from access.rpcs import Answer, call
from access.world import World, rpc_names


def _variants(name: str) -> Iterator[str]:
    service, _, method = name.partition("/")
    yield f"{service}/{method.lower()}"
    yield f"{service}/{method.upper()}"
    yield f"{service.lower()}/{method}"
    yield f"{service.upper()}/{method}"
    yield f"{service}/{method}/"
    yield f"{service}//{method}"
    yield f"/{service}/{method}"
    yield f"{service}/{method}%20"
    yield f"{service}/%2e%2e/{service}/{method}"
    yield f"{service}.{method}"
    yield f"x/../{service}/{method}"
    yield f"{service}/{method}?x=1"


@pytest.mark.parametrize("name", rpc_names())
def test_odd_spelling_of_a_path_is_unimplemented(world: World, channel: grpc.Channel, name: str) -> None:
    for variant in _variants(name):
        for token in ("", world.server.admin_token):
            assert call(channel, variant, token=token, workspace="workspace").code == "UNIMPLEMENTED", variant


def test_right_spelling_is_implemented(world: World, channel: grpc.Channel) -> None:
    """The control."""
    name = "lakewarden.v1.SessionService/GetSession"
    answer: Answer = call(channel, name, token=world.server.admin_token)
    assert answer.code == "OK"


def test_unknown_method_of_a_known_service_is_unimplemented(world: World, channel: grpc.Channel) -> None:
    for name in (
        "lakewarden.v1.CatalogService/DropCatalog",
        "lakewarden.v2.CatalogService/GetCatalog",
        "a/b",
        "",
    ):
        assert call(channel, name, token=world.server.admin_token).code == "UNIMPLEMENTED"
