"""`lakewarden-server`: what an operator types. A command is imported when it is run, so that help and health checks are quick."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module

import click

from lakewarden_server.processes import EXIT_FAILED, EXPECTED_ERRORS

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("setup:init", "Set up a new database: schema, key file, and the first account admin."),
    "serve": ("serving:serve", "Serve until SIGTERM or Ctrl-C; a second one stops at once."),
    "doctor": (
        "setup:doctor",
        "Look for what would keep a server from running or make it unsafe; exit 1 when something would.",
    ),
    "health": ("health:health", "Ask a running server whether it serves; exit 1 when it does not."),
    "migrate": ("setup:migrate", "Bring the database to this version's schema."),
    "backup": ("backups:backup", "Write the database, at one revision and while servers use it, to FILE."),
    "restore": (
        "backups:restore",
        "Make the database, SQLite or PostgreSQL, what FILE holds; servers may run meanwhile.",
    ),
    "restored": (
        "backups:restored",
        "Declare a database that was restored by other means than `restore` another history than the one clients remember.",
    ),
    "recover": ("setup:recover", "Make a new one-time token for an account admin who has lost every token."),
    "signing-key": ("keys:signing_key", "Change the key that signs access tokens."),
    "pepper": ("keys:pepper", "Change the pepper that tokens and client secrets are digested under."),
    "secrets-key": (
        "keys:secrets_key",
        "Change the key that secrets of credentials, connections and providers are sealed with.",
    ),
}
"""`module:attribute` within this package, and the line of help, by name; what a newcomer needs comes first."""


class _Group(click.Group):
    """Imports one command, and tells every expected error in one line instead of a traceback."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The names in the order they are written down."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Imports one command."""
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name][0].split(":")
        command = getattr(import_module(f"{__name__}.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, context: click.Context) -> object:
        """Runs the command."""
        try:
            return super().invoke(context)
        except EXPECTED_ERRORS as error:
            click.echo(f"Error: {error}", err=True)
            context.exit(EXIT_FAILED)
        except ModuleNotFoundError as missing:
            sys.exit(
                f"lakewarden-server needs the server's packages ({missing.name} is missing): pip install 'lakewarden[server]'"
            )


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
