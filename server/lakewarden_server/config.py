"""Settings of a server. The only reader of the environment in the server package."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lakewarden_server.core.errors import OperatorError

PREFIX = "LAKEWARDEN_"
LISTEN_DEFAULT = "127.0.0.1:50051"
HTTP_EXAMPLE = "127.0.0.1:8443"
DATABASE_FILE = "lakewarden.db"
KEY_FILE = "lakewarden.key"
BOOTSTRAP_TOKEN_FILE = "bootstrap-token"
GRACE_SECONDS_DEFAULT = 10.0
READ_THREADS_DEFAULT = 4
"""More of them take the interpreter from each other and from refusals; a database that is far away wants more."""
READ_THREADS_MAX = 64
WORKERS_MAX = 64
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):\d{1,5}|unix:.+")
FAILED_LOGINS_DEFAULT = 10
FAILED_LOGINS_MAX = 10_000
CALLS_PER_PRINCIPAL_DEFAULT = 1_000
"""A second. Far more than people and programs call; an engine that asks more keeps a replica of the policy."""
CALLS_PER_PEER_DEFAULT = 2_000
CALLS_PER_SECOND_MAX = 1_000_000
_HOST = re.compile(r"[a-z0-9.-]+(:\d{1,5})?")
PORT_MAX = 65_535
LOG_FORMATS = ("text", "json")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})


class SettingsError(OperatorError):
    """A setting is missing or makes no sense; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a server is started with."""

    database_url: str
    key_file: Path
    data_directory: Path
    listen: str = LISTEN_DEFAULT
    """Address gRPC is served on; none if empty, as in a worker that answers HTTP."""
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_client_ca_file: Path | None = None
    """Clients must show a certificate of these CAs; None if none is asked for."""
    allow_plaintext: bool = False
    grace_seconds: float = GRACE_SECONDS_DEFAULT
    read_threads: int = READ_THREADS_DEFAULT
    workers: int = 1
    metrics: str = ""
    """Address Prometheus metrics are served on; none if empty."""
    http: str = ""
    """Address HTTP is served on; none if empty."""
    http_workers: int = 0
    """Processes that answer HTTP and nothing else; if 0, those that answer gRPC do."""
    failed_logins_per_minute: int = FAILED_LOGINS_DEFAULT
    """Of one peer with one credential's name, before it is held up; 0 if nobody is."""
    calls_per_second_per_principal: int = CALLS_PER_PRINCIPAL_DEFAULT
    calls_per_second_per_peer: int = CALLS_PER_PEER_DEFAULT
    """Of this process; 0 for no limit."""
    jwks_hosts: frozenset[str] = frozenset()
    """Hosts that keys of identity providers are fetched from."""
    jwks_private_hosts: frozenset[str] = frozenset()
    """Such hosts whose addresses may be private."""
    lineage_hosts: frozenset[str] = frozenset()
    """At which `unitycatalog://` in lineage names what is kept here; any if empty."""
    log_format: str = "text"
    traces: bool = False

    def __post_init__(self) -> None:
        if self.http_workers and not self.http:
            raise SettingsError("workers for HTTP need an address: give LAKEWARDEN_HTTP or --http")

    @property
    def bootstrap_token_file(self) -> Path:
        """Where `init` leaves the one-time token."""
        return self.data_directory / BOOTSTRAP_TOKEN_FILE


