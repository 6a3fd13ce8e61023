"""Keys that a provider publishes: fetched from allowed hosts alone, for no call, and kept when what comes is no good."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lakewarden import LakewardenError
from lakewarden_server.authn import provider_keys
from lakewarden_server.authn.jwks import InvalidJwks
from lakewarden_server.authn.provider_keys import JwksHosts, ProviderKeys
from lakewarden_server.config import SettingsError, read_settings
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import FederationPolicy
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails
from services.providers import AUDIENCE, ISSUER, SUBJECT, Provider, sockets_watched
from services.publishing import Publisher, publishing, trusting
from tls.authorities import Authority
from tls.conftest import until

HEADER = {"alg": "RS256", "kid": "rsa"}


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def publisher(authority: Authority, tmp_path: Path) -> Iterator[Publisher]:
    """Publishes nothing yet."""
    with publishing(authority.server(), tmp_path) as publisher:
        yield publisher


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes minutes takes tenths of a second."""
    monkeypatch.setattr(provider_keys, "REFRESH_SECONDS", 0.3)
    monkeypatch.setattr(provider_keys, "REPEAT_SECONDS_MIN", 0.3)


class Following:
    """A server that takes the keys of a program from where they are published."""

    def __init__(self, server: EmbeddedServer, publisher: Publisher) -> None:
        self.server, self.publisher = server, publisher
        self.provider = Provider()
        publisher.body = self.provider.jwks.encode()
        server.app.settings = replace(server.app.settings, jwks_private_hosts=frozenset({publisher.host}))
        server.restart()
        self.admin = server.client()
        self.spark = self.admin.service_principals.create("spark").name
        self.policy = self.follow(publisher.url)

    def follow(self, url: str) -> str:
        made = self.admin.federation_policies.create(
            ISSUER, [AUDIENCE], jwks_uri=url, service_principal=self.spark, subject=SUBJECT
        )
        assert (made.jwks, made.jwks_uri) == ("", url)
        return made.id

    def trades(self, token: str) -> bool:
        """Whether an access token is given for it."""
        client = self.server.client(token, workspace="")
        try:
            return bool(client.tokens.create_access_token().access_token)
        except LakewardenError as error:
            if error.reason != "TOKEN_INVALID":
                raise
            return False


