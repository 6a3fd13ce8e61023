"""A certificate is renewed while the server runs; what cannot be served changes nothing but the log and a metric."""

from __future__ import annotations

import base64
import logging
import ssl
import threading
import time
from datetime import timedelta
from pathlib import Path

import grpc
import httpx2
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from lakewarden_server.core import certificates as certificates_module
from lakewarden_server.core.certificates import CertificateError, CertificateFiles, Certificates
from observability.watching import samples
from tls.authorities import Authority, Pair, served_serial_number
from tls.conftest import TlsServer, until

RELOADS = "lakewarden_certificate_reloads_total"
EXPIRES = "lakewarden_certificate_expire_time_seconds"


def shown(server: TlsServer) -> set[int]:
    """Which certificates new connections are shown, by gRPC and HTTP."""
    return {served_serial_number(address) for address in server.addresses.values()}


def test_new_connections_see_a_new_certificate_and_running_ones_go_on(over_tls: TlsServer) -> None:
    trusting = ssl.create_default_context(cafile=over_tls.ca_file)
    headers = {"Authorization": f"Bearer {over_tls.server.admin_token}"}
    url = f"https://{over_tls.addresses['http']}"
    with over_tls.client() as running, httpx2.Client(base_url=url, verify=trusting, headers=headers) as web:
        assert running.session.get().principal == web.get("/scim/v2/Me").json()["userName"]
        connections = _count_channels(web)
        assert shown(over_tls) == {over_tls.pair.serial_number}

        renewed = over_tls.authority.server(lifetime=timedelta(days=3))
        renewed.write(over_tls.chain_file, over_tls.key_file)
        until(lambda: shown(over_tls) == {renewed.serial_number}, "the new certificate is not shown")

        assert running.session.get().principal == web.get("/scim/v2/Me").json()["userName"]
        assert _count_channels(web) == connections
        with over_tls.client() as later:
            assert later.session.get().principal == "admin@example.com"
    found = samples(over_tls.server)
    assert (found[RELOADS, ("loaded",)], found[RELOADS, ("refused",)]) == (1, 0)
    assert found[EXPIRES, ()] == pytest.approx(time.time() + 3 * 86_400, abs=60)


def test_calls_under_way_outlast_a_renewal(over_tls: TlsServer) -> None:
    stop, answered, lost = threading.Event(), [], []

    def ask() -> None:
        with over_tls.client() as client:
            while not stop.is_set():
                try:
                    answered.append(client.session.get().principal)
                except Exception as error:
                    lost.append(error)
                    return

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    for _ in range(3):
        renewed = over_tls.authority.server()
        renewed.write(over_tls.chain_file, over_tls.key_file)
        until(lambda: shown(over_tls) == {renewed.serial_number}, "not renewed")  # noqa: B023 - called here
    stop.set()
    for thread in asking:
        thread.join()
    assert (lost, len(answered) > 10) == ([], True)


def refusals(server: TlsServer) -> float:
    """How often the server read files that it did not take."""
    return samples(server.server)[RELOADS, ("refused",)]


