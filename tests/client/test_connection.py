from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from client.wire import WireServer, fail, in_turn
from lakewarden import (
    Client,
    ConfigurationError,
    DeadlineExceeded,
    FailedPrecondition,
    LakewardenError,
    ResourceExhausted,
    Unavailable,
    _connection,
)
from lakewarden._connection import parse_endpoint
from lakewarden._errors import _CLASSES
from lakewarden.v1 import catalogs_pb2, sessions_pb2, tokens_pb2

UNAVAILABLE = fail(grpc.StatusCode.UNAVAILABLE, "try again", reason="STORAGE_UNAVAILABLE")


@pytest.fixture(autouse=True)
def _quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connection, "BACKOFF_SECONDS", 0.001)


def test_call_carries_token_workspace_and_a_request_id_of_its_own(wire: WireServer, client: Client) -> None:
    client.session.get()
    client.catalogs.get("main")
    first, second = (call.metadata for call in wire.calls)
    assert first["authorization"] == "Bearer lwpat_secret"
    assert first["lakewarden-workspace"] == "analytics"
    assert uuid.UUID(first["lakewarden-request-id"]).version == 4
    assert first["lakewarden-request-id"] != second["lakewarden-request-id"]
    assert "lakewarden-at-least-revision" not in first
    # gRPC rounds a deadline up on the wire.
    assert 5 < wire.calls[0].seconds_left < 11


def test_copies_share_the_channel_and_change_one_thing(wire: WireServer, client: Client) -> None:
    with client.as_token("lwpat_other").with_workspace("Köln").at_least_revision("e:7") as copy:
        copy.session.get()
    client.session.get()
    changed, original = (call.metadata for call in wire.calls)
    assert changed["authorization"] == "Bearer lwpat_other"
    assert changed["lakewarden-workspace"] == "K%C3%B6ln"
    assert changed["lakewarden-at-least-revision"] == "e:7"
    assert original["authorization"] == "Bearer lwpat_secret"


def test_call_without_token_sends_no_authorization(wire: WireServer) -> None:
    with Client(wire.endpoint, "", "") as client:
        client.session.get()
    assert not {"authorization", "lakewarden-workspace"} & set(wire.calls[0].metadata)


def test_unavailable_is_retried_with_the_same_request_id(wire: WireServer, client: Client) -> None:
    made = catalogs_pb2.Catalog(full_name="main")
    wire.answers["CatalogService/CreateCatalog"] = in_turn(UNAVAILABLE, UNAVAILABLE, lambda *_: made)
    assert client.catalogs.create("main").full_name == "main"
    assert len(wire.calls) == 3
    assert len({call.metadata["lakewarden-request-id"] for call in wire.calls}) == 1


def test_retries_end_after_three_tries(wire: WireServer, client: Client) -> None:
    wire.answers["CatalogService/GetCatalog"] = UNAVAILABLE
    with pytest.raises(Unavailable) as caught:
        client.catalogs.get("main")
    assert caught.value.reason == "STORAGE_UNAVAILABLE"
    assert len(wire.calls) == 3


def test_retry_waits_as_long_as_the_server_says_and_three_tries_are_all(
    wire: WireServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    overloaded = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "later", reason="OVERLOADED", retry_seconds=0.04)
    pauses: list[float] = []
    monkeypatch.setattr(_connection.time, "sleep", pauses.append)
    wire.answers["CatalogService/GetCatalog"] = overloaded
    with pytest.raises(ResourceExhausted) as caught:
        client.catalogs.get("main")
    assert caught.value.retry_seconds == 0.04
    assert len({call.metadata["lakewarden-request-id"] for call in wire.calls}) == 1
    assert len(wire.calls) == 3
    first, second = pauses
    assert 0.04 <= first <= 0.08 <= second <= 0.16


def test_retry_that_would_come_after_the_deadline_is_not_made(wire: WireServer, client: Client) -> None:
    hours = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "later", reason="OVERLOADED", retry_seconds=7_200)
    wire.answers["CatalogService/GetCatalog"] = hours
    with Client(wire.endpoint, "", "", timeout_seconds=2) as hasty, pytest.raises(ResourceExhausted):
        hasty.catalogs.get("main")
    assert len(wire.calls) == 1


