"""`lakewarden connection`."""

from __future__ import annotations

from typing import Any

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import comment_option, pairs_option, property_option
from lakewarden.cli._secrets import read_named_secrets, read_secret, secret_options
from lakewarden.cli._securable_commands import (
    add_common_commands,
    add_delete_command,
    add_list_command,
    add_update_command,
)

_option_option = pairs_option(
    "--option", "options", "An option that is no secret, e.g. host; repeat for more."
)


@click.group("connection", cls=Group, example="lakewarden connection list")
def connection() -> None:
    """Manage how engines reach databases and services outside."""


@connection.command(
    "create",
    example="lakewarden connection create orders_db POSTGRESQL --option host=db.example.com --secret-stdin < secrets.txt",
)
@click.argument("full_name", metavar="NAME")
@click.argument("connection_type", metavar="TYPE")
@_option_option
@secret_options
@click.option("--credential", default="", metavar="NAME", help="The service credential it uses.")
@click.option("--read-only", is_flag=True, help="Engines may only read through it.")
@comment_option
@property_option
@pass_invocation
def create(
    invocation: Invocation,
    full_name: str,
    connection_type: str,
    options: dict[str, str],
    secret_stdin: bool,
    secret_file: Any,
    credential: str,
    read_only: bool,
    comment: str | None,
    properties: dict[str, str],
) -> None:
    """Create a connection. Its secret options are read from stdin or a file, one NAME=VALUE on each line."""
    secrets = read_named_secrets(read_secret(secret_stdin=secret_stdin, secret_file=secret_file))
    created = invocation.open_client().connections.create(
        full_name,
        connection_type,
        options=options,
        secret_options=secrets,
        credential=credential,
        read_only=read_only,
        comment=comment or "",
        properties=properties,
    )
    invocation.show(created)


def _resource(client: Any) -> Any:
    return client.connections


def _read_changes(
    *, options: dict[str, str], secret_stdin: bool, secret_file: Any, **more: Any
) -> dict[str, Any]:
    secrets = read_named_secrets(read_secret(secret_stdin=secret_stdin, secret_file=secret_file))
    return {**more, "options": options or None, "secret_options": secrets}


add_list_command(
    connection, _resource, ("full_name", "connection_type", "owner", "comment"), nouns="connections"
)
add_common_commands(connection, _resource, example="orders_db")
add_update_command(
    connection,
    _resource,
    example="orders_db",
    options=[
        _option_option,
        secret_options,
        click.option("--credential", metavar="NAME", help="The service credential it uses."),
        click.option("--read-only/--writable", "read_only", default=None, help="Whether engines may write."),
    ],
    read=_read_changes,
)
add_delete_command(
    connection,
    _resource,
    example="orders_db",
    force=True,
    consequence="although foreign catalogs stand on it",
)
