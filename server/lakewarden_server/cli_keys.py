"""`lakewarden-server signing-key`: another key for access tokens, without a moment at which one of them is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from lakewarden_server.authn.keys import add_signing_key, drop_signing_keys, load_key_file, use_signing_key
from lakewarden_server.cli_options import data_options
from lakewarden_server.config import read_settings


@click.group("signing-key")
def signing_key() -> None:
    """Change the key that signs access tokens.

    Three steps, each done on the key file of every server, which then gets a SIGHUP: add, use, and an hour later drop.

    \b
    Example:
      lakewarden-server signing-key add
    """


@signing_key.command("add")
@data_options
def add(**options: object) -> None:
    """Add a key that verifies and does not sign yet. Copy the key file to all servers and send them a SIGHUP.

    \b
    Example:
      lakewarden-server signing-key add
    """
    _change(add_signing_key, options)


@signing_key.command("use")
@data_options
def use(**options: object) -> None:
    """Let the key that was added last sign; the others go on verifying. All servers must know it already.

    \b
    Example:
      lakewarden-server signing-key use
    """
    _change(use_signing_key, options)


@signing_key.command("drop")
@data_options
def drop(**options: object) -> None:
    """Drop all keys but the one that signs: what they signed is refused. An hour after `use` nothing of theirs is left.

    \b
    Example:
      lakewarden-server signing-key drop
    """
    _change(drop_signing_keys, options)


def _change(change: Callable[[Path], None], options: dict[str, object]) -> None:
    path = read_settings(options).key_file
    change(path)
    count = len(load_key_file(path).signing)
    click.echo(f"{path}: {count} signing key{'s' if count > 1 else ''}, the first one signs")
