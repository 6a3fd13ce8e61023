"""Who calls too often is refused, over gRPC and HTTP, without effect; nobody else is, and a revoke goes through."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from lakewarden import Client, LakewardenError
from lakewarden_server.testing import WORKSPACE, EmbeddedServer, serve
from observability.watching import samples, watched
from scim.requests import ERROR, patch
from services.errors import fails
from services.relays import relayed

EVE = "127.0.0.66"
PER_SECOND, BURST = 2, 4
TRIES = 40
"""Too many for a bucket, unless they took twenty seconds."""
DISCOVERY = "/.well-known/databricks-config"


@contextmanager
def limited(**settings: Any) -> Iterator[EmbeddedServer]:
    """A server with limits that begin once its world is made."""
    with serve(http=True) as server:
        for name in ("eve", "bob"):
            server.token_of(name)
        yield watched(server, **settings)


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with limited(calls_per_second_per_principal=PER_SECOND) as server:
        yield server


def impatient(server: EmbeddedServer, token: str, endpoint: str = "") -> Client:
    """A client that waits for nothing."""
    return Client(endpoint or server.endpoint, token, WORKSPACE, retries=0)


def answers(ask: Callable[[], object], tries: int = TRIES) -> Counter[str]:
    """How often each reason was the answer, "" for a good one."""
    reasons: Counter[str] = Counter()
    for _ in range(tries):
        try:
            ask()
        except LakewardenError as error:
            reasons[error.reason] += 1
        else:
            reasons[""] += 1
    return reasons


def browser(url: str, token: str) -> httpx2.Client:
    shown = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.Client(base_url=url, headers={**shown, "X-Databricks-Workspace-Id": WORKSPACE})


def statuses(client: httpx2.Client, path: str, tries: int = TRIES) -> Counter[int]:
    return Counter(client.get(path).status_code for _ in range(tries))


def held(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """The first of these answers that refuses for the rate."""
    return next(answer for answer in (ask() for _ in range(TRIES)) if answer.status_code == 429)


def id_of(token: str) -> str:
    return token.removeprefix("lwpat_")[:22]


def test_principal_that_calls_too_often_is_held_and_nobody_else(server: EmbeddedServer) -> None:
    with impatient(server, server.token_of("eve")) as eve, impatient(server, server.token_of("bob")) as bob:
        found = answers(eve.session.get)
        assert set(found) == {"", "RATE_LIMITED"}
        assert found[""] >= BURST
        with fails("RATE_LIMITED", "RESOURCE_EXHAUSTED", saying="eve@example.com") as refused:
            for _ in range(TRIES):
                eve.session.get()
        assert 0.1 <= (refused.error.retry_seconds or 0) <= 1 / PER_SECOND
        assert answers(bob.session.get, BURST) == {"": BURST}
        time.sleep(1 / PER_SECOND)
        assert eve.session.get().principal == "eve@example.com"


def test_all_credentials_of_a_principal_share_its_bucket(server: EmbeddedServer) -> None:
    other = server.issue_token("eve@example.com")
    with impatient(server, server.token_of("eve")) as one, impatient(server, other) as two:
        answers(one.session.get)
        assert answers(two.session.get, BURST)["RATE_LIMITED"] > 0


def test_whoever_reads_too_much_still_revokes_but_not_without_limit(server: EmbeddedServer) -> None:
    token = server.token_of("eve")
    other = server.issue_token("eve@example.com")
    with impatient(server, token) as eve, impatient(server, other) as stolen:
        assert answers(eve.session.get)["RATE_LIMITED"] > 0
        eve.tokens.delete(id_of(other))
        with fails("TOKEN_INVALID"):
            stolen.session.get()
        assert answers(lambda: eve.tokens.delete("0" * 22))["RATE_LIMITED"] > 0


@pytest.mark.parametrize("path", ["/scim/v2/Me", "/api/2.0/preview/scim/v2/Me", "/api/2.0/token/list"])
def test_http_says_when_to_come_back_in_the_words_of_its_api(server: EmbeddedServer, path: str) -> None:
    with (
        browser(server.http_url, server.token_of("eve")) as eve,
        browser(server.http_url, server.token_of("bob")) as bob,
    ):
        found = statuses(eve, path)
        assert set(found) == {200, 429}
        refused = held(lambda: eve.get(path))
        assert refused.headers["retry-after"] == "1"
        body = refused.json()
        if "scim" in path:
            assert (body["schemas"], body["status"]) == ([ERROR], "429")
        else:
            assert body["error_code"] == "RESOURCE_EXHAUSTED"
            assert body["details"][0]["reason"] == "RATE_LIMITED"
        assert statuses(bob, path, BURST) == {200: BURST}


def test_one_http_request_is_one_call_whatever_it_reads(server: EmbeddedServer) -> None:
    with browser(server.http_url, server.admin_token) as admin:
        # Each of these becomes three calls or more: session, what is there, what is asked.
        paths = ("/scim/v2/Users?filter=active%20eq%20true", "/api/2.0/preview/scim/v2/Users")
        assert [admin.get(path).status_code for path in paths * (BURST // 2)] == [200] * BURST
        assert statuses(admin, paths[0])[429] > 0


def test_revokes_over_http_go_through_while_reads_are_refused(server: EmbeddedServer) -> None:
    eve, bob = server.token_of("eve"), server.token_of("bob")
    stolen = server.issue_token("eve@example.com")
    snapshot = server.app.follower.at_head().snapshot
    bob_id = snapshot.principal_named("bob@example.com").id
    with browser(server.http_url, eve) as holder:
        assert statuses(holder, "/scim/v2/Me")[429] > 0
        assert holder.post("/api/2.0/token/delete", json={"token_id": id_of(stolen)}).status_code == 200
    with impatient(server, stolen) as client, fails("TOKEN_INVALID"):
        client.session.get()
    with browser(server.http_url, server.admin_token) as admin:
        assert statuses(admin, "/scim/v2/Me")[429] > 0
        assert admin.patch(f"/scim/v2/Users/{bob_id}", json=patch("replace", "active", False)).is_success
        assert admin.delete(f"/api/2.0/preview/scim/v2/Users/{bob_id}").is_success
        assert held(lambda: admin.delete("/scim/v2/Users/7")).status_code == 429, "no urgent call"
    with impatient(server, bob) as client, pytest.raises(LakewardenError) as failed:
        client.session.get()
    assert failed.value.code == "UNAUTHENTICATED"


def test_spellings_of_a_client_id_share_a_bucket() -> None:
    with serve(http=True) as server:
        admin = server.client()
        name = admin.service_principals.create("spark").name
        secret = admin.service_principals.create_secret(name).secret_value
        watched(server, calls_per_second_per_principal=PER_SECOND)
        spellings = (name, name.upper(), name.title())
        found: Counter[int] = Counter()
        for spelling in spellings * BURST:
            form = {"grant_type": "client_credentials", "client_id": spelling, "client_secret": secret}
            answer = httpx2.post(f"{server.http_url}/oidc/v1/token", data=form)
            found[answer.status_code] += 1
        assert set(found) == {200, 429}
        refused = held(lambda: httpx2.post(f"{server.http_url}/oidc/v1/token", data=form))
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"] == "temporarily_unavailable"


def test_peer_is_held_before_its_credential_is_looked_at_and_nobody_else() -> None:
    with (
        limited(calls_per_second_per_peer=PER_SECOND) as server,
        relayed(server.endpoint, EVE) as endpoint,
        impatient(server, "nonsense", endpoint) as stranger,
        impatient(server, server.token_of("eve"), endpoint) as eve,
        impatient(server, server.token_of("bob")) as bob,
    ):
        found = answers(stranger.session.get)
        assert set(found) == {"TOKEN_MALFORMED", "RATE_LIMITED"}
        with fails("RATE_LIMITED", "RESOURCE_EXHAUSTED", saying=EVE):
            for _ in range(TRIES):
                eve.session.get()
        with fails("OBJECT_NOT_FOUND"):
            eve.tokens.delete("0" * 22)
        assert bob.session.get().principal == "bob@example.com"


@pytest.fixture(scope="module")
def strict() -> Iterator[EmbeddedServer]:
    """A server with a limit for each address, for tests that come from an address of their own."""
    with limited(calls_per_second_per_peer=PER_SECOND) as server:
        yield server


@pytest.mark.parametrize(
    ("number", "path", "status"),
    [
        (1, "/scim/v2/Users", 401), (2, "/scim/v2/Schemas", 200), (3, "/scim/v2/Nothing/at/all", 404), (4, "/api/2.0/token/list", 401),
        (5, "/api/2.0/nothing", 404), (6, "/oidc/v1/token", 405), (7, "/nothing", 404), (8, DISCOVERY, 200),
    ],
)  # fmt: skip
def test_strangers_requests_are_counted_wherever_they_go(
    strict: EmbeddedServer, number: int, path: str, status: int
) -> None:
    with (
        relayed(strict.http_url.removeprefix("http://"), f"127.0.1.{number}") as endpoint,
        relayed(strict.http_url.removeprefix("http://"), f"127.0.2.{number}") as other,
        browser(f"http://{endpoint}", "") as stranger,
        browser(f"http://{other}", strict.token_of("bob")) as bob,
    ):
        assert set(statuses(stranger, path)) == {status, 429}
        assert held(lambda: stranger.get(path)).headers["retry-after"] == "1"
        assert bob.get("/api/2.0/token/list").status_code == 200


def test_refusals_are_in_the_metrics(server: EmbeddedServer) -> None:
    watched(server, metrics="127.0.0.1:0", calls_per_second_per_peer=100)
    with impatient(server, server.token_of("eve")) as eve, browser(server.http_url, "") as stranger:
        by_principal = answers(eve.session.get)["RATE_LIMITED"]
        by_peer = statuses(stranger, DISCOVERY, 400)[429]
    assert by_principal > 0 < by_peer
    found = samples(server)
    assert found["lakewarden_refusals_total", ("RATE_LIMITED",)] == by_principal + by_peer
    method = "lakewarden.v1.SessionService/GetSession"
    assert found["lakewarden_calls_total", ("RESOURCE_EXHAUSTED", method)] == by_principal + by_peer


def test_control_where_it_is_off_all_go_through() -> None:
    with serve(http=True) as server, impatient(server, server.token_of("eve")) as eve:
        assert answers(eve.session.get) == {"": TRIES}
        with browser(server.http_url, server.token_of("eve")) as client:
            assert statuses(client, "/scim/v2/Me") == {200: TRIES}
