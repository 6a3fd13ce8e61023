"""`lakewarden streaming-table`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._definition_commands import add_definition_commands


@click.group("streaming-table", cls=Group, example="lakewarden streaming-table list main.sales")
def streaming_table() -> None:
    """Manage streaming tables."""


add_definition_commands(streaming_table, lambda client: client.streaming_tables, example="main.sales.clicks")
