"""Prints plain records as a table, JSON, YAML, JSON lines or bare names. Data goes to stdout, whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from lakewarden.cli._terminal import printable, styled, width
from lakewarden.cli._yaml import to_yaml

GAP = "  "


def write_record(record: Mapping[str, Any], *, output: str, name: str) -> None:
    """Print one record."""
    if output == "json":
        click.echo(_json(record, indent=2))
    elif output == "jsonl":
        click.echo(_json(record))
    elif output == "yaml":
        click.echo(to_yaml(record), nl=False)
    elif output == "name":
        click.echo(_name_of(record, name))
    else:
        _write_fields(record)


def write_records(
    records: Iterable[Mapping[str, Any]], columns: Sequence[str], *, output: str, name: str
) -> None:
    """Print many records; names and JSON lines appear as they arrive, the other formats when all are there."""
    if output == "jsonl":
        for record in records:
            click.echo(_json(record))
    elif output == "name":
        for record in records:
            click.echo(_name_of(record, name))
    elif output == "json":
        click.echo(_json(list(records), indent=2))
    elif output == "yaml":
        click.echo(to_yaml(list(records)), nl=False)
    else:
        write_table([[_cell(record.get(column)) for column in columns] for record in records], columns)


def write_table(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> None:
    """Print aligned columns under a heading; nothing is cut off."""
    heading = [column.upper().replace("_", " ") for column in columns]
    widths = [max(map(width, column)) for column in zip(heading, *rows, strict=True)]
    click.echo(styled(_line(heading, widths), "cyan", stdout=True))
    for row in rows:
        click.echo(_line(row, widths))


def _name_of(record: Mapping[str, Any], name: str) -> str:
    """What `-o name` prints. Raises UsageError where there is no such field."""
    if name not in record:
        raise click.UsageError(f"This has no {name} that -o name could print: choose another -o.")
    value = record[name]
    return "" if value is None else str(value)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (wanted - width(cell)) for cell, wanted in zip(cells, widths, strict=True))
    return GAP.join(padded).rstrip()


def _write_fields(record: Mapping[str, Any]) -> None:
    """One field to a line, empty ones left out; lists of records as tables below."""
    tables = {
        key: value
        for key, value in record.items()
        if isinstance(value, list) and value and _is_record(value[0])
    }
    fields = {key: _cell(value) for key, value in record.items() if key not in tables}
    longest = max(map(len, fields), default=0)
    for key, text in fields.items():
        if text:
            click.echo(f"{styled(key.ljust(longest), 'cyan', stdout=True)}{GAP}{text}")
    for key, rows in tables.items():
        click.echo(f"\n{key}:")
        columns = [column for column in rows[0] if any(_cell(row.get(column)) for row in rows)]
        write_table([[_cell(row.get(column)) for column in columns] for row in rows], columns)


def _is_record(value: object) -> bool:
    return isinstance(value, dict)


def _cell(value: Any) -> str:
    """A value as a person reads it on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return printable(", ".join(f"{key}={element}" for key, element in value.items()))
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(element) for element in value)
    return printable(str(value))


def _json(value: object, *, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False)
