"""Where HTTP is served and where it is refused: off by default, no plaintext off loopback, TLS, several workers."""

import re
import shutil
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from lakewarden_server.app import App
from lakewarden_server.config import SettingsError, read_settings
from lakewarden_server.core.addresses import AddressUnavailable, InsecureAddress
from lakewarden_server.testing import serve

EXECUTABLE = Path(sys.executable).with_name("lakewarden-server")


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


def test_workers_share_the_address(tmp_path):
    environment = {"LAKEWARDEN_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run(
        [EXECUTABLE, "init", "--admin", "ada@example.com"], env=environment, check=True, capture_output=True
    )
    process = subprocess.Popen(
        [EXECUTABLE, "serve", "--workers", "2", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"],
        env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = next(line for line in process.stderr if "over HTTP on" in line)
        address = re.search(r"on (\S+:\d+)", line).group(1)
        for _ in range(8):
            answer = httpx2.get(f"http://{address}/scim/v2/ServiceProviderConfig")
            assert answer.json()["patch"]["supported"]
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
