"""The commands that views, materialized views and streaming tables have, added to a noun's group: create, list, redefine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from lakewarden.cli._commands import Group
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

if TYPE_CHECKING:
    from lakewarden._client import Client

Resource = Callable[["Client"], Any]


def definition_option(decorated: Any) -> Any:
    """`--definition SQL` or `--from-sql FILE`."""
    given = click.option("--definition", default="", metavar="SQL", help="The SQL text.")
    read = click.option(
        "--from-sql", type=click.File("r", encoding="utf-8"), help="A file with it; - for stdin."
    )
    return given(read(decorated))


def definition_of(definition: str, from_sql: Any) -> str:
    """The one text that was given. Raises click.UsageError, click.BadParameter."""
    if bool(definition) == (from_sql is not None):
        raise click.UsageError("Give the SQL text with --definition or with --from-sql, one of them.")
    if definition:
        return definition
    try:
        return str(from_sql.read())
    except UnicodeDecodeError:
        raise click.BadParameter(f"{from_sql.name} is no UTF-8 text", param_hint="--from-sql") from None


def _query_options(decorated: Any) -> Any:
    dialect = click.option("--dialect", default="", help="The SQL dialect, as sqlglot names it (duckdb).")
    columns = click.option(
        "--column", "columns", multiple=True, metavar="NAME", help="Name of a column; repeat in order."
    )
    return definition_option(dialect(columns(decorated)))


def add_definition_commands(group: Group, resource: Resource, *, example: str) -> None:
    """Add every command of a relation that is defined by a SELECT; `example` is a full name of the noun."""
    noun = str(group.name)
    words = noun.replace("-", " ")

    @group.command(
        "create",
        example=f"lakewarden {noun} create {example} --from-sql definition.sql --dialect spark",
        help=f"Create a {words}, named in full. You must be able to read all that it uses.",
    )
    @click.argument("full_name", metavar="CATALOG.SCHEMA.NAME")
    @_query_options
    @comment_option
    @property_option
    @pass_invocation
    def create(
        invocation: Invocation, full_name: str, definition: str, from_sql: Any, dialect: str,
        columns: tuple[str, ...], comment: str | None, properties: dict[str, str],
    ) -> None:  # fmt: skip
        created = resource(invocation.open_client()).create(
            full_name,
            definition_of(definition, from_sql),
            dialect=dialect,
            columns=columns,
            comment=comment or "",
            properties=properties,
        )
        invocation.show(created)

    @group.command(
        "list",
        example=f"lakewarden {noun} list main.sales",
        help=f"List the {words}s of a schema that you may see.",
    )
    @click.argument("schema", metavar="CATALOG.SCHEMA", shell_complete=complete_name)
    @limit_option
    @pass_invocation
    def list_relations(invocation: Invocation, schema: str, limit: int | None) -> None:
        rows = resource(invocation.open_client()).list(schema, limit=limit)
        invocation.show_all(rows, ("full_name", "owner", "comment"))

    @group.command(
        "redefine",
        example=f"lakewarden {noun} redefine {example} --from-sql new.sql",
        help=f"Replace the definition of a {words} that you own, with its dialect and columns.",
        short_help="Replace the definition.",
    )
    @name_argument
    @_query_options
    @etag_option
    @pass_invocation
    def redefine(
        invocation: Invocation, full_name: str, definition: str, from_sql: Any, dialect: str,
        columns: tuple[str, ...], etag: str,
    ) -> None:  # fmt: skip
        text = definition_of(definition, from_sql)
        changed = resource(invocation.open_client()).redefine(
            full_name, text, dialect=dialect, columns=columns, etag=etag
        )
        invocation.show(changed)

    add_common_commands(group, resource, example=example)
    add_update_command(group, resource, example=example)
    add_delete_command(group, resource, example=example, force=False)
