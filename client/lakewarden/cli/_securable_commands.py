"""The commands that every securable has, added to a noun's group: get, update, rename, owner and delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from lakewarden.cli._commands import Command, Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import (
    comment_option,
    etag_option,
    limit_option,
    merged,
    name_argument,
    property_option,
    yes_option,
)

if TYPE_CHECKING:
    from lakewarden._client import Client

# Returns the client's resource for a noun, e.g. `client.catalogs`.
Resource = Callable[["Client"], Any]
Decorator = Callable[[Any], Any]


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


def add_list_command(group: Group, resource: Resource, columns: Sequence[str], *, nouns: str) -> None:
    """Add list, for what stands directly under a metastore; `columns` are the fields a table shows."""

    @group.command(
        "list", example=f"lakewarden {group.name} list -o name", help=f"List the {nouns} you may see."
    )
    @limit_option
    @pass_invocation
    def list_all(invocation: Invocation, limit: int | None) -> None:
        invocation.show_all(resource(invocation.open_client()).list(limit=limit), columns)


def add_update_command(
    group: Group,
    resource: Resource,
    *,
    example: str,
    options: Sequence[Decorator] = (),
    read: Callable[..., Mapping[str, Any]] = dict,
) -> None:
    """Add update: comment and properties, and what the noun's own `options` say once `read` made fields of them."""

    def update(
        invocation: Invocation,
        full_name: str,
        comment: str | None,
        properties: dict[str, str],
        remove_property: tuple[str, ...],
        etag: str,
        **more: Any,
    ) -> None:
        """Change the comment, properties or what else is named; the rest stays."""
        own = read(**more)
        nouns = resource(invocation.open_client())
        changed = None
        if properties or remove_property:
            current = nouns.get(full_name)
            changed = merged(current.properties, changes=properties, removed=remove_property)
            # The server replaces the whole map: without the etag, a change made meanwhile would be lost.
            etag = etag or current.etag
        invocation.show(nouns.update(full_name, comment=comment, properties=changed, etag=etag, **own))

    remove = click.option(
        "--remove-property", multiple=True, metavar="KEY", help="Remove a property; repeat for more."
    )
    decorated: Any = pass_invocation(update)
    every: list[Decorator] = [name_argument, *options, comment_option, property_option, remove, etag_option]
    for option in reversed(every):
        decorated = option(decorated)
    group.command("update", example=f'lakewarden {group.name} update {example} --comment "all that is sold"')(
        decorated
    )


def add_delete_command(
    group: Group,
    resource: Resource,
    *,
    example: str,
    force: bool,
    consequence: str = "and everything inside",
) -> None:
    """Add delete; with `--force` where the noun can hold others or is used by some; `consequence` says what that means."""

    def delete(invocation: Invocation, full_name: str, etag: str, yes: bool, **options: bool) -> None:
        beyond = f", {consequence}" if options.get("force") else ""
        invocation.confirm(f"Delete {group.name} {full_name}{beyond}?", yes=yes)
        resource(invocation.open_client()).delete(full_name, etag=etag, **options)
        invocation.note(f"deleted {group.name} {full_name}")

    command = group.command(
        "delete",
        cls=Command,
        example=f"lakewarden {group.name} delete {example} --yes",
        help=f"Delete a {group.name}.",
    )
    options: list[Decorator] = [name_argument, etag_option, yes_option]
    if force:
        options.append(click.option("--force", is_flag=True, help=f"Delete it, {consequence}."))
    decorated: Any = pass_invocation(delete)
    for option in reversed(options):
        decorated = option(decorated)
    command(decorated)