def read_settings(
    overrides: Mapping[str, object] | None = None, *, environment: Mapping[str, str] | None = None
) -> Settings:
    """Settings from LAKEWARDEN_* variables; `overrides` that are not None win. Raises `SettingsError`.

    Variables: DATA_DIR, DATABASE_URL, KEY_FILE, LISTEN, TLS_CERT_FILE, TLS_KEY_FILE, TLS_CLIENT_CA_FILE, ALLOW_PLAINTEXT, GRACE_SECONDS,
    READ_THREADS, WORKERS, HTTP, HTTP_WORKERS, METRICS, FAILED_LOGINS_PER_MINUTE, CALLS_PER_SECOND_PER_PRINCIPAL, CALLS_PER_SECOND_PER_PEER, LOG_FORMAT,
    JWKS_HOSTS, JWKS_PRIVATE_HOSTS, LINEAGE_HOSTS; and OpenTelemetry's own for traces.
    """
    variables = os.environ if environment is None else environment
    given = {key: value for key, value in (overrides or {}).items() if value is not None}

    def text(name: str, setting: str, default: str = "") -> str:
        return str(given[setting]) if setting in given else variables.get(PREFIX + name, default)

    def said(name: str, setting: str) -> str:
        """What an error calls a setting: the flag, or the variable, by which it was given."""
        return f"--{setting.replace('_', '-')}" if setting in given else PREFIX + name

    def count(name: str, default: int, high: int, *, low: int = 1) -> int:
        """A setting that is called like its variable."""
        setting = name.lower()
        return _count(said(name, setting), text(name, setting, str(default)), high, low=low)

    directory = Path(text("DATA_DIR", "data_directory", "lakewarden-data")).absolute()
    certificate, key, client_ca = _tls_files(text)
    return Settings(
        database_url=text("DATABASE_URL", "database_url") or f"sqlite:///{directory / DATABASE_FILE}",
        key_file=Path(text("KEY_FILE", "key_file") or directory / KEY_FILE),
        data_directory=directory,
        listen=_listen_address(text("LISTEN", "listen", LISTEN_DEFAULT)),
        tls_certificate_file=certificate,
        tls_key_file=key,
        tls_client_ca_file=client_ca,
        allow_plaintext=_boolean(
            said("ALLOW_PLAINTEXT", "allow_plaintext"), text("ALLOW_PLAINTEXT", "allow_plaintext")
        ),
        grace_seconds=_number(
            said("GRACE_SECONDS", "grace_seconds"),
            text("GRACE_SECONDS", "grace_seconds", str(GRACE_SECONDS_DEFAULT)),
            0,
            300,
        ),
        read_threads=count("READ_THREADS", READ_THREADS_DEFAULT, READ_THREADS_MAX),
        workers=count("WORKERS", 1, WORKERS_MAX),
        metrics=_metrics_address(said("METRICS", "metrics"), text("METRICS", "metrics")),
        log_format=_log_format(said("LOG_FORMAT", "log_format"), text("LOG_FORMAT", "log_format", "text")),
        http=_http_address(text("HTTP", "http")),
        http_workers=count("HTTP_WORKERS", 0, WORKERS_MAX, low=0),
        failed_logins_per_minute=count(
            "FAILED_LOGINS_PER_MINUTE", FAILED_LOGINS_DEFAULT, FAILED_LOGINS_MAX, low=0
        ),
        calls_per_second_per_principal=count(
            "CALLS_PER_SECOND_PER_PRINCIPAL", CALLS_PER_PRINCIPAL_DEFAULT, CALLS_PER_SECOND_MAX, low=0
        ),
        calls_per_second_per_peer=count(
            "CALLS_PER_SECOND_PER_PEER", CALLS_PER_PEER_DEFAULT, CALLS_PER_SECOND_MAX, low=0
        ),
        jwks_hosts=_hosts(said("JWKS_HOSTS", "jwks_hosts"), text("JWKS_HOSTS", "jwks_hosts")),
        jwks_private_hosts=_hosts(
            said("JWKS_PRIVATE_HOSTS", "jwks_private_hosts"), text("JWKS_PRIVATE_HOSTS", "jwks_private_hosts")
        ),
        lineage_hosts=_hosts(said("LINEAGE_HOSTS", "lineage_hosts"), text("LINEAGE_HOSTS", "lineage_hosts")),
        traces=_wants_traces(variables),
    )


def wants_color(environment: Mapping[str, str] | None = None) -> bool:
    """Whether a terminal may be written to in colours: not with NO_COLOR (no-color.org), not on a dumb one."""
    variables = os.environ if environment is None else environment
    return not variables.get("NO_COLOR") and variables.get("TERM") != "dumb"


