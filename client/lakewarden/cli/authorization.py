"""`lakewarden check`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from lakewarden._errors import PermissionDenied
from lakewarden.cli._commands import Command
from lakewarden.cli._fixes import without_statements, write_fixes
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import as_of_option, name_argument, type_argument
from lakewarden.cli._terminal import printable, styled

if TYPE_CHECKING:
    from lakewarden._authorization import Verdict

EXIT_DENIED = 1
ROLE_NEEDED = (
    "Asking about somebody else needs the role QUERY_ENGINE in the calling workspace. An account admin grants it:\n"
    "lakewarden workspace member add WORKSPACE YOU --role QUERY_ENGINE"
)


@click.command(
    "check",
    cls=Command,
    example="lakewarden check bob@example.com SELECT table main.sales.orders && echo yes",
)
@click.argument("principal")
@click.argument("privilege")
@type_argument
@name_argument
@as_of_option
@click.pass_context
@pass_invocation
def check(
    invocation: Invocation,
    context: click.Context,
    principal: str,
    privilege: str,
    securable_type: str,
    full_name: str,
    as_of: datetime | str | None,
) -> None:
    """Ask whether a principal may use a privilege on a securable now, from this workspace.

    Exits with 0 for yes and 1 for no. Says why not, and which grant would help, when that principal may see the
    object (as with BROWSE on its catalog); else a hidden object and an absent one give the same answer. Asking about
    somebody else needs the role QUERY_ENGINE in the workspace.
    """
    try:
        verdict = invocation.open_client().authorization.check(
            privilege, securable_type, full_name, subject=principal, as_of=as_of
        )
    except PermissionDenied as error:
        # Of the caller's own rights everybody may ask, so what else is denied is the workspace.
        if error.reason != "WORKSPACE_DENIED" and as_of is None:
            error.add_note(ROLE_NEEDED)
        raise
    question = f"{privilege} on {securable_type} {full_name} for {principal}"
    if invocation.output == "table":
        _write_verdict(verdict, question)
    else:
        invocation.show(
            {
                "verdict": "ALLOW" if verdict else "DENY",
                "allowed": verdict.allowed,
                "reason": verdict.reason,
                "fixes": list(verdict.fixes),
                "revision": verdict.revision,
            },
            name="verdict",
        )
    context.exit(0 if verdict else EXIT_DENIED)


def _write_verdict(verdict: Verdict, question: str) -> None:
    """The answer for people: the verdict first, then the reason, then what would help."""
    word = styled("ALLOW", "green", stdout=True) if verdict else styled("DENY", "red", stdout=True)
    click.echo(f"{word} {printable(question)}")
    if verdict.reason:
        click.echo(f"  reason: {printable(without_statements(verdict.reason))}")
    write_fixes(verdict.fixes)
