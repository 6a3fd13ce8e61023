"""Temporary views of a governed connection: texts that are kept here, and put where their names stand before a statement is checked.

DuckDB never has them. A statement over one is checked as if the caller had written the definition there, each time, so a view
shows neither more nor less than its text would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import duckdb
from lakewarden._duckdb_access import StatementRefused
from lakewarden._duckdb_binder import check_governable, sole_statement
from lakewarden._duckdb_confirm import World
from lakewarden._duckdb_parse import Name, StatementKind, ascii_fold, parse_statement
from lakewarden._duckdb_rewrite import VIEWS_DEEP_MAX, Rewriter, quoted
from lakewarden._duckdb_tokens import Token, check_characters, tokens

TEMPORARY_VIEWS_MAX = 1_000
"""Of one connection."""
_TEMPORARY = frozenset({"temp", "temporary"})


class TemporaryView(NamedTuple):
    """A view as its CREATE says: columns are empty where they are those of the query."""

    name: str
    columns: tuple[str, ...]
    definition: str


class TemporaryViewsOf:
    """The temporary views of one governed connection, by folded name."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, world: World) -> None:
        self._cursor, self._world = cursor, world
        self._views: dict[str, TemporaryView] = {}

    def made_by(self, sql: str) -> TemporaryView | None:
        """The view that a CREATE TEMP VIEW makes, None where the statement is another one. Raises StatementRefused."""
        if "view" not in sql.lower():
            return None
        check_characters(sql)
        words = tokens(sql)
        start, replaces = _after_create(words)
        if start is None:
            return None
        sole_statement(self._cursor, sql)
        view = _view(sql, words, start)
        check_governable((view.name,))
        key = ascii_fold(view.name)
        if key in self._views and not replaces:
            raise StatementRefused(f"{view.name} is a temporary view already; CREATE OR REPLACE another one")
        if key not in self._views and len(self._views) >= TEMPORARY_VIEWS_MAX:
            raise StatementRefused(f"a connection has at most {TEMPORARY_VIEWS_MAX} temporary views")
        if parse_statement(view.definition).kind is not StatementKind.SELECT:
            raise StatementRefused(f"the definition of {view.name} is no query")
        if sole_statement(self._cursor, view.definition).named_parameters:
            raise StatementRefused("a view has no parameters; the statements that read it may")
        return view

    def text_of(self, view: TemporaryView) -> str:
        """The query of a view that is to be kept, with all views put in. Raises StatementRefused, also where it reads itself."""
        key = ascii_fold(view.name)
        return f"FROM {_Expansion({**self._views, key: view}, self._world).subquery(key)}"

    def keep(self, view: TemporaryView) -> None:
        """Has the view from now on."""
        self._views[ascii_fold(view.name)] = view

    def put_in(self, sql: str) -> str:
        """The statement with views in the place of their names. Raises StatementRefused where one would be written."""
        text = sql.lower()
        if not any(key in text for key in self._views):
            return sql
        check_characters(sql)
        parsed = parse_statement(sql)
        if parsed.target is not None and _key(parsed.target) in self._views:
            raise StatementRefused(f"{parsed.target[0]} is a temporary view of this connection")
        expansion = _Expansion(self._views, self._world)
        return Rewriter.rewrite(sql, parsed.references, lambda name: expansion.of(name))


@dataclass
class _Expansion:
    """What the views are for one statement: each is worked out once."""

    views: Mapping[str, TemporaryView]
    world: World
    _subqueries: dict[str, str] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def of(self, name: Name) -> str | None:
        """The subquery of a view; None for a name that is none."""
        return self.subquery(_key(name)) if _key(name) in self.views else None

    def subquery(self, key: str) -> str:
        """A view's definition in parentheses, with the views it reads put in."""
        if key in self._open or len(self._open) >= VIEWS_DEEP_MAX:
            raise StatementRefused(f"{self.views[key].name} reads itself, or views of too many levels")
        if key not in self._subqueries:
            view = self.views[key]
            self._open.append(key)
            references = parse_statement(view.definition).references
            text = Rewriter.rewrite(view.definition, references, self._fixed)
            self._open.pop()
            names = f" AS governed({', '.join(map(quoted, view.columns))})" if view.columns else ""
            # The line breaks end a comment at the end of the definition.
            self._subqueries[key] = f"(FROM (\n{text}\n){names})"
        return self._subqueries[key]

    def _fixed(self, name: Name) -> str | None:
        """What stands for a name below a view: one of one part would be a CTE of the statement that the view is put in."""
        if len(name) > 1 or _key(name) in self.views:
            return self.of(name)
        return ".".join(map(quoted, (self.world.database, self.world.schema, *name)))


def _key(name: Name) -> str:
    """The key of the view that a name means if there is one; a view has no schema."""
    return ascii_fold(name[0]) if len(name) == 1 else ""


def _after_create(words: Sequence[Token]) -> tuple[int | None, bool]:
    """Where the name stands in a CREATE VIEW, None in other statements, and whether it replaces."""
    said = [word.text.lower() for word in words[:5]]
    if said[:1] != ["create"]:
        return None, False
    replaces = said[1:3] == ["or", "replace"]
    rest = said[3:] if replaces else said[1:]
    if rest[:1] == ["view"]:
        raise StatementRefused(
            "views are made in Lakewarden (client.views.create); here only CREATE TEMP VIEW is run"
        )
    is_view = rest[:1] and rest[0] in _TEMPORARY and rest[1:2] == ["view"]
    return (len(said[: -len(rest)]) + 2 if is_view else None), replaces


def _view(sql: str, words: Sequence[Token], start: int) -> TemporaryView:
    """Reads `name [(column, …)] AS query`, and a semicolon at the end."""
    end = len(words) - (words[-1].text == ";")
    place, columns = start + 1, []
    if place < end and words[place].text == "(":
        closing = next((at for at in range(place, end) if words[at].text == ")"), end)
        listed = words[place + 1 : closing]
        columns = [word.word for word in listed[::2]]
        if any(word.text != "," for word in listed[1::2]):
            columns = [""]
        place = closing + 1
    is_plain = start < end and words[start].word and all(columns)
    if not is_plain or place + 1 >= end or words[place].text.lower() != "as":
        raise StatementRefused("of views only CREATE [OR REPLACE] TEMP VIEW name [(columns)] AS query is run")
    definition_end = words[end].start if end < len(words) else len(sql)
    definition = sql[words[place + 1].start : definition_end]
    return TemporaryView(words[start].word, tuple(columns), definition)
