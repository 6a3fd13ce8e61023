"""`lakewarden service-principal`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import lifetime_option, limit_option, yes_option
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


@service_principal.group(
    "secret", cls=Group, example=f"lakewarden service-principal secret create {_EXAMPLE}"
)
def secret() -> None:
    """Manage client secrets, which programs trade for access tokens."""


@secret.command(
    "create",
    example=f"lakewarden service-principal secret create {_EXAMPLE} --lifetime 90d -o name > client-secret",
)
@click.argument("name", metavar="ID")
@click.option("--comment", default="", metavar="TEXT", help="Free text for people.")
@lifetime_option("E.g. 90d, 12h (365d; at most 730d).")
@pass_invocation
def create_secret(invocation: Invocation, name: str, comment: str, lifetime: int) -> None:
    """Create a client secret. It is in the answer, and nowhere else; `-o name` prints just that."""
    created = invocation.open_client().service_principals.create_secret(
        name, comment=comment, lifetime_seconds=lifetime
    )
    from lakewarden.cli._plain import to_plain

    invocation.show({**to_plain(created.secret), "secret_value": created.secret_value}, name="secret_value")
    invocation.note("Keep the secret_value safe: it is not shown again.")


@secret.command("list", example=f"lakewarden service-principal secret list {_EXAMPLE}")
@click.argument("name", metavar="ID")
@limit_option
@pass_invocation
def list_secrets(invocation: Invocation, name: str, limit: int | None) -> None:
    """List live client secrets, without what is secret in them."""
    rows = invocation.open_client().service_principals.secrets(name, limit=limit)
    invocation.show_all(rows, ("id", "expire_time", "comment"), name="id")


@secret.command(
    "delete", example=f"lakewarden service-principal secret delete {_EXAMPLE} 5bS0N1vJtYcKq2ZrWmA9xd --yes"
)
@click.argument("name", metavar="ID")
@click.argument("secret_id", metavar="SECRET_ID")
@yes_option
@pass_invocation
def delete_secret(invocation: Invocation, name: str, secret_id: str, yes: bool) -> None:
    """Delete a client secret: the next call with it, or with an access token from it, is refused."""
    invocation.confirm(f"Delete client secret {secret_id}?", yes=yes)
    invocation.open_client().service_principals.delete_secret(name, secret_id)
    invocation.note(f"deleted client secret {secret_id}")
