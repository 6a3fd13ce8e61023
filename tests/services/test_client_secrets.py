"""Client secrets and the access tokens they are traded for: shown once, several at once, gone from one call to the next."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.empty_pb2 import Empty
from joserfc import jwt

from lakewarden import Client, Unauthenticated
from lakewarden.v1 import groups_pb2, sessions_pb2
from lakewarden_server.app import services
from lakewarden_server.authn.access_tokens import ALGORITHM, TYPE, AccessTokens
from lakewarden_server.authn.jwts import take_apart
from lakewarden_server.pipeline.headers import SECRET_FIELDS
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails
from services.providers import AUDIENCE, ISSUER, Provider

DAY = 86_400
HOUR = 3_600
PROVIDER = Provider()


class Program:
    """A service principal, and what it holds."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        self.admin = server.client()
        self.id = self.admin.service_principals.create("spark").name
        self.secret = self.admin.service_principals.create_secret(self.id)

    def trade(self, value: str | None = None, *, client_id: str | None = None) -> str:
        """The access token for its secret, or for another value."""
        anonymous = self.server.client("eyJ", workspace="")
        return anonymous.tokens.create_access_token(
            client_id or self.id, value or self.secret.secret_value
        ).access_token

    def client(self, token: str | None = None) -> Client:
        """A client with a new access token."""
        return self.server.client(token or self.trade(), workspace="")


@pytest.fixture
def program(server: EmbeddedServer) -> Program:
    return Program(server)


def test_secret_is_traded_for_an_access_token_that_ends_with_it(both: EmbeddedServer) -> None:
    program = Program(both)
    secret = program.secret.secret
    assert program.secret.secret_value.startswith(f"lwsec_{secret.id}_")
    assert secret.expire_time.ToSeconds() - secret.create_time.ToSeconds() <= 365 * DAY
    caller = program.client()
    session = caller.session.get()
    assert (session.principal, session.kind) == (program.id, groups_pb2.PrincipalReference.SERVICE_PRINCIPAL)
    assert (session.token_id, session.credential_kind) == (secret.id, sessions_pb2.CLIENT_CREDENTIALS)
    left = session.token_expire_time.ToSeconds() - datetime.now(UTC).timestamp()
    assert HOUR - 60 < left <= HOUR
    assert list(program.admin.service_principals.secrets(program.id)) == [secret]
    program.admin.service_principals.delete_secret(program.id, secret.id)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        caller.session.get()
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        program.trade()
    assert list(program.admin.service_principals.secrets(program.id)) == []
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        program.admin.service_principals.delete_secret(program.id, secret.id)


def test_several_secrets_live_at_once_up_to_five(program: Program) -> None:
    others = [program.admin.service_principals.create_secret(program.id, comment="next") for _ in range(4)]
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", saying="5"):
        program.admin.service_principals.create_secret(program.id)
    old, new = program.client(), program.client(program.trade(others[0].secret_value))
    program.admin.service_principals.delete_secret(program.id, program.secret.secret.id)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        old.session.get()
    assert new.session.get().token_id == others[0].secret.id
    assert program.admin.service_principals.create_secret(program.id).secret_value


@pytest.mark.parametrize("end", ["disable", "delete"])
def test_access_tokens_end_with_their_principal_for_good(program: Program, end: str) -> None:
    caller = program.client()
    assert caller.session.get().principal == program.id
    getattr(program.admin.service_principals, end)(program.id)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        caller.session.get()
    if end == "disable":
        program.admin.service_principals.enable(program.id)
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            caller.session.get()
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            program.trade()


def test_access_token_ends_no_later_than_its_secret(program: Program) -> None:
    short = program.admin.service_principals.create_secret(program.id, lifetime_seconds=60)
    caller = program.client(program.trade(short.secret_value))
    assert caller.session.get().token_expire_time.ToSeconds() <= short.secret.expire_time.ToSeconds()


@pytest.mark.parametrize("lifetime", [-1, 730 * DAY + 1, 10**12])
def test_lifetime_out_of_bounds_is_refused(program: Program, lifetime: int) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="lifetime_seconds"):
        program.admin.service_principals.create_secret(program.id, lifetime_seconds=lifetime)


def test_secret_outlives_not_the_token_that_made_it(program: Program) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="token of this call"):
        program.admin.service_principals.create_secret(program.id, lifetime_seconds=60 * DAY)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda text: text[:-1] + ("a" if text[-1] != "a" else "b"), "TOKEN_CHECKSUM_WRONG"),
        (lambda text: text[:-1], "TOKEN_MALFORMED"),
        (lambda text: text.replace("lwsec", "lwpat"), "TOKEN_CHECKSUM_WRONG"),
        (lambda text: "", "TOKEN_MALFORMED"),
        (lambda text: "x" * 1_000, "TOKEN_MALFORMED"),
    ],
)
def test_spoiled_secret_is_refused(program: Program, spoil: Callable[[str], str], reason: str) -> None:
    anonymous = program.server.client("eyJ", workspace="")
    with fails(reason, "UNAUTHENTICATED") as failure:
        anonymous.tokens.create_access_token(program.id, spoil(program.secret.secret_value))
    assert program.secret.secret_value[30:60] not in str(failure.error)


