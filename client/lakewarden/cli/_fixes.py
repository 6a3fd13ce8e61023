"""What a denial says would help, as commands of this command line, to be copied. Engines are told GRANT statements."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from lakewarden.cli._terminal import printable

if TYPE_CHECKING:
    from lakewarden.v1.authorization_pb2 import Fix

_STATEMENT = re.compile(r"GRANT ([A-Z_ ]+) ON ([A-Z_ ]+) (\S+) TO `([^`]+)`")


def grant_commands(fixes: str) -> list[str]:
    """The command for each GRANT statement in a text; nothing for what this command line cannot read."""
    return [
        shlex.join(["lakewarden", "grant", privilege, kind.lower().replace(" ", "_"), full_name, principal])
        for privilege, kind, full_name, principal in _STATEMENT.findall(fixes)
    ]


def without_statements(text: str) -> str:
    """A reason without the GRANT statements it ends with, where each can be shown as a command instead."""
    reason, mark, statements = text.partition(" for: ")
    readable = mark and all(map(_STATEMENT.fullmatch, statements.split("; ")))
    return f"{reason}." if readable else text


def write_fixes(fixes: Iterable[str], *, err: bool = False) -> None:
    """Print each fix as the command to run, or as it came where this command line cannot read it."""
    for fix in fixes:
        commands = grant_commands(fix)
        for command in commands:
            click.echo(f"  run: {printable(command)}", err=err)
        if not commands:
            click.echo(f"  fix: {printable(fix)}", err=err)


def fix_command(fix: Fix, *, workspace: str = "") -> str:
    """The command that makes a change an explanation asks for, called from a workspace where one is named."""
    from lakewarden.v1.authorization_pb2 import Fix
    from lakewarden.v1.grants_pb2 import SecurableType

    kind = SecurableType.Name(fix.securable_type).lower()
    if fix.action == Fix.GRANT:
        privilege = fix.privilege.replace("_", " ")
        words = ["grant", privilege, kind, fix.full_name, fix.principal]
    elif fix.action == Fix.BIND:
        words = ["binding", "update", kind.replace("_", "-"), fix.full_name, "--add", fix.workspace]
    elif fix.action == Fix.ATTACH:
        words = ["workspace", "attach", fix.workspace, fix.full_name]
    else:
        # Users have an email, service principals an id.
        words = ["user" if "@" in fix.principal else "service-principal", "enable", fix.principal]
    return shlex.join(["lakewarden", *words, *(("--workspace", workspace) if workspace else ())])
