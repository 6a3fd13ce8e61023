"""`lakewarden tags`: what people say an object or a column is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import complete, etag_option, limit_option, name_argument

TAGGABLE_TYPES = (
    "catalog",
    "schema",
    "table",
    "view",
    "materialized_view",
    "streaming_table",
    "volume",
    "registered_model",
)
RELATIONS = {
    "table": "tables",
    "view": "views",
    "materialized_view": "materialized_views",
    "streaming_table": "streaming_tables",
}
"""What has columns, and the client's resource of each."""
COLUMNS = ("key", "value", "column", "updated_by", "update_time")

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@click.group("tags", cls=Group, example="lakewarden tags set table main.sales.orders pii=email --column mail")
def tags() -> None:
    """Set, remove and list the tags of an object or a column. They decide nothing."""


def _columns(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The columns of the object named before."""
    resource = RELATIONS.get(str(context.params.get("securable_type")), "")
    name = context.params.get("full_name")
    if not resource or not name:
        return []
    return complete(
        context,
        incomplete,
        lambda client: (column.name for column in getattr(client, resource).get(name).columns),
    )


def _keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The keys of the tags that are there."""
    kind, name = (context.params.get(argument) for argument in ("securable_type", "full_name"))
    if not kind or not name:
        return []
    column = context.params.get("column") or ""
    return complete(
        context,
        incomplete,
        lambda client: (
            tag.key for tag in client.tags.list(kind, name, column=column) if column or not tag.column
        ),
    )


def _type_argument(decorated: Decorated) -> Decorated:
    kinds = click.Choice(TAGGABLE_TYPES, case_sensitive=False)
    return click.argument("securable_type", metavar="TYPE", type=kinds)(decorated)


def _column_option(text: str) -> Callable[[Decorated], Decorated]:
    return click.option("--column", default="", metavar="NAME", shell_complete=_columns, help=text)


@tags.command(
    "set",
    example="lakewarden tags set table main.sales.orders owner_team=billing reviewed\n"
    "lakewarden tags set table main.sales.orders pii=email --column mail",
)
@_type_argument
@name_argument
@click.argument("pairs", metavar="KEY[=VALUE]…", nargs=-1, required=True)
@_column_option("The column to tag, rather than the object.")
@etag_option
@pass_invocation
def set_(
    invocation: Invocation,
    securable_type: str,
    full_name: str,
    pairs: tuple[str, ...],
    column: str,
    etag: str,
) -> None:
    """Set tags, each in place of one with its key, and show what there is now."""
    values: dict[str, str] = {}
    for text in pairs:
        key, _, value = text.partition("=")
        if not key or key in values:
            raise click.BadParameter(
                f"{text!r} is not KEY or KEY=VALUE with a key of its own", param_hint="KEY[=VALUE]…"
            )
        values[key] = value
    answer = invocation.open_client().tags.update(
        securable_type, full_name, set=values, column=column, etag=etag
    )
    invocation.show_all(answer.tags, COLUMNS, name="key")


@tags.command("unset", example="lakewarden tags unset table main.sales.orders reviewed")
@_type_argument
@name_argument
@click.argument("keys", metavar="KEY…", nargs=-1, required=True, shell_complete=_keys)
@_column_option("The column whose tags go, rather than the object's.")
@etag_option
@pass_invocation
def unset(
    invocation: Invocation, securable_type: str, full_name: str, keys: tuple[str, ...], column: str, etag: str
) -> None:
    """Remove tags by their keys, and show what is left; one that is not there is no error."""
    answer = invocation.open_client().tags.update(
        securable_type, full_name, remove=keys, column=column, etag=etag
    )
    invocation.show_all(answer.tags, COLUMNS, name="key")


@tags.command("list", example="lakewarden tags list table main.sales.orders")
@_type_argument
@name_argument
@_column_option("Only the tags of this column.")
@limit_option
@pass_invocation
def list_(
    invocation: Invocation, securable_type: str, full_name: str, column: str, limit: int | None
) -> None:
    """List the tags of an object, then those of its columns."""
    found = invocation.open_client().tags.list(securable_type, full_name, column=column, limit=limit)
    invocation.show_all(found, COLUMNS, name="key")
