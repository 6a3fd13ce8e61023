"""Queries as relations: SELECT clause by clause, set operations, WITH, recursion. Columns are kept by position, never by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlglot import exp
from sqlglot.dialects.dialect import UsingColumnOrder

from lakewarden_server.lineage.sql.binding import Binding, Unsupported
from lakewarden_server.lineage.sql.expressions import gather
from lakewarden_server.lineage.sql.pivots import pivoted
from lakewarden_server.lineage.sql.projections import project
from lakewarden_server.lineage.sql.relations import (
    Frame,
    Output,
    Place,
    Relation,
    Rest,
    folded,
    renamed,
    rest_of,
)
from lakewarden_server.lineage.sql.sources import add_join, add_source, values
from lakewarden_server.lineage.sql.strengths import FILTER, GROUP_BY, SORT, Deps, add
from lakewarden_server.lineage.sql.traced import Reason

RECURSION_ROUNDS_MAX: Final = 100
"""Rounds after which what a recursive query depends on must have stopped growing."""

_DECIDING: Final = ("where", "having", "qualify", "connect", "limit", "offset", "prewhere")
_KNOWN: Final = frozenset(
    {
        "with_", "expressions", "from_", "joins", "laterals", "windows", "group", "distinct", "into", "kind", "hint", "locks", "sample",
        "settings", "format", "options", "operation_modifiers",
    }
)  # fmt: skip
"""What else a SELECT has that is followed, or says nothing of columns. Anything else may change which columns there are."""
_SORTING: Final = ("order", "sort", "cluster", "distribute")
_FOLLOWED: Final = _KNOWN | {*_DECIDING, *_SORTING}


def bind_query(binding: Binding, node: Any, parent: Frame) -> Relation:
    """The relation of a query inside a frame. Raises Unsupported, and RecursionError where it nests too deep."""
    if isinstance(node, exp.Select):
        return _select(binding, node, parent)
    if isinstance(node, exp.SetOperation):
        return _set_operation(binding, node, parent)
    if isinstance(node, exp.Values):
        return values(binding, node, Frame(parent))
    if isinstance(node, exp.Pivot):
        frame = Frame(parent)
        add_source(binding, node.this, frame)
        return pivoted(binding, node, frame.places[0].relation, frame)
    if isinstance(node, exp.Table):
        frame = Frame(parent)
        add_source(binding, node, frame)
        return frame.places[0].relation
    if isinstance(node, exp.Subquery):
        frame = Frame(parent)
        bind_with(binding, node, frame)
        return _finished(binding, node, bind_query(binding, node.this, frame), frame)
    raise Unsupported


def _select(binding: Binding, select: Any, parent: Frame) -> Relation:
    frame = Frame(parent)
    bind_with(binding, select, frame)
    source = select.args.get("from_")
    if source is not None:
        add_source(binding, source.this, frame)
    for join in select.args.get("joins") or ():
        add_join(binding, join, frame)
    for lateral in select.args.get("laterals") or ():
        add_source(binding, lateral, frame)
    for window in select.args.get("windows") or ():
        frame.windows[folded(window.this.name)] = window
    if any(value and key not in _FOLLOWED for key, value in select.args.items()):
        binding.leave_out(Reason.UNSUPPORTED)
        frame.put(Place("", Relation([], rest=Rest(), cut=0)))
    first = binding.dialect.USING_COLUMN_ORDER is not UsingColumnOrder.IN_PLACE
    outputs, rest, cut = project(binding, select, frame, merged_first=first)
    for clause in _DECIDING:
        if select.args.get(clause) is not None:
            gather(binding, select.args[clause], frame, frame.collecting(), how=FILTER)
    _group(binding, select, outputs, frame)
    _distinct(binding, select.args.get("distinct"), outputs, frame)
    _sort(binding, select, outputs, frame)
    return Relation(outputs, frame.whole, frame.reads, rest, cut)


def _finished(binding: Binding, node: Any, relation: Relation, frame: Frame) -> Relation:
    """A relation with the ORDER BY and LIMIT of what stands around it: parentheses, a set operation."""
    frame.reads.update(relation.reads)
    frame.depend(relation.whole)
    _sort(binding, node, relation.outputs, frame)
    for clause in ("limit", "offset"):
        if node.args.get(clause) is not None:
            gather(binding, node.args[clause], frame, frame.collecting(), how=FILTER)
    return Relation(relation.outputs, frame.whole, frame.reads, relation.rest, relation.cut)


def _group(binding: Binding, select: Any, outputs: Sequence[Output], frame: Frame) -> None:
    group = select.args.get("group")
    if group is None:
        return
    whole = frame.collecting()
    if group.args.get("all"):
        # An opened star has no aggregate, but is more outputs than selections.
        alike = len(select.expressions) == len(outputs)
        for place, output in enumerate(outputs):
            if not alike or not select.expressions[place].find(exp.AggFunc):
                add(whole, output.deps, GROUP_BY)
    for expression in group.iter_expressions():
        counted = _at(expression, outputs)
        if counted is not None:
            add(whole, counted.deps, GROUP_BY)
        else:
            gather(binding, expression, frame, whole, how=GROUP_BY)


def _at(expression: Any, outputs: Sequence[Output]) -> Output | None:
    """The output that a number in GROUP BY or ORDER BY counts to."""
    if isinstance(expression, exp.Literal) and not expression.is_string and expression.this.isdigit():
        place = int(expression.this) - 1
        return outputs[place] if 0 <= place < len(outputs) else None
    return None


def _distinct(binding: Binding, distinct: Any, outputs: Sequence[Output], frame: Frame) -> None:
    """DISTINCT groups by what it selects."""
    if distinct is None:
        return
    on = distinct.args.get("on") if isinstance(distinct, exp.Expression) else None
    if on is not None:
        gather(binding, on, frame, frame.collecting(), how=GROUP_BY)
        return
    for output in outputs:
        add(frame.collecting(), output.deps, GROUP_BY)


def _sort(binding: Binding, node: Any, outputs: Sequence[Output], frame: Frame) -> None:
    """ORDER BY: names and numbers mean the output first, then what is in sight."""
    clauses = [clause for key in _SORTING if (clause := node.args.get(key)) is not None]
    if not clauses:
        return
    whole = frame.collecting()
    names: dict[str, Deps] = {}
    for output in outputs:
        names.setdefault(folded(output.name), output.deps)
    for ordered in (each for clause in clauses for each in clause.expressions):
        expression = ordered.this if isinstance(ordered, exp.Ordered) else ordered
        counted = _at(expression, outputs)
        if counted is not None:
            add(whole, counted.deps, SORT)
        elif isinstance(expression, exp.Var) and expression.name.upper() == "ALL":
            for output in outputs:
                add(whole, output.deps, SORT)
        else:
            gather(binding, expression, frame, whole, how=SORT, names=names)


def _set_operation(binding: Binding, node: Any, parent: Frame) -> Relation:
    frame = Frame(parent)
    bind_with(binding, node, frame)
    operations = [node]
    # A chain hangs to the left and may be long: it is followed without recursion.
    while type(operations[-1].this) in (exp.Union, exp.Intersect, exp.Except) and not _dressed(
        operations[-1].this
    ):
        operations.append(operations[-1].this)
    folding = _Folding(bind_query(binding, operations[-1].this, frame))
    for operation in reversed(operations):
        folding.take(operation, bind_query(binding, operation.expression, frame))
    return _finished(binding, node, folding.relation(), frame)


def _dressed(node: Any) -> bool:
    return any(node.args.get(key) is not None for key in ("with_", "order", "limit", "offset"))


class _Folding:
    """The relation of a set operation, arm by arm."""

    def __init__(self, first: Relation) -> None:
        self._names = [(output.name, output.exact) for output in first.outputs]
        self._deps = [dict(output.deps) for output in first.outputs]
        self._whole = dict(first.whole)
        self._reads = dict(first.reads)
        self._arms = [first]

    def take(self, operation: Any, arm: Relation) -> None:
        """Adds the right side of an operation."""
        self._arms.append(arm)
        self._reads.update(arm.reads)
        add(self._whole, arm.whole)
        if not isinstance(operation, exp.Union):
            # Rows stay or go by all of their columns; the values are those of the left side.
            for deps in (*self._deps, *(output.deps for output in arm.outputs)):
                add(self._whole, deps, FILTER)
        elif operation.args.get("by_name"):
            self._by_name(arm)
        else:
            for deps, output in zip(self._deps, arm.outputs, strict=False):
                add(deps, output.deps)
        if operation.args.get("distinct"):
            for deps in self._deps:
                add(self._whole, deps, GROUP_BY)

    def _by_name(self, arm: Relation) -> None:
        places = {folded(name): place for place, (name, _) in enumerate(self._names)}
        for output in arm.outputs:
            place = places.get(folded(output.name))
            if place is None:
                self._names.append((output.name, output.exact))
                self._deps.append(dict(output.deps))
            else:
                add(self._deps[place], output.deps)

    def relation(self) -> Relation:
        """What was taken so far."""
        outputs = [Output(*name, deps) for name, deps in zip(self._names, self._deps, strict=True)]
        rests = [arm.rest for arm in self._arms if arm.rest is not None]
        cuts = [arm.cut for arm in self._arms if arm.cut is not None]
        return Relation(outputs, self._whole, self._reads, rest_of(rests), min(cuts, default=None))


def bind_with(binding: Binding, node: Any, frame: Frame) -> None:
    """Binds each common table once, in order, for whatever refers to it."""
    with_clause = node.args.get("with_")
    if with_clause is None:
        return
    frame.ctes = dict(frame.ctes)
    for cte in with_clause.expressions:
        names = [binding.named(column) for column in cte.args["alias"].args.get("columns") or ()]
        key = folded(cte.alias)
        if with_clause.args.get("recursive") and isinstance(cte.this, exp.SetOperation):
            _recursive(binding, cte, key, names, frame)
        else:
            frame.ctes[key] = renamed(bind_query(binding, cte.this, frame), names)


def _recursive(binding: Binding, cte: Any, key: str, names: Sequence[tuple[str, str]], frame: Frame) -> None:
    """A common table that may read itself: begins with its left side and goes on until nothing is added."""
    bound = renamed(bind_query(binding, cte.this.this, frame), names)
    for _ in range(RECURSION_ROUNDS_MAX):
        frame.ctes[key] = bound
        again = renamed(bind_query(binding, cte.this, frame), names)
        if _same(again, bound):
            return
        bound = again
    raise Unsupported


def _same(one: Relation, other: Relation) -> bool:
    return one.whole == other.whole and _all_deps(one.outputs) == _all_deps(other.outputs)


def _all_deps(outputs: Iterable[Output]) -> list[Deps]:
    return [output.deps for output in outputs]
