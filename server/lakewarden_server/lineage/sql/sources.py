"""What stands in FROM and JOIN: tables, files, functions, subqueries, lists of values, pivots; each becomes a place of a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlglot import exp

from lakewarden_server.lineage.sql.binding import Binding
from lakewarden_server.lineage.sql.expressions import gather
from lakewarden_server.lineage.sql.pivots import pivoted
from lakewarden_server.lineage.sql.relations import Frame, Output, Place, Relation, Rest, folded, renamed
from lakewarden_server.lineage.sql.strengths import JOIN, TRANSFORMATION, Deps, add, used
from lakewarden_server.lineage.sql.traced import Path, Reason, Source

_READERS: Final = frozenset(
    {
        "read_files", "read_parquet", "parquet_scan", "read_csv", "read_csv_auto", "read_json", "read_json_auto", "read_ndjson",
        "read_ndjson_auto", "read_json_objects", "read_text", "read_blob", "delta_scan", "iceberg_scan", "sniff_csv",
    }
)  # fmt: skip
"""Functions that read the files their first argument names."""
_FORMATS: Final = frozenset(
    {"delta", "parquet", "csv", "json", "orc", "avro", "text", "binaryfile", "iceberg"}
)
_STREAM: Final = "stream"
_GENERATORS: Final = frozenset(
    {
        "range",
        "generate_series",
        "json_each",
        "json_tree",
        "json_table",
        "jsonb_each",
        "jsonb_array_elements",
        "json_array_elements",
        "string_split",
        "regexp_split_to_table",
        "split_to_table",
        "string_to_table",
        "repeat",
        "sequence",
    }
)
"""Functions that give rows made of their arguments alone, beyond those the parser knows."""


def add_source(binding: Binding, node: Any, frame: Frame) -> None:
    """Puts what a FROM or JOIN names into the frame, its own joins after it. Raises Unsupported."""
    if isinstance(node, exp.Final | exp.Stream):
        node = node.this
    if isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Query | exp.Pivot) and not node.alias:
        add_source(binding, node.this, frame)
    else:
        frame.put(_place(binding, node, frame))
    for join in node.args.get("joins") or ():
        add_join(binding, join, frame)
    for lateral in node.args.get("laterals") or ():
        add_source(binding, lateral, frame)


def add_join(binding: Binding, join: Any, frame: Frame) -> None:
    """Puts the right side of a join into the frame and reads its condition."""
    before = len(frame.places)
    add_source(binding, join.this, frame)
    added = frame.places[before:]
    half = join.kind in ("SEMI", "ANTI") or join.side in ("SEMI", "ANTI")
    names = list(join.args.get("using") or ())
    if join.method == "NATURAL":
        names = _common(frame.places[:before], added)
    for name in names:
        _merge(binding, name, frame, before, half=half)
    for condition in ("on", "match_condition"):
        if join.args.get(condition) is not None:
            gather(binding, join.args[condition], frame, frame.collecting(), how=JOIN)
    if half:
        for place in added:
            place.visible = False


def _common(left: Sequence[Place], right: Sequence[Place]) -> list[Any]:
    """The names that NATURAL joins by, in the order of the left side."""
    keys = {folded(output.name) for place in right for output in place.relation.outputs}
    names = [output.name for place in left if place.visible for output in place.relation.outputs]
    return [exp.to_identifier(name, quoted=True) for name in names if folded(name) in keys]


def _merge(binding: Binding, identifier: Any, frame: Frame, before: int, *, half: bool) -> None:
    """A column of USING is one of both sides, and joins by both."""
    key, exact = folded(identifier.name), binding.exact(identifier)
    earlier = frame.merged.get(key)
    outputs = [earlier] if earlier else [*_holding(binding, identifier, frame.places[:before])][:1]
    outputs += _holding(binding, identifier, frame.places[before:])
    deps: Deps = {}
    for output in outputs:
        add(deps, output.deps)
    add(frame.collecting(), deps, JOIN)
    if not half:
        name = outputs[0].name if outputs else str(identifier.name)
        frame.merged[key] = Output(name, exact, deps)


def _holding(binding: Binding, identifier: Any, places: Sequence[Place]) -> list[Output]:
    key, exact = folded(identifier.name), binding.exact(identifier)
    found = [out for place in places if place.visible for out in place.relation.named(key, exact)]
    rests = [place.relation.rest for place in places if place.visible and place.relation.rest is not None]
    if not found and len(rests) == 1:
        return [Output(str(identifier.name), exact, binding.of_rest(rests[0], identifier))]
    if not found:
        binding.leave_out(Reason.COLUMN_UNKNOWN, identifier.name)
    return found


def _place(binding: Binding, node: Any, frame: Frame) -> Place:
    alias = node.args.get("alias")
    names = [binding.named(column) for column in alias.args.get("columns") or ()] if alias else []
    if isinstance(node, exp.Table):
        relation, parts = _table(binding, node, frame)
    else:
        relation, parts = _other(binding, node, frame), ()
    for pivot in node.args.get("pivots") or ():
        relation = pivoted(binding, pivot, relation, frame)
        inner = pivot.args.get("alias")
        if inner is not None:
            alias, names = inner, [binding.named(column) for column in inner.args.get("columns") or ()]
    shown = alias.name if alias and alias.name else (parts[-1] if parts else "")
    if not names and shown and isinstance(relation.rest, Rest) and relation.rest.deps is not None:
        return Place(folded(shown), relation)
    return Place(folded(shown), renamed(relation, names), () if alias and alias.name else parts)


def _table(binding: Binding, table: Any, frame: Frame) -> tuple[Relation, tuple[str, ...]]:
    if isinstance(table.this, exp.Func):
        return function(binding, table.this, frame), (folded(table.this.name),)
    parts = name_parts(table)
    if len(parts) == 1 and folded(parts[0]) in frame.ctes:
        return frame.ctes[folded(parts[0])], (folded(parts[0]),)
    source = source_of(binding, table)
    if source is None:
        binding.leave_out(Reason.UNSUPPORTED)
        return Relation([], rest=Rest(), cut=0), ()
    return binding.table(source), tuple(source) if not isinstance(source, Path) else ()


def name_parts(table: Any) -> list[str]:
    """The written parts of a table's name; none where it is no plain name."""
    parts = [part for key in ("catalog", "db", "this") if (part := table.args.get(key))]
    return [str(part.name) for part in parts] if all(isinstance(p, exp.Identifier) for p in parts) else []


