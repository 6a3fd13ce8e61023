"""`lakewarden table`: tables, their columns given by hand, by SQL or by a file with an Arrow schema."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import (
    comment_option,
    complete_name,
    etag_option,
    limit_option,
    merged,
    name_argument,
    property_option,
)
from lakewarden.cli._securable_commands import add_common_commands, add_delete_command

if TYPE_CHECKING:
    from lakewarden._securables import ArrowSchema

_COLUMN = re.compile(
    r"""\s* (?: "(?P<quoted>(?:[^"]|"")+)" | `(?P<ticked>(?:[^`]|``)+)` | (?P<bare>[^\s"`]+) )
        \s+ (?P<type_text>\S.*?) (?P<required>\s+NOT\s+NULL)? \s*""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


@click.group("table", cls=Group, example="lakewarden table list main.sales")
def table() -> None:
    """Manage tables."""


def _columns(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Read each `name TYPE [NOT NULL]`."""
    return [column_of(text) for text in texts]


def column_of(text: str) -> dict[str, Any]:
    """Read a column's `name TYPE [NOT NULL]`; the name may stand in double quotes or backticks."""
    matched = _COLUMN.fullmatch(text)
    if matched is None or matched["type_text"].upper().startswith("NOT "):
        raise click.BadParameter(f"{text!r} is not of the form: name TYPE [NOT NULL]")
    quoted, ticked = matched["quoted"], matched["ticked"]
    name = quoted.replace('""', '"') if quoted else ticked.replace("``", "`") if ticked else matched["bare"]
    return {"name": name, "type_text": matched["type_text"], "required": matched["required"] is not None}


def _column_option(decorated: Any) -> Any:
    return click.option(
        "--column",
        "columns",
        multiple=True,
        metavar='"NAME TYPE [NOT NULL]"',
        callback=_columns,
        help="A column; repeat in order.",
    )(decorated)


@table.command(
    "create",
    example='lakewarden table create main.sales.orders --column "id BIGINT NOT NULL" --column "price DECIMAL(15,2)"\n'
    "lakewarden table create main.sales.orders --from-sql orders.sql --dialect spark",
)
@click.argument("full_name", metavar="CATALOG.SCHEMA.NAME")
@_column_option
@click.option(
    "--from-sql", type=click.File("r", encoding="utf-8"), help="A CREATE TABLE statement; - for stdin."
)
@click.option("--dialect", default="", help="Its SQL dialect, as sqlglot names it (duckdb).")
@click.option(
    "--from-arrow",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An Arrow IPC, Feather or Parquet file, for its schema (needs pyarrow).",
)
@click.option("--format", "data_source_format", default="", help="Format of the data, e.g. PARQUET (DELTA).")
@click.option(
    "--location", default="", metavar="URL", help="Where its data lies: makes it an external table."
)
@comment_option
@property_option
@pass_invocation
def create(
    invocation: Invocation,
    full_name: str,
    columns: list[dict[str, Any]],
    from_sql: Any,
    dialect: str,
    from_arrow: Path | None,
    data_source_format: str,
    location: str,
    comment: str | None,
    properties: dict[str, str],
) -> None:
    """Create a table, named in full. Its columns come from one of --column, --from-sql and --from-arrow."""
    if sum((bool(columns), from_sql is not None, from_arrow is not None)) != 1:
        raise click.UsageError(
            "Say what the columns are: with --column, --from-sql or --from-arrow, one of them."
        )
    if dialect and from_sql is None:
        raise click.UsageError("--dialect goes with --from-sql.")
    arrow_schema = None if from_arrow is None else _read_arrow_schema(from_arrow)
    statement = None if from_sql is None else _read_statement(from_sql)
    created = invocation.open_client().tables.create(
        full_name,
        columns,
        arrow_schema=arrow_schema,
        create_statement=statement,
        dialect=dialect,
        comment=comment or "",
        properties=properties,
        data_source_format=data_source_format,
        storage_location=location,
    )
    invocation.show(created)


def _read_statement(stream: Any) -> str:
    """The SQL text of a file."""
    try:
        return str(stream.read())
    except UnicodeDecodeError:
        raise click.BadParameter(f"{stream.name} is no UTF-8 text", param_hint="--from-sql") from None


def _read_arrow_schema(path: Path) -> ArrowSchema:
    """The Arrow schema of a file; its kind is told by its first bytes, not by its name."""
    try:
        import pyarrow
    except ImportError:
        raise click.UsageError("--from-arrow needs pyarrow: pip install pyarrow. Or use --column.") from None
    with path.open("rb") as stream:
        magic = stream.read(6)
    try:
        if magic.startswith(b"PAR1"):
            from pyarrow import parquet

            found: ArrowSchema = parquet.read_schema(path)
        elif magic == b"ARROW1":
            with pyarrow.ipc.open_file(path) as reader:
                found = reader.schema
        else:
            with path.open("rb") as stream, pyarrow.ipc.open_stream(stream) as reader:
                found = reader.schema
    except (pyarrow.ArrowException, OSError) as error:
        raise click.BadParameter(
            f"{path} is no Arrow or Parquet file: {error}", param_hint="--from-arrow"
        ) from None
    return found


