"""The certificate a server shows, read anew when its files change; gRPC and HTTP begin each connection with the newest one."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lakewarden_server.core.errors import OperatorError

VERSION_MIN = ssl.TLSVersion.TLSv1_2
"""For HTTP; gRPC offers no older one by itself, which a test tries."""
logger = logging.getLogger("lakewarden")


class CertificateError(OperatorError):
    """A certificate file is missing or makes no sense; the message names it."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a server's certificate chain and private key are, and the CAs that clients' certificates must come from, in PEM."""

    chain: Path
    private_key: Path
    client_ca: Path | None = None
    """None: clients are asked for no certificate."""


class Contents(NamedTuple):
    """What the files held when they were read."""

    chain: bytes
    private_key: bytes
    client_ca: bytes
    """Empty where clients are asked for no certificate."""


class Certificate(NamedTuple):
    """A certificate that can be served."""

    contents: Contents
    context: ssl.SSLContext
    """Of a server, for what takes its certificate from files."""
    expire_time: datetime


class Certificates:
    """Holds the newest certificate that can be served. `refresh` is called by one thread, `current` is read by any."""

    def __init__(self, files: CertificateFiles) -> None:
        """Reads the files. Raises `CertificateError`."""
        self._files = files
        self.current = _loaded(files, _read(files))
        self._tried: Contents | str = self.current.contents
        self.loaded = self.refused = 0
        """How often changed files were taken, and how often they were not."""

    @property
    def asks_clients(self) -> bool:
        """Whether a client must show a certificate, or has no connection."""
        return self._files.client_ca is not None

    def refresh(self) -> None:
        """Takes what the files hold now; where that cannot be served, the certificate there is stays, and the log says why once.

        Compared by contents: they are a few kilobytes, and a time of change may stay the same over a change.
        """
        try:
            found: Contents | str = _read(self._files)
        except CertificateError as error:
            found = str(error)
        if found == self._tried:
            return
        self._tried = found
        if found != self.current.contents:
            self._take(found)

    def _take(self, found: Contents | str) -> None:
        try:
            certificate = _usable(self._files, found)
        except CertificateError as error:
            self.refused += 1
            logger.error(
                "the changed certificate files are not used, the certificate of before is: %s", error
            )
        else:
            self.current = certificate
            self.loaded += 1
            logger.info("a new certificate is served, valid until %s", certificate.expire_time.isoformat())


def _usable(files: CertificateFiles, found: Contents | str) -> Certificate:
    """The certificate that takes another one's place: not one that has ended already."""
    if isinstance(found, str):
        raise CertificateError(found)
    certificate = _loaded(files, found)
    if certificate.expire_time <= datetime.now(UTC):
        raise CertificateError(f"that in {files.chain} ended on {certificate.expire_time.isoformat()}")
    return certificate


def _read(files: CertificateFiles) -> Contents:
    try:
        client_ca = files.client_ca.read_bytes() if files.client_ca else b""
        return Contents(files.chain.read_bytes(), files.private_key.read_bytes(), client_ca)
    except OSError as error:
        raise CertificateError(f"cannot read {error.filename}: {error.strerror}") from None


def _loaded(files: CertificateFiles, contents: Contents) -> Certificate:
    leaf = _certificates(files.chain, contents.chain)[0]
    try:
        is_pair = load_pem_private_key(contents.private_key, None).public_key() == leaf.public_key()
    except UnsupportedAlgorithm as error:
        raise CertificateError(f"{files.chain} and {files.private_key} cannot be served: {error}") from None
    except (ValueError, TypeError):
        raise CertificateError(
            f"{files.private_key} holds no private key in PEM without a passphrase"
        ) from None
    if not is_pair:
        raise CertificateError(f"{files.private_key} is not the key of the certificate in {files.chain}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSION_MIN
    try:
        # Never asks at the terminal. Were the files replaced since they were read, the next refresh sees that.
        context.load_cert_chain(files.chain, files.private_key, password="")
    except (OSError, ValueError) as error:
        raise CertificateError(f"{files.chain} and {files.private_key} cannot be served: {error}") from None
    if files.client_ca:
        _certificates(files.client_ca, contents.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(cadata=contents.client_ca.decode("ascii", errors="ignore"))
        except (OSError, ValueError) as error:
            raise CertificateError(f"{files.client_ca} cannot be used whole: {error}") from None
    return Certificate(contents, context, leaf.not_valid_after_utc)


def _certificates(path: Path, contents: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(contents)
    except ValueError:
        raise CertificateError(f"{path} holds no certificate in PEM") from None
