"""Tables and their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import tables_pb2 as pb
from lakewarden_policy import name_key
from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.entities import Column, ColumnMask, RowFilter, Table, touch
from lakewarden_server.services import deleted_tables, locations, row_policies, securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.definitions import ColumnDefinition, from_arrow, from_message, from_statement
from lakewarden_server.services.parsing import Parsing
from lakewarden_server.storage.repositories import columns as column_rows
from lakewarden_server.storage.repositories import table_policies
from lakewarden_server.storage.repositories import tags as tag_rows

DATA_SOURCE_FORMATS = ("DELTA", "PARQUET", "ICEBERG", "CSV", "JSON", "AVRO", "ORC", "TEXT", "DUCKDB")
DATA_SOURCE_FORMAT_DEFAULT = "DELTA"
NO_MASKS: Mapping[tuple[str, str], ColumnMask] = {}


class TableService:
    """Implements `lakewarden.v1.TableService`."""

    def __init__(self, parsing: Parsing) -> None:
        self._parsing = parsing

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
            with self._parsing.turn():
                return from_statement(request.create_statement, request.dialect)
        return from_message(request.table.columns)

    def create_table(self, request: pb.CreateTableRequest, call: Call) -> pb.Table:
        """Registers a table with the prepared columns."""
        definitions: Sequence[ColumnDefinition] = call.prepared
        table_type, location = _storage(request.table)
        table = securables.create(
            call,
            Table,
            request.table,
            metastore_id=call.metastore_id,
            table_type=table_type,
            storage_location=location,
            data_source_format=_data_source_format(request.table.data_source_format),
            column_count=len(definitions),
        )
        if location:
            locations.claim(call, table.id, location, use=locations.DATA)
        rows = _columns(table.id, definitions)
        call.uow.session.add_all(rows)
        call.uow.session.flush()
        return to_message(table, rows, call)

    def get_table(self, request: pb.GetTableRequest, call: Call) -> pb.Table:
        """Returns one table with its columns."""
        return _current(call.row(Table, call.self_id), call)

    def list_tables(self, request: pb.ListTablesRequest, call: Call) -> pb.ListTablesResponse:
        """Lists the tables of a schema that the caller may see."""
        page, token = securables.page(call, Table, "TABLE", call.objects.get("parent"), request)
        ids = [table.id for table in page]
        columns = {} if request.omit_columns else column_rows.of_tables(call.uow.session, ids)
        filters = table_policies.filters_of(call.uow.session, ids)
        masks = {} if request.omit_columns else table_policies.masks_of(call.uow.session, ids)
        return pb.ListTablesResponse(
            tables=[
                to_message(
                    table, columns.get(table.id, []), call, row_filter=filters.get(table.id), masks=masks
                )
                for table in page
            ],
            next_page_token=token,
        )

    def prepare_update_table(self, request: pb.UpdateTableRequest) -> Sequence[ColumnDefinition]:
        """Checks the new columns, when the mask names them."""
        return from_message(request.table.columns) if "columns" in request.update_mask.paths else []

    def update_table(self, request: pb.UpdateTableRequest, call: Call) -> pb.Table:
        """Changes what the mask names; `columns` replaces all of them."""
        setters = {**securables.SETTERS, "columns": _set_columns}
        table = securables.update(call, Table, request.table, request.update_mask.paths, setters)
        return _current(table, call)

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
        return _current(deleted_tables.restore(request, call), call)

    def set_row_filter(self, request: pb.SetRowFilterRequest, call: Call) -> pb.Table:
        """Sets which rows are shown."""
        table = _unchanged(request.etag, call)
        row_policies.set_filter(call, table, request.row_filter.columns)
        return _current(table, call)

    def drop_row_filter(self, request: pb.DropRowFilterRequest, call: Call) -> pb.Table:
        """Shows all rows again."""
        table = _unchanged(request.etag, call)
        row_policies.drop_filter(call, table)
        return _current(table, call)

    def set_column_mask(self, request: pb.SetColumnMaskRequest, call: Call) -> pb.Table:
        """Sets what is shown in place of a column."""
        table = _unchanged(request.etag, call)
        row_policies.set_mask(call, table, request.column, request.column_mask.using_columns)
        return _current(table, call)

    def drop_column_mask(self, request: pb.DropColumnMaskRequest, call: Call) -> pb.Table:
        """Shows the column itself again."""
        table = _unchanged(request.etag, call)
        row_policies.drop_mask(call, table, request.column)
        return _current(table, call)


def _unchanged(etag: str, call: Call) -> Table:
    """The bound table, when the sent etag is its own."""
    table = call.row(Table, call.self_id)
    securables.check_etag(table, etag)
    return table


def _current(table: Table, call: Call) -> pb.Table:
    """The message of a table with all that belongs to it."""
    session = call.uow.session
    session.flush()
    row_filter = table_policies.filters_of(session, [table.id]).get(table.id)
    masks = table_policies.masks_of(session, [table.id])
    return to_message(
        table, column_rows.of_table(session, table.id), call, row_filter=row_filter, masks=masks
    )


def to_message(
    table: Table, columns: Sequence[Column], call: Call,
    *, row_filter: RowFilter | None = None, masks: Mapping[tuple[str, str], ColumnMask] = NO_MASKS,
) -> pb.Table:  # fmt: skip
    """The message of a table row and its column rows; masks by table and key of the column."""
    message = pb.Table(
        metastore_id=table.metastore_id or "",
        table_type=pb.TableType.Value(table.table_type),
        data_source_format=table.data_source_format,
        storage_location=table.storage_location,
        columns=[
            pb.Column(
                name=column.name,
                position=column.position,
                type_text=column.type_text,
                type_name=column.type_name,
                required=not column.nullable,
                comment=column.comment,
                mask=_mask(masks.get((table.id, column.name_key)), call),
            )
            for column in columns
        ],
        row_filter=None if row_filter is None else row_policies.filter_message(row_filter, call),
    )
    securables.fill(message, table, call)
    return message


def _mask(mask: ColumnMask | None, call: Call) -> pb.ColumnMask | None:
    return None if mask is None else row_policies.mask_message(mask, call)


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
    session = call.uow.session
    row_filter = table_policies.filters_of(session, [table.id]).get(table.id)
    masks = list(table_policies.masks_of(session, [table.id]).values())
    keys = frozenset(name_key(column.name) for column in definitions)
    row_policies.refuse_loss(row_filter, masks, keys, call)
    tag_rows.drop_columns(session, table.id, besides=keys)
    column_rows.replace(session, table.id, _columns(table.id, definitions))
    table.column_count = len(definitions)
    # The etag is the table's, so it must move although none of the table's own columns may have changed.
    touch(table)


def _storage(table: pb.Table) -> tuple[str, str]:
    """Type and canonical location of a new table; an external one has a location, a managed one has none of its own."""
    if table.table_type not in (pb.TABLE_TYPE_UNSPECIFIED, pb.MANAGED, pb.EXTERNAL):
        raise validation.invalid("table_type", f"{table.table_type} is none of its values")
    external = table.table_type == pb.EXTERNAL
    if external != bool(table.storage_location):
        raise validation.invalid(
            "storage_location", "it is needed for an EXTERNAL table and refused for a MANAGED one"
        )
    if not external:
        return "MANAGED", ""
    return "EXTERNAL", locations.storage_url(table.storage_location, "storage_location")


def _data_source_format(text: str) -> str:
    chosen = text.upper() or DATA_SOURCE_FORMAT_DEFAULT
    if chosen not in DATA_SOURCE_FORMATS:
        raise validation.invalid(
            "data_source_format", f"{text!r} is none of {', '.join(DATA_SOURCE_FORMATS)}"
        )
    return chosen
