"""The check that asks the engine: shuffle one source column, and only outputs that list it may change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlglot import parse_one

import duckdb
from lakewarden_server.lineage.mapping import WHOLE
from lakewarden_server.lineage.sql.traced import Traced
from lineage.sql.benchmarks import columns_in
from lineage.sql.catalog import only, traced

Row = tuple[Any, ...]


class Asked(NamedTuple):
    """A query, what the tracer says of it (outputs in the order of `traced.columns`), and its rows on the data as it is."""

    sql: str
    traced: Traced
    rows: Sequence[Row]


class Verdict(NamedTuple):
    """What a shuffled column did to a query."""

    changed: bool
    broken: bool
    """Whether something changed that does not list the column."""


class Engine:
    """A database whose columns can be shuffled one at a time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.tables: Mapping[str, tuple[str, ...]] = columns_in(connection)

    def ask(self, sql: str) -> Asked:
        """Runs a query and traces it. Raises duckdb.Error where it is none."""
        tree = parse_one(sql, dialect="duckdb")
        # Which of equal rows an outermost LIMIT takes is nobody's promise.
        tree.set("order", None)
        tree.set("limit", None)
        sql = tree.sql(dialect="duckdb")
        return Asked(sql, traced(sql, columns=only(self.tables)), self.rows(sql))

    def rows(self, sql: str) -> Sequence[Row]:
        """The rows of a query; floats are cut, since sums of them depend on the order of their parts."""
        return [tuple(map(_comparable, row)) for row in self._connection.execute(sql).fetchall()]

    @contextmanager
    def shuffled(self, table: str, column: str) -> Iterator[None]:
        """While this is open, the column of the table has its values in other rows."""
        run = self._connection.execute
        run("CREATE SCHEMA shuffled")
        run(
            f"""CREATE TABLE shuffled."{table}" AS SELECT t.* REPLACE (s.moved AS "{column}") FROM main."{table}" t
            POSITIONAL JOIN (SELECT "{column}" AS moved FROM main."{table}" ORDER BY hash(rowid)) s"""
        )
        run("SET search_path = 'shuffled,main'")
        try:
            yield
        finally:
            run("SET search_path = 'main'")
            run("DROP SCHEMA shuffled CASCADE")

    def judge(self, asked: Asked, table: str, column: str) -> Verdict:
        """What the shuffled column, which is open now, does to a query."""
        try:
            rows = self.rows(asked.sql)
        except duckdb.Error:
            # A scalar subquery may give two rows now, a number may not fit: that hides all outputs, and must be listed too.
            return Verdict(True, not lists(asked.traced, table, column))
        changed = Counter(rows) != Counter(asked.rows)
        return Verdict(changed, changed and _breaks(asked, rows, table, column))


def lists(answer: Traced, table: str, column: str) -> set[str]:
    """The targets that list a column."""
    return {use.target for use in answer.uses if (use.source[-1], use.column) == (table, column)}


def _breaks(asked: Asked, rows: Sequence[Row], table: str, column: str) -> bool:
    listing = lists(asked.traced, table, column)
    if WHOLE in listing:
        return False
    kept = [place for place, name in enumerate(asked.traced.columns) if name not in listing]
    return _of(asked.rows, kept) != _of(rows, kept)


def _of(rows: Sequence[Row], places: Sequence[int]) -> Counter[Row]:
    return Counter(tuple(row[place] for place in places) for row in rows)


def _comparable(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.9g}"
    return str(value) if isinstance(value, list | dict) else value
