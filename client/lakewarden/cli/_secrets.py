"""How commands are given secrets: on stdin or in a file, never as an argument, which every user of the machine could read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def secret_options(decorated: Decorated) -> Decorated:
    """`--secret-stdin` and `--secret-file FILE`."""
    from_file = click.option(
        "--secret-file",
        type=click.File("r", encoding="utf-8"),
        metavar="FILE",
        help="Read the secret from a file that only you may read.",
    )
    from_stdin = click.option("--secret-stdin", is_flag=True, help="Read the secret from stdin.")
    return from_stdin(from_file(decorated))


def read_secret(*, secret_stdin: bool, secret_file: Any) -> str | None:
    """The secret without the line break at its end; None where none is given. Raises click.UsageError."""
    if secret_stdin and secret_file is not None:
        raise click.UsageError("Give the secret once: --secret-stdin or --secret-file.")
    if not secret_stdin and secret_file is None:
        return None
    given = sys.stdin.read() if secret_stdin else secret_file.read()
    secret = str(given).removesuffix("\n").removesuffix("\r")
    if not secret:
        raise click.UsageError("The secret is empty.")
    return secret


def read_named_secrets(secret: str | None) -> dict[str, str] | None:
    """Several secrets, one `NAME=VALUE` on each line. Raises click.UsageError, which never quotes a line."""
    if secret is None:
        return None
    pairs: dict[str, str] = {}
    for number, line in enumerate(secret.splitlines(), start=1):
        name, equals, value = line.partition("=")
        if not equals or not name or name in pairs:
            raise click.UsageError(f"Line {number} of the secrets is not NAME=VALUE with a name of its own.")
        pairs[name] = value
    return pairs
