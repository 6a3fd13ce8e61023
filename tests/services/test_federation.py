"""Tokens of identity providers (acceptance test T26): hostile ones are refused without asking anybody, good ones are traded."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from lakewarden import Client, Unauthenticated
from lakewarden.v1 import sessions_pb2
from lakewarden_server.authn import federation, jwts
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails
from services.providers import AUDIENCE, ISSUER, SUBJECT, Provider, encoded, now, sockets_watched

EVIL = "https://evil.example"
PERSON = "bob@example.com"


class Trust:
    """A server that trusts one provider for a program and, under another issuer, for users by their email."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server, self.admin = server, server.client()
        self.program, self.people = Provider(), Provider("https://people.example.com")
        self.spark = self.admin.service_principals.create("spark").name
        self.policy = self.admin.federation_policies.create(
            ISSUER, [AUDIENCE, "other"], self.program.jwks, service_principal=self.spark, subject=SUBJECT
        )
        self.admin.federation_policies.create(
            self.people.issuer, [AUDIENCE], self.people.jwks, subject_claim="email"
        )
        server.client_as(PERSON)

    def trade(self, token: str) -> Client:
        """A client with the access token that a provider's token is traded for."""
        made = self.server.client(token, workspace="").tokens.create_access_token()
        return self.server.client(made.access_token, workspace="")

    def person(self, **claims: object) -> str:
        """A token of the person."""
        return self.people.token(**{"sub": "u1", "email": PERSON, "email_verified": True, **claims})


@pytest.fixture(scope="module")
def trust() -> Iterator[Trust]:
    with serve() as server:
        yield Trust(server)


def other(trust: Trust) -> Provider:
    """Somebody else who signs in the provider's name, with keys of the same kids."""
    return Provider(trust.program.issuer)


def embedded(trust: Trust) -> str:
    thief = other(trust)
    return thief.token(header={"jwk": thief.keys["RS256"].as_dict(private=False)})


