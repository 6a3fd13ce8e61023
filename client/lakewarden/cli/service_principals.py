"""`lakewarden service-principal`."""

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

_EXAMPLE = "3f0c9a52-1e0b-4a53-9a39-0d8f7c1e2b44"


@click.group("service-principal", cls=Group, example="lakewarden service-principal create spark-prod")
def service_principal() -> None:
    """Manage service principals: programs and engines, named by an application id."""


@service_principal.command("create", example="lakewarden service-principal create spark-prod -o name")
@click.argument("display_name")
@external_id_option(default="")
@pass_invocation
def create(invocation: Invocation, display_name: str, external_id: str) -> None:
    """Create a service principal (account admins); its name is the application id in the answer."""
    made = invocation.open_client().service_principals.create(display_name, external_id=external_id)
    invocation.show(made, name="name")


add_get_command(
    service_principal,
    lambda client: client.service_principals,
    columns=("name", "display_name", "active"),
    example=_EXAMPLE,
)
add_switch_commands(service_principal, lambda client: client.service_principals, example=_EXAMPLE)
add_delete_command(service_principal, lambda client: client.service_principals, example=_EXAMPLE)
