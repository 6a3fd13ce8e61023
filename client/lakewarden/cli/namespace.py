"""`lakewarden ls` and `lakewarden tree`: the namespace as far as the caller may see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from lakewarden.cli._commands import Command
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import complete_name, limit_option
from lakewarden.cli._terminal import printable

if TYPE_CHECKING:
    from lakewarden._client import Client

LEVELS = ("CATALOG", "SCHEMA")
"""Kinds that hold others."""
IN_A_SCHEMA = (
    ("TABLE", "tables"),
    ("VIEW", "views"),
    ("MATERIALIZED_VIEW", "materialized_views"),
    ("STREAMING_TABLE", "streaming_tables"),
    ("VOLUME", "volumes"),
    ("FUNCTION", "functions"),
    ("REGISTERED_MODEL", "models"),
)
"""What a schema holds: each kind with the client's resource for it, in the order in which they are listed."""
DEPTH_MAX = len(LEVELS) + 1


def _depth(path: str) -> int:
    """How many levels a path names; at most three."""
    parts = path.split(".") if path else []
    if len(parts) > DEPTH_MAX or not all(parts):
        raise click.BadParameter(f"{path!r} is not of the form catalog.schema.name", param_hint="PATH")
    return len(parts)


def _inside(client: Client, path: str) -> Iterator[dict[str, Any]]:
    """What is directly inside a path; what lives in a schema holds nothing more and stands for itself."""
    depth = _depth(path)
    if depth == 0:
        yield from _rows(client.catalogs.list(), "CATALOG")
    elif depth == 1:
        yield from _rows(client.schemas.list(path), "SCHEMA")
    elif depth == 2:
        for kind, resource in IN_A_SCHEMA:
            # The columns of a schema's tables may be many, and none is shown.
            options = {"omit_columns": True} if kind == "TABLE" else {}
            yield from _rows(getattr(client, resource).list(path, **options), kind)
    else:
        yield from _named(client, path)


def _named(client: Client, full_name: str) -> Iterator[dict[str, Any]]:
    """The objects of that name; a table and a volume may share one. Raises what the first kind was answered when there are none."""
    from lakewarden._errors import NotFound, PermissionDenied

    refusals, found = [], False
    for kind, resource in IN_A_SCHEMA:
        try:
            yield from _rows([getattr(client, resource).get(full_name)], kind)
            found = True
        except (NotFound, PermissionDenied) as error:
            refusals.append(error)
    if not found:
        raise refusals[0]


def _rows(messages: Iterable[Any], kind: str) -> Iterator[dict[str, Any]]:
    for message in messages:
        yield {
            "full_name": message.full_name,
            "name": message.name,
            "securable_type": kind,
            "owner": message.owner,
            "comment": message.comment,
        }


@click.command("ls", cls=Command, example="lakewarden ls main.sales")
@click.argument("path", default="", shell_complete=complete_name)
@limit_option
@pass_invocation
def ls(invocation: Invocation, path: str, limit: int | None) -> None:
    """List what is directly inside a path: the catalogs, a catalog's schemas, what a schema holds."""
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
        # A table and a volume may share a name, so whatever is no table says what it is.
        kind = "" if row["securable_type"] in (*LEVELS, "TABLE") else _label(row["securable_type"])
        yield f"{prefix}{'└── ' if last else '├── '}{printable(row['name'])}{kind}"
        if levels > 1 and row["securable_type"] in LEVELS:
            deeper = prefix + ("    " if last else "│   ")
            yield from _drawing(client, row["full_name"], levels=levels - 1, prefix=deeper)


def _label(kind: str) -> str:
    return f" ({kind.lower().replace('_', ' ')})"


def _names(client: Client, path: str, *, levels: int) -> Iterator[str]:
    """The full names, parents before their children."""
    for row in _inside(client, path):
        yield row["full_name"]
        if levels > 1 and row["securable_type"] in LEVELS:
            yield from _names(client, row["full_name"], levels=levels - 1)


def _nested(client: Client, path: str, *, levels: int) -> Iterator[dict[str, Any]]:
    """The same as records, each with its children."""
    for row in _inside(client, path):
        below = levels > 1 and row["securable_type"] in LEVELS
        yield {**row, "children": list(_nested(client, row["full_name"], levels=levels - 1)) if below else []}
