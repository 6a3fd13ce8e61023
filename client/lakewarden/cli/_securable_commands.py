"""The commands that every securable has, added to a noun's group: get, update, rename, owner and delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from lakewarden.cli._commands import Command, Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import (
    comment_option,
    etag_option,
    merged,
    name_argument,
    property_option,
    yes_option,
)

if TYPE_CHECKING:
    from lakewarden._client import Client

# Returns the client's resource for a noun, e.g. `client.catalogs`.
Resource = Callable[["Client"], Any]


def add_common_commands(group: Group, resource: Resource, *, example: str) -> None:
    """Add get, rename and owner; `example` is a full name of the noun."""
    noun = str(group.name)

    @group.command("get", example=f"lakewarden {noun} get {example}", help=f"Show one {noun}.")
    @name_argument
    @pass_invocation
    def get(invocation: Invocation, full_name: str) -> None:
        invocation.show(resource(invocation.open_client()).get(full_name))

    @group.command(
        "rename",
        example=f"lakewarden {noun} rename {example} better",
        help=f"Give a {noun} a new own name (without its parents).",
    )
    @name_argument
    @click.argument("new_name")
    @etag_option
    @pass_invocation
    def rename(invocation: Invocation, full_name: str, new_name: str, etag: str) -> None:
        invocation.show(resource(invocation.open_client()).rename(full_name, new_name, etag=etag))

    @group.command(
        "owner",
        example=f"lakewarden {noun} owner {example} data-engineers",
        help=f"Transfer a {noun} to another owner: an email, group name or application id.",
        short_help="Transfer it to another owner.",
    )
    @name_argument
    @click.argument("principal")
    @etag_option
    @pass_invocation
    def owner(invocation: Invocation, full_name: str, principal: str, etag: str) -> None:
        invocation.show(resource(invocation.open_client()).set_owner(full_name, principal, etag=etag))


def add_update_command(group: Group, resource: Resource, *, example: str) -> None:
    """Add update: comment and properties."""

    @group.command("update", example=f'lakewarden {group.name} update {example} --comment "all that is sold"')
    @name_argument
    @comment_option
    @property_option
    @click.option(
        "--remove-property", multiple=True, metavar="KEY", help="Remove a property; repeat for more."
    )
    @etag_option
    @pass_invocation
    def update(
        invocation: Invocation,
        full_name: str,
        comment: str | None,
        properties: dict[str, str],
        remove_property: tuple[str, ...],
        etag: str,
    ) -> None:
        """Change the comment or properties; what is not named stays."""
        nouns = resource(invocation.open_client())
        changed = None
        if properties or remove_property:
            current = nouns.get(full_name)
            changed = merged(current.properties, changes=properties, removed=remove_property)
            # The server replaces the whole map: without the etag, a change made meanwhile would be lost.
            etag = etag or current.etag
        invocation.show(nouns.update(full_name, comment=comment, properties=changed, etag=etag))


def add_delete_command(group: Group, resource: Resource, *, example: str, force: bool) -> None:
    """Add delete; with `--force` where the noun can hold others."""

    def delete(invocation: Invocation, full_name: str, etag: str, yes: bool, **forced: bool) -> None:
        inside = " and everything inside" if forced.get("force") else ""
        invocation.confirm(f"Delete {group.name} {full_name}{inside}?", yes=yes)
        resource(invocation.open_client()).delete(full_name, etag=etag, **forced)
        invocation.note(f"deleted {group.name} {full_name}")

    command = group.command(
        "delete",
        cls=Command,
        example=f"lakewarden {group.name} delete {example} --yes",
        help=f"Delete a {group.name}.",
    )
    options: list[Callable[[Any], Any]] = [name_argument, etag_option, yes_option]
    if force:
        options.append(click.option("--force", is_flag=True, help="Delete what is inside too."))
    decorated: Any = pass_invocation(delete)
    for option in reversed(options):
        decorated = option(decorated)
    command(decorated)
