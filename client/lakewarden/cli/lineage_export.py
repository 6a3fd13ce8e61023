"""`lakewarden lineage export`: what is recorded around an asset, as events that another server records."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TextIO, TypeVar, cast

import click

from lakewarden.cli._commands import Command
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._terminal import counted
from lakewarden.cli.lineage_impact import namespace_option, type_option

HOST_DEFAULT = "lakewarden"
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def directions(they: str, them: str) -> Callable[[Decorated], Decorated]:
    """The options `--upstream` and `--downstream` as one `direction`: both ways where both are said, or neither."""

    def decorate(command: Decorated) -> Decorated:
        @click.option("--upstream", is_flag=True, help=f"Only what {they} made of.")
        @click.option("--downstream", is_flag=True, help=f"Only what was made of {them}.")
        @wraps(command)
        def told(*arguments: Any, upstream: bool, downstream: bool, **asked: Any) -> Any:
            only = "upstream" if upstream else "downstream"
            return command(*arguments, direction="both" if upstream == downstream else only, **asked)

        return cast(Decorated, told)

    return decorate


def _host(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not _HOST.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} is no host: write lake.example.com, with :PORT where there is one"
        )
    return value


@click.command(
    "export", cls=Command, example="lakewarden lineage export main.sales.orders --to orders-lineage.jsonl"
)
@click.argument("name")
@type_option
@namespace_option
@directions("it was", "it")
@click.option("--depth", "max_depth", type=click.IntRange(1, 100), default=100, show_default=True, metavar="N", help="At most so many steps.")  # fmt: skip
@click.option("--nodes", "max_nodes", type=click.IntRange(1, 20_000), default=20_000, show_default=True, metavar="N", help="At most so many assets, and columns.")  # fmt: skip
@click.option("--host", default=HOST_DEFAULT, callback=_host, show_default=True, metavar="HOST", help="Tables are called unitycatalog://HOST; a server with --lineage-hosts takes them for its own where it names HOST.")  # fmt: skip
@click.option("--to", "file", type=click.File("w", encoding="utf-8", lazy=True), default="-", metavar="FILE", help="Write it into this file instead.")  # fmt: skip
@pass_invocation
def export(
    invocation: Invocation,
    name: str,
    *,
    asset_type: str,
    namespace: str,
    direction: str,
    max_depth: int,
    max_nodes: int,
    host: str,
    file: TextIO,
) -> None:
    """Write what NAME was made of and what was made of it, columns too, as OpenLineage job events, a line each.

    `lakewarden lineage ingest` records them again. What you may not see is left out; of rows of all that was recorded there is
    `lakewarden system-table read system.access.table_lineage --export FILE`.
    """
    from lakewarden.lineage.open_lineage import left_out, to_open_lineage

    client = invocation.open_client()
    asked: dict[str, Any] = {
        "asset_type": asset_type,
        "namespace": namespace,
        "direction": direction,
        "max_depth": max_depth,
        "max_nodes": max_nodes,
    }
    assets = client.lineage.traverse(name, **asked)
    columns = client.lineage.columns(name, include_indirect=True, **asked)
    events = 0
    for event in to_open_lineage(assets, columns, host=host, time=datetime.now(UTC)):
        file.write(json.dumps(event, ensure_ascii=False) + "\n")
        events += 1
    for said in (
        counted(events, "event"),
        f"left out, as OpenLineage has no name for them or you may not see them: {unnamed}" if (unnamed := left_out(assets)) else "",
        f"There is more than this: cut by {cut.lower()}." if (cut := assets.truncated_by or columns.truncated_by) else "",
    ):  # fmt: skip
        if said:
            click.echo(said, err=True)
