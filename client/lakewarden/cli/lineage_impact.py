"""`lakewarden lineage impact`: what depends on a table or a column, and what would happen downstream if a grant went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from lakewarden.cli._commands import Command
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import SECURABLE_TYPES
from lakewarden.cli.external_lineage import or_nothing
from lakewarden.cli.lineage_governance import DEPTH_DEFAULT, format_option, show_revoke
from lakewarden.lineage.model import is_path

ASSET_TYPES = ("table", "path", "external_metadata", "registered_model")
type_option = click.option("--type", "asset_type", callback=or_nothing, type=click.Choice(ASSET_TYPES), help="What NAME is the name of. A URL or /Volumes/… is a path, else it is a table or view.")  # fmt: skip
namespace_option = click.option("--namespace", default="", metavar="TEXT", help="NAME is that of a dataset of this OpenLineage namespace.")  # fmt: skip
DOTS_OF_A_COLUMN = 3
"""Catalog, schema, table, column."""


@click.command(
    "impact",
    cls=Command,
    example="lakewarden lineage impact main.sales.orders.amount\n"
    "lakewarden lineage impact --revoke SELECT --on table main.sales.orders --from analysts",
)
@click.argument("name", default="")
@type_option
@namespace_option
@click.option("--column", "columns", multiple=True, metavar="COLUMN", help="Only what depends on this column of NAME, as its fourth part says too; repeatable.")  # fmt: skip
@click.option("--revoke", "privileges", multiple=True, metavar="PRIVILEGE", help="In place of NAME: as if this were revoked; repeatable.")  # fmt: skip
@click.option("--on", "securable", type=(click.Choice(SECURABLE_TYPES, case_sensitive=False), str), metavar="TYPE NAME", help="The securable it would be revoked on.")  # fmt: skip
@click.option("--from", "principal", default="", metavar="PRINCIPAL", help="From whom: email, group name or application id.")  # fmt: skip
@click.option("--depth", "max_depth", type=click.IntRange(1, 100), metavar="N", help="At most so many steps: 100, of a revoke 20, when not said.")  # fmt: skip
@click.option("--nodes", "max_nodes", type=click.IntRange(1, 20_000), default=2_000, show_default=True, metavar="N", help="At most so many assets.")  # fmt: skip
@format_option
@pass_invocation
def impact(
    invocation: Invocation,
    name: str,
    asset_type: str,
    namespace: str,
    columns: tuple[str, ...],
    privileges: tuple[str, ...],
    securable: tuple[str, str] | None,
    principal: str,
    max_depth: int | None,
    max_nodes: int,
    form: str | None,
) -> None:
    """Show what depends on a table or a column: what it is, whose, and when it was last made.

    With --revoke, --on and --from ask what would happen downstream if a grant went: who could no longer read what, and what that
    feeds; only of grants that you could revoke. Nothing is changed.
    """
    invocation.output = form or invocation.output
    if bool(name) == bool(privileges) or len({bool(privileges), bool(securable), bool(principal)}) > 1:
        raise click.UsageError("say either NAME, or --revoke, --on and --from")
    if securable and (asset_type or namespace or columns):
        raise click.UsageError(
            "--type, --namespace and --column are about NAME: with --revoke say --on alone"
        )
    if securable:
        show_revoke(invocation, privileges, securable, principal, max_depth or DEPTH_DEFAULT)
    else:
        asked = {"asset_type": asset_type, "namespace": namespace, "max_depth": max_depth or 0}
        _show(invocation, name, columns, max_nodes=max_nodes, **asked)


def unknown_columns(name: str, columns: Sequence[str]) -> str:
    """What to tell of columns that no lineage was found of: they may be misspelled."""
    return (
        f"Nothing that you may see is known of {', '.join(columns)}. Columns are spelled as lineage has them: "
        f"lakewarden lineage column {name} shows those that anything is known of."
    )


def with_last(name: str, columns: tuple[str, ...], asked: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """A name and columns, with the fourth part of a table's name, where it has one, as a column beside them."""
    is_other = asked["namespace"] or asked["asset_type"] not in ("", "table")
    if is_other or is_path(name) or name.count(".") != DOTS_OF_A_COLUMN:
        return name, columns
    name, _, last = name.rpartition(".")
    return name, (*columns, last)


def _show(invocation: Invocation, name: str, columns: tuple[str, ...], **asked: Any) -> None:
    name, columns = with_last(name, columns, asked)
    found = invocation.open_client().lineage.impact(name, *columns, **asked)
    if not found.assets:
        nothing = f"Nothing that you may see depends on {name}."
        invocation.note(unknown_columns(name, columns) if columns else nothing)
    told = found.to_dict()
    if invocation.output not in ("table", "name"):
        invocation.show(told)
        return
    invocation.show_all(
        [asset for asset in told["assets"] if not asset["hidden"]],
        ("distance", "name", "kind", "owner", "observed_time"),
        name="name",
    )
    if invocation.output == "name":
        return
    hidden = sum(asset.hidden for asset in found.assets)
    for said in (
        f"{hidden} more that you may not see" if hidden else "",
        f"hidden in all: {found.hidden_consumers}" if found.hidden_consumers else "",
        f"There is more than this: cut by {found.truncated_by.lower()}." if found.truncated_by else "",
    ):
        if said:
            click.echo(said)
