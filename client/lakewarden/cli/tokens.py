"""`lakewarden token`: personal access tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import lifetime_option, limit_option, yes_option

if TYPE_CHECKING:
    from lakewarden.v1.tokens_pb2 import CreateTokenResponse, RotateTokenResponse


@click.group("token", cls=Group, example="lakewarden token create --lifetime 30d")
def token() -> None:
    """Manage personal access tokens."""


def _show(invocation: Invocation, made: CreateTokenResponse | RotateTokenResponse) -> None:
    from lakewarden.cli._plain import to_plain

    invocation.show({**to_plain(made.token), "token_value": made.token_value}, name="token_value")
    invocation.note("Keep the token_value safe: it is not shown again.")


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
    _show(invocation, created)


@token.command(
    "rotate", example="lakewarden token rotate 5bS0N1vJtYcKq2ZrWmA9xd --overlap 1h -o name > token.txt"
)
@click.argument("token_id", metavar="ID")
@click.option("--principal", default="", metavar="ID", help="Of this service principal instead of yourself.")
@lifetime_option("Of the new one, e.g. 30d (90d; at most 365d).")
@lifetime_option("How long the old one works on (not at all; at most 24h).", name="--overlap")
@pass_invocation
def rotate(invocation: Invocation, token_id: str, principal: str, lifetime: int, overlap: int) -> None:
    """Replace a token by a new one, with its comment and workspace. The secret is in the answer, and nowhere else."""
    made = invocation.open_client().tokens.rotate(
        token_id, principal=principal, lifetime_seconds=lifetime, overlap_seconds=overlap
    )
    _show(invocation, made)


@token.command("list", example="lakewarden token list")
@click.option("--principal", default="", metavar="NAME", help="Of this principal instead of yourself.")
@click.option(
    "--of-workspace",
    default="",
    metavar="NAME",
    help="Everybody's that are limited to this workspace (its admins).",
)
@limit_option
@pass_invocation
def list_tokens(invocation: Invocation, principal: str, of_workspace: str, limit: int | None) -> None:
    """List live tokens, without their secrets."""
    tokens = invocation.open_client().tokens
    if of_workspace and principal:
        raise click.UsageError("say --principal or --of-workspace, not both")
    rows = (
        tokens.list_of_workspace(of_workspace, limit=limit)
        if of_workspace
        else tokens.list(principal=principal, limit=limit)
    )
    columns = ("id", "principal", "workspace", "expire_time", "last_used_time", "comment")
    invocation.show_all(rows, columns, name="id")


@token.command("revoke", example="lakewarden token revoke 5bS0N1vJtYcKq2ZrWmA9xd --yes")
@click.argument("token_id", metavar="ID")
@click.option("--principal", default="", metavar="NAME", help="Whose token it is, when not yours.")
@click.option(
    "--of-workspace",
    default="",
    metavar="NAME",
    help="Anybody's that is limited to this workspace (its admins).",
)
@yes_option
@pass_invocation
def revoke(invocation: Invocation, token_id: str, principal: str, of_workspace: str, yes: bool) -> None:
    """Revoke a token: the next call with it is refused."""
    invocation.confirm(f"Revoke token {token_id}?", yes=yes)
    tokens = invocation.open_client().tokens
    if of_workspace:
        tokens.delete_of_workspace(of_workspace, token_id)
    else:
        tokens.delete(token_id, principal=principal)
    invocation.note(f"revoked token {token_id}")