@pytest.fixture
def following(
    publisher: Publisher, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Following]:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(authority.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    with serve() as server:
        yield Following(server, publisher)


def test_published_keys_are_followed_when_they_change(often: None, following: Following) -> None:
    old = following.provider.token()
    until(lambda: following.trades(old), "the published keys are not taken")
    new = Provider(prefix="new-")
    assert not following.trades(new.token())
    following.publisher.body = new.jwks.encode()
    until(lambda: following.trades(new.token()), "the new keys are not taken")
    # Also in the process that took it a moment ago.
    assert not following.trades(old)
    following.admin.federation_policies.delete(following.policy)
    assert not following.trades(new.token())
    time.sleep(0.6)
    asked = len(following.publisher.asked)
    time.sleep(0.8)
    assert len(following.publisher.asked) == asked, "keys of no policy are still fetched"


def test_unknown_keys_make_no_storm(following: Following) -> None:
    until(lambda: following.trades(following.provider.token()), "the published keys are not taken")
    for number in range(50):
        assert not following.trades(following.provider.token(header={"kid": f"unknown-{number}"}))
    assert len(following.publisher.asked) == 1


@pytest.mark.parametrize("in_the_call", [False, True], ids=["beside", "control"])
def test_no_call_waits_for_a_fetch(
    often: None, following: Following, monkeypatch: pytest.MonkeyPatch, in_the_call: bool
) -> None:
    """The control fetches where the key is missed, as a call would that waits."""
    until(lambda: following.trades(following.provider.token()), "the published keys are not taken")
    if in_the_call:
        missed = ProviderKeys.missed

        def fetched(keys: ProviderKeys, url: str) -> None:
            missed(keys, url)
            keys._refresh(url, keys._published[url])

        monkeypatch.setattr(ProviderKeys, "missed", fetched)
    following.publisher.drip_seconds = 1.0
    asked, slowest = len(following.publisher.asked), 0.0
    until(lambda: len(following.publisher.asked) > asked, "no fetch falls due")
    for number in range(10):
        begun = time.monotonic()
        assert not following.trades(following.provider.token(header={"kid": f"unknown-{number}"}))
        slowest = max(slowest, time.monotonic() - begun)
        if in_the_call and slowest > provider_keys.FETCH_SECONDS_MAX / 2:
            break
    assert (slowest > provider_keys.FETCH_SECONDS_MAX / 2) is in_the_call, slowest


def test_no_host_but_the_allowed_one_is_ever_connected_to(
    often: None, following: Following, authority: Authority, tmp_path: Path
) -> None:
    port = int(following.publisher.host.partition(":")[2])
    (tmp_path / "other").mkdir()
    with publishing(authority.server(), tmp_path / "other") as other, sockets_watched() as seen:
        for url in (
            other.url,
            other.url.replace("localhost", "127.0.0.1"),
            following.publisher.url.replace("localhost", "127.0.0.1"),
            following.publisher.url.replace("localhost", "localhost."),
            following.publisher.url.replace("localhost", "LOCALHOST"),
            following.publisher.url.replace("https", "http"),
            following.publisher.url.replace("https://", "https://user@"),
            following.publisher.url.replace("https://", f"https://{other.host}@"),
            following.publisher.url.replace("https://", f"https://{other.host}/@"),
            following.publisher.url.replace("https://", f"https://{other.host}\\@"),
            following.publisher.url + "#x",
            f"https://{following.publisher.host}",
            f"https://{following.publisher.host}.evil.example/keys.json",
            "https://localhost/keys.json",
            "https://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            f"https://{following.publisher.host}/" + "x" * 2_048,
        ):
            with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="jwks_uri"):
                following.follow(url)
        for header in ({"jku": other.url}, {"x5u": other.url}):
            with pytest.raises(LakewardenError):
                following.server.client(following.provider.token(header=header)).tokens.create_access_token()
        following.publisher.status, following.publisher.headers = 302, {"Location": other.url}
        plant(following, other.url)
        asked = len(following.publisher.asked)
        until(lambda: len(following.publisher.asked) > asked + 2, "nothing was fetched")
    assert other.asked == []
    assert {event for event, _ in seen} == {"socket.getaddrinfo", "socket.connect"}  # type: ignore[misc]
    for event, where in seen:  # type: ignore[misc]
        if event == "socket.connect":
            assert where[1] == port, where
        else:
            assert where in {"localhost", "127.0.0.1", "::1"}


def plant(following: Following, url: str) -> None:
    """A policy of a host that was allowed when another server made it."""
    app = following.server.app
    with app.database.write(
        deadline=monotonic() + 10, request_id="", actor_id="", policy_digest=app.follower.policy.digest
    ) as uow:
        spark = app.follower.at_head().snapshot.principal_named(following.spark)
        assert spark is not None
        uow.session.add(
            FederationPolicy(
                id="planted", principal_id=spark.id, issuer=ISSUER, audiences=[AUDIENCE], subject_claim="sub",
                subject=SUBJECT, jwks=url, create_time=uow.time, created_by=spark.id,
            )
        )  # fmt: skip
        uow.session.flush()
        uow.commit()


def thumbprint(keys: ProviderKeys, publisher: Publisher) -> str:
    """Of the RSA key that is there now."""
    published = keys.current(publisher.url)
    assert published is not None
    key = published.key_for(HEADER)
    assert key is not None
    return key.thumbprint()


def redirected(publisher: Publisher) -> None:
    publisher.status, publisher.headers = 302, {"Location": publisher.url}


def failing(publisher: Publisher) -> None:
    publisher.status = 500


def too_long(publisher: Publisher) -> None:
    publisher.body = json.dumps(
        {"keys": json.loads(Provider().jwks)["keys"], "filler": "x" * 70_000}
    ).encode()


def dripping(publisher: Publisher) -> None:
    publisher.body, publisher.drip_seconds = Provider().jwks.encode(), 0.1


def nonsense(publisher: Publisher) -> None:
    publisher.body = b"<html>" + bytes(range(256))


def odd_type(publisher: Publisher) -> None:
    publisher.body = b'{"keys": [{"kty": []}]}'


def private(publisher: Publisher) -> None:
    keys = Provider().keys["RS256"].as_dict(private=True)
    publisher.body = json.dumps({"keys": [keys]}).encode()


def shortened(publisher: Publisher) -> None:
    publisher.body = publisher.body[:-2]