def test_limit_that_says_nothing_of_a_retry_is_not_retried(wire: WireServer, client: Client) -> None:
    full = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "20 tokens", reason="QUOTA_EXCEEDED")
    wire.answers["CatalogService/GetCatalog"] = full
    with pytest.raises(ResourceExhausted):
        client.catalogs.get("main")
    assert len(wire.calls) == 1


def test_retries_can_be_switched_off(wire: WireServer) -> None:
    wire.answers["CatalogService/GetCatalog"] = UNAVAILABLE
    with Client(wire.endpoint, "", "", retries=0) as client, pytest.raises(Unavailable):
        client.catalogs.get("main")
    assert len(wire.calls) == 1


@pytest.mark.parametrize("code", ["ABORTED", "INTERNAL", "RESOURCE_EXHAUSTED", "PERMISSION_DENIED"])
def test_other_failures_are_not_retried(wire: WireServer, client: Client, code: str) -> None:
    wire.answers["CatalogService/GetCatalog"] = fail(grpc.StatusCode[code], "no", reason="ANY")
    with pytest.raises(LakewardenError):
        client.catalogs.get("main")
    assert len(wire.calls) == 1


def test_retries_share_one_deadline(
    wire: WireServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_connection, "BACKOFF_SECONDS", 5)
    wire.answers["CatalogService/GetCatalog"] = UNAVAILABLE
    started = time.monotonic()
    with pytest.raises(Unavailable):
        client.with_timeout(1).catalogs.get("main")
    assert time.monotonic() - started < 2
    assert len(wire.calls) == 1


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_each_code_becomes_its_exception_with_the_details(
    wire: WireServer, client: Client, code: grpc.StatusCode
) -> None:
    wire.answers["CatalogService/GetCatalog"] = fail(
        code, "what, which", reason="WHY", request_id="theirs", name="x"
    )
    with pytest.raises(LakewardenError) as caught:
        client.catalogs.get("main")
    error = caught.value
    assert type(error) is _CLASSES.get(code.name, LakewardenError)
    assert (error.code, error.reason, error.message) == (code.name, "WHY", "what, which")
    assert (error.metadata, error.request_id) == ({"name": "x"}, "theirs")
    assert error.__cause__ is None


def test_error_without_details_still_has_the_request_id_that_was_sent(
    wire: WireServer, client: Client
) -> None:
    wire.answers["CatalogService/GetCatalog"] = fail(grpc.StatusCode.FAILED_PRECONDITION, "plain")
    with pytest.raises(FailedPrecondition) as caught:
        client.catalogs.get("main")
    assert caught.value.request_id == wire.calls[0].metadata["lakewarden-request-id"]
    assert caught.value.reason == ""


def test_reason_of_a_foreign_domain_is_not_ours(wire: WireServer, client: Client) -> None:
    wire.answers["CatalogService/GetCatalog"] = fail(
        grpc.StatusCode.PERMISSION_DENIED, "proxy", reason="RBAC", domain="envoy"
    )
    with pytest.raises(LakewardenError) as caught:
        client.catalogs.get("main")
    assert caught.value.reason == ""


def test_slow_server_is_a_deadline_error_that_names_it(wire: WireServer, client: Client) -> None:
    def dawdle(*_: object) -> catalogs_pb2.Catalog:
        time.sleep(0.5)
        return catalogs_pb2.Catalog()

    wire.answers["CatalogService/GetCatalog"] = dawdle
    with pytest.raises(DeadlineExceeded, match=wire.endpoint):
        client.with_timeout(0.1).catalogs.get("main")


def test_absent_server_is_unavailable_and_named() -> None:
    absent = Client("127.0.0.1:1", "lwpat_secret", "", timeout_seconds=2, retries=0)
    with absent, pytest.raises(Unavailable, match=r"127\.0\.0\.1:1") as caught:
        absent.session.get()
    assert "lwpat_secret" not in str(caught.value)


