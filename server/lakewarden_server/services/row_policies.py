"""Row filters and column masks of tables: set, dropped and shown."""

from __future__ import annotations

from collections.abc import Sequence

from lakewarden.v1 import tables_pb2 as pb
from lakewarden_policy import name_key
from lakewarden_server.core.errors import FailedPrecondition, Reason
from lakewarden_server.entities import Column, ColumnMask, Function, RowFilter, Table, touch
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.definitions import type_name_of
from lakewarden_server.storage.repositories import columns as column_rows

BOOLEAN_TYPES = frozenset({"BOOLEAN", "BOOL", "LOGICAL"})


def set_filter(call: Call, table: Table, columns: Sequence[str]) -> None:
    """Makes the bound function the row filter of a table. Raises FIELD_INVALID, FUNCTION_UNSUITABLE."""
    function = call.row(Function, call.objects["function"])
    names = [column.name for column in named_columns(call, table, columns, field="row_filter.columns")]
    _check_arity(function, len(names), field="row_filter.columns")
    if type_name_of(function.return_type_text) not in BOOLEAN_TYPES:
        raise _unsuitable(function, call, f"it returns {function.return_type_text}, and a row filter BOOLEAN")
    _check_body(function, call)
    call.detail.update(function=securables.full_name(function, call), columns=names)
    session = call.uow.session
    found = session.get(RowFilter, table.id)
    if found is None:
        session.add(RowFilter(table_id=table.id, function_id=function.id, columns=names))
    else:
        found.function_id, found.columns = function.id, names
    touch(table)


def drop_filter(call: Call, table: Table) -> None:
    """Shows all rows of a table again."""
    found = call.uow.session.get(RowFilter, table.id)
    if found is not None:
        call.uow.session.delete(found)
        touch(table)


def set_mask(call: Call, table: Table, column: str, using: Sequence[str]) -> None:
    """Makes the bound function the mask of a column. Raises FIELD_INVALID, FUNCTION_UNSUITABLE."""
    function = call.row(Function, call.objects["function"])
    (masked,) = named_columns(call, table, [column], field="column")
    names = [found.name for found in named_columns(call, table, using, field="column_mask.using_columns")]
    _check_arity(function, 1 + len(names), field="column_mask.using_columns")
    _check_body(function, call)
    call.detail.update(function=securables.full_name(function, call), columns=[masked.name, *names])
    session = call.uow.session
    found = session.get(ColumnMask, (table.id, masked.name_key))
    if found is None:
        session.add(
            ColumnMask(
                table_id=table.id, column_key=masked.name_key, column_name=masked.name,
                function_id=function.id, using=names,
            )
        )  # fmt: skip
    else:
        found.function_id, found.using, found.column_name = function.id, names, masked.name
    touch(table)


def drop_mask(call: Call, table: Table, column: str) -> None:
    """Shows a column itself again. Raises FIELD_INVALID for a column the table does not have."""
    (masked,) = named_columns(call, table, [column], field="column")
    call.detail["columns"] = [masked.name]
    found = call.uow.session.get(ColumnMask, (table.id, masked.name_key))
    if found is not None:
        call.uow.session.delete(found)
        touch(table)


def named_columns(call: Call, table: Table, names: Sequence[str], *, field: str) -> list[Column]:
    """The columns of these names, in their order. Raises FIELD_INVALID."""
    validation.repeated(names, field)
    known = {column.name_key: column for column in column_rows.of_table(call.uow.session, table.id)}
    missing = next((name for name in names if name_key(name) not in known), None)
    if missing is not None:
        raise validation.invalid(field, f"the table has no column {missing!r}")
    return [known[name_key(name)] for name in names]


def refuse_loss(
    row_filter: RowFilter | None, masks: Sequence[ColumnMask], keys: frozenset[str], call: Call
) -> None:
    """Raises COLUMN_IN_USE when a column that a filter or mask is called with would be gone: nothing would guard its heir."""
    used = (
        {
            name_key(name): f"row filter {_shown(row_filter.function_id, call)}".rstrip()
            for name in row_filter.columns
        }
        if row_filter
        else {}
    )
    for mask in masks:
        text = " ".join(f"mask {_shown(mask.function_id, call)} of column {mask.column_name}".split())
        used |= {name_key(name): text for name in (mask.column_name, *mask.using)}
    lost = sorted(used.keys() - keys)
    if lost:
        raise FailedPrecondition(
            Reason.COLUMN_IN_USE,
            f"column {lost[0]} is used by the {used[lost[0]]}: drop that first",
            column=lost[0],
        )


def filter_message(row_filter: RowFilter, call: Call) -> pb.RowFilter:
    """The message of a row filter."""
    return pb.RowFilter(function=_shown(row_filter.function_id, call), columns=row_filter.columns)


def mask_message(mask: ColumnMask, call: Call) -> pb.ColumnMask:
    """The message of a mask."""
    return pb.ColumnMask(function=_shown(mask.function_id, call), using_columns=mask.using)


def _shown(function_id: str, call: Call) -> str:
    """The function's name for who may see the function, empty for others: that something guards the table is all they learn."""
    visible = call.decider.visible(call.caller.id, call.workspace_id, function_id)
    return _name(function_id, call) if visible else ""


def _name(function_id: str, call: Call) -> str:
    known = function_id in call.snapshot.securables
    return call.snapshot.full_name(function_id) if known else function_id


def _check_arity(function: Function, given: int, *, field: str) -> None:
    wanted = len(function.parameters)
    if given != wanted:
        raise validation.invalid(field, f"the function takes {wanted} arguments, and would be given {given}")


def _check_body(function: Function, call: Call) -> None:
    from lakewarden_server.services.expansion import problem_of_policy

    problem = problem_of_policy(function.definition)
    if problem:
        raise _unsuitable(function, call, f"its body {problem}")


def _unsuitable(function: Function, call: Call, problem: str) -> FailedPrecondition:
    name = securables.full_name(function, call)
    return FailedPrecondition(
        Reason.FUNCTION_UNSUITABLE, f"function {name} cannot filter or mask: {problem}", name=name
    )
