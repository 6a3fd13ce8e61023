"""`lakewarden group`: groups and who is in them."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import etag_option, limit_option
from lakewarden.cli._principal_commands import add_delete_command, add_get_command, external_id_option


@click.group("group", cls=Group, example="lakewarden group add analysts bob@example.com")
def group() -> None:
    """Manage groups and their members."""


@group.command("create", example="lakewarden group create analysts")
@click.argument("name")
@external_id_option(default="")
@pass_invocation
def create(invocation: Invocation, name: str, external_id: str) -> None:
    """Create an empty group (account admins)."""
    invocation.show(invocation.open_client().groups.create(name, external_id=external_id), name="name")


@group.command("update", example="lakewarden group update analysts --external-id 00g1ab2c")
@click.argument("name")
@click.option("--external-id", required=True, metavar="ID", help="Its identifier at an identity provider.")
@etag_option
@pass_invocation
def update(invocation: Invocation, name: str, external_id: str, etag: str) -> None:
    """Change the identifier it bears at an identity provider; an empty one takes it away."""
    invocation.show(
        invocation.open_client().groups.update(name, external_id=external_id, etag=etag), name="name"
    )


@group.command("rename", example="lakewarden group rename analysts data-analysts")
@click.argument("name")
@click.argument("new_name")
@etag_option
@pass_invocation
def rename(invocation: Invocation, name: str, new_name: str, etag: str) -> None:
    """Give it a new name; members and grants stay."""
    invocation.show(invocation.open_client().groups.rename(name, new_name, etag=etag), name="name")


@group.command("add", example="lakewarden group add analysts bob@example.com interns")
@click.argument("name")
@click.argument("members", nargs=-1, required=True)
@pass_invocation
def add(invocation: Invocation, name: str, members: tuple[str, ...]) -> None:
    """Add members: users, service principals or other groups."""
    changed = invocation.open_client().groups.update_members(name, add=members)
    invocation.note(f"added {changed.added} of {len(members)} to {name}")


@group.command("remove", example="lakewarden group remove analysts bob@example.com")
@click.argument("name")
@click.argument("members", nargs=-1, required=True)
@pass_invocation
def remove(invocation: Invocation, name: str, members: tuple[str, ...]) -> None:
    """Remove members."""
    changed = invocation.open_client().groups.update_members(name, remove=members)
    invocation.note(f"removed {changed.removed} of {len(members)} from {name}")


@group.command("members", example="lakewarden group members analysts")
@click.argument("name")
@limit_option
@pass_invocation
def members(invocation: Invocation, name: str, limit: int | None) -> None:
    """List the direct members."""
    rows = invocation.open_client().groups.members(name, limit=limit)
    invocation.show_all(rows, ("name", "kind", "display_name", "sources"), name="name")


add_get_command(group, lambda client: client.groups, columns=("name", "system"), example="analysts")
add_delete_command(group, lambda client: client.groups, example="analysts")
