"""`lakewarden ls` and `lakewarden tree`: the namespace as far as the caller may see it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from lakewarden.cli._commands import Command
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import complete_name, limit_option
from lakewarden.cli._terminal import printable

if TYPE_CHECKING:
    from lakewarden._client import Client

LEVELS = ("CATALOG", "SCHEMA", "TABLE")


def _depth(path: str) -> int:
    """How many levels a path names; at most three."""
    parts = path.split(".") if path else []
    if len(parts) > len(LEVELS) or not all(parts):
        raise click.BadParameter(f"{path!r} is not of the form catalog.schema.table", param_hint="PATH")
    return len(parts)


def _inside(client: Client, path: str) -> Iterator[dict[str, Any]]:
    """What is directly inside a path; a table holds nothing more and stands for itself."""
    depth = _depth(path)
    children: Iterator[Any]
    if depth == 0:
        children = client.catalogs.list()
    elif depth == 1:
        children = client.schemas.list(path)
    elif depth == 2:
        children = client.tables.list(path, omit_columns=True)
    else:
        children = iter([client.tables.get(path)])
    kind = LEVELS[min(depth, len(LEVELS) - 1)]
    for child in children:
        yield {
            "full_name": child.full_name,
            "name": child.name,
            "securable_type": kind,
            "owner": child.owner,
            "comment": child.comment,
        }


@click.command("ls", cls=Command, example="lakewarden ls main.sales")
@click.argument("path", default="", shell_complete=complete_name)
@limit_option
@pass_invocation
def ls(invocation: Invocation, path: str, limit: int | None) -> None:
    """List what is directly inside a path: the catalogs, a catalog's schemas, a schema's tables."""
    _depth(path)
    rows = islice(_inside(invocation.open_client(), path), limit)
    invocation.show_all(rows, ("full_name", "securable_type", "owner", "comment"))


@click.command("tree", cls=Command, example="lakewarden tree main --depth 1")
@click.argument("path", default="", shell_complete=complete_name)
@click.option("--depth", type=click.IntRange(1, 3), default=3, help="How many levels to show (3).")
@pass_invocation
def tree(invocation: Invocation, path: str, depth: int) -> None:
    """Draw what is inside a path, as far as you may see it."""
    _depth(path)
    client = invocation.open_client()
    if invocation.output in ("table", "name"):
        drawn = invocation.output == "table"
        for line in (
            _drawing(client, path, levels=depth, prefix="") if drawn else _names(client, path, levels=depth)
        ):
            click.echo(line)
    else:
        invocation.show_all(_nested(client, path, levels=depth), ())


def _drawing(client: Client, path: str, *, levels: int, prefix: str) -> Iterator[str]:
    """The lines of the tree."""
    rows = list(_inside(client, path))
    for position, row in enumerate(rows):
        last = position == len(rows) - 1
        yield f"{prefix}{'└── ' if last else '├── '}{printable(row['name'])}"
        if levels > 1 and row["securable_type"] != "TABLE":
            deeper = prefix + ("    " if last else "│   ")
            yield from _drawing(client, row["full_name"], levels=levels - 1, prefix=deeper)


def _names(client: Client, path: str, *, levels: int) -> Iterator[str]:
    """The full names, parents before their children."""
    for row in _inside(client, path):
        yield row["full_name"]
        if levels > 1 and row["securable_type"] != "TABLE":
            yield from _names(client, row["full_name"], levels=levels - 1)


def _nested(client: Client, path: str, *, levels: int) -> Iterator[dict[str, Any]]:
    """The same as records, each with its children."""
    for row in _inside(client, path):
        below = levels > 1 and row["securable_type"] != "TABLE"
        yield {**row, "children": list(_nested(client, row["full_name"], levels=levels - 1)) if below else []}
