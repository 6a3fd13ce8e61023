"""`lakewarden metastore`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import comment_option, limit_option, property_option
from lakewarden.cli._securable_commands import add_common_commands, add_delete_command, add_update_command


@click.group("metastore", cls=Group, example="lakewarden metastore list")
def metastore() -> None:
    """Manage metastores."""


@metastore.command("create", example="lakewarden metastore create eu --region eu-central-1")
@click.argument("name")
@click.option("--region", default="", help="Cloud region, free text; it cannot be changed.")
@comment_option
@property_option
@pass_invocation
def create(
    invocation: Invocation, name: str, region: str, comment: str | None, properties: dict[str, str]
) -> None:
    """Create a metastore (account admins)."""
    client = invocation.open_client()
    invocation.show(
        client.metastores.create(name, region=region, comment=comment or "", properties=properties)
    )


@metastore.command("list", example="lakewarden metastore list -o json")
@limit_option
@pass_invocation
def list_metastores(invocation: Invocation, limit: int | None) -> None:
    """List the metastores you may see."""
    rows = invocation.open_client().metastores.list(limit=limit)
    invocation.show_all(rows, ("full_name", "region", "owner", "comment"))


add_common_commands(metastore, lambda client: client.metastores, example="eu")
add_update_command(metastore, lambda client: client.metastores, example="eu")
add_delete_command(metastore, lambda client: client.metastores, example="eu", force=True)