HOSTILE: dict[str, Callable[[Trust], str]] = {
    # algorithms
    "alg none, no signature": lambda t: f"{encoded({'alg': 'none'})}.{encoded(t.program.claims())}.",
    "alg none, a signature": lambda t: t.program.token(header={"alg": "none"}),
    "alg None in other letters": lambda t: t.program.token(header={"alg": "nOnE"}),
    "alg left out": lambda t: t.program.token(header={"alg": None}),
    "alg of another key": lambda t: t.program.token(header={"alg": "ES256"}),
    "alg PS256 over a PKCS1 signature": lambda t: t.program.token(header={"alg": "PS256"}),
    "alg EdDSA, which is none of ours": lambda t: t.program.token(alg="Ed25519", header={"alg": "EdDSA"}),
    "alg a list": lambda t: t.program.token(header={"alg": ["RS256"]}),
    "HMAC with the public key as PEM": lambda t: t.program.with_hmac(t.program.public_pem(), kid="rsa"),
    "HMAC with the key set": lambda t: t.program.with_hmac(t.program.jwks.encode(), kid="rsa"),
    "HMAC with nothing": lambda t: t.program.with_hmac(b"", kid="rsa"),
    "HMAC called RS256": lambda t: t.program.with_hmac(t.program.public_pem(), alg="RS256", kid="rsa"),
    # keys
    "signed by another": lambda t: other(t).token(),
    "signed by the provider of the users": lambda t: t.people.token(iss=ISSUER),
    "kid unknown": lambda t: t.program.token(header={"kid": "unknown"}),
    "kid of another key": lambda t: t.program.token(header={"kid": "ec"}),
    "kid left out among several": lambda t: t.program.token(header={"kid": None}),
    "kid a path": lambda t: t.program.token(header={"kid": "../../../../dev/null"}),
    "kid of SQL": lambda t: t.program.token(header={"kid": "rsa' UNION SELECT 'x"}),
    "kid a number": lambda t: t.program.token(header={"kid": 1}),
    "jku": lambda t: other(t).token(header={"jku": f"{EVIL}/jwks"}),
    "jku of the issuer": lambda t: t.program.token(header={"jku": f"{ISSUER}/jwks"}),
    "x5u": lambda t: other(t).token(header={"x5u": f"{EVIL}/cert"}),
    "x5c": lambda t: other(t).token(header={"x5c": ["MIIB"]}),
    "jwk in the header": embedded,
    "crit": lambda t: t.program.token(header={"crit": ["exp"]}),
    "crit b64": lambda t: t.program.token(header={"crit": ["b64"], "b64": False}),
    "zip": lambda t: t.program.token(header={"zip": "DEF"}),
    "cty nested": lambda t: t.program.token(header={"cty": "JWT"}),
    "typ of a logout": lambda t: t.program.token(header={"typ": "logout+jwt"}),
    "typ of an event": lambda t: t.program.token(header={"typ": "secevent+jwt"}),
    # issuer and audience
    "iss foreign": lambda t: t.program.token(iss=EVIL),
    "iss left out": lambda t: t.program.token(iss=None),
    "iss with a slash": lambda t: t.program.token(iss=f"{ISSUER}/"),
    "iss in capitals": lambda t: t.program.token(iss=ISSUER.upper()),
    "iss a list": lambda t: t.program.token(iss=[ISSUER]),
    "iss of the metadata service": lambda t: other(t).token(iss="http://169.254.169.254/latest"),
    "iss a file": lambda t: other(t).token(iss="file:///etc/passwd"),
    "aud left out": lambda t: t.program.token(aud=None),
    "aud empty": lambda t: t.program.token(aud=""),
    "aud an empty list": lambda t: t.program.token(aud=[]),
    "aud foreign": lambda t: t.program.token(aud="somebody"),
    "aud one more": lambda t: t.program.token(aud=[AUDIENCE, "somebody"]),
    "aud an object": lambda t: t.program.token(aud={AUDIENCE: True}),
    "aud a prefix": lambda t: t.program.token(aud=AUDIENCE[:-1]),
    # times
    "expired": lambda t: t.program.token(exp=now() - 1),
    "exp left out": lambda t: t.program.token(exp=None),
    "exp a text": lambda t: t.program.token(exp=str(now() + 300)),
    "exp true": lambda t: t.program.token(exp=True),
    "exp before iat": lambda t: t.program.token(exp=now() + 10, iat=now() + 20),
    "nbf ahead": lambda t: t.program.token(nbf=now() + 120),
    "iat ahead": lambda t: t.program.token(iat=now() + 120),
    "iat left out": lambda t: t.program.token(iat=None),
    "times infinite": lambda t: t.program.signed(
        {"alg": "RS256", "kid": "rsa"}, json.dumps(t.program.claims(exp=float("inf")))
    ),
    "exp of four hundred digits": lambda t: t.program.token(exp=10**400),
    "exp of four hundred digits, signed by another": lambda t: other(t).token(exp=10**400),
    "exp beyond what a float holds": lambda t: t.program.signed(
        {"alg": "RS256", "kid": "rsa"}, json.dumps(t.program.claims(exp="END")).replace('"END"', "1e400")
    ),
    "exp after the year 9999": lambda t: t.program.token(exp=253_402_300_800),
    "iat before 1970": lambda t: t.program.token(iat=-1),
    "nbf of four hundred digits before 1970": lambda t: t.program.token(nbf=-(10**400)),
    # subjects
    "sub foreign": lambda t: t.program.token(sub="repo:evil/lake:ref:refs/heads/main"),
    "sub left out": lambda t: t.program.token(sub=None),
    "sub a prefix": lambda t: t.program.token(sub=SUBJECT[:-1]),
    "sub a list": lambda t: t.program.token(sub=[SUBJECT]),
    "sub the service principal's own id": lambda t: t.program.token(sub=t.spark),
    "a program's claim for the users' policy": lambda t: t.program.token(
        sub=PERSON, email=PERSON, email_verified=True
    ),
    "email not verified": lambda t: t.person(email_verified=False),
    "email verified as a text": lambda t: t.person(email_verified="true"),
    "email verified left out": lambda t: t.person(email_verified=None),
    "email of nobody": lambda t: t.person(email="nobody@example.com"),
    "email of a service principal": lambda t: t.person(email=t.spark),
    "email of a group": lambda t: t.person(email="account users"),
    "email disguised": lambda t: t.person(email="bob@exampl\uff45.com"),
    # form
    "a claim twice": lambda t: t.program.signed(
        {"alg": "RS256", "kid": "rsa"}, json.dumps(t.program.claims(sub="x"))[:-1] + f', "sub": "{SUBJECT}"}}'
    ),
    "a header twice": lambda t: t.program.signed(
        '{"alg": "none", "kid": "rsa", "alg": "RS256"}', t.program.claims()
    ),
    "claims a list": lambda t: t.program.signed({"alg": "RS256", "kid": "rsa"}, [t.program.claims()]),
    "claims a token": lambda t: t.program.signed({"alg": "RS256", "kid": "rsa"}, t.program.token()),
    "two parts": lambda t: t.program.token().rpartition(".")[0],
    "four parts": lambda t: t.program.token() + ".AAAA",
    "five parts, as encrypted ones have": lambda t: t.program.token() + ".AAAA.AAAA",
    "signature empty": lambda t: t.program.token().rpartition(".")[0] + ".",
    "signature of another token": lambda t: (
        t.program.token(sub="x").rpartition(".")[0] + "." + t.program.token().rpartition(".")[2]
    ),
    "a signature in standard base64": lambda t: t.program.token() + "=",
    "huge": lambda t: t.program.token(filler="x" * 8_000),
    "deep": lambda t: t.program.signed({"alg": "RS256", "kid": "rsa"}, "[" * 3_000 + "]" * 3_000),
}


