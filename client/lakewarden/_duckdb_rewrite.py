"""Puts into a statement what the server says about the tables and views it reads: filters, masks, definitions.

Each name of such a relation is replaced in the caller's own text by a subquery; nothing else of the text changes. Every
subquery carries a mark nobody can guess, so that DuckDB's plan shows afterwards which scans stand inside one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakewarden._duckdb_access import AccessDenied, Relation, StatementRefused
from lakewarden._duckdb_binder import Table, TableKey
from lakewarden._duckdb_expressions import bound_expression
from lakewarden._duckdb_parse import (
    Name,
    StatementKind,
    TableReference,
    ascii_fold,
    parse_statement,
    server_fold,
)
from lakewarden._duckdb_tokens import SQL_LENGTH_MAX

VIEWS_DEEP_MAX = 32
ROWS_MAX = 2**63 - 1
"""A LIMIT no table reaches. DuckDB moves no condition of the outer query below a LIMIT, where an error of its own, such as a
failed cast, would tell values of rows that are filtered out."""

_ALIAS = "governed"


@dataclass(frozen=True)
class Rules:
    """How a table is read: the condition of its rows, and the masks by folded column."""

    row_filter: str = ""
    column_masks: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.row_filter or self.column_masks)


@dataclass(frozen=True)
class Lake:
    """What the rewriter asks about DuckDB."""

    table: Callable[[str], Table]
    """The table of a full name of Lakewarden; raises StatementRefused where DuckDB has none."""
    columns: Callable[[Table], Sequence[tuple[str, str]]]
    """Names and types of a table's columns, in order."""


class Rewriter:
    """Rewrites one statement. `views` and what they read are by folded full name, as the server compares names."""

    def __init__(self, lake: Lake, *, views: Mapping[str, Relation]) -> None:
        self.mark = secrets.token_hex(16)
        self.guarded: set[TableKey] = set()
        self._lake = lake
        self._views = views

    @staticmethod
    def rewrite(
        sql: str, references: Sequence[TableReference], replacement: Callable[[Name], str | None]
    ) -> str:
        """The text with names replaced, from the last to the first; None leaves a name as it is."""
        for reference in sorted(references, key=lambda found: found.start, reverse=True):
            subquery = replacement(reference.name)
            if subquery is None:
                continue
            _check_place(sql, reference)
            alias = "" if reference.aliased else f" AS {quoted(reference.name[-1])}"
            sql = f"{sql[: reference.start]}{subquery}{alias}{sql[reference.end :]}"
            if len(sql) > SQL_LENGTH_MAX:
                raise StatementRefused("the statement becomes too long with its views and filters put in")
        return sql

    def table_subquery(self, table: Table, rules: Rules) -> str:
        """A subquery that shows of a table what the rules let through."""
        self.guarded.add(table.key)
        columns = self._lake.columns(table)
        known = {ascii_fold(name) for name, _ in columns}
        masks = {ascii_fold(name): mask for name, mask in rules.column_masks.items()}
        if not masks.keys() <= known:
            raise AccessDenied(f"{table.name} has a masked column that DuckDB's table does not have")
        shown = ", ".join(
            f"CAST({_of_row(masks[ascii_fold(name)], known)} AS {type_text}) AS {quoted(name)}"
            if ascii_fold(name) in masks
            else f"{_ALIAS}.{quoted(name)}"
            for name, type_text in columns
        )
        source = ".".join(quoted(part) for part in table[:3])
        filtered = f"({_of_row(rules.row_filter, known)}) AND " if rules.row_filter else ""
        barrier = f" LIMIT {ROWS_MAX}" if rules.row_filter else ""
        marked = f"{filtered}'{self.mark}' <> ''{barrier}"
        return f"(FROM {source} AS {_ALIAS} SELECT {shown} WHERE {marked})"

    def view_subquery(self, full_name: str, *, depth: int = 0) -> str:
        """A subquery in the place of a view, with everything below it guarded."""
        view = self._views.get(server_fold(full_name))
        if view is None or depth > VIEWS_DEEP_MAX:
            raise AccessDenied(f"the answer does not say what {full_name} is made of")
        if view.kind != "VIEW":
            rules = Rules(view.row_filter, view.column_masks)
            return self.table_subquery(self._lake.table(full_name), rules)
        definition = _as_duckdb(view.definition, view.dialect)
        parsed = parse_statement(definition)
        if parsed.kind is not StatementKind.SELECT:
            raise StatementRefused(f"the definition of {full_name} is no query")

        def below(name: Name) -> str:
            if len(name) != 3:
                raise StatementRefused(
                    f"the definition of {full_name} does not name {'.'.join(name)} in full"
                )
            return self.view_subquery(".".join(name), depth=depth + 1)

        text = self.rewrite(definition, parsed.references, below)
        names = f"({', '.join(map(quoted, view.columns))})" if view.columns else ""
        return f"(FROM ({text}) AS {_ALIAS}{names} LIMIT {ROWS_MAX})"


def quoted(identifier: str) -> str:
    """An identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a constant of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _check_place(sql: str, reference: TableReference) -> None:
    """Sqlglot's positions must show the name it read; a parser that counts otherwise would cut elsewhere."""
    written = sql[reference.start : reference.end] if 0 <= reference.start < reference.end else ""
    try:
        parsed = sqlglot.parse_one(written, into=exp.Table, dialect="duckdb")
        parts = tuple(part.name for part in parsed.parts)
    except (SqlglotError, AttributeError, ValueError):
        parts = ()
    if parts != reference.name:
        raise StatementRefused(f"the place of {'.'.join(reference.name)} in the statement is not clear")


def _of_row(expression: str, known: set[str]) -> str:
    """A filter or mask with its columns bound to the table it is about, whatever the rest of the statement names."""

    def bound(name: str) -> exp.Expr | None:
        return exp.column(name, table=_ALIAS, quoted=True) if ascii_fold(name) in known else None

    return bound_expression(expression, "a filter or mask", bound)


def _as_duckdb(definition: str, dialect: str) -> str:
    if dialect in ("", "duckdb"):
        return definition
    try:
        texts = sqlglot.transpile(definition, read=dialect, write="duckdb")
    except (SqlglotError, RecursionError, ValueError):
        texts = []
    if len(texts) != 1:
        raise StatementRefused(f"a view's definition cannot be read as {dialect} SQL")
    return texts[0]
