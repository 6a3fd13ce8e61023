"""`lakewarden volume`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import comment_option, complete_name, limit_option, property_option
from lakewarden.cli._securable_commands import add_common_commands, add_delete_command, add_update_command


@click.group("volume", cls=Group, example="lakewarden volume list main.sales")
def volume() -> None:
    """Manage volumes, the places for files."""


@volume.command("create", example="lakewarden volume create main.sales.receipts")
@click.argument("full_name", metavar="CATALOG.SCHEMA.NAME")
@click.option(
    "--location", default="", metavar="URL", help="Where its files lie: makes it an external volume."
)
@comment_option
@property_option
@pass_invocation
def create(
    invocation: Invocation, full_name: str, location: str, comment: str | None, properties: dict[str, str]
) -> None:
    """Create a volume, named in full."""
    created = invocation.open_client().volumes.create(
        full_name, storage_location=location, comment=comment or "", properties=properties
    )
    invocation.show(created)


@volume.command("list", example="lakewarden volume list main.sales")
@click.argument("schema", metavar="CATALOG.SCHEMA", shell_complete=complete_name)
@limit_option
@pass_invocation
def list_volumes(invocation: Invocation, schema: str, limit: int | None) -> None:
    """List the volumes of a schema that you may see."""
    rows = invocation.open_client().volumes.list(schema, limit=limit)
    invocation.show_all(rows, ("full_name", "volume_type", "owner", "comment"))


add_common_commands(volume, lambda client: client.volumes, example="main.sales.receipts")
add_update_command(volume, lambda client: client.volumes, example="main.sales.receipts")
add_delete_command(volume, lambda client: client.volumes, example="main.sales.receipts", force=False)
