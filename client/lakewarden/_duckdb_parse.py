"""First witness: what sqlglot says a statement is, reads and writes. Names are as typed, not yet resolved."""

from __future__ import annotations

import enum
import string
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakewarden._duckdb_access import StatementRefused

Name: TypeAlias = tuple[str, ...]
"""A table name of one to three parts as typed, without quotes."""
FunctionName: TypeAlias = tuple[str, str, str]
"""Catalog, schema and function as typed, without quotes."""


class StatementKind(enum.Enum):
    """The kinds of statement that can be run. The value is DuckDB's own name of the statement type."""

    SELECT = "SELECT"
    INSERT = "INSERT"
    CREATE_TABLE_AS = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    MERGE = "MERGE_INTO"


@dataclass(frozen=True)
class TableReference:
    """One place in the text where a table is read: characters `start` to `end`, and whether an alias follows."""

    name: Name
    start: int
    end: int
    aliased: bool


@dataclass(frozen=True)
class CallReference:
    """One call of a function by three names, which begins at the character `start`.

    `columns` are the columns of results without AS that it stands in, which DuckDB would name after the text: where each begins when
    it is such a call itself, and -1 for any other.
    """

    name: FunctionName
    start: int
    arity: int
    columns: tuple[int, ...]


@dataclass(frozen=True)
class ParsedStatement:
    """A statement of an allowed kind, with the tables it reads, the one it writes and the functions it calls by three names.

    `scans_target` says that DuckDB must look at the written table's rows to do the work: always for UPDATE,
    DELETE and MERGE, and for an INSERT that resolves conflicts. `returns_rows` is about a RETURNING clause.
    """

    kind: StatementKind
    reads: frozenset[Name]
    target: Name | None
    scans_target: bool
    references: tuple[TableReference, ...] = ()
    calls: tuple[CallReference, ...] = ()
    returns_rows: bool = False


_ROOT_KINDS: Mapping[type[exp.Expression], StatementKind] = {
    exp.Select: StatementKind.SELECT,
    exp.SetOperation: StatementKind.SELECT,
    exp.Subquery: StatementKind.SELECT,
    exp.Values: StatementKind.SELECT,
    exp.Insert: StatementKind.INSERT,
    exp.Create: StatementKind.CREATE_TABLE_AS,
    exp.Update: StatementKind.UPDATE,
    exp.Delete: StatementKind.DELETE,
    exp.Merge: StatementKind.MERGE,
}
# Nodes that do something else than compute rows. They are refused wherever sqlglot finds them below the root.
_NEVER_NESTED = (
    exp.Alter, exp.Analyze, exp.Attach, exp.Command, exp.Commit, exp.Copy, exp.DDL, exp.Describe, exp.Detach,
    exp.Drop, exp.Execute, exp.HistoricalData, exp.Into, exp.Lock, exp.Pragma, exp.Rollback, exp.Set, exp.Show,
    exp.Summarize, exp.Transaction, exp.TruncateTable, exp.Update, exp.Delete, exp.Merge, exp.Use,
)  # fmt: skip
_TABLE_FUNCTIONS = (exp.GenerateSeries,)
"""What may stand in FROM with arguments: range and generate_series (unnest has a node of its own)."""
_ASCII_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_TABLE_PARTS = frozenset({"this", "db", "catalog", "alias", "joins", "sample", "pivots"})
_TARGET_PARTS = frozenset({"this", "db", "catalog", "alias"})


