"""`lakewarden-server`: what an operator types: init, recover, backup, restore, migrate, serve, doctor, health."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import click

try:
    from lakewarden_server import doctor as checks
    from lakewarden_server.app import App
    from lakewarden_server.authn.keys import create_key_file, load_key_file
    from lakewarden_server.bootstrap import bootstrap, recover, write_token_file
    from lakewarden_server.cli_backup import backup, restore, restored
    from lakewarden_server.cli_keys import pepper, secrets_key, signing_key
    from lakewarden_server.cli_options import data_options
    from lakewarden_server.config import Settings, SettingsError, is_missing, read_settings
    from lakewarden_server.observability.logs import configure_logging
    from lakewarden_server.rpc.probe import ask_health
    from lakewarden_server.storage import create_database
    from lakewarden_server.storage.archives import ArchiveError
    from lakewarden_server.storage.migrations import current_revision, latest_revision, migrate
    from lakewarden_server.supervisor import Supervisor
    from lakewarden_server.worker import EXIT_FAILED, START_ERRORS, any_core, pinned
    from lakewarden_server.worker import serve as serve_until
except ModuleNotFoundError as missing:
    sys.exit(
        f"lakewarden-server needs the server's packages ({missing.name} is missing): pip install 'lakewarden[server]'"
    )

from lakewarden_policy import InvalidName, validate_email

_EXPECTED = (*START_ERRORS, ArchiveError, InvalidName)


class _Group(click.Group):
    """Tells every expected error in one line instead of a traceback."""

    def invoke(self, context: click.Context) -> object:
        """Runs the command."""
        try:
            return super().invoke(context)
        except _EXPECTED as error:
            click.echo(f"Error: {error}", err=True)
            context.exit(EXIT_FAILED)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lakewarden")
def main() -> None:
    """Run and look after a Lakewarden server.

    Settings come from options, else from LAKEWARDEN_* variables; see `lakewarden-server serve --help`.

    \b
    Example:
      lakewarden-server init --admin ada@example.com
      lakewarden-server serve
    """


@main.command()
@data_options
@click.option("--admin", required=True, metavar="EMAIL", help="Email of the first account admin.")
def init(admin: str, **options: object) -> None:
    """Set up a new database: schema, key file, and the first account admin.

    The admin's one-time token is written to a file of mode 0600 in the data directory. It does one thing, `lakewarden login`,
    once, within 24 hours.

    \b
    Example:
      lakewarden-server init --admin ada@example.com
      lakewarden login --token-stdin < lakewarden-data/bootstrap-token
    """
    validate_email(admin)
    settings = read_settings(options)
    settings.data_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = create_database(settings.database_url)
    try:
        migrate(database)
        keys = (
            load_key_file(settings.key_file)
            if settings.key_file.exists()
            else create_key_file(settings.key_file)
        )
        first = bootstrap(database, keys, admin=admin)
    finally:
        database.close()
    write_token_file(settings.bootstrap_token_file, first.token)
    click.echo(f"Account admin {admin} created.")
    click.echo(f"One-time token, good for 24 hours: {settings.bootstrap_token_file}")
    click.echo(
        "Next: lakewarden-server serve, then: lakewarden login --token-stdin < "
        + str(settings.bootstrap_token_file)
    )


@main.command("recover")
@data_options
@click.option("--admin", required=True, metavar="EMAIL", help="An existing account admin.")
@click.option(
    "--lift-ip-access-lists", is_flag=True, help="The account no longer enforces its IP access lists."
)
def recover_command(admin: str, lift_ip_access_lists: bool, **options: object) -> None:
    """Make a new one-time token for an account admin who has lost every token.

    Only who holds the key file and the database can do this; it is audited.

    \b
    Example:
      lakewarden-server recover --admin ada@example.com
    """
    settings = read_settings(options)
    keys = (
        load_key_file(settings.key_file) if settings.key_file.exists() else create_key_file(settings.key_file)
    )
    database = create_database(settings.database_url)
    try:
        again = recover(database, keys, admin=admin, lift_ip_access_lists=lift_ip_access_lists)
    finally:
        database.close()
    write_token_file(settings.bootstrap_token_file, again.token)
    click.echo(f"One-time token for {admin}, good for 24 hours: {settings.bootstrap_token_file}")
    if lift_ip_access_lists:
        click.echo(
            "The account no longer enforces its IP access lists."
            if again.lists_lifted
            else "Nothing was lifted: the account enforces no IP access lists."
        )


for command in (backup, restore, restored, signing_key, pepper, secrets_key):
    main.add_command(command)


@main.command("migrate")
@data_options
def migrate_command(**options: object) -> None:
    """Bring the database to this version's schema. Safe to run from several machines at once.

    \b
    Example:
      lakewarden-server migrate --database-url postgresql://lakewarden@db/lakewarden
    """
    settings = read_settings(options)
    settings.data_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = create_database(settings.database_url)
    try:
        before = current_revision(database)
        migrate(database)
        click.echo(
            f"schema {current_revision(database)}"
            + (f" (was {before or 'empty'})" if before != latest_revision() else ", nothing to do")
        )
    finally:
        database.close()


@main.command()
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
    configure_logging(json_lines=settings.log_format == "json", verbose=verbose)
    _check_schema(settings)
    if settings.workers + settings.http_workers > 1:
        sys.exit(Supervisor(settings, options, verbose=verbose, tell=_tell).run())
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


@main.command()
@data_options
def doctor(**options: object) -> None:
    """Look for what would keep a server from running or make it unsafe; exit 1 when something would.

    \b
    Example:
      lakewarden-server doctor
    """
    failed = False
    for check in checks.examine(read_settings(options)):
        failed |= check.verdict == "FAIL"
        click.echo(f"{check.verdict:<5} {check.name}: {check.detail}")
    sys.exit(EXIT_FAILED if failed else 0)


@main.command()
@click.option("--endpoint", default="127.0.0.1:50051", show_default=True, help="Server to ask.")
@click.option(
    "--ca-file", type=click.Path(path_type=Path, exists=True), help="Ask over TLS, trusting this PEM file."
)
@click.option(
    "--cert-file", type=click.Path(path_type=Path, exists=True), help="PEM client certificate to show."
)
@click.option("--key-file", type=click.Path(path_type=Path, exists=True), help="PEM key of that certificate.")
def health(endpoint: str, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> None:
    """Ask a running server whether it serves; exit 1 when it does not.

    \b
    Example:
      lakewarden-server health --endpoint 127.0.0.1:50051
    """
    if bool(cert_file) != bool(key_file) or (cert_file and not ca_file):
        raise click.UsageError("--cert-file, --key-file and --ca-file belong together.")
    status = ask_health(endpoint, ca_file, cert_file, key_file)
    click.echo(status)
    sys.exit(0 if status == "SERVING" else EXIT_FAILED)


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _tell_address(settings: Settings, app: App) -> None:
    _tell(f"lakewarden-server listens on {settings.listen.rpartition(':')[0]}:{app.port}")
    if app.http_address:
        _tell(f"SCIM, the Databricks API and OpenLineage over HTTP on {app.http_address}")


def _check_schema(settings: Settings) -> None:
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