@pytest.mark.parametrize(
    "spoil", [redirected, failing, too_long, dripping, nonsense, odd_type, private, shortened]
)
def test_what_is_no_good_changes_nothing(
    often: None,
    publisher: Publisher,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Publisher], None],
) -> None:
    publisher.body = Provider().jwks.encode()
    with fetching(publisher, authority) as keys:
        until(lambda: keys.current(publisher.url) is not None, "nothing was fetched")
        before = thumbprint(keys, publisher)
        spoil(publisher)
        until(lambda: "were not taken" in caplog.text, "the failure is not told")
        assert thumbprint(keys, publisher) == before
        asked = len(publisher.asked)
        until(lambda: len(publisher.asked) > asked + 1, "it is not tried again")
        assert caplog.text.count("were not taken") == 1
        # Not for ever: what nobody confirms is not taken any more.
        monkeypatch.setattr(provider_keys, "CONFIRMED_SECONDS_MAX", 0.5)
        until(lambda: keys.current(publisher.url) is None, "unconfirmed keys are taken for ever")
    with fetching(publisher, authority) as keys:
        time.sleep(1.0)
        assert keys.current(publisher.url) is None


def test_keys_that_did_not_change_are_not_sent_again(
    often: None, publisher: Publisher, authority: Authority
) -> None:
    publisher.body, publisher.headers = Provider().jwks.encode(), {"ETag": '"1"'}
    with fetching(publisher, authority) as keys:
        until(lambda: len(publisher.asked) > 2, "nothing was fetched")
        assert keys.current(publisher.url) is not None
        assert [known for _, known in publisher.asked[:3]] == ["", '"1"', '"1"']


def test_a_publisher_that_is_not_whom_the_url_names_is_not_believed(
    often: None, publisher: Publisher, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publisher.body = Provider().jwks.encode()
    with fetching(publisher, Authority()) as keys:
        until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text, "another CA is not noticed")
        assert keys.current(publisher.url) is None
    caplog.clear()
    (tmp_path / "other").mkdir()
    for pair in (
        authority.client("urn:x:y", dns=["other.example"]),
        authority.server(lifetime=timedelta(minutes=-1)),
    ):
        with publishing(pair, tmp_path / "other") as other, fetching(other, authority) as keys:
            until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text, "a wrong certificate is not noticed")
            assert (keys.current(other.url), other.asked) == (None, [])
        caplog.clear()


def test_private_addresses_only_where_the_operator_says_so(
    often: None, publisher: Publisher, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    keys = ProviderKeys(JwksHosts(public=frozenset({publisher.host})), trusting=trusting(authority))
    keys.want({publisher.url})
    keys.start()
    until(lambda: "not public" in caplog.text, "a private address is connected to")
    keys.stop()
    assert (keys.current(publisher.url), publisher.asked) == (None, [])


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.0.0.1", False), ("172.16.0.1", False),
        ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("255.255.255.255", False), ("::1", False), ("::", False), ("fe80::1", False), ("fd00:ec2::254", False), ("ff02::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::a9fe:a9fe", False), ("2002:7f00:1::", False),
    ],
)  # fmt: skip
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert provider_keys._is_public(address) is public


def test_hosts_are_told_by_the_operator() -> None:
    settings = read_settings({"jwks_hosts": "id.example.com, keys.example.com:8443"}, environment={})
    assert settings.jwks_hosts == {"id.example.com", "keys.example.com:8443"}
    assert read_settings({}, environment={}).jwks_hosts == frozenset()
    assert read_settings({"jwks_hosts": "id.example.com:65535"}, environment={}).jwks_hosts
    for wrong in (
        "https://id.example.com", "id.example.com/x", "*.example.com", "ID.example.com",
        "id.example.com:65536", "id.example.com:99999", "id.example.com:",
    ):  # fmt: skip
        with pytest.raises(SettingsError, match="in lower case"):
            read_settings({"jwks_hosts": wrong}, environment={})
    with pytest.raises(InvalidJwks, match="its operator allows hosts"):
        JwksHosts().check("https://id.example.com/keys")


class fetching:
    """The keys of one publisher, fetched until the block ends."""

    def __init__(self, publisher: Publisher, authority: Authority) -> None:
        hosts = JwksHosts(private=frozenset({publisher.host}))
        self._keys = ProviderKeys(hosts, trusting=trusting(authority))
        self._keys.want({publisher.url})

    def __enter__(self) -> ProviderKeys:
        self._keys.start()
        return self._keys

    def __exit__(self, *_error: object) -> None:
        self._keys.stop()
