"""`lakewarden workspace`: workspaces, the metastore they are attached to, and their members."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import (
    comment_option,
    etag_option,
    limit_option,
    name_argument,
    property_option,
    yes_option,
)
from lakewarden.cli._securable_commands import add_common_commands, add_delete_command, add_update_command
from lakewarden.cli.grants import show_held

ROLES = ("USER", "ADMIN", "QUERY_ENGINE", "LINEAGE_PRODUCER")


@click.group("workspace", cls=Group, example="lakewarden workspace member add analytics bob@example.com")
def workspace() -> None:
    """Manage workspaces and their members."""


@workspace.command("create", example="lakewarden workspace create analytics --metastore eu")
@click.argument("name")
@click.option("--metastore", default="", metavar="NAME", help="Attach it to this metastore.")
@click.option("--no-catalog", "omit_catalog", is_flag=True, help="Create no catalog with it.")
@comment_option
@property_option
@pass_invocation
def create(
    invocation: Invocation,
    name: str,
    metastore: str,
    omit_catalog: bool,
    comment: str | None,
    properties: dict[str, str],
) -> None:
    """Create a workspace (account admins), and in its metastore an isolated catalog of its own."""
    client = invocation.open_client()
    invocation.show(
        client.workspaces.create(
            name,
            metastore=metastore,
            comment=comment or "",
            properties=properties,
            omit_catalog=omit_catalog,
        )
    )


@workspace.command("list", example="lakewarden workspace list")
@limit_option
@pass_invocation
def list_workspaces(invocation: Invocation, limit: int | None) -> None:
    """List the workspaces you may see."""
    rows = invocation.open_client().workspaces.list(limit=limit)
    invocation.show_all(rows, ("full_name", "metastore", "owner", "comment"))


@workspace.command("attach", example="lakewarden workspace attach analytics eu")
@name_argument
@click.argument("metastore")
@etag_option
@pass_invocation
def attach(invocation: Invocation, full_name: str, metastore: str, etag: str) -> None:
    """Attach it to a metastore, in place of the one before."""
    invocation.show(invocation.open_client().workspaces.attach(full_name, metastore, etag=etag))


@workspace.command("detach", example="lakewarden workspace detach analytics --yes")
@name_argument
@etag_option
@yes_option
@pass_invocation
def detach(invocation: Invocation, full_name: str, etag: str, yes: bool) -> None:
    """Detach it from its metastore: whoever works there sees no data any more."""
    invocation.confirm(f"Detach workspace {full_name} from its metastore?", yes=yes)
    invocation.show(invocation.open_client().workspaces.detach(full_name, etag=etag))


@workspace.command("default-catalog", example="lakewarden workspace default-catalog analytics main")
@name_argument
@click.argument("catalog")
@etag_option
@pass_invocation
def default_catalog(invocation: Invocation, full_name: str, catalog: str, etag: str) -> None:
    """Name the catalog that names without one are looked up in."""
    client = invocation.open_client()
    invocation.show(client.workspaces.set_default_catalog(full_name, catalog, etag=etag))


@workspace.group("member", cls=Group, example="lakewarden workspace member list analytics")
def member() -> None:
    """Manage who works in a workspace."""


def _role_option(default: tuple[str, ...], text: str) -> click.Option:
    return click.Option(
        ["--role", "roles"],
        type=click.Choice(ROLES, case_sensitive=False),
        multiple=True,
        default=default,
        help=text,
    )


@member.command(
    "add",
    example="lakewarden workspace member add analytics bob@example.com\n"
    "lakewarden workspace member add analytics APPLICATION-ID --role user --role lineage_producer",
    params=[
        _role_option(
            ("USER",), "What it may do there (USER); repeat for more. LINEAGE_PRODUCER is of use beside USER."
        )
    ],
)
@name_argument
@click.argument("principal")
@pass_invocation
def add(invocation: Invocation, full_name: str, principal: str, roles: tuple[str, ...]) -> None:
    """Assign a principal to a workspace."""
    held = invocation.open_client().grants.grant(roles, "workspace", full_name, principal)
    show_held(invocation, held)


@member.command(
    "remove",
    example="lakewarden workspace member remove analytics bob@example.com",
    params=[_role_option(ROLES, "What to take away (everything); repeat for more.")],
)
@name_argument
@click.argument("principal")
@pass_invocation
def remove(invocation: Invocation, full_name: str, principal: str, roles: tuple[str, ...]) -> None:
    """Remove a principal from a workspace."""
    held = invocation.open_client().grants.revoke(roles, "workspace", full_name, principal)
    show_held(invocation, held)


@member.command("list", example="lakewarden workspace member list analytics")
@name_argument
@limit_option
@pass_invocation
def list_members(invocation: Invocation, full_name: str, limit: int | None) -> None:
    """List the principals assigned to a workspace."""
    held = invocation.open_client().grants.list("workspace", full_name, limit=limit)
    show_held(invocation, held)


add_common_commands(workspace, lambda client: client.workspaces, example="analytics")
add_update_command(workspace, lambda client: client.workspaces, example="analytics")
add_delete_command(workspace, lambda client: client.workspaces, example="analytics", force=False)
