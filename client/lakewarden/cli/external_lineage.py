"""`lakewarden lineage declare`, `declared` and `undeclare`: saying what was made of what where nothing that ran tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from lakewarden.cli._commands import Command
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import property_option

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
TYPES = ("table", "path", "external_metadata", "model_version")
COLUMNS = ("source", "target", "columns", "created_by")


def _type_option(flag: str, name: str, whose: str) -> Callable[[Decorated], Decorated]:
    return click.option(
        flag,
        name,
        callback=or_nothing,
        type=click.Choice(TYPES),
        help=f"What {whose} is the name of, where it is no table, view, URL or /Volumes/….",
    )


def or_nothing(_context: click.Context, _parameter: click.Parameter, given: str | None) -> str:
    """What was given for an option, or the empty text that stands for nothing: as a choice of its own, help would show it."""
    return given or ""


def _ends(*, required: bool = True) -> Callable[[Decorated], Decorated]:
    def decorate(decorated: Decorated) -> Decorated:
        for option in (
            _type_option("--target-type", "target_type", "TARGET"),
            _type_option("--source-type", "source_type", "SOURCE"),
            click.argument("target", required=required, default=None if required else ""),
            click.argument("source", required=required, default=None if required else ""),
        ):
            decorated = option(decorated)
        return decorated

    return decorate


@click.command("declare", cls=Command, example="lakewarden lineage declare main.sales.orders sales_dashboard --target-type external_metadata --column amount=revenue")  # fmt: skip
@_ends()
@click.option("--column", "columns", multiple=True, metavar="SOURCE=TARGET", help="A column that was made of another; repeatable.")  # fmt: skip
@click.option("--replace", is_flag=True, help="Replace the columns and properties of what is declared already.")  # fmt: skip
@property_option
@pass_invocation
def declare(
    invocation: Invocation,
    /,
    columns: tuple[str, ...],
    properties: dict[str, str],
    replace: bool,
    **ends: str,
) -> None:
    """Say that TARGET was made of SOURCE. A URL or /Volumes/… is a path, any other name a table's unless the type says otherwise; a model is NAME/VERSION."""
    declared = invocation.open_client().external_lineage
    write = declared.update if replace else declared.create
    invocation.show(_row(write(**ends, columns=list(_pairs(columns)), properties=properties)), name="id")


@click.command("declared", cls=Command, example="lakewarden lineage declared main.sales.orders")
@click.argument("name")
@_type_option("--type", "asset_type", "NAME")
@click.option("--direction", type=click.Choice(["both", "upstream", "downstream"]), default="both", show_default=True, help="What it was made of, or what was made of it.")  # fmt: skip
@pass_invocation
def declared(invocation: Invocation, name: str, asset_type: str, direction: str) -> None:
    """List what is declared of an object, as far as you see both ends; of an end that was dropped, if you declared it or may browse where it was."""
    found = invocation.open_client().external_lineage.list(name, asset_type=asset_type, direction=direction)
    invocation.show_all(map(_row, found), COLUMNS, name="id")


@click.command("undeclare", cls=Command, example="lakewarden lineage undeclare main.sales.orders sales_dashboard --target-type external_metadata")  # fmt: skip
@_ends(required=False)
@click.option("--id", "row_id", default="", metavar="ID", help="Instead of SOURCE and TARGET; also where one of them was dropped.")  # fmt: skip
@pass_invocation
def undeclare(invocation: Invocation, /, row_id: str, **ends: str) -> None:
    """Take back what is declared."""
    declared = invocation.open_client().external_lineage
    if bool(row_id) == bool(ends["source"]) or bool(ends["source"]) != bool(ends["target"]):
        raise click.UsageError("say either SOURCE and TARGET, or --id")
    if row_id:
        declared.delete_by_id(row_id)
        invocation.note(f"{row_id} is not declared any more")
        return
    declared.delete(**ends)
    invocation.note(f"{ends['target']} is not declared to be made of {ends['source']} any more")


def _pairs(columns: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in columns:
        source, separator, target = text.partition("=")
        if not separator:
            raise click.BadParameter(f"{text} is not SOURCE=TARGET", param_hint="--column")
        yield source, target


def _shown(message: Any) -> str:
    from lakewarden._external_lineage import shown

    return f"{shown(message)} (dropped)".lstrip() if message.dropped else shown(message)


def _row(found: Any) -> dict[str, Any]:
    return {
        "id": found.id,
        "source": _shown(found.source),
        "target": _shown(found.target),
        "columns": [f"{pair.source}={pair.target}" for pair in found.columns],
        "properties": dict(found.properties),
        "created_by": found.created_by,
        "updated_by": found.updated_by,
        "create_time": found.create_time.ToJsonString(),
        "update_time": found.update_time.ToJsonString(),
    }
