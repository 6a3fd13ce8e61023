"""`lakewarden function`."""

from __future__ import annotations

from typing import Any

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._definition_commands import definition_of, definition_option
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import (
    comment_option,
    complete_name,
    etag_option,
    limit_option,
    name_argument,
    property_option,
)
from lakewarden.cli._securable_commands import add_common_commands, add_delete_command, add_update_command


@click.group("function", cls=Group, example="lakewarden function list main.hr")
def function() -> None:
    """Manage functions."""


def _parameters(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...]:
    for text in texts:
        if len(text.split(None, 1)) != 2:
            raise click.BadParameter(f"{text!r} is not of the form: name TYPE", context, parameter)
    return texts


@function.command(
    "create",
    example='lakewarden function create main.hr.last_four --parameter "ssn VARCHAR" --returns VARCHAR '
    '--definition "right(ssn, 4)"',
)
@click.argument("full_name", metavar="CATALOG.SCHEMA.NAME")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar='"NAME TYPE"',
    callback=_parameters,
    help="A parameter; repeat in order.",
)
@click.option("--returns", required=True, metavar="TYPE", help="Type of the result.")
@definition_option
@comment_option
@property_option
@pass_invocation
def create(
    invocation: Invocation, full_name: str, parameters: tuple[str, ...], returns: str, definition: str,
    from_sql: Any, comment: str | None, properties: dict[str, str],
) -> None:  # fmt: skip
    """Create a function, named in full: one SQL expression over its parameters."""
    created = invocation.open_client().functions.create(
        full_name,
        parameters,
        returns,
        definition_of(definition, from_sql),
        comment=comment or "",
        properties=properties,
    )
    invocation.show(created)


@function.command("list", example="lakewarden function list main.hr")
@click.argument("schema", metavar="CATALOG.SCHEMA", shell_complete=complete_name)
@limit_option
@pass_invocation
def list_functions(invocation: Invocation, schema: str, limit: int | None) -> None:
    """List the functions of a schema that you may see."""
    rows = invocation.open_client().functions.list(schema, limit=limit)
    invocation.show_all(rows, ("full_name", "return_type_text", "owner", "comment"))


@function.command("redefine", example='lakewarden function redefine main.hr.last_four --definition "NULL"')
@name_argument
@definition_option
@etag_option
@pass_invocation
def redefine(invocation: Invocation, full_name: str, definition: str, from_sql: Any, etag: str) -> None:
    """Replace the body of a function that you own."""
    text = definition_of(definition, from_sql)
    invocation.show(invocation.open_client().functions.redefine(full_name, text, etag=etag))


add_common_commands(function, lambda client: client.functions, example="main.hr.last_four")
add_update_command(function, lambda client: client.functions, example="main.hr.last_four")
add_delete_command(function, lambda client: client.functions, example="main.hr.last_four", force=False)
