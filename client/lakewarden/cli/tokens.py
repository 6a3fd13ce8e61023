"""`lakewarden token`: personal access tokens."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import lifetime_option, limit_option, yes_option


@click.group("token", cls=Group, example="lakewarden token create --lifetime 30d")
def token() -> None:
    """Manage personal access tokens."""


@token.command(
    "create", example="lakewarden token create --lifetime 30d --comment laptop -o name > token.txt"
)
@click.option(
    "--principal",
    default="",
    metavar="ID",
    help="For this service principal, or as a one-time token for this user, instead of yourself.",
)
@click.option("--comment", default="", metavar="TEXT", help="Free text for people.")
@lifetime_option("E.g. 30d, 12h (90d; at most 365d).")
@click.option("--only-workspace", default="", metavar="NAME", help="It shall work in this workspace only.")
@pass_invocation
def create(invocation: Invocation, principal: str, comment: str, lifetime: int, only_workspace: str) -> None:
    """Create a token. Its secret is in the answer, and nowhere else; `-o name` prints just that."""
    created = invocation.open_client().tokens.create(
        principal=principal, comment=comment, lifetime_seconds=lifetime, workspace=only_workspace
    )
    from lakewarden.cli._plain import to_plain

    invocation.show({**to_plain(created.token), "token_value": created.token_value}, name="token_value")
    invocation.note("Keep the token_value safe: it is not shown again.")


@token.command("list", example="lakewarden token list")
@click.option("--principal", default="", metavar="NAME", help="Of this principal instead of yourself.")
@limit_option
@pass_invocation
def list_tokens(invocation: Invocation, principal: str, limit: int | None) -> None:
    """List live tokens, without their secrets."""
    rows = invocation.open_client().tokens.list(principal=principal, limit=limit)
    invocation.show_all(rows, ("id", "principal", "workspace", "expire_time", "comment"), name="id")


@token.command("revoke", example="lakewarden token revoke 5bS0N1vJtYcKq2ZrWmA9xd --yes")
@click.argument("token_id", metavar="ID")
@click.option("--principal", default="", metavar="NAME", help="Whose token it is, when not yours.")
@yes_option
@pass_invocation
def revoke(invocation: Invocation, token_id: str, principal: str, yes: bool) -> None:
    """Revoke a token: the next call with it is refused."""
    invocation.confirm(f"Revoke token {token_id}?", yes=yes)
    invocation.open_client().tokens.delete(token_id, principal=principal)
    invocation.note(f"revoked token {token_id}")
