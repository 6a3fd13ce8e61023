"""Statements that are no queries: what they write, and how the query inside maps to the columns of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlglot import exp
from sqlglot.dialects import DuckDB, Spark

from lakewarden_server.lineage.sql.binding import Binding, Unsupported
from lakewarden_server.lineage.sql.changes import delete, merge, on_conflict, update
from lakewarden_server.lineage.sql.expressions import gather
from lakewarden_server.lineage.sql.found import Found, distinct_names
from lakewarden_server.lineage.sql.queries import bind_with
from lakewarden_server.lineage.sql.relations import Frame, Place, Relation, folded
from lakewarden_server.lineage.sql.sources import add_source, source_of
from lakewarden_server.lineage.sql.strengths import FILTER, IDENTITY
from lakewarden_server.lineage.sql.traced import Kind, Path, Reason, Source

_KINDS: Final[Mapping[str, Kind]] = {"TABLE": Kind.CREATE_TABLE, "VIEW": Kind.CREATE_VIEW}
_NAMED_FORMATS: Final = frozenset({"AVRO", "JSON", "ORC", "PARQUET"})
"""Formats of files that name their columns."""


def find(binding: Binding, node: Any) -> Found:
    """What a statement does. Raises Unsupported, and RecursionError where it nests too deep."""
    handler = _HANDLERS.get(type(node))
    if handler is not None:
        return handler(binding, node)
    if isinstance(node, exp.Query | exp.Values | exp.Pivot):
        return _query(binding, node)
    raise Unsupported


def kind_of(node: Any) -> Kind:
    """The kind of a statement."""
    if isinstance(node, exp.Create):
        return _KINDS.get(str(node.args.get("kind")).upper(), Kind.OTHER)
    if isinstance(node, exp.Query | exp.Values | exp.Pivot):
        return Kind.SELECT
    return Kind[node.key.upper()] if node.key.upper() in Kind.__members__ else Kind.OTHER


def target_of(binding: Binding, node: Any) -> Source | None:
    """What a statement writes, as far as it names it plainly."""
    place = node.args.get("this")
    if isinstance(node, exp.Copy):
        return source_of(binding, place) if node.args.get("kind") else _files(node)
    if isinstance(node, exp.Select):
        into = node.args.get("into")
        place = into.this if into is not None else None
    elif isinstance(node, exp.Create):
        place = place if kind_of(node) is not Kind.OTHER else None
    elif not isinstance(node, exp.Insert | exp.Merge | exp.Update | exp.Delete):
        return None
    if isinstance(place, exp.Directory):
        place = place.this
    return source_of(binding, place)


def _files(copy: Any) -> Source | None:
    file = next(iter(copy.args.get("files") or ()), None)
    return Path(str(file.this)) if isinstance(file, exp.Literal) else None


def column_list(node: Any) -> list[Any]:
    """The identifiers of a list of columns behind a target: `t (a, b)`, or column definitions."""
    if not isinstance(node, exp.Schema):
        return []
    parts = [part.this if isinstance(part, exp.ColumnDef) else part for part in node.expressions]
    return [part for part in parts if isinstance(part, exp.Identifier)]


def _query(binding: Binding, node: Any) -> Found:
    writes = target_of(binding, node)
    found = Found(Kind.SELECT if writes is None else Kind.CREATE_TABLE, writes)
    _make(binding, found, binding.query(node, Frame()), [])
    return found


def _make(binding: Binding, found: Found, relation: Relation, listed: Sequence[Any]) -> None:
    """The columns of something new: as listed, else as the query names them."""
    found.decide(relation)
    if listed:
        _by_position(binding, found, [str(name.name) for name in listed], relation)
        return
    for name, output in zip(distinct_names(binding, relation, found.writes), relation.outputs, strict=True):
        found.put(name, output.deps)
    if relation.cut is not None:
        binding.leave_out(Reason.COLUMNS_UNKNOWN)


def _by_position(binding: Binding, found: Found, names: Sequence[str], relation: Relation) -> None:
    known = relation.known
    for name, output in zip(names, known, strict=False):
        found.put(name, output.deps)
    for name in names[len(known) :]:
        binding.leave_out(Reason.COLUMNS_UNKNOWN, name)


def _create(binding: Binding, node: Any) -> Found:
    found = Found(kind_of(node), target_of(binding, node))
    query, clone = node.args.get("expression"), node.args.get("clone")
    if found.writes is None:
        raise Unsupported
    if clone is not None:
        frame = Frame()
        add_source(binding, clone.this, frame)
        _make(binding, found, frame.places[0].relation, [])
    elif isinstance(query, exp.Query | exp.Values | exp.Pivot):
        frame = Frame()
        bind_with(binding, node, frame)
        _make(binding, found, binding.query(query, frame), column_list(node.this))
    elif query is not None:
        raise Unsupported
    return found


def _insert(binding: Binding, node: Any) -> Found:
    found = Found(Kind.INSERT, target_of(binding, node))
    query = node.args.get("expression") or node.args.get("source")
    if found.writes is None or not query:
        raise Unsupported
    frame = Frame()
    bind_with(binding, node, frame)
    relation = binding.query(query, frame)
    found.decide(relation)
    columns = binding.columns_of(found.writes)
    listed = column_list(node.this)
    if listed:
        names = [spelled(binding, name, columns) for name in listed]
        _by_position(binding, found, names, relation)
    elif node.args.get("by_name") or isinstance(found.writes, Path):
        _by_name(binding, found, columns, relation)
    elif columns is None:
        binding.leave_out(Reason.TABLE_UNKNOWN)
    else:
        _by_position(binding, found, _unpartitioned(node, columns), relation)
    found.columns.pop("", None)
    if node.args.get("where") is not None:
        _replaced(binding, found, node.args["where"])
    if node.args.get("conflict") is not None:
        on_conflict(binding, found, node)
    return found


def spelled(binding: Binding, identifier: Any, columns: Sequence[str] | None) -> str:
    """A column of a target as the catalog spells it; empty, and a reason, where it has no such column."""
    name = str(identifier.name)
    if columns is None:
        return name
    for column in columns:
        if folded(column) == folded(name):
            return column
    binding.leave_out(Reason.COLUMN_UNKNOWN, name)
    return ""


def _unpartitioned(node: Any, columns: Sequence[str]) -> list[str]:
    """The columns that a position means: not those a static PARTITION gives a value."""
    table = node.this.this if isinstance(node.this, exp.Schema) else node.this
    partition = table.args.get("partition") or node.args.get("partition") or None
    fixed = {folded(each.this.name) for each in partition.find_all(exp.EQ)} if partition else set()
    return [column for column in columns if folded(column) not in fixed]


def _by_name(binding: Binding, found: Found, columns: Sequence[str] | None, relation: Relation) -> None:
    for output in relation.outputs:
        if not output.name:
            binding.leave_out(Reason.COLUMNS_UNKNOWN)
            continue
        found.put(spelled(binding, exp.to_identifier(output.name, quoted=True), columns), output.deps)
    if relation.cut is not None:
        binding.leave_out(Reason.COLUMNS_UNKNOWN)


def _replaced(binding: Binding, found: Found, condition: Any) -> None:
    """REPLACE WHERE deletes rows of the target by their values."""
    assert found.writes is not None
    frame = Frame()
    frame.put(Place(found.writes[-1], binding.table(found.writes)))
    gather(binding, condition, frame, found.whole, how=FILTER)


def _copy(binding: Binding, node: Any) -> Found:
    found = Found(Kind.COPY, target_of(binding, node))
    if found.writes is None:
        raise Unsupported
    if not node.args.get("kind"):
        _copy_out(binding, found, node.this)
        return found
    files, by_position = _copied(node)
    by_name = not by_position and _is_by_name(binding, node)
    for file in files:
        _copy_in(binding, found, file, column_list(node.this), by_name=by_name)
    found.columns.pop("", None)
    return found


def _copied(node: Any) -> tuple[list[Any], bool]:
    """The files of a COPY into a table, and whether it says BY POSITION, which sqlglot reads as a file and options."""
    files, params = list(node.args.get("files") or ()), list(node.args.get("params") or ())
    words = [*files, *(param.this for param in params)][:3]
    if [word.name.upper() for word in words] != ["BY", "POSITION", "FROM"] or len(files) != 1:
        return files, False
    source = params[1].args.get("expression")
    return ([source] if source is not None else []), True


def _is_by_name(binding: Binding, node: Any) -> bool:
    """Whether columns of files are matched by name: where the engine does so of itself for the format, or is told to."""
    options = dict(_options(node.args.get("params") or ()))
    if options.get("MATCH_BY_COLUMN_NAME", "NONE") != "NONE":
        return True
    file = next(iter(node.args.get("files") or ()), None)
    if isinstance(binding.dialect, Spark):
        named = isinstance(file, exp.Subquery) or options.get("FILEFORMAT") in _NAMED_FORMATS
        return named or (options.get("FILEFORMAT") == "CSV" and options.get("HEADER") == "TRUE")
    if isinstance(binding.dialect, DuckDB):
        ending = file.name.rpartition(".")[2].upper() if file is not None else ""
        return options.get("FORMAT", ending) in {"JSON", "JSONL", "NDJSON"}
    return False


def _options(params: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for param in params:
        if param.args.get("expression") is not None:
            yield param.this.name.upper(), param.args["expression"].name.upper()
        for option in param.expressions:
            if isinstance(option, exp.Property) and option.args.get("value") is not None:
                yield option.this.name.upper(), option.args["value"].name.upper()


def _copy_in(binding: Binding, found: Found, file: Any, listed: Sequence[Any], *, by_name: bool) -> None:
    assert found.writes is not None
    if isinstance(file, exp.Subquery):
        source, relation = None, binding.query(file, Frame())
    else:
        source = source_of(binding, file)
        if source is None:
            raise Unsupported
        relation = binding.table(source)
    found.decide(relation)
    columns = binding.columns_of(found.writes)
    if isinstance(found.writes, Path):
        _by_name(binding, found, None, relation)
    elif by_name and not listed:
        _named_alike(binding, found, columns, relation, source)
    elif relation.cut is None:
        names = [spelled(binding, name, columns) for name in listed] or list(columns or ())
        _by_position(binding, found, names, relation)
    else:
        binding.leave_out(Reason.COLUMNS_UNKNOWN)


def _named_alike(
    binding: Binding,
    found: Found,
    columns: Sequence[str] | None,
    relation: Relation,
    source: Source | None,
) -> None:
    """Each column of the table is the one of that name in the files, as far as the table's are known."""
    if relation.cut is None:
        _by_name(binding, found, columns, relation)
    elif columns is None or not isinstance(source, Path):
        binding.leave_out(Reason.COLUMNS_UNKNOWN)
    else:
        for column in columns:
            found.put(column, {binding.leaf(source, column): IDENTITY})


def _copy_out(binding: Binding, found: Found, node: Any) -> None:
    if isinstance(node, exp.Subquery):
        _make(binding, found, binding.query(node, Frame()), [])
        return
    source = source_of(binding, node)
    if source is None:
        raise Unsupported
    relation = binding.table(source)
    frame = Frame()
    frame.put(Place("", relation))
    listed = column_list(node)
    if not listed:
        _make(binding, found, relation, [])
        return
    found.decide(Relation([], reads=relation.reads))
    for name in listed:
        column = exp.Column(this=name.copy())
        found.put(spelled(binding, name, binding.columns_of(source)), binding.column(column, frame))
    found.columns.pop("", None)


_HANDLERS: Final[Mapping[type, Callable[[Binding, Any], Found]]] = {
    exp.Create: _create,
    exp.Insert: _insert,
    exp.Merge: merge,
    exp.Update: update,
    exp.Delete: delete,
    exp.Copy: _copy,
}