@table.command("list", example="lakewarden table list main.sales --limit 20")
@click.argument("schema", metavar="CATALOG.SCHEMA", shell_complete=complete_name)
@limit_option
@pass_invocation
def list_tables(invocation: Invocation, schema: str, limit: int | None) -> None:
    """List the tables of a schema that you may see."""
    rows = invocation.open_client().tables.list(schema, omit_columns=invocation.is_brief, limit=limit)
    invocation.show_all(rows, ("full_name", "table_type", "data_source_format", "owner", "comment"))


@table.command("update", example='lakewarden table update main.sales.orders --comment "one row per order"')
@name_argument
@comment_option
@property_option
@click.option("--remove-property", multiple=True, metavar="KEY", help="Remove a property; repeat for more.")
@_column_option
@etag_option
@pass_invocation
def update(
    invocation: Invocation,
    full_name: str,
    comment: str | None,
    properties: dict[str, str],
    remove_property: tuple[str, ...],
    columns: list[dict[str, Any]],
    etag: str,
) -> None:
    """Change the comment, properties or columns; --column replaces all of them."""
    tables = invocation.open_client().tables
    changed = None
    if properties or remove_property:
        current = tables.get(full_name)
        changed = merged(current.properties, changes=properties, removed=remove_property)
        # The server replaces the whole map: without the etag, a change made meanwhile would be lost.
        etag = etag or current.etag
    invocation.show(
        tables.update(full_name, comment=comment, properties=changed, columns=columns or None, etag=etag)
    )


@table.command("list-deleted", example="lakewarden table list-deleted main.sales")
@click.argument("schema", metavar="CATALOG.SCHEMA", shell_complete=complete_name)
@limit_option
@pass_invocation
def list_deleted(invocation: Invocation, schema: str, limit: int | None) -> None:
    """List the deleted tables of a schema that can be restored, the last deleted first."""
    rows = invocation.open_client().tables.list_deleted(schema, limit=limit)
    invocation.show_all(rows, ("full_name", "id", "owner", "delete_time", "purge_time"), name="id")


@table.command(
    "undelete",
    example="lakewarden table undelete main.sales.orders\n"
    "lakewarden table undelete main.sales.orders --new-name orders_before",
)
@name_argument
@click.option("--id", "table_id", default="", metavar="ID", help="Which one (the one deleted last).")
@click.option("--new-name", default="", metavar="NAME", help="Restore it under another own name.")
@pass_invocation
def undelete(invocation: Invocation, full_name: str, table_id: str, new_name: str) -> None:
    """Restore a deleted table with its columns, owner and grants; possible for 7 days."""
    tables = invocation.open_client().tables
    invocation.show(tables.undelete(full_name, table_id=table_id, new_name=new_name))


@table.command(
    "set-row-filter",
    example="lakewarden table set-row-filter main.hr.people main.hr.own_region --column region",
)
@name_argument
@click.argument("function", metavar="FUNCTION")
@click.option(
    "--column", "columns", multiple=True, required=True, metavar="NAME", help="An argument; repeat in order."
)
@etag_option
@pass_invocation
def set_row_filter(
    invocation: Invocation, full_name: str, function: str, columns: tuple[str, ...], etag: str
) -> None:
    """Show only the rows for which a function is true, to everybody who reads the table."""
    tables = invocation.open_client().tables
    invocation.show(tables.set_row_filter(full_name, function, columns, etag=etag))


@table.command("drop-row-filter", example="lakewarden table drop-row-filter main.hr.people")
@name_argument
@etag_option
@pass_invocation
def drop_row_filter(invocation: Invocation, full_name: str, etag: str) -> None:
    """Show all rows of a table again."""
    invocation.show(invocation.open_client().tables.drop_row_filter(full_name, etag=etag))


@table.command("set-mask", example="lakewarden table set-mask main.hr.people ssn main.hr.last_four")
@name_argument
@click.argument("column")
@click.argument("function", metavar="FUNCTION")
@click.option("--using", multiple=True, metavar="NAME", help="A column as further argument; repeat in order.")
@etag_option
@pass_invocation
def set_mask(
    invocation: Invocation, full_name: str, column: str, function: str, using: tuple[str, ...], etag: str
) -> None:
    """Show a function's result in place of a column, to everybody who reads the table."""
    tables = invocation.open_client().tables
    invocation.show(tables.set_column_mask(full_name, column, function, using=using, etag=etag))


@table.command("drop-mask", example="lakewarden table drop-mask main.hr.people ssn")
@name_argument
@click.argument("column")
@etag_option
@pass_invocation
def drop_mask(invocation: Invocation, full_name: str, column: str, etag: str) -> None:
    """Show a column itself again."""
    invocation.show(invocation.open_client().tables.drop_column_mask(full_name, column, etag=etag))


add_common_commands(table, lambda client: client.tables, example="main.sales.orders")
add_delete_command(table, lambda client: client.tables, example="main.sales.orders", force=False)
