"""`lakewarden user`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._principal_commands import (
    add_delete_command,
    add_get_command,
    add_switch_commands,
    external_id_option,
)


@click.group("user", cls=Group, example="lakewarden user list")
def user() -> None:
    """Manage users."""


@user.command("create", example='lakewarden user create bob@example.com --display-name "Bob Oakes"')
@click.argument("name", metavar="EMAIL")
@click.option("--display-name", default="", help="Name for people.")
@external_id_option(default="")
@pass_invocation
def create(invocation: Invocation, name: str, display_name: str, external_id: str) -> None:
    """Create a user (account admins)."""
    made = invocation.open_client().users.create(name, display_name=display_name, external_id=external_id)
    invocation.show(made, name="name")


add_get_command(
    user, lambda client: client.users, columns=("name", "display_name", "active"), example="bob@example.com"
)
add_switch_commands(user, lambda client: client.users, example="bob@example.com")
add_delete_command(user, lambda client: client.users, example="bob@example.com")
