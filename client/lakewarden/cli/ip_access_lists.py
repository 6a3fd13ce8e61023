"""`lakewarden ip-access-list`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import etag_option, limit_option, yes_option

_EXAMPLE = "7d8a3f0e-5c55-4a0e-9b8e-0c6f1c2d3e4f"
_of_workspace = click.option(
    "--of-workspace", default="", metavar="NAME", help="Of this workspace; else of the account."
)
_type_option = click.Choice(["allow", "block"], case_sensitive=False)


@click.group("ip-access-list", cls=Group, example="lakewarden ip-access-list list")
def ip_access_list() -> None:
    """Manage from which addresses the account and its workspaces are called (admins)."""


@ip_access_list.command(
    "create", example="lakewarden ip-access-list create office allow 203.0.113.0/24 2001:db8::/32"
)
@click.argument("label")
@click.argument("list_type", metavar="allow|block", type=_type_option)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@_of_workspace
@click.option("--disabled", is_flag=True, help="It does not count yet.")
@pass_invocation
def create(
    invocation: Invocation,
    label: str,
    list_type: str,
    addresses: tuple[str, ...],
    of_workspace: str,
    disabled: bool,
) -> None:
    """Make a list of addresses and networks. It counts while its scope enforces its lists."""
    made = invocation.open_client().ip_access_lists.create(
        label, list_type.upper(), addresses, workspace=of_workspace, enabled=not disabled
    )
    invocation.show(made, name="id")


@ip_access_list.command("get", example=f"lakewarden ip-access-list get {_EXAMPLE} -o json")
@click.argument("list_id", metavar="ID")
@_of_workspace
@pass_invocation
def get(invocation: Invocation, list_id: str, of_workspace: str) -> None:
    """Show a list."""
    invocation.show(invocation.open_client().ip_access_lists.get(list_id, workspace=of_workspace), name="id")


@ip_access_list.command("list", example="lakewarden ip-access-list list --of-workspace analytics")
@_of_workspace
@limit_option
@pass_invocation
def list_lists(invocation: Invocation, of_workspace: str, limit: int | None) -> None:
    """List the lists of the account or of a workspace."""
    rows = invocation.open_client().ip_access_lists.list(workspace=of_workspace, limit=limit)
    invocation.show_all(rows, ("id", "label", "list_type", "enabled", "ip_addresses"), name="id")


@ip_access_list.command(
    "update", example=f"lakewarden ip-access-list update {_EXAMPLE} --address 203.0.113.0/24 --enable"
)
@click.argument("list_id", metavar="ID")
@_of_workspace
@click.option("--label", metavar="TEXT", help="Name for people.")
@click.option("--type", "list_type", type=_type_option, help="What it does with its addresses.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="All it has from now on; repeat for more.",
)
@click.option("--enable/--disable", "enabled", default=None, help="Whether it counts.")
@etag_option
@pass_invocation
def update(
    invocation: Invocation,
    list_id: str,
    of_workspace: str,
    label: str | None,
    list_type: str | None,
    addresses: tuple[str, ...],
    enabled: bool | None,
    etag: str,
) -> None:
    """Change a list."""
    changed = invocation.open_client().ip_access_lists.update(
        list_id,
        workspace=of_workspace,
        label=label,
        list_type=list_type.upper() if list_type else None,
        ip_addresses=addresses or None,
        enabled=enabled,
        etag=etag,
    )
    invocation.show(changed, name="id")


@ip_access_list.command("delete", example=f"lakewarden ip-access-list delete {_EXAMPLE} --yes")
@click.argument("list_id", metavar="ID")
@_of_workspace
@etag_option
@yes_option
@pass_invocation
def delete(invocation: Invocation, list_id: str, of_workspace: str, etag: str, yes: bool) -> None:
    """Delete a list."""
    invocation.confirm(f"Delete IP access list {list_id}?", yes=yes)
    invocation.open_client().ip_access_lists.delete(list_id, workspace=of_workspace, etag=etag)
    invocation.note(f"deleted IP access list {list_id}")


@ip_access_list.command("status", example="lakewarden ip-access-list status")
@_of_workspace
@pass_invocation
def status(invocation: Invocation, of_workspace: str) -> None:
    """Say whether the account or a workspace enforces its lists."""
    enforced = invocation.open_client().ip_access_lists.is_enforced(workspace=of_workspace)
    click.echo("enforced" if enforced else "not enforced")


@ip_access_list.command("enforce", example="lakewarden ip-access-list enforce --of-workspace analytics")
@_of_workspace
@click.option("--off", is_flag=True, help="No longer.")
@pass_invocation
def enforce(invocation: Invocation, of_workspace: str, off: bool) -> None:
    """Make the account or a workspace enforce its lists. Refused where they would refuse yourself."""
    invocation.open_client().ip_access_lists.enforce(enforced=not off, workspace=of_workspace)
    invocation.note("no longer enforced" if off else "enforced")
