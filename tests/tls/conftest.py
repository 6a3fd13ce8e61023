"""A server over TLS, by gRPC and by HTTP, with a certificate in files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lakewarden import Client
from lakewarden_server.app import App
from lakewarden_server.testing import EmbeddedServer, serve
from tls.authorities import Authority, Pair

SECONDS_MAX = 10.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition."""
    give_up = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


@dataclass
class TlsServer:
    """A served installation, where its certificate comes from, and who signed that."""

    server: EmbeddedServer
    authority: Authority
    directory: Path
    pair: Pair

    @property
    def chain_file(self) -> Path:
        return self.directory / "tls.pem"

    @property
    def key_file(self) -> Path:
        return self.directory / "tls.key"

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def addresses(self) -> dict[str, str]:
        """Where gRPC and HTTP are served."""
        app = self.server.app
        return {"grpc": f"127.0.0.1:{app.port}", "http": app.http_address}

    def client(self, **options: str) -> Client:
        """The admin's client, or one with another token."""
        endpoint, token = self.addresses["grpc"], self.server.admin_token
        return Client(
            endpoint, options.pop("token", token), "", ca_file=str(self.ca_file), retries=0, **options
        )

    def start(self, **settings: object) -> None:
        """Serves the installation over TLS, with these settings besides."""
        app = self.server.app
        app.settings = replace(
            app.settings, http="127.0.0.1:0", tls_certificate_file=self.chain_file, tls_key_file=self.key_file, **settings
        )  # fmt: skip
        self.server.close_clients()
        app.stop()
        self.server.app = App(app.settings)
        self.server.app.start()


@contextmanager
def served_over_tls(directory: Path) -> Iterator[TlsServer]:
    """A server over TLS, its files in a directory."""
    with serve() as server:
        authority = Authority()
        made = TlsServer(server, authority, directory, authority.server())
        made.ca_file.write_bytes(authority.certificate)
        made.pair.write(made.chain_file, made.key_file)
        made.start(metrics="127.0.0.1:0")
        yield made


@pytest.fixture
def over_tls(tmp_path: Path) -> Iterator[TlsServer]:
    """A server over TLS."""
    with served_over_tls(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def over_tls_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """One for the tests of a module that do not change it."""
    with served_over_tls(tmp_path_factory.mktemp("tls")) as server:
        yield server
