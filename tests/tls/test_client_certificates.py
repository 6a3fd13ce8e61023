"""Client certificates: whose one is says a federation policy of exactly its URI; anything else, and any doubt, is a refusal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import grpc
import httpx2
import pytest
from click.testing import CliRunner
from cryptography.x509.oid import ExtendedKeyUsageOID

from lakewarden import ConfigurationError, LakewardenError
from lakewarden.cli._application import root
from lakewarden.v1 import sessions_pb2, sessions_pb2_grpc
from lakewarden_policy import FederationPolicy, Snapshot
from lakewarden_server.authn import client_certificates
from lakewarden_server.authn.client_certificates import ClientCertificate
from lakewarden_server.cli import main as operate
from lakewarden_server.config import SettingsError, read_settings
from lakewarden_server.core.errors import Unauthenticated
from services.errors import fails
from tls.authorities import Authority
from tls.conftest import TlsServer, until
from tls.mutual import SPARK, Mutual, refused


@pytest.fixture(scope="module")
def mutual(over_tls_once: TlsServer) -> Iterator[Mutual]:
    """For the tests that leave it as it was, but for principals and policies nobody else looks at."""
    made = Mutual(over_tls_once)
    yield made
    made.admin.close()


@pytest.fixture
def own(over_tls: TlsServer) -> Iterator[Mutual]:
    """One that the test may change."""
    made = Mutual(over_tls)
    yield made
    made.admin.close()


def test_a_certificate_is_who_its_policy_says_by_grpc_and_http(mutual: Mutual) -> None:
    pair = mutual.authority.client(SPARK)
    with mutual.client(pair) as client:
        session = client.session.get()
    assert (session.principal, session.token_id) == (mutual.spark, mutual.policy)
    assert session.credential_kind == sessions_pb2.CLIENT_CERTIFICATE
    assert 0 < session.token_expire_time.seconds - time.time() <= 86_400
    answer = mutual.web(pair)
    assert (answer.status_code, answer.json()["id"]) == (200, session.principal_id)


@pytest.mark.parametrize(
    "uri",
    [
        SPARK.upper(),
        SPARK.replace("spark", "Spark"),
        SPARK.replace("spiffe", "SPIFFE"),
        SPARK.replace("example", "EXAMPLE"),
        f"{SPARK}/",
        f"{SPARK}2",
        f"{SPARK}?x",
        SPARK[:-1],
        f"x{SPARK}",
        f"https://evil.example/{SPARK}",
        SPARK.replace("spark", "%73park"),
        SPARK.replace("/spark", "/x/../spark"),
        SPARK.replace("/spark", "//spark"),
        f"{SPARK}\0.evil.example",
        f"{SPARK} ",
        "spiffe://example.com/lake",
        "spiffe://example.com",
    ],
)
def test_only_the_very_same_uri_is_the_same(mutual: Mutual, uri: str) -> None:
    pair = mutual.authority.client(uri)
    assert refused(mutual, pair) == "CERTIFICATE_INVALID"
    assert mutual.web(pair).status_code == 401


def test_no_other_name_in_a_certificate_counts(mutual: Mutual) -> None:
    sign = mutual.authority.client
    for pair in (
        sign(common_name=SPARK),
        sign(common_name=mutual.spark),
        sign(common_name="spark", dns=["spark", "example.com"]),
        sign(SPARK, f"{SPARK}2"),
        sign(f"{SPARK}2", SPARK),
        sign(SPARK, SPARK),
    ):
        assert refused(mutual, pair) == "CERTIFICATE_INVALID"
        assert mutual.web(pair).status_code == 401
    # Beside other kinds of names the one URI is still the one.
    assert mutual.who(sign(SPARK, common_name="x", dns=["x.example.com"])) == mutual.spark


def test_other_authorities_and_bad_certificates_have_no_connection(mutual: Mutual) -> None:
    bad = {
        "a CA of the same name": Authority("Client CA").client(SPARK),
        "the CA of the server": mutual.server.authority.client(SPARK),
        "expired": mutual.authority.client(SPARK, lifetime=timedelta(seconds=-1)),
        "for servers": mutual.authority.client(SPARK, usage=ExtendedKeyUsageOID.SERVER_AUTH),
    }
    for what, pair in bad.items():
        for token in ("", mutual.server.server.admin_token):
            assert refused(mutual, pair, token=token) == "UNAVAILABLE", what
        with pytest.raises(httpx2.HTTPError):
            mutual.web(pair)
    with mutual.server.client() as without, pytest.raises(LakewardenError) as failure:
        without.session.get()
    assert failure.value.code == "UNAVAILABLE"
    with mutual.server.client() as without, pytest.raises(LakewardenError):
        without.health()


def test_a_certificate_that_ends_during_a_connection_ends_with_it(mutual: Mutual) -> None:
    pair, token = (
        mutual.authority.client(SPARK, lifetime=timedelta(seconds=4)),
        mutual.server.server.admin_token,
    )
    other = mutual.authority.client(lifetime=timedelta(seconds=4))
    with mutual.client(pair) as client, mutual.client(other, token=token) as beside:
        assert (client.session.get().principal, beside.session.get().principal) == (
            mutual.spark,
            "admin@example.com",
        )
        time.sleep(5)
        for late in (client, beside):
            with fails("CERTIFICATE_INVALID"):
                late.session.get()


def test_a_removed_policy_and_a_disabled_principal_hold_with_the_next_call(own: Mutual) -> None:
    with own.client(own.authority.client(SPARK)) as client:
        assert client.session.get().principal == own.spark
        own.admin.service_principals.update(own.spark, active=False)
        with fails("PRINCIPAL_DISABLED"):
            client.session.get()
        own.admin.service_principals.update(own.spark, active=True)
        assert client.session.get().principal == own.spark
        own.admin.federation_policies.delete(own.policy)
        with fails("CERTIFICATE_INVALID"):
            client.session.get()
        another = own.admin.service_principals.create("another").name
        own.map(SPARK, another)
        assert client.session.get().principal == another
        own.admin.service_principals.delete(another)
        with fails("CERTIFICATE_INVALID"):
            client.session.get()


def test_token_and_certificate_must_not_disagree(mutual: Mutual) -> None:
    admin_token = mutual.server.server.admin_token
    spark_token = mutual.admin.tokens.create(principal=mutual.spark).token_value
    mapped, unmapped = mutual.authority.client(SPARK), mutual.authority.client("spiffe://example.com/proxy")
    # A certificate that stands for nobody says nothing; one that agrees is fine; the token is what counts.
    assert mutual.who(unmapped, token=admin_token) == "admin@example.com"
    assert mutual.who(mapped, token=spark_token) == mutual.spark
    with mutual.client(mapped, token=spark_token) as both:
        assert both.session.get().credential_kind == sessions_pb2.PERSONAL_ACCESS_TOKEN
    assert refused(mutual, mapped, token=admin_token) == "CERTIFICATE_INVALID"
    assert mutual.web(mapped, token=admin_token).status_code == 401
    assert mutual.web(unmapped, token=admin_token).status_code == 200
    # A token that is none is not made good by a certificate.
    for token in ("nonsense", spark_token[:-1] + ("0" if spark_token[-1] != "0" else "1")):
        assert refused(mutual, mapped, token=token) in {"TOKEN_MALFORMED", "TOKEN_CHECKSUM_WRONG"}
    revoked = mutual.admin.tokens.create(principal=mutual.spark)
    with mutual.client(unmapped, token=revoked.token_value) as leaving:
        leaving.tokens.delete(revoked.token.id)
    assert refused(mutual, mapped, token=revoked.token_value) == "TOKEN_INVALID"


def test_a_policy_made_later_holds_for_a_token_that_was_known(mutual: Mutual) -> None:
    uri, token = "spiffe://example.com/later", mutual.server.server.admin_token
    with mutual.client(mutual.authority.client(uri), token=token) as client:
        assert client.session.get().principal == "admin@example.com"
        mutual.map(uri, mutual.spark)
        with fails("CERTIFICATE_INVALID"):
            client.session.get()


def test_the_secret_of_one_program_is_not_traded_over_the_certificate_of_another(mutual: Mutual) -> None:
    another = mutual.admin.service_principals.create("another").name
    secret = mutual.admin.service_principals.create_secret(another).secret_value
    with (
        mutual.client(mutual.authority.client(SPARK)) as client,
        fails("CERTIFICATE_INVALID"),
    ):
        client.tokens.create_access_token(another, secret)
    with mutual.client(mutual.authority.client()) as client:
        assert client.tokens.create_access_token(another, secret).access_token


def test_a_certificate_makes_no_credentials_and_is_not_traded(own: Mutual) -> None:
    own.admin.grants.grant("ADMIN", "account", "account", own.spark)
    with own.client(own.authority.client(SPARK)) as client:
        assert client.service_principals.create("made").name
        for make in (
            lambda: client.tokens.create(),
            lambda: client.service_principals.create_secret(own.spark),
            lambda: client.federation_policies.create_for_certificates(
                "urn:x:y", service_principal=own.spark
            ),
            lambda: client.tokens.create_access_token(),
        ):
            with fails("CREDENTIAL_UNSUITABLE"):
                make()


@pytest.mark.parametrize(
    "header",
    ["x-forwarded-client-cert", "x-client-cert", "ssl-client-cert", "x509_pem_cert", "client_certificate"],
)
def test_nothing_a_caller_says_of_a_certificate_is_heard(mutual: Mutual, header: str) -> None:
    pair, other = mutual.authority.client(), mutual.authority.client(SPARK)
    said = quote(other.chain)
    assert mutual.web(pair, **{header: said}).status_code == 401
    credentials = grpc.ssl_channel_credentials(
        mutual.server.authority.certificate, pair.private_key, pair.chain
    )
    with grpc.secure_channel(mutual.server.addresses["grpc"], credentials) as channel:
        stub = sessions_pb2_grpc.SessionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as failure:
            stub.GetSession(sessions_pb2.GetSessionRequest(), metadata=((header, said),), timeout=10)
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_policies_of_certificates_are_checked(mutual: Mutual) -> None:
    create, another = (
        mutual.admin.federation_policies.create,
        mutual.admin.service_principals.create("another").name,
    )
    before = list(mutual.admin.federation_policies.list())
    for_certificates = mutual.admin.federation_policies.create_for_certificates
    with fails("NAME_TAKEN"):
        for_certificates(SPARK, service_principal=another)
    with fails("PRINCIPAL_UNKNOWN"):
        for_certificates("urn:x:y", service_principal="admin@example.com")
    for uri in (
        "",
        "no-uri",
        "/path",
        "*",
        f"{SPARK} ",
        f"{SPARK}\0",
        "spiffe://exämple.com/x",
        "urn:" + "x" * 1_024,
    ):
        with fails("FIELD_INVALID"):
            for_certificates(uri, service_principal=another)
    issuer = "urn:lakewarden:client-certificates"
    for audiences, keys, options in (
        ([], "", {"subject": "urn:x:y"}),
        (["x"], "", {"subject": "urn:x:y", "service_principal": another}),
        ([], "{}", {"subject": "urn:x:y", "service_principal": another}),
        ([], "", {"subject": "urn:x:y", "service_principal": another, "subject_claim": "sub"}),
    ):
        with fails("FIELD_INVALID"):
            create(issuer, audiences, keys, **options)
    assert mutual.policy in {policy.id for policy in before}
    assert list(mutual.admin.federation_policies.list()) == before


def test_new_authorities_are_taken_without_a_restart_and_old_ones_no_longer(own: Mutual) -> None:
    old, successor = own.authority.client(SPARK), Authority("Client CA 2")
    file = own.server.directory / "client-ca.pem"
    with own.client(old) as running:
        assert running.session.get().principal == own.spark
        assert refused(own, successor.client(SPARK)) == "UNAVAILABLE"
        for authorities in ((own.authority, successor), (successor,)):
            file.with_suffix(".new").write_bytes(b"".join(authority.certificate for authority in authorities))
            file.with_suffix(".new").replace(file)
            accepted = len(authorities)
            until(lambda: own.server.server.app._certificates.loaded == 3 - accepted, "not read")  # noqa: B023
            assert own.who(successor.client(SPARK)) == own.spark
            assert own.web(successor.client(SPARK)).status_code == 200
        assert refused(own, old) == "UNAVAILABLE"
        with pytest.raises(httpx2.HTTPError):
            own.web(old)
        assert running.session.get().principal == own.spark
    file.write_bytes(b"")
    until(lambda: own.server.server.app._certificates.refused == 1, "an empty file was not refused")
    assert own.who(successor.client(SPARK)) == own.spark
    assert refused(own, old) == "UNAVAILABLE"


def test_commands_show_certificates(mutual: Mutual, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    chain, key = mutual.files(mutual.authority.client(SPARK))
    where = ["--endpoint", mutual.server.addresses["grpc"], "--ca-file", str(mutual.server.ca_file)]
    runner, shown = CliRunner(), ["--cert-file", chain, "--key-file", key]
    asked = runner.invoke(root, ["whoami", *where, *shown, "-o", "name"])
    assert asked.stdout.strip() == mutual.spark, asked.output
    assert runner.invoke(root, ["profile", "set", "spark", *where, *shown]).exit_code == 0
    asked = runner.invoke(root, ["whoami", "--profile", "spark", "-o", "name"])
    assert asked.stdout.strip() == mutual.spark, asked.output
    for files in ({"cert_file": chain}, {"cert_file": chain, "key_file": "nowhere"}):
        with pytest.raises(ConfigurationError, match=r"key|nowhere"):
            mutual.server.client(**files)
    unmapped = mutual.files(mutual.authority.client())
    admin = [
        *where,
        "--cert-file",
        unmapped[0],
        "--key-file",
        unmapped[1],
        "--token",
        mutual.server.server.admin_token,
    ]
    made = runner.invoke(
        root,
        ["federation-policy", "create-for-certificates", "urn:x:y", "--service-principal", mutual.spark, *admin, "-o", "name"],
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert made.stdout.strip() in {policy.id for policy in mutual.admin.federation_policies.list()}
    health = [
        "health",
        "--endpoint",
        mutual.server.addresses["grpc"],
        "--ca-file",
        str(mutual.server.ca_file),
    ]
    assert runner.invoke(operate, [*health, *shown]).output == "SERVING\n"
    assert runner.invoke(operate, health).exit_code == 1
    assert runner.invoke(operate, [*health, "--cert-file", chain]).exit_code == 2


def test_certificates_of_clients_are_asked_for_over_tls_only() -> None:
    with pytest.raises(SettingsError, match="over TLS only"):
        read_settings({"tls_client_ca_file": "ca.pem"}, environment={})


def test_what_is_no_certificate_is_nobodys() -> None:
    for pem in (b"nonsense", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"):
        with pytest.raises(Unauthenticated, match="cannot be read"):
            client_certificates.read(pem)


@pytest.mark.parametrize(
    ("lax", "uri"),
    [
        (lambda known, shown: known.casefold() == shown.casefold(), SPARK.upper()),
        (lambda known, shown: shown.startswith(known), f"{SPARK}2"),
        (lambda known, shown: known.startswith(shown), SPARK[:-1]),
        (lambda known, shown: known in shown, f"https://evil.example/{SPARK}"),
        (lambda known, shown: known == shown.partition("\0")[0], f"{SPARK}\0.evil.example"),
    ],
)
def test_a_server_that_compared_less_would_be_found_out(
    mutual: Mutual, monkeypatch: pytest.MonkeyPatch, lax: Callable[[str, str], bool], uri: str
) -> None:
    def policy_of(
        snapshot: Snapshot, certificate: ClientCertificate, _now: datetime
    ) -> FederationPolicy | None:
        known = snapshot.client_certificates
        return next((known[name] for name in known if lax(name, certificate.uri)), None)

    pair = mutual.authority.client(uri)
    assert refused(mutual, pair) == "CERTIFICATE_INVALID"
    monkeypatch.setattr(client_certificates, "policy_of", policy_of)
    assert mutual.who(pair) == mutual.spark
