"""`lakewarden object`: the objects of a workspace, as their engine registers them, and the permissions on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import (
    OBJECT_TYPES,
    comment_option,
    etag_option,
    limit_option,
    property_option,
    yes_option,
)
from lakewarden.cli.grants import show_held

Decorated = TypeVar("Decorated", bound=Any)
_kinds = click.Choice(OBJECT_TYPES, case_sensitive=False)
_kind = click.argument("kind", metavar="TYPE", type=_kinds)


def _object(decorated: Decorated) -> Decorated:
    """`TYPE ID`."""
    return _kind(click.argument("name", metavar="ID")(decorated))


_parent = click.option(
    "--parent", default="", metavar="ID", help="Id of the folder or repository it lies in."
)
_display_name = click.option("--display-name", metavar="TEXT", help="What people call it, e.g. its path.")


@click.group("object", cls=Group, example="lakewarden object list --recursive")
def object_() -> None:
    """Manage the objects of a workspace: jobs, clusters, notebooks, folders and the like."""


@object_.command("register", example="lakewarden object register job 4711 --owner bob@example.com")
@_object
@click.option("--owner", default="", metavar="PRINCIPAL", help="Whose it is; yours without it.")
@_parent
@_display_name
@comment_option
@property_option
@pass_invocation
def register(
    invocation: Invocation,
    kind: str,
    name: str,
    owner: str,
    parent: str,
    display_name: str | None,
    comment: str | None,
    properties: dict[str, str],
) -> None:
    """Tell the server that the engine has an object. Query engines and workspace admins only."""
    created = invocation.open_client().workspace_objects.create(
        kind,
        name,
        owner=owner,
        parent=parent,
        display_name=display_name or "",
        comment=comment or "",
        properties=properties,
    )
    invocation.show(created)


@object_.command("get", example="lakewarden object get job 4711")
@_object
@pass_invocation
def get(invocation: Invocation, kind: str, name: str) -> None:
    """Show one object."""
    invocation.show(invocation.open_client().workspace_objects.get(kind, name))


@object_.command("list", example="lakewarden object list --type notebook --recursive")
@click.option("--type", "kind", type=_kinds, help="Objects of this type only.")
@click.option("--parent", default="", metavar="ID", help="Id of a folder; the workspace itself without it.")
@click.option("--recursive", is_flag=True, help="Also what lies in folders in there.")
@limit_option
@pass_invocation
def list_objects(
    invocation: Invocation, kind: str | None, parent: str, recursive: bool, limit: int | None
) -> None:
    """List the objects that you may see."""
    rows = invocation.open_client().workspace_objects.list(
        kind, parent=parent, recursive=recursive, limit=limit
    )
    invocation.show_all(rows, ("type", "full_name", "display_name", "parent", "owner"))


@object_.command("update", example="lakewarden object update notebook 12 --display-name /etl/load")
@_object
@_display_name
@comment_option
@etag_option
@pass_invocation
def update(
    invocation: Invocation, kind: str, name: str, display_name: str | None, comment: str | None, etag: str
) -> None:
    """Change what people read of an object."""
    if display_name is None and comment is None:
        raise click.UsageError("Say what changes: --display-name or --comment.")
    objects = invocation.open_client().workspace_objects
    invocation.show(objects.update(kind, name, display_name=display_name, comment=comment, etag=etag))


@object_.command("move", example="lakewarden object move notebook 12 34")
@_object
@click.argument("parent", metavar="FOLDER", default="")
@etag_option
@pass_invocation
def move(invocation: Invocation, kind: str, name: str, parent: str, etag: str) -> None:
    """Move an object into another folder, whose permissions it inherits then; without FOLDER out of all of them."""
    invocation.show(invocation.open_client().workspace_objects.move(kind, name, parent, etag=etag))


@object_.command("owner", example="lakewarden object owner job 4711 carol@example.com")
@_object
@click.argument("principal")
@etag_option
@pass_invocation
def owner(invocation: Invocation, kind: str, name: str, principal: str, etag: str) -> None:
    """Name the one owner of a job, pipeline or warehouse, as whom it runs. Workspace admins only."""
    invocation.show(invocation.open_client().workspace_objects.set_owner(kind, name, principal, etag=etag))


@object_.command("unregister", example="lakewarden object unregister job 4711 --yes")
@_object
@click.option("--force", is_flag=True, help="Also everything in a folder or repository.")
@etag_option
@yes_option
@pass_invocation
def unregister(invocation: Invocation, kind: str, name: str, force: bool, etag: str, yes: bool) -> None:
    """Tell the server that an object is gone; all permissions on it go with it."""
    beyond = " and everything in it" if force else ""
    invocation.confirm(f"Unregister {kind} {name}{beyond}?", yes=yes)
    invocation.open_client().workspace_objects.delete(kind, name, force=force, etag=etag)
    invocation.note(f"unregistered {kind} {name}")


@object_.group("permissions", cls=Group, example="lakewarden object permissions get job 4711")
def permissions() -> None:
    """Show and change who may do what with an object."""


@permissions.command("get", example="lakewarden object permissions get notebook 12")
@_object
@pass_invocation
def get_permissions(invocation: Invocation, kind: str, name: str) -> None:
    """Show who has which level, and where it comes from."""
    _show(invocation, invocation.open_client().permissions.get(kind, name))


@permissions.command(
    "set", example="lakewarden object permissions set job 4711 ops=CAN_MANAGE bob@x.io=CAN_VIEW"
)
@_object
@click.argument("levels", metavar="PRINCIPAL=LEVEL…", nargs=-1)
@pass_invocation
def set_permissions(invocation: Invocation, kind: str, name: str, levels: tuple[str, ...]) -> None:
    """Replace all that is granted on the object itself; without any level, take it all away."""
    _show(invocation, invocation.open_client().permissions.set(kind, name, _levels(levels)))


@permissions.command(
    "update", example="lakewarden object permissions update job 4711 --add bob@x.io=CAN_MANAGE_RUN"
)
@_object
@click.option("--add", "added", multiple=True, metavar="PRINCIPAL=LEVEL", help="Grant; repeat for more.")
@click.option(
    "--remove", "removed", multiple=True, metavar="PRINCIPAL=LEVEL", help="Revoke; repeat for more."
)
@pass_invocation
def update_permissions(
    invocation: Invocation, kind: str, name: str, added: tuple[str, ...], removed: tuple[str, ...]
) -> None:
    """Grant and revoke levels on the object itself, all or nothing."""
    if not added and not removed:
        raise click.UsageError("Say what changes: --add or --remove.")
    held = invocation.open_client().permissions.update(
        kind, name, add=_levels(added), remove=_levels(removed)
    )
    show_held(invocation, held)


@permissions.command("levels", example="lakewarden object permissions levels warehouse")
@_kind
@pass_invocation
def levels(invocation: Invocation, kind: str) -> None:
    """List the levels that objects of a type have."""
    rows = invocation.open_client().permissions.levels(kind)
    invocation.show_all(rows, ("level", "includes", "grantable", "description"), name="level")


def _show(invocation: Invocation, found: Any) -> None:
    columns = ("principal", "level", "inherited", "inherited_from_type", "inherited_from", "expire_time")
    invocation.show_all(found.permissions, columns, name="principal")


def _levels(texts: tuple[str, ...]) -> Mapping[str, list[str]]:
    """`bob@x.io=CAN_RUN` as principal and level; the last `=` counts, since names may hold one."""
    found: dict[str, list[str]] = {}
    for text in texts:
        principal, _, level = text.rpartition("=")
        if not principal or not level:
            raise click.BadParameter(f"{text!r} is not PRINCIPAL=LEVEL")
        found.setdefault(principal, []).append(level)
    return found
