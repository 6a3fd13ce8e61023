"""`lakewarden recipient` and `lakewarden provider`: who is outside."""

from __future__ import annotations

from typing import Any

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import comment_option, property_option
from lakewarden.cli._secrets import read_secret, secret_options
from lakewarden.cli._securable_commands import (
    add_common_commands,
    add_delete_command,
    add_list_command,
    add_update_command,
)

_metastore_option = click.option(
    "--global-metastore-id", default="", metavar="ID", help="Known by its metastore, not by a token."
)
_COLUMNS = ("full_name", "authentication_type", "owner", "comment")


@click.group("recipient", cls=Group, example="lakewarden recipient list")
def recipient() -> None:
    """Manage who is given shares."""


@recipient.command("create", example='lakewarden recipient create acme --comment "our distributor"')
@click.argument("full_name", metavar="NAME")
@_metastore_option
@comment_option
@property_option
@pass_invocation
def create_recipient(
    invocation: Invocation,
    full_name: str,
    global_metastore_id: str,
    comment: str | None,
    properties: dict[str, str],
) -> None:
    """Create a recipient, who has no share yet."""
    client = invocation.open_client()
    created = client.recipients.create(
        full_name, global_metastore_id=global_metastore_id, comment=comment or "", properties=properties
    )
    invocation.show(created)


@click.group("provider", cls=Group, example="lakewarden provider list")
def provider() -> None:
    """Manage who gives us shares."""


@provider.command("create", example="lakewarden provider create weather --secret-file weather.share")
@click.argument("full_name", metavar="NAME")
@secret_options
@_metastore_option
@comment_option
@property_option
@pass_invocation
def create_provider(
    invocation: Invocation,
    full_name: str,
    secret_stdin: bool,
    secret_file: Any,
    global_metastore_id: str,
    comment: str | None,
    properties: dict[str, str],
) -> None:
    """Create a provider from the profile it handed out, read from stdin or a file, or from its metastore's id."""
    profile = read_secret(secret_stdin=secret_stdin, secret_file=secret_file)
    created = invocation.open_client().providers.create(
        full_name,
        recipient_profile=profile or "",
        global_metastore_id=global_metastore_id,
        comment=comment or "",
        properties=properties,
    )
    invocation.show(created)


def _recipients(client: Any) -> Any:
    return client.recipients


def _providers(client: Any) -> Any:
    return client.providers


def _read_profile(*, secret_stdin: bool, secret_file: Any) -> dict[str, Any]:
    return {"recipient_profile": read_secret(secret_stdin=secret_stdin, secret_file=secret_file)}


add_list_command(recipient, _recipients, _COLUMNS, nouns="recipients")
add_common_commands(recipient, _recipients, example="acme")
add_update_command(recipient, _recipients, example="acme")
add_delete_command(recipient, _recipients, example="acme", force=False)
add_list_command(provider, _providers, _COLUMNS, nouns="providers")
add_common_commands(provider, _providers, example="weather")
add_update_command(provider, _providers, example="weather", options=[secret_options], read=_read_profile)
add_delete_command(provider, _providers, example="weather", force=False)
