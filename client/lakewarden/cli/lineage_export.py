"""`lakewarden lineage export`: what is recorded around an asset, as events that another server records."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, TextIO

import click

from lakewarden.cli._commands import Command
from lakewarden.cli._invocation import Invocation, pass_invocation

HOST_DEFAULT = "lakewarden"


@click.command(
    "export", cls=Command, example="lakewarden lineage export main.sales.orders --to orders-lineage.jsonl"
)
@click.argument("name")
@click.option("--namespace", default="", metavar="TEXT", help="NAME is that of a dataset of this OpenLineage namespace.")  # fmt: skip
@click.option("--upstream", "direction", flag_value="upstream", help="Only what it was made of.")
@click.option("--downstream", "direction", flag_value="downstream", help="Only what was made of it.")
@click.option("--depth", "max_depth", type=click.IntRange(1, 100), default=100, show_default=True, metavar="N", help="At most so many steps.")  # fmt: skip
@click.option("--nodes", "max_nodes", type=click.IntRange(1, 20_000), default=20_000, show_default=True, metavar="N", help="At most so many assets, and columns.")  # fmt: skip
@click.option("--host", default=HOST_DEFAULT, show_default=True, metavar="HOST", help="Tables are called unitycatalog://HOST.")  # fmt: skip
@click.option("--to", "file", type=click.File("w", encoding="utf-8", lazy=True), default="-", metavar="FILE", help="Write it into this file instead.")  # fmt: skip
@pass_invocation
def export(
    invocation: Invocation,
    name: str,
    *,
    namespace: str,
    direction: str | None,
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
        "namespace": namespace,
        "direction": direction or "both",
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
        f"{events} events",
        f"left out, as OpenLineage has no name for them or you may not see them: {unnamed}" if (unnamed := left_out(assets)) else "",
        f"There is more than this: cut by {cut.lower()}." if (cut := assets.truncated_by or columns.truncated_by) else "",
    ):  # fmt: skip
        if said:
            click.echo(said, err=True)
