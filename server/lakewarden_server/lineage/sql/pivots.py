"""PIVOT and UNPIVOT: in FROM, and as DuckDB's statements."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from lakewarden_server.lineage.sql.binding import Binding
from lakewarden_server.lineage.sql.expressions import gather
from lakewarden_server.lineage.sql.relations import Frame, Output, Place, Relation, Rest, folded
from lakewarden_server.lineage.sql.strengths import CONDITIONAL, FILTER, GROUP_BY, TRANSFORMATION, Deps, add
from lakewarden_server.lineage.sql.traced import Reason


def pivoted(binding: Binding, pivot: Any, relation: Relation, frame: Frame) -> Relation:
    """The relation after a PIVOT or UNPIVOT of it."""
    inner = Frame(frame)
    inner.put(Place("", relation))
    made, decided = _parts(binding, pivot, inner)
    taken = {folded(column.name) for column in pivot.find_all(exp.Column)}
    kept = [output for output in relation.outputs if folded(output.name) not in taken]
    whole = dict(relation.whole)
    if pivot.args.get("unpivot"):
        add(whole, made, FILTER)
    else:
        add(whole, decided, GROUP_BY)
        kept = _grouped(pivot, relation, kept)
        for output in kept:
            add(whole, output.deps, GROUP_BY)
        add(made, decided, CONDITIONAL)
    names = _names(pivot, relation)
    told = _told(pivot)
    outputs = [*kept, *(Output(name, name, {} if folded(name) in told else made) for name in names)]
    if relation.cut is None and names:
        return Relation(outputs, whole, relation.reads)
    binding.leave_out(Reason.COLUMNS_UNKNOWN)
    # What it is called is not known, but what it is made of is: any further column is an aggregate of the same.
    rest = Rest(deps=made) if relation.cut is None else Rest()
    return Relation(kept, whole, relation.reads, rest, len(kept) if relation.cut is None else 0)


def _parts(binding: Binding, pivot: Any, inner: Frame) -> tuple[Deps, Deps]:
    """What the new columns are made of, and what decides into which of them a value goes."""
    made: Deps = {}
    decided: Deps = {}
    if pivot.args.get("unpivot"):
        listed = [column for field in pivot.args.get("fields") or () for column in field.expressions]
        for column in listed or pivot.expressions:
            gather(binding, column, inner, made, how=TRANSFORMATION)
        return made, decided
    for aggregate in pivot.args.get("using") or pivot.expressions:
        gather(binding, aggregate, inner, made)
    fields = pivot.args.get("fields") or ()
    for field in [field.this for field in fields] or pivot.expressions:
        gather(binding, field, inner, decided)
    return made, decided


def _told(pivot: Any) -> set[str]:
    """The columns of an UNPIVOT that say which column a value was in: the names of columns are no data."""
    into = pivot.args.get("into")
    if not pivot.args.get("unpivot"):
        return set()
    fields = [into.this] if into is not None else [field.this for field in pivot.args.get("fields") or ()]
    return {folded(field.name) for field in fields}


def _grouped(pivot: Any, relation: Relation, kept: list[Output]) -> list[Output]:
    """The columns that stay: those of GROUP BY where it has one, else all that are not pivoted."""
    group = pivot.args.get("group")
    if group is None:
        return kept
    keys = {folded(column.name) for column in group.find_all(exp.Column)}
    return [output for output in relation.outputs if folded(output.name) in keys]


def _names(pivot: Any, relation: Relation) -> list[str]:
    """The names of the new columns as far as the text gives them."""
    into = pivot.args.get("into")
    if into is not None:
        return [str(column.name) for column in (into.this, *into.expressions)]
    if not pivot.args.get("fields"):
        return []
    before = [output.name for output in relation.outputs]
    present = {folded(name) for name in before}
    return [str(name) for name in pivot.output_columns(before) if folded(name) not in present]
