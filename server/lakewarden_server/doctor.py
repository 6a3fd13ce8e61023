"""What `lakewarden-server doctor` looks at."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.internal import api_implementation

from lakewarden_policy import ACCOUNT_ADMIN, ACCOUNT_ID, Decider, PolicyError, load_policy
from lakewarden_server.authn.keys import KeyFileError, load_key_file
from lakewarden_server.config import Settings, is_missing
from lakewarden_server.core.addresses import is_loopback
from lakewarden_server.core.certificates import CertificateError, CertificateFiles, Certificates
from lakewarden_server.core.errors import LakewardenError
from lakewarden_server.storage import audit, create_database, load_snapshot
from lakewarden_server.storage.migrations import current_revision, latest_revision

SQLITE_WAL_RESET_FIXED = (3, 51, 3)
CERTIFICATE_DAYS_MIN = 14


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: verdict OK, WARN or FAIL."""

    name: str
    verdict: str
    detail: str


def examine(settings: Settings) -> Iterator[Check]:
    """Every check in the order in which a start would meet them; none of them changes anything but may create nothing."""
    for name, look in _checks(settings).items():
        try:
            verdict, detail = look()
        except (LakewardenError, KeyFileError, CertificateError, PolicyError, ValueError, OSError) as error:
            verdict, detail = "FAIL", str(error)
        yield Check(name, verdict, detail)


def _checks(settings: Settings) -> dict[str, Callable[[], tuple[str, str]]]:
    return {
        "policy": lambda: ("OK", f"digest {load_policy().digest[:16]}"),
        "key file": lambda: ("OK", f"{settings.key_file} (id {load_key_file(settings.key_file).id})"),
        "protobuf": _protobuf,
        "sqlite": lambda: _sqlite(settings),
        "database": lambda: _database(settings),
        "address": lambda: _address(settings),
        "certificate": lambda: _certificate(settings),
        "bootstrap token": lambda: _bootstrap_token(settings),
    }


def _certificate(settings: Settings) -> tuple[str, str]:
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return "OK", "none: plaintext"
    files = CertificateFiles(
        settings.tls_certificate_file, settings.tls_key_file, settings.tls_client_ca_file
    )
    end = Certificates(files).current.expire_time
    left = (end - datetime.now(UTC)).days
    return "WARN" if left < CERTIFICATE_DAYS_MIN else "OK", f"{files.chain} is valid until {end.isoformat()}"


def _protobuf() -> tuple[str, str]:
    kind = api_implementation.Type()
    if kind == "upb":
        return "OK", "upb"
    return (
        "WARN",
        f"{kind} implementation: slow, and without upb's recursion limit; install a binary wheel of protobuf",
    )


def _sqlite(settings: Settings) -> tuple[str, str]:
    if not settings.database_url.startswith("sqlite"):
        return "OK", "not used"
    if sqlite3.sqlite_version_info < SQLITE_WAL_RESET_FIXED:
        return "OK", (
            f"{sqlite3.sqlite_version}: its WAL bug (fixed in 3.51.3) needs two connections that checkpoint at once; "
            "a lock file beside the database keeps all servers on it from doing so. Do not write the file with other tools"
        )
    return "OK", sqlite3.sqlite_version


def _database(settings: Settings) -> tuple[str, str]:
    if is_missing(settings.database_url):
        return "FAIL", f"{settings.database_url} does not exist: run `lakewarden-server init --admin EMAIL`"
    database = create_database(settings.database_url)
    try:
        found = current_revision(database)
        if found != latest_revision():
            return (
                "FAIL",
                f"schema {found or 'empty'}, needed {latest_revision()}: run `lakewarden-server migrate`",
            )
        with database.read() as uow:
            broken = list(audit.verify(uow.connection))
            head = uow.head
            snapshot = load_snapshot(uow.connection, head=head)
    finally:
        database.close()
    if broken:
        return "FAIL", f"the audit chain is broken at record {broken[0].sequence}: {broken[0].problem}"
    decider = Decider(load_policy(), snapshot)
    if not any(decider.atom(principal, None, ACCOUNT_ID, ACCOUNT_ADMIN) for principal in snapshot.principals):
        return "FAIL", "there is no active account admin: run `lakewarden-server init --admin EMAIL`"
    return "OK", f"schema {found}, revision {head.revision}, audit chain whole"


def _address(settings: Settings) -> tuple[str, str]:
    if settings.tls_key_file is not None:
        return "OK", f"{settings.listen} with TLS"
    if is_loopback(settings.listen):
        return "OK", f"{settings.listen}, this machine only"
    verdict = "WARN" if settings.allow_plaintext else "FAIL"
    return (
        verdict,
        f"plaintext on {settings.listen} shows tokens to the network: give a certificate and a key",
    )


def _bootstrap_token(settings: Settings) -> tuple[str, str]:
    if settings.bootstrap_token_file.exists():
        return "WARN", f"{settings.bootstrap_token_file} still lies there: log in with it, then delete it"
    return "OK", "no unused one is left in the data directory"
