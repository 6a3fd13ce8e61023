"""`lakewarden-server init | recover | migrate | doctor`: a database and its key file, before anything is served."""

from __future__ import annotations

import sys

import click

from lakewarden_policy import InvalidName, validate_email
from lakewarden_server import doctor as checks
from lakewarden_server.authn.keys import create_key_file, load_key_file
from lakewarden_server.bootstrap import bootstrap, write_token_file
from lakewarden_server.bootstrap import recover as recover_admin
from lakewarden_server.cli.options import data_options
from lakewarden_server.config import SettingsError, read_settings
from lakewarden_server.processes import EXIT_FAILED
from lakewarden_server.storage import create_database
from lakewarden_server.storage.migrations import current_revision, latest_revision
from lakewarden_server.storage.migrations import migrate as bring_to_latest


@click.command()
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
    try:
        validate_email(admin)
    except InvalidName as error:
        raise SettingsError(str(error)) from None
    settings = read_settings(options)
    settings.data_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = create_database(settings.database_url)
    try:
        bring_to_latest(database)
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


@click.command()
@data_options
@click.option("--admin", required=True, metavar="EMAIL", help="An existing account admin.")
@click.option(
    "--lift-ip-access-lists", is_flag=True, help="The account no longer enforces its IP access lists."
)
def recover(admin: str, lift_ip_access_lists: bool, **options: object) -> None:
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
        again = recover_admin(database, keys, admin=admin, lift_ip_access_lists=lift_ip_access_lists)
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


@click.command()
@data_options
def migrate(**options: object) -> None:
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
        bring_to_latest(database)
        click.echo(
            f"schema {current_revision(database)}"
            + (f" (was {before or 'empty'})" if before != latest_revision() else ", nothing to do")
        )
    finally:
        database.close()


@click.command()
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
