"""UPDATE, DELETE, MERGE and ON CONFLICT: statements that change rows of a target which they also see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from lakewarden_server.lineage.sql.binding import Binding, Unsupported
from lakewarden_server.lineage.sql.expressions import gather
from lakewarden_server.lineage.sql.found import Found
from lakewarden_server.lineage.sql.queries import bind_with
from lakewarden_server.lineage.sql.relations import Frame, Output, Place, Relation, folded
from lakewarden_server.lineage.sql.sources import add_join, add_source, source_of
from lakewarden_server.lineage.sql.strengths import FILTER, IDENTITY, JOIN, Deps, add
from lakewarden_server.lineage.sql.traced import Kind, Reason, Source


def update(binding: Binding, node: Any) -> Found:
    """UPDATE: each assignment is a column, WHERE and the joins decide."""
    found, frame = _begin(binding, node, Kind.UPDATE)
    source = node.args.get("from_")
    if source is not None:
        add_source(binding, source.this, frame)
    for assignment in node.expressions:
        _assign(binding, found, assignment, frame)
    _decide(binding, found, node, frame)
    return found


def delete(binding: Binding, node: Any) -> Found:
    """DELETE: no column is made; what decides holds for the whole target."""
    found, frame = _begin(binding, node, Kind.DELETE)
    for source in node.args.get("using") or ():
        add_source(binding, source, frame)
    _decide(binding, found, node, frame)
    return found


def merge(binding: Binding, node: Any) -> Found:
    """MERGE: each branch assigns; ON and the conditions of all branches decide."""
    found, frame = _begin(binding, node, Kind.MERGE)
    add_source(binding, node.args["using"], frame)
    gather(binding, node.args["on"], frame, frame.collecting(), how=JOIN)
    source = frame.places[-1].relation
    for when in node.args["whens"].expressions:
        if when.args.get("condition") is not None:
            gather(binding, when.args["condition"], frame, frame.collecting(), how=FILTER)
        then = when.args.get("then")
        if isinstance(then, exp.Update):
            if any(isinstance(each, exp.Star) for each in then.expressions) or not then.expressions:
                _assign_all(binding, found, source)
            for assignment in then.expressions:
                if not isinstance(assignment, exp.Star):
                    _assign(binding, found, assignment, frame)
        elif isinstance(then, exp.Insert):
            _insert_branch(binding, found, then, source, frame)
    _decide(binding, found, node, frame)
    return found


def on_conflict(binding: Binding, found: Found, insert: Any) -> None:
    """ON CONFLICT DO UPDATE: assigns from the row that was to be inserted, `excluded`, and from the row that is there."""
    assert found.writes is not None
    conflict = insert.args["conflict"]
    inserted = [Output(name, name, dict(deps)) for name, deps in found.columns.items()]
    frame = Frame()
    frame.put(_target_place(binding, insert, found.writes))
    frame.put(Place("excluded", Relation(inserted)))
    for assignment in conflict.expressions:
        _assign(binding, found, assignment, frame)
    for key in ("where", "index_predicate"):
        if conflict.args.get(key) is not None:
            gather(binding, conflict.args[key], frame, found.whole, how=FILTER)
    for column in conflict.args.get("conflict_keys") or ():
        for output in inserted:
            if folded(output.name) == folded(column.this.name if column.this else column.name):
                add(found.whole, output.deps, JOIN)
    found.reads.update(frame.reads)


def _target_place(binding: Binding, node: Any, source: Source) -> Place:
    table = node.this.this if isinstance(node.this, exp.Schema) else node.this
    relation = binding.table(source)
    seen = Relation(relation.outputs, rest=relation.rest, cut=relation.cut)
    return Place(folded(table.alias or table.name), seen, () if table.alias else tuple(source))


def _begin(binding: Binding, node: Any, kind: Kind) -> tuple[Found, Frame]:
    """The target as a place of its own: it is read only as far as its columns are used."""
    source = source_of(binding, node.this)
    if source is None:
        raise Unsupported
    frame = Frame()
    bind_with(binding, node, frame)
    frame.put(_target_place(binding, node, source))
    for join in node.this.args.get("joins") or ():
        add_join(binding, join, frame)
    return Found(kind, source), frame


def _decide(binding: Binding, found: Found, node: Any, frame: Frame) -> None:
    for clause in ("where", "order", "limit"):
        if node.args.get(clause) is not None:
            gather(binding, node.args[clause], frame, frame.collecting(), how=FILTER)
    found.reads.update(frame.reads)
    add(found.whole, frame.whole)
    found.columns.pop("", None)


def _assign(binding: Binding, found: Found, assignment: Any, frame: Frame) -> None:
    """`column = expression`, or `(a, b) = (SELECT …)`."""
    if not isinstance(assignment, exp.EQ | exp.PropertyEQ):
        raise Unsupported
    left, right = assignment.this, assignment.expression
    if isinstance(left, exp.Tuple):
        _assign_tuple(binding, found, left.expressions, right, frame)
        return
    deps: Deps = {}
    gather(binding, right, frame, deps)
    found.put(_column(binding, found, left), deps)


def _assign_tuple(binding: Binding, found: Found, names: Sequence[Any], right: Any, frame: Frame) -> None:
    if isinstance(right, exp.Tuple):
        for name, value in zip(names, right.expressions, strict=False):
            deps: Deps = {}
            gather(binding, value, frame, deps)
            found.put(_column(binding, found, name), deps)
        return
    if not isinstance(right, exp.Query):
        raise Unsupported
    relation = binding.query(right, frame)
    frame.reads.update(relation.reads)
    for name, output in zip(names, relation.known, strict=False):
        deps = dict(output.deps)
        add(deps, relation.whole)
        found.put(_column(binding, found, name), deps)


def _column(binding: Binding, found: Found, node: Any) -> str:
    """The column of the target that an assignment names; of a field of a struct, the struct."""
    assert found.writes is not None
    columns = binding.columns_of(found.writes)
    while isinstance(node, exp.Dot | exp.Bracket):
        node = node.this
    if not isinstance(node, exp.Column | exp.Identifier):
        raise Unsupported
    keys = ("catalog", "db", "table", "this")
    parts = [node] if isinstance(node, exp.Identifier) else [p for key in keys if (p := node.args.get(key))]
    names = [str(part.name) for part in parts]
    if columns is None:
        return names[-1]
    # `t.a` where there is no column of that name is a field of the struct `t`.
    for name in reversed(names):
        for column in columns:
            if folded(column) == folded(name):
                return column
    binding.leave_out(Reason.COLUMN_UNKNOWN, names[-1])
    return ""


def _assign_all(binding: Binding, found: Found, source: Relation) -> None:
    """UPDATE SET * and INSERT *: every column of the target by name."""
    assert found.writes is not None
    columns = binding.columns_of(found.writes)
    if columns is None:
        binding.leave_out(Reason.TABLE_UNKNOWN)
        return
    for column in columns:
        outputs = source.named(folded(column), column)
        if len(outputs) == 1:
            found.put(column, outputs[0].deps)
        elif source.rest is not None and source.rest.source is not None:
            found.put(column, {binding.leaf(source.rest.source, column): IDENTITY})
        else:
            binding.leave_out(Reason.COLUMN_UNKNOWN, column)


def _insert_branch(binding: Binding, found: Found, then: Any, source: Relation, frame: Frame) -> None:
    assert found.writes is not None
    names, values = then.this, then.args.get("expression")
    if isinstance(names, exp.Star):
        _assign_all(binding, found, source)
        return
    whole_row = not values and isinstance(names, exp.Var)
    if names is None or whole_row:
        columns = binding.columns_of(found.writes)
        if columns is None:
            binding.leave_out(Reason.TABLE_UNKNOWN)
            return
        targets = list(columns)
    elif not values:
        raise Unsupported
    else:
        listed = names.expressions if isinstance(names, exp.Tuple | exp.Schema) else [names]
        targets = [_column(binding, found, name) for name in listed]
    if whole_row:
        # INSERT ROW of BigQuery: the columns of the source in order.
        for target, output in zip(targets, source.known, strict=False):
            found.put(target, output.deps)
        return
    for target, cell in zip(
        targets, values.expressions if isinstance(values, exp.Tuple) else [values], strict=False
    ):
        deps: Deps = {}
        gather(binding, cell, frame, deps)
        found.put(target, deps)
