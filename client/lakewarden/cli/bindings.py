"""`lakewarden binding`: isolation, and the workspaces that isolated securables are bound to."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation

BINDABLE_TYPES = ("catalog", "external-location", "storage-credential", "service-credential")
TYPES = ("READ_WRITE", "READ_ONLY")


@click.group("binding", cls=Group, example="lakewarden binding get catalog main")
def binding() -> None:
    """Manage which workspaces a catalog, location or credential can be reached from."""


_type_argument = click.argument(
    "securable_type", metavar="KIND", type=click.Choice(BINDABLE_TYPES, case_sensitive=False)
)
_name_argument = click.argument("full_name", metavar="NAME")


@binding.command("get", example="lakewarden binding get catalog main")
@_type_argument
@_name_argument
@pass_invocation
def get(invocation: Invocation, securable_type: str, full_name: str) -> None:
    """Show isolation and bindings."""
    invocation.show(invocation.open_client().workspace_bindings.get(securable_type, full_name))


@binding.command(
    "update",
    example="lakewarden binding update catalog main --isolated --add analytics --add audit=READ_ONLY",
)
@_type_argument
@_name_argument
@click.option(
    "--isolated/--open", "isolated", default=None, help="Reach it from bound workspaces only, or from all."
)
@click.option(
    "--add", "added", multiple=True, metavar="WORKSPACE[=TYPE]", help="Bind (READ_WRITE); repeat for more."
)
@click.option("--remove", "removed", multiple=True, metavar="WORKSPACE", help="Unbind; repeat for more.")
@pass_invocation
def update(
    invocation: Invocation,
    securable_type: str,
    full_name: str,
    isolated: bool | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
) -> None:
    """Change isolation and bindings, all or nothing. Isolating binds the workspace you call from."""
    if isolated is None and not added and not removed:
        raise click.UsageError("Say what changes: --isolated, --open, --add or --remove.")
    client = invocation.open_client()
    invocation.show(
        client.workspace_bindings.update(
            securable_type, full_name, isolated=isolated, add=dict(map(_bound, added)), remove=removed
        )
    )


def _bound(text: str) -> tuple[str, str]:
    """`audit=READ_ONLY` as a pair."""
    workspace, _, kind = text.partition("=")
    kind = (kind or TYPES[0]).upper().replace("-", "_")
    if not workspace or kind not in TYPES:
        raise click.BadParameter(f"{text!r} is not WORKSPACE or WORKSPACE=READ_ONLY", param_hint="--add")
    return workspace, kind
