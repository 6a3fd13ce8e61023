"""What a forged token of an identity provider costs: the same whomever it names, and little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lakewarden import Client
from lakewarden_server.authn import federation, jwks, jwts
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails
from services.providers import AUDIENCE, SUBJECT, Provider

PERSON = "bob@example.com"
ISSUERS = iter(f"https://id{number}.example.com" for number in range(100))


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedServer]:
    with serve() as server:
        server.client_as(PERSON)
        yield server


@pytest.fixture
def provider() -> Provider:
    return Provider(next(ISSUERS))


def trust(server: EmbeddedServer, provider: Provider, *, key_set: str = "", subject: str = SUBJECT) -> str:
    """The application id of a new service principal that the provider's tokens of a subject stand for."""
    admin = server.client()
    name = admin.service_principals.create("program").name
    admin.federation_policies.create(
        provider.issuer, [AUDIENCE], key_set or provider.jwks, service_principal=name, subject=subject
    )
    return name


def trade(server: EmbeddedServer, token: str) -> Client:
    made = server.client(token, workspace="").tokens.create_access_token()
    return server.client(made.access_token, workspace="")


class Calls:
    """Notes the first argument of every call of a function, which does what it did before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self._function = getattr(module, name)
        self.seen: list[Any] = []
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: Any) -> Any:
        self.seen.append(arguments[0])
        return self._function(*arguments)


def test_signature_of_a_forged_token_is_verified_whomever_it_names(
    running: EmbeddedServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a refusal that comes sooner would say that there is no such user, or that no policy has the subject."""
    running.client().federation_policies.create(
        provider.issuer, [AUDIENCE], provider.jwks, subject_claim="email"
    )
    programs = Provider(next(ISSUERS))
    trust(running, programs)
    verified = Calls(monkeypatch, federation, "_is_signed")
    emails, subjects = {PERSON, "nobody@example.com"}, {SUBJECT, "repo:acme/other"}
    for email in emails:
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            trade(running, Provider(provider.issuer).token(email=email, email_verified=True))
    for subject in subjects:
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            trade(running, Provider(programs.issuer).token(sub=subject))
    assert emails <= {token.claims.get("email") for token in verified.seen}
    assert subjects <= {token.claims.get("sub") for token in verified.seen}


def test_key_set_is_read_once(
    running: EmbeddedServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = trust(running, provider)
    read = Calls(monkeypatch, jwks, "_key")
    assert trade(running, provider.token()).session.get().principal == name
    assert len(read.seen) == len(provider.keys), "the control: each key, once"
    for alg in provider.keys:
        trade(running, provider.token(alg=alg))
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            trade(running, Provider(provider.issuer).token(alg=alg))
    assert len(read.seen) == len(provider.keys)


def test_no_more_key_sets_are_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(federation, "KEY_SETS_MAX", 2)
    providers = federation.IdentityProviders()
    read = Calls(monkeypatch, jwks, "_key")
    found = Provider()
    token = jwts.take_apart(found.token())
    for spaces in (0, 1, 2, 0):
        assert providers._signed(token, {found.jwks + " " * spaces})
    assert len(read.seen) == 4 * len(found.keys), "the first was given up for the third"


def test_key_of_several_policies_is_tried_once_and_each_stands_for_its_own(
    running: EmbeddedServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_sets = {provider.jwks, provider.jwks + " ", Provider().jwks}
    names = {
        subject: trust(running, provider, key_set=key_set, subject=subject)
        for subject, key_set in zip(("one", "two"), (provider.jwks, provider.jwks + " "), strict=True)
    }
    for subject, name in names.items():
        assert trade(running, provider.token(sub=subject)).session.get().principal == name
    verified = Calls(monkeypatch, federation, "_is_signed")
    signed = federation.IdentityProviders()._signed(jwts.take_apart(provider.token(alg="Ed25519")), key_sets)
    assert signed == {provider.jwks, provider.jwks + " "}
    assert len(verified.seen) == 2, "the provider's key and the other one's"
