"""`lakewarden external-metadata`."""

from __future__ import annotations

from typing import Any

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import comment_option, property_option
from lakewarden.cli._securable_commands import (
    add_common_commands,
    add_delete_command,
    add_list_command,
    add_update_command,
)

_column_option = click.option(
    "--column", "columns", multiple=True, metavar="NAME", help="A column or field; repeat in order."
)


@click.group("external-metadata", cls=Group, example="lakewarden external-metadata list")
def external_metadata() -> None:
    """Manage what stands in lineage for things in outside systems."""


@external_metadata.command(
    "create", example="lakewarden external-metadata create sales_dashboard TABLEAU dashboard --column revenue"
)
@click.argument("full_name", metavar="NAME")
@click.argument("system_type", metavar="SYSTEM")
@click.argument("entity_type", metavar="TYPE")
@click.option("--url", default="", metavar="URL", help="Where people find it.")
@_column_option
@comment_option
@property_option
@pass_invocation
def create(
    invocation: Invocation,
    full_name: str,
    system_type: str,
    entity_type: str,
    url: str,
    columns: tuple[str, ...],
    comment: str | None,
    properties: dict[str, str],
) -> None:
    """Create an external metadata object, which everybody of the account may then see."""
    created = invocation.open_client().external_metadata.create(
        full_name,
        system_type,
        entity_type,
        url=url,
        columns=columns,
        comment=comment or "",
        properties=properties,
    )
    invocation.show(created)


def _resource(client: Any) -> Any:
    return client.external_metadata


def _read_changes(*, columns: tuple[str, ...], **more: Any) -> dict[str, Any]:
    return {**more, "columns": columns or None}


add_list_command(
    external_metadata,
    _resource,
    ("full_name", "system_type", "entity_type", "owner"),
    nouns="external metadata objects",
)
add_common_commands(external_metadata, _resource, example="sales_dashboard")
add_update_command(
    external_metadata,
    _resource,
    example="sales_dashboard",
    options=[
        click.option("--system", "system_type", metavar="SYSTEM", help="The outside system."),
        click.option("--type", "entity_type", metavar="TYPE", help="What it is there."),
        click.option("--url", metavar="URL", help="Where people find it."),
        _column_option,
    ],
    read=_read_changes,
)
add_delete_command(external_metadata, _resource, example="sales_dashboard", force=False)