def source_of(binding: Binding, table: Any) -> Source | None:
    """What a plain name in the place of a table means: a table, or files; None for anything else."""
    if isinstance(table, exp.Schema):
        table = table.this
    if isinstance(table, exp.Literal):
        return Path(str(table.this))
    if not isinstance(table, exp.Table):
        return None
    if isinstance(table.this, exp.Literal | exp.Var):
        return Path(str(table.this.this))
    parts = name_parts(table)
    if not parts:
        return None
    # Names hold neither a slash nor a dot; `delta.`/a/b`` names a format before the path.
    is_path = "/" in parts[-1] or "." in parts[-1]
    if is_path and (len(parts) == 1 or (len(parts) == 2 and folded(parts[0]) in _FORMATS)):
        return Path(parts[-1])
    return binding.table_name(parts)


def function(binding: Binding, call: Any, frame: Frame) -> Relation:
    """The rows a function gives: of the files it reads, of the table it streams, else made of its arguments."""
    name = call.name.lower() if isinstance(call, exp.Anonymous) else call.sql_name().lower()
    arguments = list(call.iter_expressions())
    if isinstance(call, exp.ReadParquet | exp.ReadCSV) or name in _READERS:
        return _files(binding, list(_literals(arguments[:1])))
    if name == _STREAM and len(arguments) == 1 and isinstance(arguments[0], exp.Column):
        column = arguments[0]
        parts = [str(part.name) for key in ("db", "table", "this") if (part := column.args.get(key))]
        return binding.table(binding.table_name(parts))
    if isinstance(call, exp.Anonymous) and name not in _GENERATORS:
        binding.leave_out(Reason.FUNCTION_UNKNOWN)
    deps: Deps = {}
    for argument in arguments:
        gather(binding, argument, frame, deps, how=TRANSFORMATION)
    return Relation([], used(deps, JOIN), rest=Rest(deps=deps), cut=0)