def test_there_are_more_than_forty_hostile_cases() -> None:
    assert len(HOSTILE) > 40


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_token_is_refused_without_asking_anybody(trust: Trust, case: str) -> None:
    token = HOSTILE[case](trust)
    client = trust.server.client(token, workspace="")
    with sockets_watched() as seen, pytest.raises(Unauthenticated) as refused:
        client.tokens.create_access_token()
    assert refused.value.reason in {"TOKEN_INVALID", "TOKEN_MALFORMED", "TOKEN_EXPIRED"}
    assert seen == []


LEGITIMATE: dict[str, Callable[[Trust], str]] = {
    "RSA": lambda t: t.program.token(),
    "elliptic curve": lambda t: t.program.token(alg="ES256"),
    "Ed25519": lambda t: t.program.token(alg="Ed25519"),
    "all audiences known": lambda t: t.program.token(aud=[AUDIENCE, "other"]),
    "no typ": lambda t: t.program.token(header={"typ": None}),
    "typ of an access token": lambda t: t.program.token(header={"typ": "at+JWT"}),
    "a clock a little ahead": lambda t: t.program.token(iat=now() + 20, nbf=now() + 20),
    "no nbf": lambda t: t.program.token(nbf=None),
    "a thumbprint, which is not looked at": lambda t: t.program.token(header={"x5t": "AAAA"}),
    "a person": lambda t: t.person(),
    "a person in other letters": lambda t: t.person(email="Bob@Example.com"),
}


@pytest.mark.parametrize("case", LEGITIMATE)
def test_legitimate_token_is_traded_without_asking_anybody(trust: Trust, case: str) -> None:
    with sockets_watched() as seen:
        session = trust.trade(LEGITIMATE[case](trust)).session.get()
    assert session.principal == (PERSON if "person" in case else trust.spark)
    assert session.credential_kind == sessions_pb2.FEDERATION
    assert session.token_expire_time.ToSeconds() <= datetime.now(UTC).timestamp() + 301
    assert seen == []


def test_control_the_spy_sees_connections_and_names() -> None:
    with socket.socket() as listening, sockets_watched() as seen:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        socket.create_connection(("localhost", listening.getsockname()[1])).close()
    assert {event for event, _ in seen} == {"socket.getaddrinfo", "socket.connect"}  # type: ignore[misc]


def test_keys_are_rotated_without_refusing_anybody(trust: Trust) -> None:
    new = Provider(prefix="new-")
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        trust.trade(new.token())
    added = trust.admin.federation_policies.create(
        ISSUER, [AUDIENCE], new.jwks, service_principal=trust.spark, subject=SUBJECT
    )
    by_new, by_old = trust.trade(new.token()), trust.trade(trust.program.token())
    assert by_new.session.get().token_id == added.id
    assert by_old.session.get().token_id == trust.policy.id
    trust.admin.federation_policies.delete(added.id)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        by_new.session.get()
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        trust.trade(new.token())
    assert by_old.session.get().principal == trust.spark


def test_one_key_needs_no_kid(trust: Trust) -> None:
    alone = Provider("https://one.example.com")
    key = {**alone.keys["RS256"].as_dict(private=False), "use": "sig", "alg": "RS256"}
    name = trust.admin.service_principals.create("alone").name
    trust.admin.federation_policies.create(
        alone.issuer, [AUDIENCE], json.dumps({"keys": [key]}), service_principal=name, subject="x"
    )
    assert trust.trade(alone.token(sub="x", header={"kid": None})).session.get().principal == name
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        trust.trade(alone.token(sub="x", alg="ES256", header={"kid": None}))


def test_providers_token_does_nothing_but_to_be_traded(trust: Trust) -> None:
    with fails("CREDENTIAL_UNSUITABLE", "PERMISSION_DENIED"):
        trust.server.client(trust.program.token(), workspace="").session.get()
    caller = trust.trade(trust.program.token())
    with fails("CREDENTIAL_UNSUITABLE", "PERMISSION_DENIED"):
        caller.tokens.create_access_token()
    with fails("CREDENTIAL_UNSUITABLE", "PERMISSION_DENIED"):
        caller.tokens.create()


