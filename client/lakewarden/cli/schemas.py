"""`lakewarden schema`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import comment_option, complete_name, limit_option, property_option
from lakewarden.cli._securable_commands import add_common_commands, add_delete_command, add_update_command


@click.group("schema", cls=Group, example="lakewarden schema list main")
def schema() -> None:
    """Manage schemas."""


@schema.command("create", example="lakewarden schema create main.sales")
@click.argument("full_name", metavar="CATALOG.NAME")
@click.option("--storage-root", default="", metavar="URL", help="Where its managed data is stored.")
@comment_option
@property_option
@pass_invocation
def create(
    invocation: Invocation,
    full_name: str,
    storage_root: str,
    comment: str | None,
    properties: dict[str, str],
) -> None:
    """Create a schema, named in full."""
    created = invocation.open_client().schemas.create(
        full_name, storage_root=storage_root, comment=comment or "", properties=properties
    )
    invocation.show(created)


@schema.command("list", example="lakewarden schema list main")
@click.argument("catalog", shell_complete=complete_name)
@limit_option
@pass_invocation
def list_schemas(invocation: Invocation, catalog: str, limit: int | None) -> None:
    """List the schemas of a catalog that you may see."""
    rows = invocation.open_client().schemas.list(catalog, limit=limit)
    invocation.show_all(rows, ("full_name", "owner", "comment"))


add_common_commands(schema, lambda client: client.schemas, example="main.sales")
add_update_command(schema, lambda client: client.schemas, example="main.sales")
add_delete_command(schema, lambda client: client.schemas, example="main.sales", force=True)
