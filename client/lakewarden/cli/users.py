"""`lakewarden user`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._principal_commands import add_delete_command, add_get_command, add_switch_commands


@click.group("user", cls=Group, example="lakewarden user list")
def user() -> None:
    """Manage users."""


@user.command("create", example='lakewarden user create bob@example.com --display-name "Bob Oakes"')
@click.argument("name", metavar="EMAIL")
@click.option("--display-name", default="", help="Name for people.")
@pass_invocation
def create(invocation: Invocation, name: str, display_name: str) -> None:
    """Create a user (account admins)."""
    invocation.show(invocation.open_client().users.create(name, display_name=display_name), name="name")


add_get_command(
    user, lambda client: client.users, columns=("name", "display_name", "active"), example="bob@example.com"
)
add_switch_commands(user, lambda client: client.users, example="bob@example.com")
add_delete_command(user, lambda client: client.users, example="bob@example.com")
