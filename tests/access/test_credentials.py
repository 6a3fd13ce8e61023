"""No RPC answers without a valid token; health and reflection do."""

from __future__ import annotations

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from access.rpcs import call, names, offered
from access.world import World, request_for, rpc_names
from lakewarden_server.rpc.server import CONNECTION_STREAMS_MAX

GARBAGE_TOKENS = {
    "word": ("garbage", "TOKEN_MALFORMED"),
    "other product": ("ghp_0123456789abcdef0123456789abcdef0123", "TOKEN_MALFORMED"),
    "empty secret": ("lwpat_", "TOKEN_MALFORMED"),
    "long": ("lwpat_" + "a" * 4_000, "TOKEN_MALFORMED"),
}


@pytest.mark.parametrize("name", rpc_names())
def test_rpc_is_refused_without_a_token(world: World, channel: grpc.Channel, name: str) -> None:
    for body in (request_for(name, world), b""):
        answer = call(channel, name, body, workspace="workspace")
        assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "TOKEN_MISSING")


@pytest.mark.parametrize("name", rpc_names())
def test_rpc_is_refused_with_a_garbage_token(world: World, channel: grpc.Channel, name: str) -> None:
    for token, reason in GARBAGE_TOKENS.values():
        answer = call(channel, name, request_for(name, world), token=token, workspace="workspace")
        assert (answer.code, answer.reason) == ("UNAUTHENTICATED", reason)


@pytest.mark.parametrize("name", rpc_names())
def test_rpc_is_refused_with_a_forged_token(world: World, channel: grpc.Channel, name: str) -> None:
    """Right shape and checksum, known id, wrong secret: what somebody makes who has read the database."""
    answer = call(channel, name, request_for(name, world), token=_forged(world), workspace="workspace")
    assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")


@pytest.mark.parametrize("name", rpc_names())
def test_rpc_never_answers_bytes_that_are_no_message(world: World, channel: grpc.Channel, name: str) -> None:
    for token in ("", world.nobody_token):
        answer = call(channel, name, b"\xff\xff\xff\xff", token=token, workspace="workspace")
        assert answer.code != "OK"
        assert "Traceback" not in answer.text


def test_unreadable_requests_do_not_block_their_connection(world: World, channel: grpc.Channel) -> None:
    method = "lakewarden.v1.SessionService/GetSession"
    for _ in range(CONNECTION_STREAMS_MAX + 10):
        answer = call(channel, method, b"\xff\xff", token=world.nobody_token)
        assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    # A stranger's is not even received.
    assert call(channel, method, b"\xff\xff").reason == "TOKEN_MISSING"


@pytest.mark.parametrize("scheme", ["Basic ", "", "Token "])
def test_another_scheme_is_refused(world: World, channel: grpc.Channel, scheme: str) -> None:
    answer = call(
        channel, "lakewarden.v1.SessionService/GetSession", authorization=scheme + world.server.admin_token
    )
    assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "TOKEN_MALFORMED")


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER "])
def test_scheme_is_read_in_any_case(world: World, channel: grpc.Channel, scheme: str) -> None:
    answer = call(
        channel, "lakewarden.v1.SessionService/GetSession", authorization=scheme + world.server.admin_token
    )
    assert answer.code == "OK"


def test_health_answers_without_a_token(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    services = {"", *(name.partition("/")[0] for name in names())}
    statuses = {
        service: stub.Check(health_pb2.HealthCheckRequest(service=service)).status for service in services
    }
    assert set(statuses.values()) == {health_pb2.HealthCheckResponse.SERVING}


def test_reflection_lists_exactly_the_services_offered(channel: grpc.Channel) -> None:
    """Whatever reflection shows besides health and itself carries a rule: no service slips past `collect_methods`."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="*")
    (answer,) = stub.ServerReflectionInfo(iter([request]))
    listed = {service.name for service in answer.list_services_response.service}
    ours = {name.partition("/")[0] for name in offered()}
    assert listed == ours | {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


def _forged(world: World) -> str:
    from lakewarden_server.authn.tokens import TokenKind, TokenText

    return TokenText(TokenKind.PAT, world.admin_token_id, "0" * 43).render()
