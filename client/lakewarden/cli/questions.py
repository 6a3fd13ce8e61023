"""`lakewarden explain`, `who-can`, `what-can`, `can-access` and `simulate`."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from lakewarden.cli._commands import Command
from lakewarden.cli._fixes import without_statements, write_fixes
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import (
    SECURABLE_TYPES,
    as_of_option,
    limit_option,
    name_argument,
    type_argument,
)
from lakewarden.cli._terminal import printable, styled
from lakewarden.cli.authorization import EXIT_DENIED

if TYPE_CHECKING:
    from lakewarden.v1.authorization_pb2 import ExplainResponse, Fix, Giver

_kinds = click.Choice(SECURABLE_TYPES, case_sensitive=False)


@click.command(
    "explain", cls=Command, example="lakewarden explain bob@example.com SELECT table main.sales.orders"
)
@click.argument("principal")
@click.argument("privilege")
@type_argument
@name_argument
@click.option(
    "--in", "asked", metavar="WORKSPACE", help="Ask about this workspace, not the one you call from."
)
@click.pass_context
@pass_invocation
def explain(
    invocation: Invocation,
    context: click.Context,
    principal: str,
    privilege: str,
    securable_type: str,
    full_name: str,
    asked: str | None,
) -> None:
    """Say why a principal may or may not use a privilege, and what to do about a no.

    Exits with 0 for yes and 1 for no. A no lists everything missing and the fewest narrow changes that make it a yes, as
    commands, each with those who can run it. For yourself, for whoever may grant on the securable, and for query engines.
    """
    client = invocation.open_client()
    answer = client.authorization.explain(
        privilege, securable_type, full_name, subject=principal, workspace=asked
    )
    here = client.workspace or ""
    if invocation.output == "table":
        _write_answer(answer, f"{privilege} on {securable_type} {full_name} for {principal}", here)
    else:
        from lakewarden.cli._plain import to_plain

        record = {"verdict": "ALLOW" if answer.allowed else "DENY", **to_plain(answer)}
        commands = [
            {"command": _command(fix, here), "run_by": [_run_by(giver, here) for giver in fix.givers]}
            for fix in answer.fixes
        ]
        invocation.show({**record, "commands": commands}, name="verdict")
    context.exit(0 if answer.allowed else EXIT_DENIED)


@click.command("who-can", cls=Command, example="lakewarden who-can SELECT table main.sales.orders")
@click.argument("privilege")
@type_argument
@name_argument
@as_of_option
@limit_option
@pass_invocation
def who_can(
    invocation: Invocation,
    privilege: str,
    securable_type: str,
    full_name: str,
    as_of: datetime | str | None,
    limit: int | None,
) -> None:
    """List the users and service principals that may use a privilege on a securable from this workspace."""
    from lakewarden.cli._sources import source_words

    found = invocation.open_client().authorization.list_principals(
        privilege, securable_type, full_name, as_of=as_of, limit=limit
    )
    if not invocation.is_brief:
        invocation.show_all(found, (), name="principal")
        return
    rows = ({"principal": each.principal, "how": [*map(source_words, each.how)]} for each in found)
    invocation.show_all(rows, ("principal", "how"), name="principal")


@click.command(
    "what-can", cls=Command, example="lakewarden what-can bob@example.com --privilege SELECT --under main"
)
@click.argument("principal")
@click.option(
    "--type", "securable_type", type=_kinds, default="table", show_default=True, help="Kind to list."
)
@click.option("--privilege", default="", metavar="PRIVILEGE", help="What to be allowed; without it, to see.")
@click.option("--under", default="", metavar="NAME", help="Only inside this catalog or schema.")
@limit_option
@pass_invocation
def what_can(
    invocation: Invocation, principal: str, securable_type: str, privilege: str, under: str, limit: int | None
) -> None:
    """List the securables a principal may use a privilege on, or see, from this workspace.

    Asking about somebody else needs the role QUERY_ENGINE in the workspace.
    """
    found = invocation.open_client().authorization.list_accessible(
        securable_type, privilege, parent=under, subject=principal, limit=limit
    )
    invocation.show_all(({"full_name": name} for name in found), ("full_name",))


@click.command(
    "can-access", cls=Command, example="lakewarden can-access bob@example.com SELECT table - < names.txt"
)
@click.argument("principal")
@click.argument("privilege")
@type_argument
@click.argument("full_names", metavar="NAME…", nargs=-1, required=True)
@pass_invocation
def can_access(
    invocation: Invocation, principal: str, privilege: str, securable_type: str, full_names: tuple[str, ...]
) -> None:
    """Print those of up to 100,000 full names on which a principal may use a privilege from this workspace.

    The name `-` reads them from stdin, one a line. The privilege SEE asks which of them the principal may see.
    """
    names = [line.strip() for line in sys.stdin if line.strip()] if full_names == ("-",) else list(full_names)
    wanted = "" if privilege.upper() == "SEE" else privilege
    client = invocation.open_client()
    found = client.authorization.filter_securables(securable_type, names, wanted, subject=principal)
    invocation.show_all(({"full_name": name} for name in found), ("full_name",))


@click.command(
    "simulate",
    cls=Command,
    example="lakewarden simulate bob@example.com SELECT table main.sales.orders \\\n"
    '    --grant "USE SCHEMA" schema main.sales analysts --join analysts bob@example.com',
)
@click.argument("principal")
@click.argument("privilege")
@type_argument
@name_argument
@click.option(
    "--grant", "granted", type=(str, _kinds, str, str), multiple=True, metavar="PRIVILEGE TYPE NAME PRINCIPAL",
    help="As if this were granted; repeat for more.",
)  # fmt: skip
@click.option(
    "--revoke", "revoked", type=(str, _kinds, str, str), multiple=True, metavar="PRIVILEGE TYPE NAME PRINCIPAL",
    help="As if this were revoked.",
)  # fmt: skip
@click.option(
    "--join", "joined", type=(str, str), multiple=True, metavar="GROUP MEMBER", help="As if it were a member."
)
@click.option(
    "--leave", "left", type=(str, str), multiple=True, metavar="GROUP MEMBER", help="As if it were none."
)
@click.pass_context
@pass_invocation
def simulate(
    invocation: Invocation,
    context: click.Context,
    principal: str,
    privilege: str,
    securable_type: str,
    full_name: str,
    granted: tuple[tuple[str, str, str, str], ...],
    revoked: tuple[tuple[str, str, str, str], ...],
    joined: tuple[tuple[str, str], ...],
    left: tuple[tuple[str, str], ...],
) -> None:
    """Ask what `check` would say after changes that are not made; exits with 0 for yes and 1 for no.

    Only changes that you could make yourself.
    """
    from lakewarden._questions import grant_if, member_if

    answer = invocation.open_client().authorization.simulate(
        privilege,
        securable_type,
        full_name,
        subject=principal,
        grants=[
            *(grant_if(*change) for change in granted),
            *(grant_if(*change, revoke=True) for change in revoked),
        ],
        memberships=[
            *(member_if(*pair) for pair in joined),
            *(member_if(*pair, remove=True) for pair in left),
        ],
    )
    told = {"verdict": "ALLOW" if answer else "DENY", "now": "ALLOW" if answer.allowed_now else "DENY"}
    if invocation.output == "table":
        invocation.show({**told, "reason": without_statements(answer.verdict.reason)})
        write_fixes(answer.verdict.fixes)
    else:
        told_why = {"reason": answer.verdict.reason, "fixes": list(answer.verdict.fixes)}
        invocation.show({**told, **told_why}, name="verdict")
    context.exit(0 if answer else EXIT_DENIED)


def _write_answer(answer: ExplainResponse, question: str, here: str) -> None:
    """The answer for people: the verdict, then the proof, or what is missing and what to run."""
    from lakewarden.cli._sources import kind_words, source_words

    word = styled("ALLOW", "green", stdout=True) if answer.allowed else styled("DENY", "red", stdout=True)
    click.echo(f"{word} {printable(question)}")
    for step in answer.proof:
        act = f"{step.privilege.replace('_', ' ')} on {kind_words(step.securable_type)} {step.full_name}"
        click.echo(printable(f"  {step.principal} has {act}: {source_words(step.source)}"))
    for problem in answer.problems:
        click.echo(printable(f"  missing: {problem}"))
    if not answer.allowed and not answer.fixes:
        click.echo("  no change that you may be told of would help")
    for fix in answer.fixes:
        click.echo(f"  run: {printable(_command(fix, here))}")
        who = (
            ", ".join(_run_by(giver, here) for giver in fix.givers)
            or "nobody can now; an account admin appoints an owner"
        )
        click.echo(f"   by: {printable(who)}")


def _command(fix: Fix, here: str) -> str:
    """The command; with the workspace that whoever comes first can call from, where it is not the one called from."""
    from lakewarden.cli._fixes import fix_command

    place = fix.givers[0].workspace if fix.givers else ""
    return fix_command(fix, workspace=place if place != here else "")


def _run_by(giver: Giver, here: str) -> str:
    who = f"members of {giver.principal}" if giver.is_group else giver.principal
    because = giver.because
    if giver.workspace not in ("", here):
        because += f", from workspace {giver.workspace}"
    return f"{who} ({because})" if who else because
