"""Start and stop, TLS, and the refusal to send tokens over a network in the clear."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lakewarden import Client, ConfigurationError, LakewardenError
from lakewarden_server.app import App
from lakewarden_server.authn.keys import create_key_file, load_key_file
from lakewarden_server.authn.tokens import TokenKind
from lakewarden_server.bootstrap import bootstrap
from lakewarden_server.config import Settings, SettingsError, read_settings
from lakewarden_server.core.addresses import InsecureAddress, is_loopback
from lakewarden_server.storage import create_database
from pipeline.probe import ProbedServer, failure


def _settings(url: str, directory: Path, **more: object) -> Settings:
    values: dict[str, object] = {"listen": "127.0.0.1:0", "grace_seconds": 5.0, **more}
    return Settings(url, directory / "key", directory, **values)  # type: ignore[arg-type]


@pytest.fixture
def admin_token(make_database_url: Callable[[str], str], tmp_path: Path) -> tuple[str, str]:
    """URL of a database that was set up, and its admin's token."""
    url = make_database_url("sqlite")
    database = create_database(url)
    token = bootstrap(
        database, create_key_file(tmp_path / "key"), admin="ada@example.com", kind=TokenKind.PAT
    ).token
    database.close()
    return url, token


@pytest.mark.parametrize("address", ["foo", ":50051", "foo:", "foo:bar", "a b:1", "::1:50051"])
def test_address_that_is_none_says_how_to_write_it(address: str) -> None:
    with pytest.raises(SettingsError, match="write HOST:PORT"):
        read_settings({"listen": address}, environment={})
    for good in ("foo:1", "0.0.0.0:50051", "[::1]:0", "unix:/run/lakewarden.sock"):
        assert read_settings({"listen": good}, environment={}).listen == good


def test_count_that_is_none_is_called_as_it_was_given() -> None:
    with pytest.raises(SettingsError, match=r"^--workers='0': give a whole number from 1 to 64$"):
        read_settings({"workers": 0}, environment={"LAKEWARDEN_WORKERS": "2"})
    with pytest.raises(SettingsError, match=r"^LAKEWARDEN_WORKERS='0'"):
        read_settings({"workers": None}, environment={"LAKEWARDEN_WORKERS": "0"})


def test_write_in_flight_commits_and_is_answered_while_the_server_stops(probe: ProbedServer) -> None:
    before = probe.server.app.follower.at_head().head.revision
    future = probe.call("Write", "wait")
    assert probe.probe.entered.acquire(timeout=10)
    rpc = probe.server.app.rpc
    stopping = threading.Thread(target=rpc.stop, args=(10.0,))
    stopping.start()
    late = failure(_until_refused(probe))
    assert late[0] in {"UNAVAILABLE", "CANCELLED"}
    probe.probe.gate.set()
    assert future.result().value == "wait"
    stopping.join(15)
    assert not stopping.is_alive()
    assert probe.server.app.follower.at_head().head.revision == before + 1


def test_second_start_answers_with_everything_the_first_acknowledged(
    admin_token: tuple[str, str], tmp_path: Path
) -> None:
    url, token = admin_token
    for number in range(3):
        app = App(_settings(url, tmp_path))
        app.start()
        with Client(f"127.0.0.1:{app.port}", token=token) as client:
            client.groups.create(f"group{number}")
            assert [group.name for group in client.groups.list()] == [
                "account users",
                *(f"group{made}" for made in range(number + 1)),
            ]
        app.stop()


def test_two_servers_on_one_file_see_each_others_writes_at_once(
    admin_token: tuple[str, str], tmp_path: Path
) -> None:
    url, token = admin_token
    apps = [App(_settings(url, tmp_path)) for _ in range(2)]
    for app in apps:
        app.start()
    with (
        Client(f"127.0.0.1:{apps[0].port}", token=token) as one,
        Client(f"127.0.0.1:{apps[1].port}", token=token) as two,
    ):
        for number in range(5):
            one.groups.create(f"a{number}")
            assert two.groups.get(f"a{number}").name == f"a{number}"
            two.groups.delete(f"a{number}")
            with pytest.raises(LakewardenError):
                one.groups.get(f"a{number}")
    for app in apps:
        app.stop()


def test_server_does_not_start_with_a_key_others_can_read(
    admin_token: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(Exception, match="chmod 600"):
        App(_settings(admin_token[0], tmp_path))


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0"])
def test_plaintext_off_loopback_is_refused(
    admin_token: tuple[str, str], tmp_path: Path, address: str
) -> None:
    database = create_database(admin_token[0])
    with pytest.raises(InsecureAddress, match="TLS"):
        App(_settings("", tmp_path, listen=address), database=database, keys=load_key_file(tmp_path / "key"))
    database.close()


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("unix:/tmp/x", True),
        ("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("localhost.example.com:1", False),
        ("127.0.0.1.example.com:1", False), (":1", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_loopback(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


def test_operator_may_insist_on_plaintext(admin_token: tuple[str, str], tmp_path: Path) -> None:
    url, token = admin_token
    app = App(_settings(url, tmp_path, listen="0.0.0.0:0", allow_plaintext=True))
    app.start()
    with Client(f"127.0.0.1:{app.port}", token=token) as client:
        assert client.session.get().principal == "ada@example.com"
    app.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Key and self-signed certificate for localhost."""
    openssl = shutil.which("openssl")
    assert openssl, "this test makes its certificate with openssl"
    key, chain = tmp_path / "tls.key", tmp_path / "tls.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(chain)],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, chain


def test_tls_serves_who_trusts_it_and_nobody_in_the_clear(
    admin_token: tuple[str, str], tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    url, token = admin_token
    key, chain = certificate
    settings = _settings(url, tmp_path, listen="0.0.0.0:0", tls_key_file=key, tls_certificate_file=chain)
    app = App(settings)
    app.start()
    endpoint = f"localhost:{app.port}"
    with Client(endpoint, token=token, ca_file=str(chain)) as client:
        assert client.session.get().principal == "ada@example.com"
        assert client.health() == "SERVING"
    for options in ({"tls": True}, {"tls": False}):
        with (
            Client(endpoint, token=token, retries=0, **options) as client,
            pytest.raises(LakewardenError) as raised,
        ):  # type: ignore[arg-type]
            client.session.get()
        assert raised.value.code == "UNAVAILABLE"
    app.stop()


def test_client_keeps_its_token_from_plaintext_off_loopback() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Client("203.0.113.1:50051", token="lwpat_x", tls=False)
    assert raised.value.reason == "TOKEN_OVER_PLAINTEXT"


def _until_refused(probe: ProbedServer) -> object:
    """Reads until one is refused: a stopping server takes no new call."""
    for _ in range(200):
        future = probe.call("Read", "late", seconds=5)
        if future.exception() is not None:
            return future
    raise AssertionError("the stopping server went on answering")