def test_secret_is_good_for_its_own_client_id_only(program: Program) -> None:
    other = Program(program.server)
    for client_id in (other.id, "admin@example.com", "nobody"):
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            program.trade(client_id=client_id)
    assert program.trade(client_id=program.id.upper())


def test_nothing_but_a_client_secret_is_traded_and_it_does_nothing_else(program: Program) -> None:
    personal = program.admin.tokens.create(principal=program.id).token_value
    with fails("TOKEN_MALFORMED", "UNAUTHENTICATED"):
        program.trade(personal)
    with fails("TOKEN_MALFORMED", "UNAUTHENTICATED"):
        program.server.client(program.secret.secret_value, workspace="").session.get()
    for token in (personal, program.trade(), program.server.admin_token):
        client = program.server.client(token, workspace="")
        with fails("CREDENTIAL_UNSUITABLE", "PERMISSION_DENIED"):
            client._connection.call(client.tokens._stub.CreateAccessToken, Empty())
    with_secret = program.server.client("eyJ")._connection.with_client_secret(
        program.id, program.secret.secret_value
    )
    stub = program.admin.session._stub
    with fails("CREDENTIAL_UNSUITABLE", "PERMISSION_DENIED"):
        with_secret.call(stub.GetSession, sessions_pb2.GetSessionRequest())


MAKE_CREDENTIALS: dict[str, Callable[[Program, Client], object]] = {
    "CreateToken": lambda program, client: client.tokens.create(),
    "RotateToken": lambda program, client: client.tokens.rotate(
        program.admin.tokens.create(principal=program.id).token.id
    ),
    "CreateServicePrincipalSecret": lambda program, client: client.service_principals.create_secret(
        program.id
    ),
    "CreateFederationPolicy": lambda program, client: client.federation_policies.create(
        "https://second.example.com",
        [AUDIENCE],
        PROVIDER.jwks,
        service_principal=program.id,
        subject=program.id,
    ),
}
"""Every RPC that makes a credential but the exchange, by a principal that may."""


@pytest.mark.parametrize("method", MAKE_CREDENTIALS)
def test_access_token_makes_no_other_credential(program: Program, method: str) -> None:
    program.admin.grants.grant("ADMIN", "account", "account", program.id)
    program.admin.federation_policies.create(
        ISSUER, [AUDIENCE], PROVIDER.jwks, service_principal=program.id, subject=program.id
    )
    make = MAKE_CREDENTIALS[method]
    trading = program.server.client(PROVIDER.token(sub=program.id), workspace="")
    for access in (program.trade(), trading.tokens.create_access_token().access_token):
        caller = program.client(access)
        assert list(caller.users.list()), "it is an account admin"
        with fails("CREDENTIAL_UNSUITABLE", "PERMISSION_DENIED", saying="access token"):
            make(program, caller)
    personal = program.admin.tokens.create(principal=program.id).token_value
    assert make(program, program.client(personal)), "the control"


def test_every_rpc_that_shows_a_credential_is_among_those_that_make_one(program: Program) -> None:
    showing = {
        method.name
        for service in services(program.server.app.keys)
        for method in service.methods
        if set(SECRET_FIELDS) & set(method.output_type.fields_by_name)
    }
    assert showing == MAKE_CREDENTIALS.keys() - {"CreateFederationPolicy"} | {"CreateAccessToken"}


def test_token_that_ends_within_a_day_makes_no_federation_policy(program: Program) -> None:
    make = MAKE_CREDENTIALS["CreateFederationPolicy"]
    for lifetime, makes in ((timedelta(hours=23), False), (timedelta(hours=25), True)):
        token = program.server.issue_token("admin@example.com", lifetime=lifetime)
        if makes:
            assert make(program, program.client(token))
        else:
            with fails("CREDENTIAL_UNSUITABLE", "PERMISSION_DENIED", saying="within a day"):
                make(program, program.client(token))


@pytest.mark.parametrize(("who", "reason"), [("stranger", "ACCESS_DENIED"), ("itself", "PRIVILEGE_MISSING")])
def test_only_who_manages_the_service_principal_sees_and_makes_secrets(
    program: Program, who: str, reason: str
) -> None:
    client = program.client() if who == "itself" else program.server.client_as(who)
    for attempt in (
        lambda: client.service_principals.create_secret(program.id),
        lambda: list(client.service_principals.secrets(program.id)),
        lambda: client.service_principals.delete_secret(program.id, program.secret.secret.id),
    ):
        with fails(reason, "PERMISSION_DENIED"):
            attempt()


