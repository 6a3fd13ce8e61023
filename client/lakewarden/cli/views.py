"""`lakewarden view`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._definition_commands import add_definition_commands


@click.group("view", cls=Group, example="lakewarden view list main.sales")
def view() -> None:
    """Manage views."""


add_definition_commands(view, lambda client: client.views, example="main.sales.big_orders")
