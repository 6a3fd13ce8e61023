"""A certificate authority of a test's own, and what it signs; and clients of one version of TLS."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SECONDS = 10.0
OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
NEW = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class Pair(NamedTuple):
    """A certificate and its private key, in PEM."""

    chain: bytes
    private_key: bytes

    def write(self, chain: Path, private_key: Path) -> None:
        """Puts both into files, each whole at once, as who renews certificates does."""
        for path, contents in ((private_key, self.private_key), (chain, self.chain)):
            beside = path.with_suffix(".new")
            beside.write_bytes(contents)
            beside.replace(path)

    @property
    def serial_number(self) -> int:
        """Tells it from others."""
        return x509.load_pem_x509_certificate(self.chain).serial_number


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "Test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        basics = x509.BasicConstraints(ca=True, path_length=None)
        signed = _unsigned(self._name, self._name, self._key, timedelta(days=1)).add_extension(
            basics, critical=True
        )
        self.certificate = signed.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def server(self, *, lifetime: timedelta = timedelta(days=1)) -> Pair:
        """A certificate for `localhost`."""
        names = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        return self._signed("localhost", names, ExtendedKeyUsageOID.SERVER_AUTH, lifetime)

    def client(
        self,
        *uris: str,
        common_name: str = "client",
        dns: Sequence[str] = (),
        lifetime: timedelta = timedelta(days=1),
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> Pair:
        """A certificate that names its holder by URIs."""
        names = (*map(x509.UniformResourceIdentifier, uris), *map(x509.DNSName, dns))
        return self._signed(common_name, names, usage, lifetime)

    def _signed(
        self,
        name: str,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        lifetime: timedelta,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _unsigned(_name(name), self._name, key, lifetime)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        chain = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        return Pair(chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + lifetime)
    )


def handshake(address: str, version: ssl.TLSVersion) -> str | None:
    """The version a server agrees to with a client that speaks only this one; raises `ssl.SSLError` or OSError where it refuses."""
    with connected(address, version) as wrapped:
        return wrapped.version()


def served_serial_number(address: str) -> int:
    """Which certificate a new connection is shown."""
    with connected(address, ssl.TLSVersion.TLSv1_3) as wrapped:
        return x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True) or b"").serial_number


def connected(address: str, version: ssl.TLSVersion) -> ssl.SSLSocket:
    """A connection of one version of TLS, with ciphers as old as that one, which trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.set_alpn_protocols(["h2", "http/1.1"])
    host, _, port = address.rpartition(":")
    plain = socket.create_connection((host, int(port)), timeout=SECONDS)
    try:
        return context.wrap_socket(plain)
    except BaseException:
        plain.close()
        raise
