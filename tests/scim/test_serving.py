"""Where HTTP is served and where it is refused: off by default, no plaintext off loopback, TLS, several workers."""

import re
import shutil
import socket
import ssl
import subprocess
from contextlib import ExitStack
from dataclasses import replace

import httpx2
import pytest

from durability.groups import until
from durability.processes import EXECUTABLE, install
from lakewarden_server.app import App
from lakewarden_server.config import SettingsError, read_settings
from lakewarden_server.core.addresses import AddressUnavailable, InsecureAddress
from lakewarden_server.http import server as http_server
from lakewarden_server.testing import serve


def test_http_is_off_unless_it_is_asked_for():
    with serve() as server:
        assert server.app.http_address == ""


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.com:0"])
def test_plaintext_off_loopback_is_refused(server, address):
    settings = replace(server.app.settings, http=address)
    with pytest.raises(InsecureAddress, match="TLS"):
        App(settings, database=server.app.database, keys=server.app.keys)


@pytest.mark.parametrize("address", ["8443", "unix:/tmp/x", "a b:1", "host:"])
def test_address_that_is_none_is_refused(address):
    with pytest.raises(SettingsError, match="HOST:PORT"):
        read_settings({"http": address}, environment={})


def test_taken_address_is_told(server):
    app = App(replace(server.app.settings, http=server.app.http_address))
    with pytest.raises(AddressUnavailable, match="cannot listen"):
        app.start()
    app.stop()


@pytest.fixture
def certificate(tmp_path):
    """Key and self-signed certificate for localhost."""
    key, chain = tmp_path / "tls.key", tmp_path / "tls.pem"
    subprocess.run(
        [shutil.which("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(chain)],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, chain


def test_the_servers_certificate_is_that_of_http_too(server, certificate):
    key, chain = certificate
    settings = replace(
        server.app.settings,
        http="0.0.0.0:0",
        listen="0.0.0.0:0",
        tls_key_file=key,
        tls_certificate_file=chain,
    )
    app = App(settings)
    app.start()
    port = app.http_address.rpartition(":")[2]
    token = {"Authorization": f"Bearer {server.admin_token}"}
    trusting = ssl.create_default_context(cafile=chain)
    with httpx2.Client(base_url=f"https://localhost:{port}", verify=trusting, headers=token) as client:
        assert client.get("/scim/v2/Me").json()["meta"]["location"].startswith(f"https://localhost:{port}/")
    with (
        httpx2.Client(base_url=f"http://localhost:{port}", headers=token) as client,
        pytest.raises(httpx2.HTTPError),
    ):
        client.get("/scim/v2/Me")
    app.stop()


@pytest.fixture
def over_tls(server, certificate):
    """Starts HTTP over TLS on loopback; its port."""
    key, chain = certificate
    with ExitStack() as stack:

        def started():
            app = App(
                replace(server.app.settings, http="127.0.0.1:0", tls_key_file=key, tls_certificate_file=chain)
            )
            stack.callback(app.stop)
            app.start()
            return int(app.http_address.rpartition(":")[2])

        yield started


def test_handshake_that_does_not_come_ends_the_connection(over_tls, monkeypatch):
    monkeypatch.setattr(http_server, "TLS_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", over_tls()), timeout=5) as connection:
        assert connection.recv(1) == b""


def test_handshakes_that_do_not_come_keep_nobody_out(over_tls, certificate, monkeypatch):
    monkeypatch.setattr(http_server, "HANDSHAKES_MAX", 3)
    port = over_tls()
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)) for _ in range(6)
        ]
        assert [connection.recv(1) for connection in silent[:3]] == [b""] * 3
        trusting = ssl.create_default_context(cafile=certificate[1])
        url = f"https://localhost:{port}/scim/v2/ServiceProviderConfig"
        assert httpx2.get(url, verify=trusting).status_code == 200
        silent[-1].settimeout(0.3)
        with pytest.raises(TimeoutError):
            silent[-1].recv(1)


def test_workers_share_the_address(tmp_path):
    installation = install(f"sqlite:///{tmp_path}/lakewarden.db", tmp_path / "data")
    command = (EXECUTABLE, "serve", "--workers", "2", "--http", "127.0.0.1:0")
    with installation.serve(command=command) as server:
        until(lambda: "over HTTP on" in server.output, server.output)
        address = re.search(r"over HTTP on (\S+:\d+)", server.output).group(1)
        for _ in range(8):
            answer = httpx2.get(f"http://{address}/scim/v2/ServiceProviderConfig")
            assert answer.json()["patch"]["supported"]
        assert server.stop() == 0