def test_revision_of_the_last_reply_is_kept(wire: WireServer, client: Client) -> None:
    def answer(recorded: object, context: grpc.ServicerContext) -> sessions_pb2.Session:
        context.set_trailing_metadata((("lakewarden-revision", "epoch:42"),))
        return sessions_pb2.Session()

    assert client.revision == ""
    wire.answers["SessionService/GetSession"] = answer
    client.session.get()
    assert client.revision == "epoch:42"


def test_token_whose_secret_was_lost_is_told(wire: WireServer, client: Client) -> None:
    reply = tokens_pb2.CreateTokenResponse(token=tokens_pb2.Token(id="t1"))
    wire.answers["TokenService/CreateToken"] = lambda *_: reply
    with pytest.raises(Unavailable) as caught:
        client.tokens.create()
    assert caught.value.reason == "TOKEN_VALUE_LOST"
    assert caught.value.metadata == {"token_id": "t1"}


def test_token_over_plain_text_to_another_machine_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client("lake.example.com:1", "lwpat_secret", "", tls=False)
    assert caught.value.reason == "TOKEN_OVER_PLAINTEXT"
    assert "lwpat_secret" not in str(caught.value)
    with Client("lake.example.com:1", "", "", tls=False) as anonymous, pytest.raises(ConfigurationError):
        anonymous.as_token("lwpat_secret")
    Client("lake.example.com:1", "lwpat_secret", "", insecure=True).close()
    Client("lake.example.com:1", "lwpat_secret", "").close()


@pytest.mark.parametrize("token", ["two words", "lwpat_é", "line\nbreak"])
def test_malformed_token_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client("localhost:1", token, "")
    assert caught.value.reason == "TOKEN_MALFORMED"
    assert token not in str(caught.value)


def test_tls_and_insecure_contradict() -> None:
    with pytest.raises(ConfigurationError):
        Client("a:1", "", "", tls=True, insecure=True)


@pytest.mark.parametrize("seconds", [0, -1, 31])
def test_timeout_out_of_range_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError):
        Client("localhost:1", "", "", timeout_seconds=seconds)


@pytest.mark.parametrize(
    ("endpoint", "target", "loopback"),
    [
        ("localhost", "localhost:50051", True),
        ("127.0.0.5:7", "127.0.0.5:7", True),
        ("[::1]:7", "[::1]:7", True),
        ("unix:/run/x", "unix:/run/x", True),
        ("lake.example.com", "lake.example.com:50051", False),
        ("localhost.evil.com:1", "localhost.evil.com:1", False),
        ("127.0.0.1.evil.com:1", "127.0.0.1.evil.com:1", False),
        ("0.0.0.0:1", "0.0.0.0:1", False),
    ],
)
def test_endpoint_is_read(endpoint: str, target: str, loopback: bool) -> None:
    assert parse_endpoint(endpoint) == (target, loopback)


@pytest.mark.parametrize(
    "endpoint", ["", ":1", "a:0", "a:65536", "a:b", "http://a:1", "a b:1", "unix:", "a:1:2"]
)
def test_wrong_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_endpoint(endpoint)


def test_one_client_serves_many_threads(wire: WireServer, client: Client) -> None:
    wire.answers["CatalogService/GetCatalog"] = lambda call, _: catalogs_pb2.Catalog(
        full_name=call.request.full_name
    )
    names = [f"c{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda name: client.catalogs.get(name).full_name, names))
    assert found == names
    assert len({call.metadata["lakewarden-request-id"] for call in wire.calls}) == 40


def test_representation_hides_the_token(client: Client) -> None:
    assert "lwpat_secret" not in repr(client)
    assert "lwpat_secret" not in repr(client._connection)


def test_errors_survive_pickling() -> None:
    import pickle

    error = Unavailable("m", reason="R", metadata={"a": "b"}, request_id="i")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), vars(copy)) == (Unavailable, vars(error))


def test_closed_client_and_its_copies_say_so(wire: WireServer) -> None:
    client = Client(wire.endpoint, "lwpat_x")
    copy = client.with_workspace("other")
    client.catalogs.get("main")
    client.close()
    for call in (lambda: client.catalogs.get("main"), lambda: copy.schemas.get("a.b"), client.health):
        with pytest.raises(ConfigurationError, match="was closed") as failed:
            call()
        assert failed.value.reason == "CLIENT_CLOSED"
    assert len(wire.calls) == 1