def test_a_manager_of_the_service_principal_makes_and_deletes_secrets(program: Program) -> None:
    manager = program.server.client_as("manager")
    program.admin.grants.grant("MANAGER", "service_principal", program.id, "manager@example.com")
    made = manager.service_principals.create_secret(program.id)
    assert program.client(program.trade(made.secret_value)).session.get().principal == program.id
    manager.service_principals.delete_secret(program.id, made.secret.id)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        program.trade(made.secret_value)


def test_a_service_principal_that_does_not_exist_has_no_secrets(program: Program) -> None:
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        program.admin.service_principals.create_secret("6f7fb0ce-0000-4000-8000-000000000000")


def test_secrets_and_tokens_are_kept_apart(program: Program) -> None:
    token = program.admin.tokens.create(principal=program.id).token
    secret = program.secret.secret
    assert [found.id for found in program.admin.tokens.list(principal=program.id)] == [token.id]
    assert [found.id for found in program.admin.service_principals.secrets(program.id)] == [secret.id]
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        program.admin.tokens.delete(secret.id, principal=program.id)
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        program.admin.service_principals.delete_secret(program.id, token.id)
    other = Program(program.server)
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        program.admin.service_principals.delete_secret(other.id, secret.id)


def test_trades_and_secrets_are_audited_without_their_secrets(program: Program) -> None:
    token = program.trade()
    program.admin.service_principals.delete_secret(program.id, program.secret.secret.id)
    (traded,) = program.admin.audit.list(actor=program.id)
    assert traded.method.endswith("/CreateAccessToken")
    assert program.secret.secret.id in str(traded)
    about = [record for record in program.admin.audit.list() if program.secret.secret.id in str(record)]
    assert [record.method.rpartition("/")[2] for record in about] == [
        "DeleteServicePrincipalSecret",
        "CreateAccessToken",
        "CreateServicePrincipalSecret",
    ]
    text = "".join(map(str, program.admin.audit.list()))
    assert token not in text
    assert token.rpartition(".")[2] not in text
    assert program.secret.secret_value[29:72] not in text


def test_forged_access_tokens_are_refused(program: Program) -> None:
    """Everything right but one thing: what whoever has read a token and our code could try."""
    true = program.trade()
    header, claims, signature = true.split(".")
    keys = program.server.app.keys
    other = AccessTokens(type(keys).derive(b"another installation's key file."))
    now = datetime.now(UTC)
    foreign = other.issue(
        principal_id=program.id, client_id=program.id, credential_id="0" * 22, activation=0, now=now,
        expire_time=now + timedelta(hours=1),
    )  # fmt: skip

    def spoilt(part: str, **changes: object) -> str:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        found.update(changes)
        kept = {name: value for name, value in found.items() if value is not None}
        return base64.urlsafe_b64encode(json.dumps(kept).encode()).rstrip(b"=").decode()

    forged = [
        foreign,
        f"{spoilt(header, alg='none')}.{claims}.{signature}",
        f"{spoilt(header, alg='none')}.{claims}.",
        f"{spoilt(header, alg='HS256')}.{claims}.{signature}",
        f"{spoilt(header, alg='EdDSA')}.{claims}.{signature}",
        f"{spoilt(header, kid=None)}.{claims}.{signature}",
        f"{spoilt(header, kid='../../dev/null')}.{claims}.{signature}",
        f"{spoilt(header, typ='JWT')}.{claims}.{signature}",
        f"{spoilt(header, jku='https://evil.example/jwks')}.{claims}.{signature}",
        f"{header}.{spoilt(claims, sub='admin')}.{signature}",
        f"{header}.{spoilt(claims, exp=4_000_000_000)}.{signature}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        f"{header}.{claims}",
        f"{true}.{signature}",
        f"{header}.{claims}.{'A' * 8_000}",
    ]
    for text in forged:
        with pytest.raises(Unauthenticated) as refused:
            program.client(text).session.get()
        assert refused.value.reason in {"TOKEN_INVALID", "TOKEN_MALFORMED"}
    assert program.client(true).session.get().principal == program.id, "the control"


@pytest.mark.parametrize("times", [{"iat": 10**400, "exp": 10**400}, {"iat": -(10**400)}, {"exp": -1}])
def test_access_token_with_times_beyond_reckoning_is_refused(program: Program, times: dict[str, int]) -> None:
    """Signed with our own key: the reader does not rest on what the writer never does."""
    ours = AccessTokens(program.server.app.keys)
    claims = take_apart(program.trade()).claims
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": ours._signer.thumbprint()}

    def signed(**changed: int) -> str:
        return jwt.encode(
            header, {**claims, **changed}, ours._signer, algorithms=[ALGORITHM], default_type=None
        )

    assert program.client(signed()).session.get().principal == program.id, "the control"
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        program.client(signed(**times)).session.get()