def test_access_tokens_end_with_their_principal_for_good(both: EmbeddedServer) -> None:
    trust = Trust(both)
    caller, person = trust.trade(trust.program.token()), trust.trade(trust.person())
    assert person.session.get().principal == PERSON
    for resource, name, client in (
        (trust.admin.service_principals, trust.spark, caller),
        (trust.admin.users, PERSON, person),
    ):
        resource.disable(name)
        with fails("PRINCIPAL_DISABLED", "UNAUTHENTICATED"):
            client.session.get()
        resource.enable(name)
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            client.session.get()
    assert trust.trade(trust.program.token()).session.get().principal == trust.spark
    trust.admin.service_principals.delete(trust.spark)
    assert [policy.service_principal for policy in trust.admin.federation_policies.list()] == [""]
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        trust.trade(trust.program.token())


KEYS = Provider()
WEAK = {"kty": "RSA", "e": "AQAB", "n": "w" * 170, "kid": "1020 bits"}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"issuer": ""}, "issuer"),
        ({"audiences": []}, "audiences"),
        ({"audiences": [""]}, "audiences"),
        ({"audiences": ["a"] * 11}, "audiences"),
        ({"subject": ""}, "subject"),
        ({"service_principal": ""}, "subject"),
        ({"jwks": ""}, "jwks"),
        ({"jwks": "[]"}, "jwks"),
        ({"jwks": '{"keys": []}'}, "jwks"),
        ({"jwks": '{"keys": [{"kty": "oct", "k": "AAAA"}]}'}, "jwks"),
        ({"jwks": '{"keys": [{"kty": "RSA", "n": "AAAA"}]}'}, "jwks"),
        ({"jwks": '{"keys": [{"kty": []}]}'}, "jwks"),
        ({"jwks": json.dumps({"keys": [KEYS.keys["ES256"].as_dict(private=True)]})}, "jwks"),
        ({"jwks": json.dumps({"keys": [KEYS.keys["ES256"].as_dict(private=False)] * 2})}, "jwks"),
        ({"jwks": json.dumps({"keys": [WEAK]})}, "jwks"),
        ({"jwks": json.dumps({"keys": json.loads(KEYS.jwks)["keys"], "filler": "x" * 70_000})}, "jwks"),
    ],
)
def test_policy_that_would_compare_too_little_is_refused(
    trust: Trust, changed: dict[str, object], field: str
) -> None:
    whole = {
        "issuer": ISSUER, "audiences": [AUDIENCE], "jwks": KEYS.jwks, "service_principal": trust.spark, "subject": SUBJECT,
        **changed,
    }  # fmt: skip
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying=field):
        trust.admin.federation_policies.create(**whole)  # type: ignore[arg-type]


def test_policy_for_nobody_or_a_person_is_refused(trust: Trust) -> None:
    for name in ("nobody", PERSON):
        with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT"):
            trust.admin.federation_policies.create(
                ISSUER, [AUDIENCE], KEYS.jwks, service_principal=name, subject="x"
            )
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        trust.admin.federation_policies.delete("none")


def test_only_account_admins_see_and_make_policies(trust: Trust) -> None:
    stranger = trust.server.client_as("stranger")
    for attempt in (
        lambda: stranger.federation_policies.create(ISSUER, [AUDIENCE], KEYS.jwks),
        lambda: list(stranger.federation_policies.list()),
        lambda: stranger.federation_policies.delete(trust.policy.id),
    ):
        with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
            attempt()


def test_at_most_twenty_policies_of_a_service_principal(trust: Trust) -> None:
    name = trust.admin.service_principals.create("many").name

    def add() -> None:
        trust.admin.federation_policies.create(
            ISSUER, [AUDIENCE], KEYS.jwks, service_principal=name, subject="s"
        )

    for _ in range(20):
        add()
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", saying="20"):
        add()


def test_trades_are_audited_with_their_policy_and_without_the_token(trust: Trust) -> None:
    token = trust.program.token()
    trust.trade(token)
    record = next(iter(trust.admin.audit.list(actor=trust.spark)))
    assert record.method.endswith("/CreateAccessToken")
    assert trust.policy.id in str(record)
    assert token.split(".")[2] not in "".join(map(str, trust.admin.audit.list(actor=trust.spark)))


CONTROLS: dict[str, tuple[object, str, object]] = {
    "aud foreign": (federation, "_is_for", lambda claims, policy: True),
    "jku of the issuer": (jwts, "HEADERS_KNOWN", jwts.HEADERS_KNOWN | {"jku"}),
    "typ of a logout": (federation, "TYPES", federation.TYPES | {"logout+jwt"}),
    "nbf ahead": (federation, "_checked_times", lambda claims, now: now + 300),
    "signed by another": (federation, "_is_signed", lambda token, key: True),
    "a claim twice": (jwts, "_without_doubles", dict),
}


@pytest.mark.parametrize("case", CONTROLS)
def test_control_without_its_check_a_hostile_token_is_traded(
    trust: Trust, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Each of these is refused for the reason it is named for, and for no other."""
    monkeypatch.setattr(*CONTROLS[case])
    assert trust.trade(HOSTILE[case](trust)).session.get().principal == trust.spark