def _literals(arguments: Sequence[Any]) -> Iterator[str]:
    """The texts of a literal or of a list of them; nothing where one is computed."""
    for argument in arguments:
        if isinstance(argument, exp.Literal) and argument.is_string:
            yield str(argument.this)
        elif isinstance(argument, exp.Array | exp.Tuple):
            yield from _literals(argument.expressions)
        elif isinstance(argument, exp.Kwarg | exp.Paren):
            yield from _literals([argument.expression or argument.this])


def _files(binding: Binding, urls: Sequence[str]) -> Relation:
    if not urls:
        binding.leave_out(Reason.UNSUPPORTED)
        return Relation([], rest=Rest(), cut=0)
    relation = binding.table(Path(urls[0]))
    if len(urls) == 1:
        return relation
    # Several files are one relation, but no column of it is of one of them.
    return Relation([], reads={Path(url): None for url in urls}, rest=Rest(), cut=0)


def _other(binding: Binding, node: Any, frame: Frame) -> Relation:
    """Everything in FROM that is no table."""
    if isinstance(node, exp.Subquery):
        if isinstance(node.this, exp.Query | exp.Pivot):
            return binding.query(node, frame)
        return _parenthesized(binding, node, frame)
    if isinstance(node, exp.Values):
        return values(binding, node, frame)
    if isinstance(node, exp.Unnest):
        return _unnest(binding, node, frame)
    if isinstance(node, exp.Lateral):
        inner = node.this
        return (
            binding.query(inner, frame) if isinstance(inner, exp.Query) else function(binding, inner, frame)
        )
    if isinstance(node, exp.TableFromRows) and isinstance(node.this, exp.Func):
        return function(binding, node.this, frame)
    if isinstance(node, exp.Query | exp.Pivot):
        return binding.query(node, frame)
    if isinstance(node, exp.Func):
        return function(binding, node, frame)
    binding.leave_out(Reason.UNSUPPORTED)
    return Relation([], rest=Rest(), cut=0)


def _parenthesized(binding: Binding, node: Any, frame: Frame) -> Relation:
    """`(a JOIN b) AS j`: one relation of all their columns."""
    inner = Frame(frame)
    add_source(binding, node.this, inner)
    outputs = [output for place in inner.visible for output in place.relation.outputs]
    if any(place.relation.rest is not None for place in inner.visible):
        return Relation(outputs, inner.whole, inner.reads, Rest(), 0)
    return Relation(outputs, inner.whole, inner.reads)


def _unnest(binding: Binding, node: Any, frame: Frame) -> Relation:
    deps: Deps = {}
    for expression in node.expressions:
        gather(binding, expression, frame, deps, how=TRANSFORMATION)
    alias, offset = node.args.get("alias"), node.args.get("offset")
    columns = list(alias.args.get("columns") or ()) if alias else []
    if not columns and alias and alias.name:
        columns = [alias.this]
    outputs = [Output(*binding.named(column), deps) for column in columns]
    if isinstance(offset, exp.Identifier):
        outputs.append(Output(*binding.named(offset), {}))
    whole = used(deps, JOIN)
    return Relation(outputs, whole) if outputs else Relation([], whole, rest=Rest(deps=deps), cut=0)


def values(binding: Binding, node: Any, frame: Frame) -> Relation:
    """The rows of VALUES as a relation; its columns have no names but those an alias gives."""
    columns: list[Deps] = []
    for row in node.expressions:
        cells = row.expressions if isinstance(row, exp.Tuple) else [row]
        for place, cell in enumerate(cells):
            if place == len(columns):
                columns.append({})
            gather(binding, cell, frame, columns[place])
    return Relation([Output("", "", deps) for deps in columns], frame.whole, dict(frame.reads))
