"""The commands that users, groups and service principals share, added to a noun's group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import etag_option, limit_option, yes_option

if TYPE_CHECKING:
    from lakewarden._client import Client

# Returns the client's resource for a noun, e.g. `client.users`.
Resource = Callable[["Client"], Any]


def external_id_option(*, default: str | None) -> Callable[[Any], Any]:
    """`--external-id`, for what creates or changes a principal."""
    return click.option(
        "--external-id", default=default, metavar="ID", help="Its identifier at an identity provider."
    )


def add_get_command(group: Group, resource: Resource, *, columns: Sequence[str], example: str) -> None:
    """Add get and list; `columns` are what the list's table shows."""

    @group.command("get", example=f"lakewarden {group.name} get {example}", help=f"Show one {group.name}.")
    @click.argument("name")
    @pass_invocation
    def get(invocation: Invocation, name: str) -> None:
        invocation.show(resource(invocation.open_client()).get(name), name="name")

    @group.command(
        "list", example=f"lakewarden {group.name} list -o json", help=f"List the {group.name}s you may see."
    )
    @click.option("--external-id", default="", metavar="ID", help="Only the one that bears this identifier.")
    @limit_option
    @pass_invocation
    def list_all(invocation: Invocation, external_id: str, limit: int | None) -> None:
        rows = resource(invocation.open_client()).list(external_id=external_id, limit=limit)
        invocation.show_all(rows, columns, name="name")


def add_switch_commands(group: Group, resource: Resource, *, example: str) -> None:
    """Add update, enable and disable."""

    @group.command("update", example=f'lakewarden {group.name} update {example} --display-name "Bob O."')
    @click.argument("name")
    @click.option("--display-name", help="Name for people.")
    @external_id_option(default=None)
    @etag_option
    @pass_invocation
    def update(
        invocation: Invocation, name: str, display_name: str | None, external_id: str | None, etag: str
    ) -> None:
        """Change the name for people, or the identifier at the identity provider."""
        changed = resource(invocation.open_client()).update(
            name, display_name=display_name, external_id=external_id, etag=etag
        )
        invocation.show(changed, name="name")

    @group.command("enable", example=f"lakewarden {group.name} enable {example}")
    @click.argument("name")
    @pass_invocation
    def enable(invocation: Invocation, name: str) -> None:
        """Let it call again, with new tokens: those it had were revoked."""
        invocation.show(resource(invocation.open_client()).enable(name), name="name")

    @group.command("disable", example=f"lakewarden {group.name} disable {example}")
    @click.argument("name")
    @pass_invocation
    def disable(invocation: Invocation, name: str) -> None:
        """Revoke its tokens and refuse its calls from now on; its grants stay for later."""
        invocation.show(resource(invocation.open_client()).disable(name), name="name")


def add_delete_command(group: Group, resource: Resource, *, example: str) -> None:
    """Add delete."""

    @group.command("delete", example=f"lakewarden {group.name} delete {example} --yes")
    @click.argument("name")
    @etag_option
    @yes_option
    @pass_invocation
    def delete(invocation: Invocation, name: str, etag: str, yes: bool) -> None:
        """Delete it with its memberships and tokens. What it owned and was granted stays under its id, for nobody."""
        invocation.confirm(f"Delete {group.name} {name} with its memberships and tokens?", yes=yes)
        resource(invocation.open_client()).delete(name, etag=etag)
        invocation.note(f"deleted {group.name} {name}")
