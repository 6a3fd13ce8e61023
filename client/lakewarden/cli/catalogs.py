"""`lakewarden catalog`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import comment_option, limit_option, property_option
from lakewarden.cli._securable_commands import add_common_commands, add_delete_command, add_update_command


@click.group("catalog", cls=Group, example="lakewarden catalog list --workspace analytics")
def catalog() -> None:
    """Manage the catalogs of the workspace's metastore."""


@catalog.command("create", example='lakewarden catalog create main --comment "production"')
@click.argument("name")
@click.option("--storage-root", default="", metavar="URL", help="Where its managed data is stored.")
@click.option(
    "--connection", default="", metavar="NAME", help="Makes it a foreign catalog over a connection."
)
@comment_option
@property_option
@pass_invocation
def create(
    invocation: Invocation,
    name: str,
    storage_root: str,
    connection: str,
    comment: str | None,
    properties: dict[str, str],
) -> None:
    """Create a catalog, with its schema `default`."""
    created = invocation.open_client().catalogs.create(
        name, storage_root=storage_root, connection=connection, comment=comment or "", properties=properties
    )
    invocation.show(created)


@catalog.command("list", example="lakewarden catalog list -o name")
@limit_option
@pass_invocation
def list_catalogs(invocation: Invocation, limit: int | None) -> None:
    """List the catalogs you may see."""
    rows = invocation.open_client().catalogs.list(limit=limit)
    invocation.show_all(rows, ("full_name", "owner", "comment"))


add_common_commands(catalog, lambda client: client.catalogs, example="main")
add_update_command(catalog, lambda client: client.catalogs, example="main")
add_delete_command(catalog, lambda client: client.catalogs, example="main", force=True)
