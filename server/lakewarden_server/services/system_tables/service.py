"""Answers `SystemTableService`: rows as Arrow record batches of a bounded size, each decided on the state of its own call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from lakewarden.v1 import system_tables_pb2 as pb
from lakewarden_policy import name_key
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import NotFound, Reason
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.paging import page_size_of
from lakewarden_server.services.system_tables import information_schema, privileges, tags
from lakewarden_server.services.system_tables.audit import audit_rows
from lakewarden_server.services.system_tables.columns import (
    ACCESS,
    INFORMATION_SCHEMA,
    SYSTEM,
    SYSTEM_TABLES,
    Column,
    SystemTable,
    alike,
    arrow_schema,
)
from lakewarden_server.services.system_tables.lineage import LineageTables
from lakewarden_server.services.system_tables.reading import Key, Part, Reading, Row, Source

BATCH_ROWS_DEFAULT: Final = 1_000
BATCH_ROWS_MAX: Final = 10_000
BATCH_BYTES_MAX: Final = 1 << 20
"""Of the text in a batch, roughly; a row larger than that is a batch of its own."""
BATCH_SECONDS_MAX: Final = 1.0
FILTERS_MAX: Final = 20
FILTER_BYTES_MAX: Final = 1_024
EVENT_TIME: Final = "event_time"
_OF_CATALOG: Final = frozenset({"table_catalog", "volume_catalog", "specific_catalog"})
"""Columns that say which catalog a row is about, so that no other need be looked at."""


class Batch(NamedTuple):
    """Rows, and where the next ones begin; None at the end."""

    rows: list[Row]
    next: Position | None


class Position(NamedTuple):
    """Behind the part of this key, and there behind so many rows that were wanted."""

    after: Key
    skip: int


class Wanted(NamedTuple):
    """Which rows of a table are wanted."""

    equal_to: Mapping[str, str]
    start_time: datetime | None
    end_time: datetime | None

    def accepts(self, row: Row) -> bool:
        """Whether a row is one of them."""
        if any(row.get(column) != value for column, value in self.equal_to.items()):
            return False
        if self.start_time is None and self.end_time is None:
            return True
        time = row.get(EVENT_TIME)
        return (
            time is not None
            and (self.start_time is None or time >= self.start_time)
            and (self.end_time is None or time < self.end_time)
        )


class SystemTableService:
    """Implements `lakewarden.v1.SystemTableService`."""

    def __init__(self, lineage: LineageFollower) -> None:
        schemas = {
            INFORMATION_SCHEMA: information_schema.SOURCES | privileges.SOURCES | tags.SOURCES,
            ACCESS: LineageTables(lineage).sources(),
        }
        self._sources: Mapping[str, Source] = {
            f"{schema}.{name}": source
            for schema, sources in schemas.items()
            for name, source in sources.items()
        } | {f"{ACCESS}.audit": audit_rows}

    def list_system_tables(
        self, request: pb.ListSystemTablesRequest, call: Call
    ) -> pb.ListSystemTablesResponse:
        """Lists the tables; what they are called is nothing to hide."""
        return pb.ListSystemTablesResponse(system_tables=map(_message, SYSTEM_TABLES.values()))

    def read_system_table(self, request: pb.ReadSystemTableRequest, call: Call) -> pb.ReadSystemTableResponse:
        """Reads one batch."""
        catalog, table = _named(request.full_name)
        columns = _columns(table, request)
        wanted = _wanted(table, request)
        if catalog is not None:
            _check_catalog(catalog, request.full_name, call)
        size = page_size_of(request.page_size or BATCH_ROWS_DEFAULT, size_max=BATCH_ROWS_MAX)
        list_name = f"system table/{_asked(request)}"
        begin = (
            _position(call.pager.read(list_name, request.page_token))
            if request.page_token
            else Position((), 0)
        )
        parts: Iterator[Part] = iter(())
        catalog = catalog or next(
            (value for column, value in wanted.equal_to.items() if column in _OF_CATALOG), None
        )
        scope = None
        if catalog is not None:
            scope = call.snapshot.child(call.metastore_id or "", "CATALOG", name_key(catalog))
        if catalog is None or scope is not None:
            reading = Reading(call, scope, begin.after, wanted.start_time, wanted.end_time, wanted.equal_to)
            parts = self._sources[table.name](reading)
        batch = _batch(parts, wanted, begin, size)
        return pb.ReadSystemTableResponse(
            arrow_stream=_arrow(columns, batch.rows),
            next_page_token=call.pager.write(list_name, json.dumps(batch.next)) if batch.next else "",
        )


def _message(table: SystemTable) -> pb.SystemTable:
    columns = (
        pb.SystemTableColumn(name=column.name, type_text=column.type_text()) for column in table.columns
    )
    return pb.SystemTable(
        full_name=f"{SYSTEM}.{table.name}", columns=columns, in_every_catalog=table.in_every_catalog
    )


def _named(full_name: str) -> tuple[str | None, SystemTable]:
    """The catalog, None for all of the metastore, and the table. Raises OBJECT_NOT_FOUND."""
    catalog, _, name = full_name.partition(".")
    table = SYSTEM_TABLES.get(name.lower())
    everywhere = catalog.lower() == SYSTEM
    if table is None or not (everywhere or table.in_every_catalog):
        others = alike(full_name[:FILTER_BYTES_MAX])
        hint = f"did you mean {' or '.join(others)}?" if others else "ListSystemTables names those there are"
        raise NotFound(
            Reason.OBJECT_NOT_FOUND, f"there is no system table {full_name[:FILTER_BYTES_MAX]}: {hint}"
        )
    return (None if everywhere else catalog), table


def _check_catalog(catalog: str, full_name: str, call: Call) -> None:
    """Raises OBJECT_NOT_FOUND for tables of a catalog that is missing or hidden, in the same words.

    An empty table would let who misspelled a catalog believe that nothing is in it.
    """
    found = call.snapshot.child(call.metastore_id or "", "CATALOG", name_key(catalog))
    # Who sees anything in a catalog sees the catalog: it takes USE CATALOG, or BROWSE, which is granted on catalogs alone.
    if found is None or not call.decider.visible(call.caller.id, call.workspace_id, found.id):
        raise NotFound(
            Reason.OBJECT_NOT_FOUND,
            f"there is no {full_name[:FILTER_BYTES_MAX]}: the catalog does not exist, or you may not use it from this workspace",
        )


def _columns(table: SystemTable, request: pb.ReadSystemTableRequest) -> tuple[Column, ...]:
    if not request.columns:
        return table.columns
    if len(set(request.columns)) < len(request.columns):
        raise validation.invalid("columns", "a column is named twice")
    return tuple(_column(table, name, "columns") for name in request.columns)


def _column(table: SystemTable, name: str, field: str) -> Column:
    column = table.column(name)
    if column is None:
        known = ", ".join(column.name for column in table.columns)
        raise validation.invalid(field, f"the table has no column {name[:FILTER_BYTES_MAX]!r}, but {known}")
    return column


def _wanted(table: SystemTable, request: pb.ReadSystemTableRequest) -> Wanted:
    if len(request.equal_to) > FILTERS_MAX:
        raise validation.invalid("equal_to", f"more than {FILTERS_MAX} columns")
    for name, value in request.equal_to.items():
        if _column(table, name, "equal_to").type != "text":
            raise validation.invalid("equal_to", f"{name} is no text")
        if len(value.encode()) > FILTER_BYTES_MAX:
            raise validation.invalid("equal_to", f"longer than {FILTER_BYTES_MAX} bytes")
    start_time = validation.optional_time(request, "start_time")
    end_time = validation.optional_time(request, "end_time")
    if table.column(EVENT_TIME) is None and not start_time is end_time is None:
        raise validation.invalid("start_time", f"the table has no {EVENT_TIME}")
    return Wanted(dict(request.equal_to), start_time, end_time)


def _asked(request: pb.ReadSystemTableRequest) -> str:
    """A hash of all that is asked: a page token goes on with the reading it was made for only."""
    asked = pb.ReadSystemTableRequest()
    asked.CopyFrom(request)
    for name in ("page_size", "page_token"):
        asked.ClearField(name)
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).hexdigest()


def _position(text: str) -> Position:
    after, skip = json.loads(text)
    return Position(tuple(after), skip)


def _batch(parts: Iterator[Part], wanted: Wanted, begin: Position, size: int) -> Batch:
    """Takes rows until there are enough of them, or of bytes, or it took too long."""
    rows: list[Row] = []
    after, skip = begin
    end, left = monotonic() + BATCH_SECONDS_MAX, BATCH_BYTES_MAX
    for key, of_part in parts:
        for row in islice(filter(wanted.accepts, of_part), skip, None):
            if len(rows) == size or (rows and left < _weight(row)):
                return Batch(rows, Position(after, skip))
            rows.append(row)
            left -= _weight(row)
            skip += 1
        after, skip = key, 0
        if monotonic() > end:
            return Batch(rows, Position(after, 0))
    return Batch(rows, None)


def _weight(row: Row) -> int:
    return sum(len(value) if isinstance(value, str) else 8 for value in row.values())


def _arrow(columns: tuple[Column, ...], rows: list[Row]) -> bytes:
    """An IPC stream of one batch. Text that is empty is text that nobody gave."""
    import pyarrow as pa

    schema = arrow_schema(columns)
    arrays = [
        pa.array(
            [
                row.get(field.name) or None if field.type == pa.string() else row.get(field.name)
                for row in rows
            ],
            field.type,
        )
        for field in schema
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return bytes(sink.getvalue())