def parse_statement(sql: str) -> ParsedStatement:
    """Read one statement of an allowed kind, or raise StatementRefused."""
    root = _sole_root(sql)
    kind = next((kind for node, kind in _ROOT_KINDS.items() if isinstance(root, node)), None)
    if kind is None:
        raise StatementRefused(f"{root.key.upper()} statements are not run on a governed connection")
    target = None if kind is StatementKind.SELECT else _target_table(root)
    if kind is StatementKind.CREATE_TABLE_AS:
        _check_create(root)
    collector = _ReadCollector(root, target)
    try:
        collector.visit(root, {})
    except RecursionError:
        raise StatementRefused("the statement is nested too deeply to be checked") from None
    updates_in_place = kind in (StatementKind.UPDATE, StatementKind.DELETE, StatementKind.MERGE)
    resolves_conflicts = any(root.args.get(part) for part in ("conflict", "alternative", "ignore"))
    return ParsedStatement(
        kind=kind,
        reads=frozenset(collector.reads),
        target=None if target is None else _table_name(target),
        scans_target=updates_in_place or (kind is StatementKind.INSERT and resolves_conflicts),
        references=tuple(collector.references),
        calls=tuple(collector.calls),
        returns_rows=bool(root.args.get("returning")),
    )


def _sole_root(sql: str) -> exp.Expression:
    try:
        parsed = sqlglot.parse(sql, dialect="duckdb")
    except (SqlglotError, RecursionError) as error:
        raise StatementRefused(f"the statement cannot be parsed: {str(error).splitlines()[0]}") from None
    roots = [
        node for node in parsed if isinstance(node, exp.Expression) and not isinstance(node, exp.Semicolon)
    ]
    if len(roots) != 1:
        raise StatementRefused(f"exactly one statement is run at a time, not {len(roots)}")
    return roots[0]


def _target_table(root: exp.Expression) -> exp.Table:
    target = root.this
    if isinstance(target, exp.Schema):
        target = target.this
    if not isinstance(target, exp.Table):
        raise StatementRefused("the written table must be a plain name")
    _check_parts(target, _TARGET_PARTS)
    return target


def _check_create(create: exp.Expression) -> None:
    properties = create.args.get("properties")
    declared = properties.expressions if properties else ()
    plain = all(isinstance(node, exp.WithDataProperty) for node in declared)
    if create.args.get("kind") != "TABLE" or create.args.get("expression") is None or not plain:
        raise StatementRefused(
            "of CREATE statements only CREATE TABLE ... AS is run on a governed connection"
        )
    if create.args.get("replace"):
        # Replacing drops a table, which no privilege asked for here would cover.
        raise StatementRefused(
            "CREATE OR REPLACE is not run on a governed connection; DELETE and INSERT instead"
        )


def _check_parts(table: exp.Table, known: frozenset[str]) -> None:
    unknown = sorted(part for part, value in table.args.items() if value and part not in known)
    if unknown:
        raise StatementRefused(
            f"a table reference with {', '.join(unknown)} is not run on a governed connection"
        )


def _table_name(table: exp.Table) -> Name:
    parts = tuple(part for part in (table.args.get("catalog"), table.args.get("db"), table.this) if part)
    if not all(isinstance(part, exp.Identifier) for part in parts):
        raise StatementRefused("a table must be named by at most three plain names, not computed")
    return tuple(part.name for part in parts)


def _reference(table: exp.Table, name: Name) -> TableReference:
    """Where the name stands. Positions sqlglot does not give make a reference that no text matches."""
    parts = [part for part in (table.args.get("catalog"), table.args.get("db"), table.this) if part]
    start, end = parts[0].meta.get("start", -1), parts[-1].meta.get("end", -1)
    return TableReference(name, start, end + 1, aliased=bool(table.args.get("alias")))


def _call(node: exp.Expression) -> list[CallReference]:
    """The call of a function by three names, where `node` is one: `a.b.f(x)`, but not `a.b.c.f(x)` or `g(x).f()`."""
    schema, function = node.this, node.expression
    if not (isinstance(schema, exp.Dot) and isinstance(function, exp.Anonymous)):
        return []
    if not (isinstance(schema.this, exp.Identifier) and isinstance(schema.expression, exp.Identifier)):
        return []
    name = (schema.this.name, schema.expression.name, function.name)
    return [CallReference(name, _start(node), len(function.expressions), tuple(_unnamed_columns(node)))]


