"""No TLS before 1.2 is spoken, by gRPC or by HTTP, whatever the client and the system's OpenSSL would agree to."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest

from tls.authorities import NEW, OLD, handshake
from tls.conftest import TlsServer

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_old_versions_are_refused_and_new_ones_spoken(over_tls_once: TlsServer, protocol: str) -> None:
    address = over_tls_once.addresses[protocol]
    for version in OLD:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(address, version)
    assert [handshake(address, version) for version in NEW] == ["TLSv1.2", "TLSv1.3"]


def test_the_client_of_these_tests_does_speak_old_versions(over_tls_once: TlsServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(over_tls_once.chain_file, over_tls_once.key_file)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            for _ in OLD:
                with context.wrap_socket(listening.accept()[0], server_side=True) as accepted:
                    accepted.recv(1)

        answering = threading.Thread(target=accept)
        answering.start()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        assert [handshake(address, version) for version in OLD] == ["TLSv1", "TLSv1.1"]
        answering.join()
