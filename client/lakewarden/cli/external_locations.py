"""`lakewarden external-location`."""

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


@click.group("external-location", cls=Group, example="lakewarden external-location list")
def external_location() -> None:
    """Manage places in cloud storage."""


@external_location.command(
    "create", example="lakewarden external-location create raw s3://lake/raw --credential lake"
)
@click.argument("full_name", metavar="NAME")
@click.argument("url")
@click.option("--credential", required=True, metavar="NAME", help="The storage credential that reaches it.")
@click.option("--read-only", is_flag=True, help="Nothing may be written there.")
@comment_option
@property_option
@pass_invocation
def create(
    invocation: Invocation,
    full_name: str,
    url: str,
    credential: str,
    read_only: bool,
    comment: str | None,
    properties: dict[str, str],
) -> None:
    """Create an external location at a URL that no other one overlaps."""
    client = invocation.open_client()
    created = client.external_locations.create(
        full_name, url, credential, read_only=read_only, comment=comment or "", properties=properties
    )
    invocation.show(created)


def _resource(client: Any) -> Any:
    return client.external_locations


add_list_command(
    external_location, _resource, ("full_name", "url", "credential", "owner"), nouns="external locations"
)
add_common_commands(external_location, _resource, example="raw")
add_update_command(
    external_location,
    _resource,
    example="raw",
    options=[
        click.option("--url", metavar="URL", help="Another place; --credential must stand beside it."),
        click.option("--credential", metavar="NAME", help="The storage credential that reaches it."),
        click.option("--read-only/--writable", "read_only", default=None, help="Whether it may be written."),
    ],
)
add_delete_command(
    external_location,
    _resource,
    example="raw",
    force=True,
    consequence="although something lies under it",
)
