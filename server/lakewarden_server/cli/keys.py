"""`lakewarden-server signing-key | pepper | secrets-key`: another key, without a moment at which somebody is refused for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from lakewarden_server.authn.keys import KeyFileError, Ring, add_key, drop_keys, load_key_file, use_key
from lakewarden_server.cli.options import data_options
from lakewarden_server.config import Settings, SettingsError, is_missing, read_settings
from lakewarden_server.core.seals import BrokenSeal
from lakewarden_server.key_rotation import seal_anew, tokens_by_pepper
from lakewarden_server.storage import Database, create_database

TAKEN_UP = (
    "With several workers send each server a SIGHUP, else restart it: a single worker ends at a SIGHUP."
)
"""How a running server comes to use a changed key file."""


@click.group("signing-key", epilog=TAKEN_UP)
def signing_key() -> None:
    """Change the key that signs access tokens.

    Three steps, each done on the key file of every server, which then takes it up: add, use, and an hour later drop.

    \b
    Example:
      lakewarden-server signing-key add
    """


@click.group("pepper", epilog=TAKEN_UP)
def pepper() -> None:
    """Change the pepper that tokens and client secrets are digested under.

    Three steps, each done on the key file of every server, which then takes it up: add, use, and drop when nothing that is to
    live on rests on the old one: tokens and secrets are not stored, so each is digested under the new one when it is made anew.

    \b
    Example:
      lakewarden-server pepper list
    """


@pepper.command("list")
@data_options
def list_peppers(**options: object) -> None:
    """Show the peppers, the one in use first, and how many tokens and client secrets rest on each.

    \b
    Example:
      lakewarden-server pepper list
    """
    settings = read_settings(options)
    with _opened(settings) as database:
        resting = dict(tokens_by_pepper(database))
    for number, key in enumerate(load_key_file(settings.key_file).peppers):
        click.echo(f"{key.id}  {'verifies' if number else 'in use'}  {resting.pop(key.id, 0)} tokens")
    for key_id, count in sorted(resting.items()):
        click.echo(f"{key_id}  not in the key file  {count} tokens, which are void")


@pepper.command("drop")
@data_options
@click.option("--void-tokens", is_flag=True, help="Also when tokens rest on them, which are void then.")
def drop_peppers(void_tokens: bool, **options: object) -> None:
    """Drop all peppers but the one in use. Refused while tokens or client secrets that have not ended rest on one of them.

    \b
    Example:
      lakewarden-server pepper drop
    """
    settings = read_settings(options)
    with _opened(settings) as database:
        resting = tokens_by_pepper(database)
    dropped = load_key_file(settings.key_file).peppers[1:]
    count = sum(resting.get(key.id, 0) for key in dropped)
    if count and not void_tokens:
        raise KeyFileError(
            f"{count} tokens or client secrets rest on the peppers to be dropped: make them anew first, or say --void-tokens"
        )
    drop_keys(settings.key_file, Ring.PEPPER)
    _tell(settings, Ring.PEPPER)
    if count:
        click.echo(
            f"{count} tokens or client secrets are void once the servers took up the key file. {TAKEN_UP}"
        )


@click.group("secrets-key", epilog=TAKEN_UP)
def secrets_key() -> None:
    """Change the key that secrets of credentials, connections and providers are sealed with.

    Three steps, each done on the key file of every server, which then takes it up: add, use, drop.

    \b
    Example:
      lakewarden-server secrets-key add
    """


@secrets_key.command("drop")
@data_options
def drop_secrets_keys(**options: object) -> None:
    """Seal every secret anew with the key in use, then drop the others. All servers must use it already.

    \b
    Example:
      lakewarden-server secrets-key drop
    """
    settings = read_settings(options)
    try:
        with _opened(settings) as database:
            sealed, lost = seal_anew(database, load_key_file(settings.key_file))
    except BrokenSeal as error:
        raise KeyFileError(f"nothing was changed: {error}") from None
    drop_keys(settings.key_file, Ring.SECRETS)
    click.echo(f"{sealed} secrets sealed anew")
    if lost:
        click.echo(f"{lost} secrets are sealed with keys that are not here: set them anew")
    _tell(settings, Ring.SECRETS)


def _step(
    group: click.Group, name: str, ring: Ring, change: Callable[[Path, Ring], object], what: str
) -> None:
    """A command that changes one ring of the key file and tells what it holds then."""

    @data_options
    def run(**options: object) -> None:
        settings = read_settings(options)
        change(settings.key_file, ring)
        _tell(settings, ring)

    example = f"\b\nExample:\n  lakewarden-server {group.name} {name}"
    epilog = TAKEN_UP if change is add_key else None
    group.command(name, help=f"{what}\n\n{example}", epilog=epilog)(run)


for _group, _ring, _adds, _uses in (
    (
        signing_key, Ring.SIGNING,
        "Add a key that verifies and does not sign yet.",
        "Let the key that was added last sign; the others go on verifying.",
    ),
    (
        pepper, Ring.PEPPER,
        "Add a pepper that verifies and is not used yet.",
        "Digest what is made from now on under the pepper added last; the others go on verifying.",
    ),
    (
        secrets_key, Ring.SECRETS,
        "Add a key that opens and does not seal yet.",
        "Seal from now on with the key added last; the others go on opening.",
    ),
):  # fmt: skip
    _step(_group, "add", _ring, add_key, f"{_adds} Copy the key file to all servers, which then take it up.")
    _step(_group, "use", _ring, use_key, f"{_uses} All servers must know it already.")
_step(
    signing_key, "drop", Ring.SIGNING, drop_keys,
    "Drop all keys but the one that signs: what they signed is refused. An hour after `use` nothing of theirs is left.",
)  # fmt: skip


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    if is_missing(settings.database_url):
        raise SettingsError("there is no database yet: run `lakewarden-server init --admin EMAIL` first")
    database = create_database(settings.database_url)
    try:
        yield database
    finally:
        database.close()


def _tell(settings: Settings, ring: Ring) -> None:
    used, *others = load_key_file(settings.key_file).rings[ring]
    if ring is Ring.SIGNING:
        count = len(others) + 1
        click.echo(f"{settings.key_file}: {count} signing key{'s' if count > 1 else ''}, the first one signs")
        return
    told = f", {', '.join(key.id for key in others)} beside it" if others else ", no other beside it"
    click.echo(f"{settings.key_file}: {ring} {used.id} in use{told}")