def broken(server: TlsServer) -> dict[str, Pair]:
    """Files that cannot be served, by what is wrong with them."""
    good, other = server.authority.server(), server.authority.server()
    return {
        "no certificate": Pair(b"nonsense", good.private_key),
        "no private key": Pair(good.chain, b""),
        "cut short": Pair(good.chain[: len(good.chain) // 2], good.private_key),
        "another key": Pair(good.chain, other.private_key),
        "expired": server.authority.server(lifetime=timedelta(minutes=-1)),
        "key on an unsupported curve": Pair(good.chain, on_unsupported_curve(good.private_key)),
        "certificate on an unsupported curve": Pair(on_unsupported_curve(good.chain), good.private_key),
    }


def on_unsupported_curve(pem: bytes) -> bytes:
    """The same on SM2, which no TLS here speaks; its name is as long as that of P-256."""
    head, *body, foot = pem.splitlines(keepends=True)
    der = base64.b64decode(b"".join(body))
    p256, sm2 = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a811ccf5501822d")
    assert p256 in der
    return head + base64.encodebytes(der.replace(p256, sm2)) + foot


def test_files_that_cannot_be_served_lose_nothing(
    over_tls: TlsServer, caplog: pytest.LogCaptureFixture
) -> None:
    before = over_tls.pair.serial_number
    with over_tls.client() as running:
        for number, (what, pair) in enumerate(broken(over_tls).items(), 1):
            with caplog.at_level(logging.ERROR, "lakewarden"):
                pair.write(over_tls.chain_file, over_tls.key_file)
                until(lambda: refusals(over_tls) >= number, what)  # noqa: B023 - called here
            assert "the certificate of before is" in caplog.text, what
            assert "BEGIN" not in caplog.text
            assert shown(over_tls) == {before}, what
            assert running.session.get().principal == "admin@example.com"
    over_tls.chain_file.unlink()
    until(lambda: "No such file" in caplog.text, "a missing file is not told")
    assert shown(over_tls) == {before}
    renewed = over_tls.authority.server()
    renewed.write(over_tls.chain_file, over_tls.key_file)
    until(lambda: shown(over_tls) == {renewed.serial_number}, "a good file after bad ones is not taken")


def test_a_half_written_bundle_of_cas_loses_nothing(
    over_tls: TlsServer, caplog: pytest.LogCaptureFixture
) -> None:
    files = CertificateFiles(over_tls.chain_file, over_tls.key_file, over_tls.ca_file)
    whole, second = over_tls.ca_file.read_bytes(), Authority("Another CA").certificate
    over_tls.start(metrics="127.0.0.1:0", tls_client_ca_file=over_tls.ca_file)
    over_tls.ca_file.write_bytes(whole + second[: len(second) // 2])
    until(lambda: refusals(over_tls) == 1, "half a bundle is not refused")
    assert "the certificate of before is" in caplog.text
    with pytest.raises(CertificateError, match=r"ca\.pem"):
        Certificates(files)
    over_tls.ca_file.write_bytes(whole + second)
    until(lambda: samples(over_tls.server)[RELOADS, ("loaded",)] == 1, "the whole bundle is not taken")


def test_a_server_that_cannot_look_at_its_certificate_is_not_ready_and_looks_again(
    over_tls: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_arguments: object) -> None:
        raise RecursionError("a defect nobody thought of")

    channel = grpc.secure_channel(
        over_tls.addresses["grpc"], grpc.ssl_channel_credentials(over_tls.ca_file.read_bytes())
    )
    with channel, monkeypatch.context() as defect:
        health = health_pb2_grpc.HealthStub(channel)

        def status() -> int:
            return health.Check(health_pb2.HealthCheckRequest(), timeout=10).status

        until(lambda: status() == health_pb2.HealthCheckResponse.SERVING, "it never was ready")
        defect.setattr(certificates_module, "_read", unreadable)
        until(lambda: status() == health_pb2.HealthCheckResponse.NOT_SERVING, "it is ready for ever")
        defect.undo()
        until(lambda: status() == health_pb2.HealthCheckResponse.SERVING, "it is never ready again")
    renewed = over_tls.authority.server()
    renewed.write(over_tls.chain_file, over_tls.key_file)
    until(lambda: shown(over_tls) == {renewed.serial_number}, "nobody looks at the files any more")


def test_each_problem_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = CertificateFiles(tmp_path / "tls.pem", tmp_path / "tls.key")
    good = Authority().server()
    good.write(files.chain, files.private_key)
    certificates = Certificates(files)
    for problem in (b"nonsense", b"", None):
        if problem is None:
            files.chain.unlink()
        else:
            files.chain.write_bytes(problem)
        for _ in range(3):
            certificates.refresh()
    assert (certificates.refused, len(caplog.records)) == (3, 3)
    good.write(files.chain, files.private_key)
    certificates.refresh()
    assert (certificates.loaded, certificates.refused) == (0, 3)
    files.chain.unlink()
    certificates.refresh()
    assert certificates.refused == 4


@pytest.mark.parametrize(
    "what",
    [
        "no certificate",
        "no private key",
        "another key",
        "encrypted",
        "key on an unsupported curve",
        "certificate on an unsupported curve",
    ],
)
def test_no_server_starts_with_files_that_cannot_be_served(over_tls: TlsServer, what: str) -> None:
    key = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIG=\n-----END ENCRYPTED PRIVATE KEY-----\n"
    pairs = {**broken(over_tls), "encrypted": Pair(over_tls.pair.chain, key)}
    pairs[what].write(over_tls.chain_file, over_tls.key_file)
    with pytest.raises(CertificateError, match=r"tls\.(pem|key)"):
        Certificates(CertificateFiles(over_tls.chain_file, over_tls.key_file))


def _count_channels(web: httpx2.Client) -> int:
    """How many connections a client holds: the same one goes on."""
    return len(web._transport._pool.connections)  # type: ignore[attr-defined]
