"""Two peers flood the server with wrong credentials, over gRPC and HTTP; whoever has a good one does not notice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx2
import pytest

from lakewarden import Client, LakewardenError
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails
from services.relays import relayed

EVE, MALLORY = "127.0.0.66", "127.0.0.67"
TRIES = 60


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with serve(http=True, failed_logins_per_minute=10) as server:
        yield server


def guessed(client: Client, tokens: list[str]) -> Counter[str]:
    """How often each reason was the answer."""
    reasons: Counter[str] = Counter()
    for token in tokens:
        with pytest.raises(LakewardenError) as failed:
            client.as_token(token).session.get()
        reasons[failed.value.reason] += 1
    return reasons


def wrong(token: str) -> str:
    """Another secret under the same id, its checksum right."""
    kind = TokenKind.PAT
    other = mint(kind)
    return other._replace(id=token.removeprefix("lwpat_")[:22]).render()


def test_flood_from_two_peers_is_held_up_and_nobody_else(server: EmbeddedServer) -> None:
    bob = server.client_as("bob")
    known = server.token_of("bob")
    with (
        relayed(server.endpoint, EVE) as eve,
        relayed(server.endpoint, MALLORY) as mallory,
        Client(eve, token="", workspace="") as one,
        Client(mallory, token="", workspace="") as two,
    ):
        by_name = guessed(one, [wrong(known)] * TRIES)
        by_garbage = guessed(two, [mint(TokenKind.PAT).render() for _ in range(TRIES)])
        assert by_name == {"TOKEN_INVALID": 10, "TOO_MANY_FAILURES": TRIES - 10}
        assert by_garbage == {"TOKEN_INVALID": 30, "TOO_MANY_FAILURES": TRIES - 30}
        for _ in range(TRIES):
            assert bob.session.get().principal == "bob@example.com"
        # A token never shown before, from another peer, with the very name that was guessed at.
        fresh = server.client().tokens.create().token_value
        assert server.client(fresh).session.get().principal == "admin@example.com"
        # Behind the flooding address: what was good before still is, what was never shown waits.
        assert two.as_token(known).with_workspace("workspace").session.get().principal == "bob@example.com"
        with fails("TOO_MANY_FAILURES", "RESOURCE_EXHAUSTED", saying=MALLORY) as held:
            two.as_token(server.client().tokens.create().token_value).session.get()
        assert 0 < (held.error.retry_seconds or 0) <= 60


def test_pause_tells_nothing_of_whether_a_name_is_there(server: EmbeddedServer) -> None:
    there, nowhere = server.token_of("bob"), mint(TokenKind.PAT).render()
    answers = []
    for source, token in ((EVE, there), (MALLORY, nowhere)):
        with relayed(server.endpoint, source) as endpoint, Client(endpoint, token="", workspace="") as client:
            answers.append([guessed(client, [wrong(token)]) for _ in range(15)])
    assert answers[0] == answers[1]


def test_revoked_token_is_held_up_too(server: EmbeddedServer) -> None:
    admin = server.client()
    token = admin.tokens.create()
    caller = server.client(token.token_value)
    caller.session.get()
    admin.tokens.delete(token.token.id)
    assert guessed(caller, [token.token_value] * 15) == {"TOKEN_INVALID": 10, "TOO_MANY_FAILURES": 5}
    assert server.client().session.get().principal == "admin@example.com"


def test_http_says_when_to_come_back(server: EmbeddedServer) -> None:
    admin = server.client()
    name = admin.service_principals.create("spark").name
    secret = admin.service_principals.create_secret(name).secret_value
    other = mint(TokenKind.CLIENT_SECRET).render()
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": other}
    with relayed(server.http_url.removeprefix("http://"), EVE) as endpoint:
        url = f"http://{endpoint}"
        statuses = Counter(httpx2.post(f"{url}/oidc/v1/token", data=form).status_code for _ in range(20))
        assert statuses == {401: 10, 429: 10}
        # The name in other letters is the same name.
        shouted = httpx2.post(f"{url}/oidc/v1/token", data={**form, "client_id": name.upper()})
        assert (shouted.status_code, 1 <= int(shouted.headers["retry-after"]) <= 60) == (429, True)
        assert shouted.json()["error"] == "temporarily_unavailable"
        right = {**form, "client_secret": secret}
        assert httpx2.post(f"{server.http_url}/oidc/v1/token", data=right).status_code == 200
        for path in ("/scim/v2/Me", "/api/2.0/token/list"):
            for _ in range(40):
                answer = httpx2.get(url + path, headers={"Authorization": "Bearer nonsense"})
            assert (answer.status_code, "retry-after" in answer.headers) == (429, True)


def test_control_where_it_is_off_every_guess_is_looked_at() -> None:
    with serve() as server, Client(server.endpoint, token="", workspace="") as client:
        tokens = [mint(TokenKind.PAT).render() for _ in range(TRIES)]
        assert guessed(client, tokens) == {"TOKEN_INVALID": TRIES}
