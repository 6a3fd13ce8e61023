"""Deleted tables that can still be restored: their list and their return. In the snapshot each is a DELETED_TABLE named by its id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lakewarden.v1 import tables_pb2 as pb
from lakewarden_policy import location_of, name_key, validate_name
from lakewarden_server.core.errors import NotFound, PermissionDenied, Reason
from lakewarden_server.entities import Table
from lakewarden_server.services import locations, securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.storage.repositories import deleted_tables as rows
from lakewarden_server.storage.retention import RETENTION, kept_since

_FAR = datetime(9999, 1, 1, tzinfo=UTC)


def page(request: pb.ListDeletedTablesRequest, call: Call) -> pb.ListDeletedTablesResponse:
    """One page of the deleted tables of a schema that the caller may see, the last deleted first."""
    parent = call.objects.get("parent")
    key = name_key(request.name)
    visible = (
        call.decider.visible_children(call.caller.id, call.workspace_id, parent, "DELETED_TABLE")
        if parent
        else ()
    )
    # Asked of the store even where nobody sees anything: an absent schema must answer like an empty one.
    deleted = rows.of_schema(call.uow.session, parent or "", since=kept_since(call.now), key=key)
    seen = frozenset(visible)
    found, token = call.pager.page(
        [row for row in deleted if row.table_id in seen],
        _newest_first,
        list_name=f"DELETED_TABLE/{parent}/{key}",
        page_size=request.page_size,
        page_token=request.page_token,
    )
    tables = rows.by_ids(call.uow.session, [row.table_id for row in found])
    return pb.ListDeletedTablesResponse(
        deleted_tables=[to_message(table, call) for table in tables], next_page_token=token
    )


def restore(request: pb.UndeleteTableRequest, call: Call) -> Table:
    """Brings a table back with its columns, owner and the grants of before. Raises NAME_TAKEN, NAME_INVALID, OBJECT_NOT_FOUND, for an external one also ACCESS_DENIED, LOCATION_OVERLAP."""
    table = call.uow.session.get_one(Table, call.self_id)
    # The snapshot may have been loaded when there still was time.
    if table.deleted_time is None or table.deleted_time <= kept_since(call.now):
        raise NotFound(
            Reason.OBJECT_NOT_FOUND,
            f"{table.name} was deleted more than {RETENTION.days} days ago and cannot be restored",
            kind="DELETED_TABLE",
            name=table.id,
        )
    name = validation.named(validate_name, request.new_name, "TABLE") if request.new_name else table.name
    securables.refuse_taken(
        call, kind="TABLE", parent_id=str(table.parent_id), name=name, remedy="restore it under a new_name"
    )
    if table.storage_location:
        _take_place_again(table, call)
    table.deleted_time = None
    table.name, table.name_key = name, name_key(name)
    # Until the schema 0009, deleting a principal took the ownership of what was deleted along.
    table.owner_id = table.owner_id or call.caller.id
    call.detail["restored"] = table.id
    return table


def _take_place_again(table: Table, call: Call) -> None:
    """The place of an external table, which its deletion freed: its data lies there still. Raises ACCESS_DENIED, LOCATION_OVERLAP."""
    location = location_of(call.snapshot, table.storage_location, table.metastore_id)
    objects = {**call.objects, "location": location.id} if location else call.objects
    restore = "deleted_table.restore"
    if not call.decider.operation(
        call.caller.id, call.workspace_id, restore, objects, selector="location"
    ).allowed:
        raise PermissionDenied(
            Reason.ACCESS_DENIED,
            f"external location covering {table.storage_location} does not exist, or you may not use it from this workspace",
        )
    locations.claim(call, table.id, table.storage_location, use=locations.DATA)


def to_message(table: Table, call: Call) -> pb.DeletedTable:
    """The message of a deleted table's row."""
    assert table.deleted_time is not None, "a live table is no deleted one"
    message = pb.DeletedTable(
        id=table.id,
        full_name=securables.full_name(table, call),
        name=table.name,
        owner=call.principal_name(table.owner_id),
        comment=table.comment,
    )
    message.delete_time.FromDatetime(table.deleted_time)
    message.purge_time.FromDatetime(table.deleted_time + RETENTION)
    return message


def _newest_first(deletion: rows.Deletion) -> str:
    """A key that sorts later times before earlier ones."""
    return f"{(_FAR - deletion.time) // timedelta(microseconds=1):020d}/{deletion.table_id}"