def _start(call: exp.Expr) -> int:
    start: int = next(call.find_all(exp.Identifier, bfs=False)).meta.get("start", -1)
    return start


def _unnamed_columns(node: exp.Expr) -> Iterator[int]:
    child, parent = node, node.parent
    while parent is not None:
        if isinstance(parent, exp.Select | exp.Returning) and child.arg_key == "expressions":
            if not isinstance(child, exp.Alias | exp.Aliases | exp.Star):
                is_call = isinstance(child, exp.Dot) and isinstance(child.expression, exp.Anonymous)
                yield _start(child) if is_call else -1
        elif isinstance(parent, exp.Pivot):
            yield -1
        child, parent = parent, parent.parent


@dataclass(frozen=True)
class _Cte:
    body: exp.Expression
    scope: dict[str, _Cte]


class _ReadCollector:
    """Walks a statement with the CTEs in sight and collects the names that are real tables.

    A CTE's body is walked when it is first referenced, because DuckDB does not bind one that nobody uses.
    """

    def __init__(self, root: exp.Expression, target: exp.Table | None) -> None:
        self.reads: set[Name] = set()
        self.references: list[TableReference] = []
        self.calls: list[CallReference] = []
        self._root = root
        self._target = target
        self._walked: set[int] = set()

    def visit(self, node: exp.Expression, scope: dict[str, _Cte]) -> None:
        """Collect from `node` and everything below it."""
        if node is self._target or isinstance(node, exp.With):
            return
        self._check_nested(node)
        with_clause = node.args.get("with_")
        if with_clause is not None:
            scope = _extended_scope(with_clause, scope)
        if isinstance(node, exp.Table):
            self._visit_table(node, scope)
        elif isinstance(node, exp.Dot):
            self.calls += _call(node)
        for child in node.iter_expressions():
            self.visit(child, scope)

    def _check_nested(self, node: exp.Expression) -> None:
        # The actions of MERGE's WHEN branches are Update and Insert nodes without a table of their own.
        if node is self._root or isinstance(node.parent, exp.When):
            return
        if isinstance(node, _NEVER_NESTED):
            raise StatementRefused(
                f"{node.key.upper()} inside a statement is not run on a governed connection"
            )

    def _visit_table(self, table: exp.Table, scope: dict[str, _Cte]) -> None:
        _check_parts(table, _TABLE_PARTS)
        if isinstance(table.this, _TABLE_FUNCTIONS) and not table.args.get("db"):
            return
        if isinstance(table.this, exp.Func):
            function = table.this.name if isinstance(table.this, exp.Anonymous) else table.this.sql_name()
            raise StatementRefused(f"table function {function} is not run on a governed connection")
        name = _table_name(table)
        cte = scope.get(ascii_fold(name[0])) if len(name) == 1 else None
        if cte is None:
            self.reads.add(name)
            self.references.append(_reference(table, name))
        elif id(cte) not in self._walked:
            self._walked.add(id(cte))
            self.visit(cte.body, cte.scope)


def _extended_scope(with_clause: exp.Expression, outer: dict[str, _Cte]) -> dict[str, _Cte]:
    """A CTE sees the ones before it, and itself when the clause is RECURSIVE."""
    scope = dict(outer)
    for definition in with_clause.expressions:
        visible = dict(scope)
        cte = _Cte(definition.this, visible)
        scope[ascii_fold(definition.alias)] = cte
        if with_clause.args.get("recursive"):
            visible[ascii_fold(definition.alias)] = cte
    return scope


def server_fold(name: str) -> str:
    """A name as the server compares it: NFKC and case folding of every letter, where DuckDB folds ASCII only."""
    return unicodedata.normalize("NFKC", name).casefold()


def ascii_fold(name: str) -> str:
    """Lower-case as DuckDB compares names: ASCII letters only."""
    return name.translate(_ASCII_FOLD)
