"""`lakewarden materialized-view`."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._definition_commands import add_definition_commands
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import etag_option, name_argument


@click.group("materialized-view", cls=Group, example="lakewarden materialized-view list main.sales")
def materialized_view() -> None:
    """Manage materialized views."""


add_definition_commands(
    materialized_view, lambda client: client.materialized_views, example="main.sales.daily"
)


@materialized_view.command("refresh", example="lakewarden materialized-view refresh main.sales.daily")
@name_argument
@etag_option
@pass_invocation
def refresh(invocation: Invocation, full_name: str, etag: str) -> None:
    """Note that its rows were computed anew just now; the lakehouse computes them."""
    invocation.show(invocation.open_client().materialized_views.refresh(full_name, etag=etag))
