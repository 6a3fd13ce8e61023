"""`lakewarden-server serve`: one process that serves, or a supervisor of several."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from lakewarden_server.cli.options import data_options
from lakewarden_server.config import Settings, SettingsError, is_missing, read_settings
from lakewarden_server.processes import EXIT_FAILED, any_core, pinned
from lakewarden_server.supervisor import Supervisor

if TYPE_CHECKING:
    from lakewarden_server.app import App


@click.command()
@data_options
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Address to listen on, 127.0.0.1:50051 by default.  [LAKEWARDEN_LISTEN]",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    help="Serve SCIM, the Databricks SDK's identity calls and what OpenLineage clients send over HTTP there, over HTTPS where there is a certificate.  [LAKEWARDEN_HTTP]",
)
@click.option(
    "--tls-cert",
    "tls_certificate_file",
    type=click.Path(path_type=Path),
    help="PEM certificate chain.  [LAKEWARDEN_TLS_CERT_FILE]",
)
@click.option(
    "--tls-key",
    "tls_key_file",
    type=click.Path(path_type=Path),
    help="PEM private key.  [LAKEWARDEN_TLS_KEY_FILE]",
)
@click.option(
    "--tls-client-ca",
    "tls_client_ca_file",
    type=click.Path(path_type=Path),
    help="Clients must show a certificate of these PEM CAs.  [LAKEWARDEN_TLS_CLIENT_CA_FILE]",
)
@click.option(
    "--allow-plaintext",
    is_flag=True,
    default=None,
    help="Allow plaintext on an address others reach.  [LAKEWARDEN_ALLOW_PLAINTEXT]",
)
@click.option(
    "--jwks-hosts",
    metavar="HOST,…",
    help="Hosts that keys of identity providers may be fetched from.  [LAKEWARDEN_JWKS_HOSTS]",
)
@click.option(
    "--jwks-private-hosts",
    metavar="HOST,…",
    help="Such hosts with private addresses.  [LAKEWARDEN_JWKS_PRIVATE_HOSTS]",
)
@click.option(
    "--lineage-hosts",
    metavar="HOST,…",
    help="At which unitycatalog:// in lineage names tables of this server; any by default.  [LAKEWARDEN_LINEAGE_HOSTS]",
)
@click.option(
    "--read-threads", type=int, help="Threads that answer reads, 4 by default.  [LAKEWARDEN_READ_THREADS]"
)
@click.option(
    "--failed-logins-per-minute",
    type=int,
    help="Wrong credentials of one name from one address before it is held up, 10 by default; 0 for no limit."
    "  [LAKEWARDEN_FAILED_LOGINS_PER_MINUTE]",
)
@click.option(
    "--calls-per-second-per-principal",
    type=int,
    help="Calls a second that one principal may make of a process, 1,000 by default; 0 for no limit."
    "  [LAKEWARDEN_CALLS_PER_SECOND_PER_PRINCIPAL]",
)
@click.option(
    "--calls-per-second-per-peer",
    type=int,
    help="Calls a second that one address may make of a process, 2,000 by default; 0 for no limit."
    "  [LAKEWARDEN_CALLS_PER_SECOND_PER_PEER]",
)
@click.option(
    "--workers", type=int, help="Processes that share the address, 1 by default.  [LAKEWARDEN_WORKERS]"
)
@click.option(
    "--http-workers",
    type=int,
    help="Processes of their own for HTTP, so that lineage that is sent takes nothing of the others; none by default."
    "  [LAKEWARDEN_HTTP_WORKERS]",
)
@click.option(
    "--grace-seconds",
    type=float,
    help="How long running calls may take to end, 10 by default.  [LAKEWARDEN_GRACE_SECONDS]",
)
@click.option(
    "--metrics",
    metavar="HOST:PORT",
    help="Serve Prometheus metrics; a port alone is this machine's.  [LAKEWARDEN_METRICS]",
)
@click.option(
    "--log-format", metavar="text|json", help="Form of the log, text by default.  [LAKEWARDEN_LOG_FORMAT]"
)
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def serve(verbose: bool, **options: object) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one stops at once.

    Each process keeps to one core, so a machine is used up by as many workers as it has cores. With several of them SIGHUP
    replaces one after the other.

    \b
    Example:
      lakewarden-server serve
      lakewarden-server serve --workers 4
      lakewarden-server serve --http 127.0.0.1:8080 --http-workers 1
      lakewarden-server serve --listen 0.0.0.0:50051 --tls-cert cert.pem --tls-key key.pem
    """
    settings = read_settings(options)
    _check_schema(settings)
    if settings.workers + settings.http_workers > 1:
        sys.exit(Supervisor(settings, options, verbose=verbose, tell=_tell).run())
    # Imported here: neither wrong arguments nor a supervisor need what serves.
    from lakewarden_server.observability.logs import configure_logging
    from lakewarden_server.worker import serve as serve_until

    configure_logging(json_lines=settings.log_format == "json", verbose=verbose)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            sys.exit(EXIT_FAILED)
        stop.set()
        _tell("stopping")

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    with pinned(any_core()):
        serve_until(settings, stop, shared_port=False, on_ready=lambda app: _tell_address(settings, app))


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _tell_address(settings: Settings, app: App) -> None:
    _tell(f"lakewarden-server listens on {settings.listen.rpartition(':')[0]}:{app.port}")
    if app.http_address:
        _tell(f"SCIM, the Databricks API and OpenLineage over HTTP on {app.http_address}")


def _check_schema(settings: Settings) -> None:
    from lakewarden_server.storage import create_database
    from lakewarden_server.storage.migrations import current_revision, latest_revision

    if is_missing(settings.database_url):
        raise SettingsError("there is no database yet: run `lakewarden-server init --admin EMAIL` first")
    database = create_database(settings.database_url)
    try:
        found = current_revision(database)
    finally:
        database.close()
    if found is None:
        raise SettingsError("the database is empty: run `lakewarden-server init --admin EMAIL` first")
    if found != latest_revision():
        raise SettingsError(
            f"the schema is {found}, this version needs {latest_revision()}: run `lakewarden-server migrate`"
        )
