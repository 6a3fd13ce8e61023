"""Certificates that clients show in TLS: whose they are says a federation policy that names their URI, and nothing else.

The handshake has verified the chain up to the operator's CA. What is read here is the one URI of the subject alternative name
(as SPIFFE has it, X.509-SVID section 2), compared byte by byte: no common name, no DNS name, no part of a name (CVE-2022-21654
and its like were comparisons that took more than they should).
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography import x509

from lakewarden_policy import FederationPolicy, Snapshot
from lakewarden_server.core.errors import Reason, Unauthenticated

CERTIFICATES_KEPT_MAX: Final = 1_024
"""How many certificates a process keeps as it read them."""


class ClientCertificate(NamedTuple):
    """What counts of a certificate whose chain was verified."""

    uri: str
    """Empty where it names none, or several."""
    expire_time: float
    """Epoch seconds."""


@lru_cache(maxsize=CERTIFICATES_KEPT_MAX)
def read(pem: bytes) -> ClientCertificate:
    """Raises `Unauthenticated`: CERTIFICATE_INVALID for one that cannot be read."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    except (ValueError, x509.DuplicateExtension):
        raise invalid("it cannot be read") from None
    return ClientCertificate(uris[0] if len(uris) == 1 else "", certificate.not_valid_after_utc.timestamp())


def policy_of(snapshot: Snapshot, certificate: ClientCertificate, now: datetime) -> FederationPolicy | None:
    """The policy that says whose it is. Raises CERTIFICATE_INVALID for one that has ended: a connection may outlive it."""
    if certificate.expire_time <= now.timestamp():
        raise invalid("it has ended, so connect with a new one")
    return snapshot.client_certificates.get(certificate.uri) if certificate.uri else None


def invalid(why: str) -> Unauthenticated:
    """The refusal of a certificate."""
    return Unauthenticated(Reason.CERTIFICATE_INVALID, f"the client certificate is not taken: {why}")
