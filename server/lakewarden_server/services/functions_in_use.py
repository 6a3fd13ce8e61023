"""Which tables a function filters or masks, and the refusals that follow from it."""

from __future__ import annotations

from collections.abc import Mapping

from lakewarden_server.core.errors import FailedPrecondition, Reason
from lakewarden_server.services.call import Call

TABLES_SHOWN_MAX = 10


def tables_of(call: Call, function_id: str) -> set[str]:
    """Ids of the living tables that the function filters or masks."""
    return _tables_by_function(call, {function_id}).get(function_id, set())


def refuse_deletion(call: Call, doomed: Mapping[str, str]) -> None:
    """Raises FUNCTION_IN_USE when a function among the `doomed` (id -> kind) protects a table that stays."""
    functions = {object_id for object_id, kind in doomed.items() if kind == "FUNCTION"}
    for function_id, tables in _tables_by_function(call, functions).items():
        staying = tables - doomed.keys()
        if staying:
            raise in_use(call, function_id, staying, "drop that filter or mask first")


def _tables_by_function(call: Call, function_ids: set[str]) -> dict[str, set[str]]:
    """What each of the functions filters or masks; one pass over all filters and masks, none where no function is asked about."""
    snapshot = call.snapshot
    found: dict[str, set[str]] = {}
    if not function_ids:
        return found
    uses = [(use.table_id, use.function_id) for use in snapshot.row_filters.values()]
    uses += [(mask.table_id, mask.function_id) for masks in snapshot.column_masks.values() for mask in masks]
    for table_id, function_id in uses:
        table = snapshot.securables.get(table_id)
        # A deleted table that is restored keeps them too; without its function it is denied, which is no reason to keep that.
        if function_id in function_ids and table is not None and table.kind == "TABLE":
            found.setdefault(function_id, set()).add(table_id)
    return found


def in_use(call: Call, function_id: str, tables: set[str], remedy: str) -> FailedPrecondition:
    """The refusal, with the names of those tables that the caller may see."""
    seen = sorted(
        call.snapshot.full_name(table)
        for table in tables
        if call.decider.visible(call.caller.id, call.workspace_id, table)
    )
    hidden = len(tables) - len(seen)
    told = seen[:TABLES_SHOWN_MAX] + ([f"{hidden} you may not see"] if hidden else [])
    if len(seen) > TABLES_SHOWN_MAX:
        told.append(f"{len(seen) - TABLES_SHOWN_MAX} more")
    name = call.snapshot.full_name(function_id)
    return FailedPrecondition(
        Reason.FUNCTION_IN_USE, f"function {name} filters or masks {', '.join(told)}: {remedy}", name=name
    )
