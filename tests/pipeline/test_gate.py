"""Who shows no good credential is refused with the headers alone, as with a request; who shows one is asked for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consistency.cluster import cluster_on
from lakewarden import Client
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.pipeline.errors import fail
from lakewarden_server.pipeline.pipeline import Incoming, Pipeline
from observability.watching import samples, watched
from pipeline.probe import ProbedServer, failure, probed
from pipeline.silent import Silent, expected
from services.errors import fails


@pytest.fixture(scope="module")
def probe() -> Iterator[ProbedServer]:
    with pytest.MonkeyPatch.context() as patch, probed(patch) as server:
        yield server


def _revoked(probe: ProbedServer) -> str:
    admin = probe.server.client()
    made = admin.tokens.create()
    assert probe.server.client(made.token_value, workspace="").session.get().principal
    admin.tokens.delete(made.token.id)
    # What memory holds follows with the next call, whoever makes it.
    probe.server.app.follower.at_head()
    return made.token_value


def _disabled(probe: ProbedServer) -> str:
    admin = probe.server.client()
    name = admin.service_principals.create("idle").name
    token = admin.tokens.create(principal=name).token_value
    assert probe.server.client(token, workspace="").session.get().principal == name
    admin.service_principals.disable(name)
    probe.server.app.follower.at_head()
    return token


def _secret(probe: ProbedServer) -> str:
    admin = probe.server.client()
    return admin.service_principals.create_secret(admin.service_principals.create("shy").name).secret_value


STRANGERS: dict[str, Callable[[ProbedServer], str]] = {
    "nothing": lambda probe: "",
    "no token": lambda probe: "Bearer nonsense",
    "another scheme": lambda probe: "Digest abc",
    "a mistyped token": lambda probe: f"Bearer {probe.server.admin_token[:-1]}{'a' if probe.server.admin_token[-1] != 'a' else 'b'}",
    "an unknown token": lambda probe: f"Bearer {mint(TokenKind.PAT).render()}",
    "another secret of a known token": lambda probe: (
        f"Bearer {mint(TokenKind.PAT)._replace(id=probe.server.admin_token.removeprefix('lwpat_')[:22]).render()}"
    ),
    "a revoked token": lambda probe: f"Bearer {_revoked(probe)}",
    "a token of one who is disabled": lambda probe: f"Bearer {_disabled(probe)}",
    "a client secret as a token": lambda probe: f"Bearer {_secret(probe)}",
    "a foreign signature": lambda probe: "Bearer eyJhbGciOiJFZDI1NTE5In0.eyJpc3MiOiJ4In0.c2lnbmF0dXJl",
}  # fmt: skip


@pytest.mark.parametrize("shown", STRANGERS)
@pytest.mark.parametrize("method", ["Read", "Write", "Revoke", "Watch"])
def test_a_stranger_is_refused_before_anything_of_its_request_is_asked_for(
    probe: ProbedServer, method: str, shown: str
) -> None:
    ran = len(probe.probe.threads)
    authorization = STRANGERS[shown](probe) if method == "Read" else "Bearer nonsense"
    silent = Silent(probe, method, authorization=authorization)
    code, reason, words = failure(silent.call)
    assert code == "UNAUTHENTICATED", (reason, words)
    assert reason
    # The same as with a request: that is refused by the same headers.
    whole = Silent(probe, method, authorization=authorization)
    whole.send("read me")
    assert failure(whole.call) == (code, reason, words)
    assert len(probe.server.app.rpc._lanes.arrivals) == 0
    assert len(probe.probe.threads) == ran
    silent.end()


def test_control_who_shows_a_good_one_is_asked_for_the_request(probe: ProbedServer) -> None:
    for authorization in (None, f"Bearer {probe.server.client().tokens.create().token_value}"):
        silent = Silent(probe, "Read", authorization=authorization)
        expected(probe, 1)
        silent.send("through")
        assert silent.call.result().value == "through"


def test_other_headers_are_looked_at_in_the_order_they_always_were(probe: ProbedServer) -> None:
    """Whoever is unknown is told of a wrong request id as before, and of a missing credential first."""
    unknown = probe.channel.stream_unary(f"/{probe.name}/Read")
    for authorization, reason in (
        (f"Bearer {mint(TokenKind.PAT).render()}", "FIELD_INVALID"),
        ("Bearer x", "TOKEN_MALFORMED"),
    ):
        metadata = (("authorization", authorization), ("lakewarden-request-id", "none"))
        assert failure(unknown.future(iter(()), metadata=metadata, timeout=15))[1] == reason


def test_who_has_to_wait_is_told_with_the_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    with probed(monkeypatch, failed_logins_per_minute=2) as probe:
        reasons = [failure(Silent(probe, "Read", authorization="Bearer x").call)[1] for _ in range(4)]
        # Each attempt counts once, as it always did.
        assert reasons == ["TOKEN_MALFORMED"] * 2 + ["TOO_MANY_FAILURES"] * 2
        # What was verified before goes on.
        assert probe.call("Read", "through").result().value == "through"


def test_a_refusal_is_told_once_to_who_watches_and_so_is_an_answer(probe: ProbedServer) -> None:
    watched(probe.server, metrics="127.0.0.1:0")
    with Client(probe.server.endpoint, token="", workspace="", retries=0) as client:
        with fails("TOKEN_MISSING", "UNAUTHENTICATED"):
            client.session.get()
        assert client.as_token(probe.server.admin_token).session.get().principal
    found = samples(probe.server)
    method = "lakewarden.v1.SessionService/GetSession"
    calls = {key[1]: value for key, value in found.items() if key[0] == "lakewarden_calls_total"}
    # Neither counts a second time because its credential was looked at first.
    assert {labels: value for labels, value in calls.items() if method in labels} == {
        ("UNAUTHENTICATED", method): 1.0,
        ("OK", method): 1.0,
    }
    assert found["lakewarden_refusals_total", ("TOKEN_MISSING",)] == 1.0


class RefusesFromMemory(Pipeline):
    """Vouches for whom the state in memory has, without asking how old that is."""

    def vouch(self, method_name: str, incoming: Incoming) -> str:
        """As the name says."""
        credential = self._authenticator.read(incoming.metadata["authorization"], b"", incoming.peer)
        held = self._follower.held
        assert held is not None
        try:
            return self._authenticator.authenticate(held, credential, datetime.now(UTC)).id
        except Exception as error:
            fail(error, method=method_name, request_id="")


@pytest.mark.parametrize("broken", [False, True], ids=["real", "control"])
def test_a_token_made_elsewhere_a_moment_ago_is_good(tmp_path: Path, broken: bool) -> None:
    """Memory lets in and never refuses: only the database knows what another server did."""
    with cluster_on(f"sqlite:///{tmp_path / 'lake.db'}", tmp_path) as cluster:
        admin = cluster.admin()
        cluster.add(pipeline=RefusesFromMemory if broken else Pipeline)
        elsewhere = cluster.endpoints[-1]
        assert cluster.admin(elsewhere).session.get().principal == "admin@example.com"
        made = admin.tokens.create()
        client = cluster.client(made.token_value, elsewhere)
        if broken:
            with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
                client.session.get()
            return
        assert client.session.get().principal == "admin@example.com"
        admin.tokens.delete(made.token.id)
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            client.session.get()
