"""What an expression depends on, each column in the way its clause uses it. Walks with a stack of its own: chains of AND get long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from sqlglot import exp

from lakewarden_server.lineage.sql.binding import NO_NAMES, Binding
from lakewarden_server.lineage.sql.relations import Frame, folded
from lakewarden_server.lineage.sql.strengths import (
    AGGREGATION,
    CONDITIONAL,
    EMPTY,
    FILTER,
    HASHED,
    IDENTITY,
    INDIRECT,
    SORT,
    TRANSFORMATION,
    WINDOW,
    Deps,
    add,
    through,
)

Step = tuple[Any, int]

# Aggregates by class that pick a value of another row and compute nothing.
_PICKING: Final = (
    exp.Lag,
    exp.Lead,
    exp.FirstValue,
    exp.LastValue,
    exp.NthValue,
    exp.First,
    exp.Last,
    exp.AnyValue,
)
# Aggregates whose argument is what WITHIN GROUP orders by.
_OF_ORDER: Final = (exp.PercentileCont, exp.PercentileDisc, exp.Mode)
_HASHES: Final = (
    exp.MD5,
    exp.MD5Digest,
    exp.SHA,
    exp.SHA1Digest,
    exp.SHA2,
    exp.SHA2Digest,
    exp.FarmFingerprint,
)
_HASH_NAMES: Final = frozenset(
    {"hash", "xxhash64", "murmur_hash3_32", "crc32", "sha1", "sha224", "sha256", "sha384", "sha512", "hmac_sha256", "mask"}
)  # fmt: skip
_LEAVES: Final = (exp.Identifier, exp.Literal, exp.DataType, exp.Var, exp.Null, exp.Boolean)
_WRAPPERS: Final = (exp.Paren, exp.Alias, exp.Aliases)


def gather(
    binding: Binding,
    root: Any,
    frame: Frame,
    into: Deps,
    *,
    how: int = IDENTITY,
    names: Mapping[str, Deps] = NO_NAMES,
) -> None:
    """Adds to `into` what `root` depends on when it is used in the way `how`. `names` are columns that come before those in sight."""
    stack: list[Step] = [(root, how)]
    while stack:
        node, how = stack.pop()
        if isinstance(node, exp.Column):
            add(into, binding.column(node, frame, names), how)
        elif isinstance(node, _LEAVES):
            continue
        elif isinstance(node, exp.Query):
            _subquery(binding, node, frame, into, how)
        elif isinstance(node, exp.Exists) and isinstance(node.this, exp.Query):
            _subquery(binding, node.this, frame, into, how, existence=True)
        elif isinstance(node, exp.Comprehension):
            _comprehension(binding, node, frame, into, how, names)
        elif isinstance(node, exp.Dot) and isinstance(node.this, exp.Identifier):
            # The method call of DuckDB, `name.lower()`, or a function named with its schema, `sales.f(x)`.
            add(into, binding.in_sight(node.this, frame), through(how, TRANSFORMATION))
            stack.append((node.expression, through(how, TRANSFORMATION)))
        else:
            stack.extend((child, through(how, step)) for child, step in _steps(node, frame))


def _subquery(
    binding: Binding, node: Any, frame: Frame, into: Deps, how: int, *, existence: bool = False
) -> None:
    """A query as a value: its columns are used like any, what decides its rows indirectly."""
    relation = binding.query(node, frame)
    frame.reads.update(relation.reads)
    if not existence:
        for output in relation.outputs:
            add(into, output.deps, how)
    add(into, relation.whole, how if how & INDIRECT else IDENTITY)


def _comprehension(
    binding: Binding, node: Any, frame: Frame, into: Deps, how: int, names: Mapping[str, Deps]
) -> None:
    bound = {**names, folded(node.expression.name): EMPTY}
    for part in (node.this, node.args.get("iterator"), node.args.get("condition")):
        if part is not None:
            gather(binding, part, frame, into, how=through(how, TRANSFORMATION), names=bound)


def _steps(node: Any, frame: Frame) -> Iterable[Step]:
    """The children of a node, each with the way in which the node uses it."""
    if isinstance(node, exp.Window):
        return _window(node, frame)
    special = _SPECIAL.get(type(node))
    if special is not None:
        return special(node)
    return ((child, _way(node)) for child in node.iter_expressions())


def _way(node: Any) -> int:
    if isinstance(node, _WRAPPERS):
        return IDENTITY
    if isinstance(node, exp.AggFunc) and not isinstance(node, _PICKING):
        return AGGREGATION
    if isinstance(node, _HASHES) or (isinstance(node, exp.Anonymous) and node.name.lower() in _HASH_NAMES):
        return HASHED
    return TRANSFORMATION


def _case(node: Any) -> Iterable[Step]:
    if node.this is not None:
        yield node.this, CONDITIONAL
    for branch in node.args.get("ifs") or ():
        yield from _if(branch)
    if node.args.get("default") is not None:
        yield node.args["default"], TRANSFORMATION


def _if(node: Any) -> Iterable[Step]:
    yield node.this, CONDITIONAL
    for key in ("true", "false"):
        if node.args.get(key) is not None:
            yield node.args[key], TRANSFORMATION


def _filter(node: Any) -> Iterable[Step]:
    yield node.this, IDENTITY
    yield node.expression, FILTER


def _order(node: Any) -> Iterable[Step]:
    if node.this is not None:
        yield node.this, IDENTITY
    for ordered in node.expressions:
        yield ordered, SORT


def _within_group(node: Any) -> Iterable[Step]:
    yield node.this, IDENTITY
    if isinstance(node.this, _OF_ORDER):
        for ordered in node.expression.expressions:
            yield ordered, AGGREGATION
    else:
        yield node.expression, SORT


def _dot(node: Any) -> Iterable[Step]:
    """A field of a struct is the struct's; the dotted name of a function is none."""
    if not (isinstance(node.expression, exp.Func) and isinstance(node.this, exp.Dot)):
        yield node.this, TRANSFORMATION
    yield node.expression, TRANSFORMATION


def _window(node: Any, frame: Frame) -> Iterable[Step]:
    if node.this is not None and not isinstance(node.this, exp.Identifier):
        yield node.this, TRANSFORMATION
    for partition in node.args.get("partition_by") or ():
        yield partition, WINDOW
    if node.args.get("order") is not None:
        yield node.args["order"], WINDOW
    name = node.args.get("alias")
    named = frame.windows.get(folded(name.name)) if name is not None else None
    if named is not None and named is not node:
        yield named, WINDOW


_SPECIAL: Final[Mapping[type, Callable[[Any], Iterable[Step]]]] = {
    exp.Case: _case,
    exp.If: _if,
    exp.Filter: _filter,
    exp.Order: _order,
    exp.WithinGroup: _within_group,
    exp.Dot: _dot,
}
