"""Tables and their columns."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import tables_pb2 as pb
from lakewarden_policy import name_key
from lakewarden_server.core.errors import FailedPrecondition, InvalidArgument, Reason, ResourceExhausted
from lakewarden_server.entities import Column, Table, touch
from lakewarden_server.services import deleted_tables, securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.definitions import ColumnDefinition, from_arrow, from_message, from_statement
from lakewarden_server.storage.repositories import columns as column_rows

DATA_SOURCE_FORMATS = ("DELTA", "PARQUET", "ICEBERG", "CSV", "JSON", "AVRO", "ORC", "TEXT", "DUCKDB")
DATA_SOURCE_FORMAT_DEFAULT = "DELTA"
PARSER_WAIT_SECONDS = 0.5


class TableService:
    """Implements `lakewarden.v1.TableService`."""

    def __init__(self) -> None:
        # Parsing holds the interpreter: one statement at a time keeps every other call moving.
        self._parsing = threading.BoundedSemaphore(1)

    def prepare_create_table(self, request: pb.CreateTableRequest) -> Sequence[ColumnDefinition]:
        """Reads the columns from whichever definition was sent; before any lock, because parsing is slow.

        Raises DEFINITION_INVALID for text, bytes or columns that define no table, and for more than one definition.
        """
        definition = request.WhichOneof("definition")
        if definition and request.table.columns:
            raise InvalidArgument(
                Reason.DEFINITION_INVALID,
                f"send either table.columns or {definition}, not both",
                field=definition,
            )
        if definition == "arrow_schema":
            return from_arrow(request.arrow_schema)
        if definition == "create_statement":
            return self._from_statement(request)
        return from_message(request.table.columns)

    def _from_statement(self, request: pb.CreateTableRequest) -> Sequence[ColumnDefinition]:
        if not self._parsing.acquire(timeout=PARSER_WAIT_SECONDS):
            raise ResourceExhausted(
                Reason.QUOTA_EXCEEDED, "other CREATE TABLE statements are being parsed: retry"
            )
        try:
            return from_statement(request.create_statement, request.dialect)
        finally:
            self._parsing.release()

    def create_table(self, request: pb.CreateTableRequest, call: Call) -> pb.Table:
        """Registers a table with the prepared columns."""
        definitions: Sequence[ColumnDefinition] = call.prepared
        table = securables.create(
            call,
            Table,
            request.table,
            metastore_id=call.metastore_id,
            table_type=_table_type(request.table.table_type),
            data_source_format=_data_source_format(request.table.data_source_format),
            column_count=len(definitions),
        )
        rows = _columns(table.id, definitions)
        call.uow.session.add_all(rows)
        call.uow.session.flush()
        return to_message(table, rows, call)

    def get_table(self, request: pb.GetTableRequest, call: Call) -> pb.Table:
        """Returns one table with its columns."""
        table = call.row(Table, call.self_id)
        return to_message(table, column_rows.of_table(call.uow.session, table.id), call)

    def list_tables(self, request: pb.ListTablesRequest, call: Call) -> pb.ListTablesResponse:
        """Lists the tables of a schema that the caller may see."""
        page, token = securables.page(call, Table, "TABLE", call.objects.get("parent"), request)
        columns = (
            {}
            if request.omit_columns
            else column_rows.of_tables(call.uow.session, [table.id for table in page])
        )
        return pb.ListTablesResponse(
            tables=[to_message(table, columns.get(table.id, []), call) for table in page],
            next_page_token=token,
        )

    def prepare_update_table(self, request: pb.UpdateTableRequest) -> Sequence[ColumnDefinition]:
        """Checks the new columns, when the mask names them."""
        return from_message(request.table.columns) if "columns" in request.update_mask.paths else []

    def update_table(self, request: pb.UpdateTableRequest, call: Call) -> pb.Table:
        """Changes what the mask names; `columns` replaces all of them."""
        setters = {**securables.SETTERS, "columns": _set_columns}
        table = securables.update(call, Table, request.table, request.update_mask.paths, setters)
        call.uow.session.flush()
        return to_message(table, column_rows.of_table(call.uow.session, table.id), call)

    def delete_table(self, request: pb.DeleteTableRequest, call: Call) -> Empty:
        """Deletes a table; for a while it can be restored with the grants on it."""
        securables.delete(call, force=False, sent_etag=request.etag, restorable=True)
        return Empty()

    def list_deleted_tables(
        self, request: pb.ListDeletedTablesRequest, call: Call
    ) -> pb.ListDeletedTablesResponse:
        """Lists the deleted tables of a schema that can be restored and that the caller may see."""
        return deleted_tables.page(request, call)

    def undelete_table(self, request: pb.UndeleteTableRequest, call: Call) -> pb.Table:
        """Brings a deleted table back as it was."""
        table = deleted_tables.restore(request, call)
        call.uow.session.flush()
        return to_message(table, column_rows.of_table(call.uow.session, table.id), call)


def to_message(table: Table, columns: Sequence[Column], call: Call) -> pb.Table:
    """The message of a table row and its column rows."""
    message = pb.Table(
        metastore_id=table.metastore_id or "",
        table_type=pb.TableType.Value(table.table_type),
        data_source_format=table.data_source_format,
        columns=[
            pb.Column(
                name=column.name,
                position=column.position,
                type_text=column.type_text,
                type_name=column.type_name,
                required=not column.nullable,
                comment=column.comment,
            )
            for column in columns
        ],
    )
    securables.fill(message, table, call)
    return message


def _columns(table_id: str, definitions: Sequence[ColumnDefinition]) -> list[Column]:
    return [
        Column(
            table_id=table_id,
            position=position,
            name=column.name,
            name_key=name_key(column.name),
            type_text=column.type_text,
            type_name=column.type_name,
            nullable=column.nullable,
            comment=column.comment,
        )
        for position, column in enumerate(definitions)
    ]


def _set_columns(table: Any, message: Any, call: Call) -> None:
    definitions: Sequence[ColumnDefinition] = call.prepared
    column_rows.replace(call.uow.session, table.id, _columns(table.id, definitions))
    table.column_count = len(definitions)
    # The etag is the table's, so it must move although none of the table's own columns may have changed.
    touch(table)


def _table_type(value: pb.TableType.ValueType) -> str:
    if value == pb.EXTERNAL:
        raise FailedPrecondition(
            Reason.SYSTEM_OBJECT,
            "external tables need external locations, which this release does not have: use MANAGED",
        )
    if value not in (pb.TABLE_TYPE_UNSPECIFIED, pb.MANAGED):
        raise validation.invalid("table_type", f"{value} is none of its values")
    return "MANAGED"


def _data_source_format(text: str) -> str:
    chosen = text.upper() or DATA_SOURCE_FORMAT_DEFAULT
    if chosen not in DATA_SOURCE_FORMATS:
        raise validation.invalid(
            "data_source_format", f"{text!r} is none of {', '.join(DATA_SOURCE_FORMATS)}"
        )
    return chosen
