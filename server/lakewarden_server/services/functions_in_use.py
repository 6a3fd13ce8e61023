"""Which tables a function filters or masks, and the refusals that follow from it."""

from __future__ import annotations

from collections.abc import Mapping

from lakewarden_server.core.errors import FailedPrecondition, Reason
from lakewarden_server.services.call import Call

TABLES_SHOWN_MAX = 10


def tables_of(call: Call, function_id: str) -> set[str]:
    """Ids of the living tables that the function filters or masks."""
    snapshot = call.snapshot
    filtered = {table for table, found in snapshot.row_filters.items() if found.function_id == function_id}
    masked = {
        table
        for table, masks in snapshot.column_masks.items()
        if any(mask.function_id == function_id for mask in masks)
    }
    # A deleted table that is restored keeps them too; without its function it is denied, which is no reason to keep that.
    found = (snapshot.securables.get(table) for table in filtered | masked)
    return {table.id for table in found if table is not None and table.kind == "TABLE"}


def refuse_deletion(call: Call, doomed: Mapping[str, str]) -> None:
    """Raises FUNCTION_IN_USE when a function among the `doomed` (id -> kind) protects a table that stays."""
    for function_id, kind in doomed.items():
        if kind != "FUNCTION":
            continue
        staying = tables_of(call, function_id) - doomed.keys()
        if staying:
            raise in_use(call, function_id, staying, "drop that filter or mask first")


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