def is_missing(database_url: str) -> bool:
    """Whether a SQLite URL names a file that is not there; always false for a server's URL."""
    scheme, _, path = database_url.partition(":///")
    return scheme.startswith("sqlite") and not Path(path).exists()


def _tls_files(text: Callable[[str, str], str]) -> tuple[Path | None, Path | None, Path | None]:
    """Certificate, key, and the CAs of clients, as far as they are given."""
    certificate, key = text("TLS_CERT_FILE", "tls_certificate_file"), text("TLS_KEY_FILE", "tls_key_file")
    if bool(certificate) != bool(key):
        raise SettingsError("TLS needs both LAKEWARDEN_TLS_CERT_FILE and LAKEWARDEN_TLS_KEY_FILE")
    client_ca = text("TLS_CLIENT_CA_FILE", "tls_client_ca_file")
    if client_ca and not certificate:
        raise SettingsError("clients are asked for certificates over TLS only: give LAKEWARDEN_TLS_CERT_FILE")
    return _path(certificate), _path(key), _path(client_ca)


def _path(name: str) -> Path | None:
    return Path(name) if name else None


def _listen_address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise SettingsError(f"cannot listen on {text!r}: write HOST:PORT, for example {LISTEN_DEFAULT}")
    return text


def _http_address(text: str) -> str:
    """An address without a socket of the file system; empty for none."""
    if text and (text.startswith("unix:") or not _ADDRESS.fullmatch(text)):
        raise SettingsError(f"cannot serve HTTP on {text!r}: write HOST:PORT, for example {HTTP_EXAMPLE}")
    return text


def _metrics_address(name: str, text: str) -> str:
    """`HOST:PORT`; a port alone is this machine's."""
    host, _, port = text.rpartition(":")
    if not text:
        return ""
    if not port.isdecimal() or int(port) > PORT_MAX:
        raise SettingsError(f"{name}={text!r}: give HOST:PORT, or a port of this machine alone")
    return f"{host or '127.0.0.1'}:{port}"


def _hosts(name: str, text: str) -> frozenset[str]:
    """Hosts between commas, each with its port where that is not 443."""
    found = frozenset(host.strip() for host in text.split(",") if host.strip())
    if wrong := sorted(host for host in found if not _is_host(host)):
        raise SettingsError(
            f"{name}: {wrong[0]!r} is no host: write id.example.com, in lower case, with :PORT if that is not 443"
        )
    return found


def _is_host(text: str) -> bool:
    port = text.partition(":")[2]
    return _HOST.fullmatch(text) is not None and int(port or 0) <= PORT_MAX


def _log_format(name: str, text: str) -> str:
    if text not in LOG_FORMATS:
        raise SettingsError(f"{name}={text!r}: say {' or '.join(LOG_FORMATS)}")
    return text


def _wants_traces(variables: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's standard variables ask for traces: an exporter, or an endpoint to export to."""
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = variables.get("OTEL_TRACES_EXPORTER", "")
    if exporter not in {"", "otlp", "none"}:
        raise SettingsError(f"OTEL_TRACES_EXPORTER={exporter!r}: otlp is the one there is")
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    wanted = exporter == "otlp" or (not exporter and any(variables.get(name) for name in names))
    names = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((variables[name] for name in names if variables.get(name)), "http/protobuf")
    if wanted and protocol != "http/protobuf":
        raise SettingsError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r}: http/protobuf is the one there is")
    return wanted


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise SettingsError(f"{name}={text!r}: say true or false")
    return text.lower() in _TRUE


def _count(name: str, text: str, high: int, *, low: int = 1) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise SettingsError(f"{name}={text!r}: give a whole number from {low} to {high}")
    return int(text)


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise SettingsError(f"{name}={text!r}: give a number from {low:g} to {high:g}")
    return value
