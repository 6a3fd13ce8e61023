"""`lakewarden system-table`: information_schema and system.access, on the terminal or into a file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakewarden._times import time_text
from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import limit_option, time_of
from lakewarden.cli._terminal import counted

if TYPE_CHECKING:
    import pyarrow

FORMATS = ("table", "json", "csv")
SUFFIXES = (".parquet", ".csv", ".arrow")


@click.group("system-table", cls=Group, example="lakewarden system-table read main.information_schema.tables")
def system_table() -> None:
    """Read the system tables: what there is, who may do what with it, what was made of what, as far as you may see it."""


@system_table.command("list", example="lakewarden system-table list -o json")
@pass_invocation
def list_tables(invocation: Invocation) -> None:
    """List the system tables; what is in every catalog is also CATALOG.information_schema.… there."""
    rows = (
        {
            "full_name": table.full_name,
            "in_every_catalog": table.in_every_catalog,
            "columns": [f"{column.name} {column.type_text}" for column in table.columns],
        }
        for table in invocation.open_client().system_tables()
    )
    invocation.show_all(rows, ("full_name", "in_every_catalog"))


def _pairs(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = dict(value.partition("=")[::2] for value in values)
    if any("=" not in value for value in values):
        raise click.BadParameter("say COLUMN=VALUE")
    return pairs


@system_table.command(
    "read", example="lakewarden system-table read system.information_schema.tables --where table_catalog=main"
)
@click.argument("full_name")
@click.option("--column", "columns", multiple=True, metavar="NAME", help="Only these columns, in this order.")
@click.option(
    "--where",
    "equal_to",
    multiple=True,
    callback=_pairs,
    metavar="COLUMN=VALUE",
    help="Only rows with this value.",
)
@click.option(
    "--since",
    callback=time_of,
    metavar="TIME",
    help="Of event_time: at this time or later, or so long ago (7d).",
)
@click.option("--until", callback=time_of, metavar="TIME", help="Of event_time: before this time.")
@limit_option
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print."
)
@click.option(
    "--export",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to a .parquet, .csv or .arrow file instead.",
)
@pass_invocation
def read(invocation: Invocation, /, full_name: str, form: str, path: Path | None, **asked: Any) -> None:
    """Read a system table. Needs pyarrow: pip install 'lakewarden[audit]'.

    A file appears when it is whole; times in it are in UTC. With -o name the first column is printed, of those that --column names.
    """
    if path is not None and path.suffix not in SUFFIXES:
        raise click.BadParameter(f"{path} must end in {', '.join(SUFFIXES)}", param_hint="--export")
    schema, batches = invocation.open_client().system_table_batches(full_name, **asked)
    if path is not None:
        try:
            count = _export(schema, batches, path)
        except OSError as error:
            raise click.BadParameter(f"{path} cannot be written: {error.strerror or error}") from None
        invocation.note(f"{counted(count, 'row')} in {path}")
    elif form == "csv":
        import sys

        import pyarrow.csv

        with pyarrow.csv.CSVWriter(sys.stdout.buffer, _flat(schema)) as writer:
            for batch in batches:
                writer.write_batch(_flattened(batch))
    else:
        rows = ({name: _plain(value) for name, value in row.items()} for row in _rows(batches))
        if form == "json" and invocation.output == "table":
            invocation.output = "json"
        invocation.show_all(rows, schema.names, name=schema.names[0])


def _rows(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _plain(value: Any) -> Any:
    """A value of Arrow as JSON has it: times in RFC 3339, maps as objects."""
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return dict(value)
    return value


def _export(schema: pyarrow.Schema, batches: Iterator[pyarrow.RecordBatch], path: Path) -> int:
    """Writes a file batch by batch and returns how many rows it has; it appears when it is whole."""
    unfinished, count = path.with_name(f"{path.name}.unfinished"), 0
    try:
        with unfinished.open("wb") as file:
            writer, change = _writer(file, schema, path.suffix)
            with writer:
                for batch in batches:
                    writer.write_batch(change(batch))
                    count += batch.num_rows
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _writer(file: Any, schema: pyarrow.Schema, suffix: str) -> tuple[Any, Callable[[Any], Any]]:
    if suffix == ".parquet":
        from pyarrow.parquet import ParquetWriter

        return ParquetWriter(file, schema), _same
    if suffix == ".arrow":
        import pyarrow

        return pyarrow.ipc.new_file(file, schema), _same
    import pyarrow.csv

    return pyarrow.csv.CSVWriter(file, _flat(schema)), _flattened


def _same(batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
    return batch


def _flat(schema: pyarrow.Schema) -> pyarrow.Schema:
    """The schema as CSV can hold it: what is nested is JSON, and times are text, which Arrow would write without their `T`."""
    import pyarrow as pa

    return pa.schema(
        [pa.field(field.name, pa.string()) if _is_written(field.type) else field for field in schema]
    )


def _is_written(arrow: Any) -> bool:
    """Whether CSV has the value as text that is written here."""
    import pyarrow as pa

    return bool(pa.types.is_nested(arrow) or pa.types.is_timestamp(arrow))


def _text(value: Any) -> str | None:
    plain = _plain(value)
    return plain if plain is None or isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _flattened(batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
    import pyarrow as pa

    schema = _flat(batch.schema)
    arrays = [
        pa.array(map(_text, column.to_pylist()), pa.string()) if _is_written(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
