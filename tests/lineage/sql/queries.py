"""Queries drawn at random over small tables of small numbers, so that what they compare is often equal and nothing is empty."""

from __future__ import annotations

import random
from collections.abc import Sequence

import duckdb

TABLES = {"t": "abcd", "u": "abef", "v": "cegh"}
ROWS = 24
VALUES = 5


def small_tables(seed: int) -> duckdb.DuckDBPyConnection:
    """A database with the tables, some values NULL."""
    rng = random.Random(seed)
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    for table, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {table} ({', '.join(f'{column} INT' for column in columns)})")
        for _ in range(ROWS):
            values = ", ".join("NULL" if rng.random() < 0.06 else str(rng.randrange(VALUES)) for _ in columns)
            connection.execute(f"INSERT INTO {table} VALUES ({values})")
    return connection


# Subqueries of other shapes, with the columns they have: {t} is a table, {p}, {q} and {r} are columns of it.
SHAPES = [
    ("WITH RECURSIVE w(x, y) AS (SELECT {p}, {q} FROM {t} UNION SELECT y, x + 1 FROM w WHERE x < 4) SELECT * FROM w", "x y"),
    ("SELECT * FROM (SELECT {p} AS k, {q} AS o, {r} AS v FROM {t}) PIVOT (sum(v) FOR o IN (1, 2))", 'k "1" "2"'),
    ("SELECT * FROM (SELECT {p} AS k, {q}, {r} FROM {t}) UNPIVOT (x FOR n IN ({q}, {r}))", "k x"),
    ("SELECT * EXCLUDE ({p}) REPLACE ({r} + {p} AS {r}) FROM {t}", "{q} {r}"),
    ("SELECT q.{p}, m.x FROM {t} q, LATERAL (SELECT max(w.h) AS x FROM v w WHERE w.c = q.{r}) m", "{p} x"),
    ("SELECT q.*, l.x FROM {t} q, UNNEST([q.{p}, q.{q}]) AS l(x)", "{r} x"),
    ("SELECT DISTINCT ON ({p}) {p}, {q} FROM {t} ORDER BY {p}, {q}, {r}", "{p} {q}"),
    ("SELECT {p} AS x, {q} AS y FROM {t} UNION ALL BY NAME SELECT e AS y, f AS x FROM u", "x y"),
    ("SELECT {p}, sum({q}) OVER w AS x FROM {t} WINDOW w AS (PARTITION BY {r} ORDER BY {p})", "{p} x"),
    ("SELECT {p}, count(*) AS x FROM {t} GROUP BY GROUPING SETS (({p}), ({p}, {q}))", "{p} x"),
    ("SELECT * FROM (SELECT {p} AS a, {q} AS z FROM {t}) NATURAL JOIN (SELECT a, f FROM u)", "a z f"),
    ("SELECT s.l.x AS x, s.k FROM (SELECT {{'x': {p}, 'y': {q}}} AS l, {r} AS k FROM {t}) s", "x k"),
]  # fmt: skip


class Drawn:
    """One random query after the other."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._aliases = 0

    def query(self, width: int | None = None, depth: int = 2) -> str:
        """A query with columns c0, c1 …; as many as `width` says."""
        width = width or self._rng.randint(1, 4)
        chance = self._rng.random()
        if depth and chance < 0.12:
            operation = self._rng.choice(["UNION ALL", "UNION", "INTERSECT", "EXCEPT"])
            return f"{self.query(width, depth - 1)} {operation} {self.query(width, depth - 1)}"
        if depth and chance < 0.24:
            inner = [f"c{place}" for place in range(width)]
            name = self._alias()
            star = self._rng.choice([f"{name}.*", "*", ", ".join(inner)])
            body = self.query(width, depth - 1)
            return (
                f"WITH {name} AS ({body}) SELECT {star} FROM {name} WHERE {self.condition([f'{name}.c0'], 0)}"
            )
        return self._select(width, depth)

    def _select(self, width: int, depth: int) -> str:
        source, columns = self._sources(depth)
        where = f" WHERE {self.condition(columns, depth)}" if self._rng.random() < 0.5 else ""
        make = self._rng.choice([self._plain, self._plain, self._grouped, self._windowed])
        return make(width, columns, depth, f"FROM {source}{where}")

    def _plain(self, width: int, columns: Sequence[str], depth: int, tail: str) -> str:
        parts = [self.expression(columns, depth) for _ in range(width)]
        if width > 1 and self._rng.random() < 0.2:
            parts[-1] = "c0 + 1"
        distinct = "DISTINCT " * (self._rng.random() < 0.15)
        limit = " ORDER BY ALL LIMIT 7" if self._rng.random() < 0.15 else ""
        query = f"SELECT {distinct}{_named(parts)} {tail}{limit}"
        return f"FROM ({query})" if limit else query

    def _grouped(self, width: int, columns: Sequence[str], depth: int, tail: str) -> str:
        keys = [self.expression(columns, 0) for _ in range(self._rng.randrange(width))]
        aggregates = [self._aggregate(columns) for _ in range(width - len(keys))]
        names = [f"c{place}" for place in range(len(keys))]
        numbers = [str(place + 1) for place in range(len(keys))]
        by = self._rng.choice([", ".join(names), ", ".join(numbers), "ALL"]) if keys else ""
        having = f" HAVING {self._aggregate(columns)} > 1" if self._rng.random() < 0.3 else ""
        return f"SELECT {_named([*keys, *aggregates])} {tail}{f' GROUP BY {by}' * bool(by)}{having}"

    def _windowed(self, width: int, columns: Sequence[str], depth: int, tail: str) -> str:
        parts = [self.expression(columns, 0) for _ in range(width - 1)]
        partition = f"PARTITION BY {self._rng.choice(columns)} " * (self._rng.random() < 0.7)
        order = f"ORDER BY {self._rng.choice(columns)}"
        function = self._rng.choice(["rank()", "dense_rank()", "count(*)", self._aggregate(columns)])
        if "DISTINCT" in function or "FILTER" in function:
            function = "count(*)"
        window = f"{function} OVER ({partition}{order})"
        if self._rng.random() < 0.3:
            return f"SELECT {_named([*parts, self._rng.choice(columns)])} {tail} QUALIFY {window} < 3"
        return f"SELECT {_named([*parts, window])} {tail}"

    def _aggregate(self, columns: Sequence[str]) -> str:
        argument = self.expression(columns, 0)
        choices = [f"{name}({argument})" for name in ("sum", "min", "max", "count", "count")]
        choices += [
            f"count(DISTINCT {argument})",
            f"sum({argument}) FILTER (WHERE {self.condition(columns, 0)})",
        ]
        return self._rng.choice(choices)

    def _sources(self, depth: int) -> tuple[str, list[str]]:
        source, columns = self._source(depth)
        if self._rng.random() < 0.5:
            return source, columns
        other, more = self._source(depth)
        kind = self._rng.choice([",", "JOIN", "LEFT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN", "USING"])
        both = [*columns, *more]
        if kind == ",":
            return f"{source}, {other}", both
        shared = {column.partition(".")[2] for column in columns} & {c.partition(".")[2] for c in more}
        if kind == "USING" and shared:
            key = self._rng.choice(sorted(shared))
            rest = [column for column in both if column.partition(".")[2] != key]
            return f"{source} {self._rng.choice(['', 'LEFT '])}JOIN {other} USING ({key})", [*rest, key]
        kind = "JOIN" if kind == "USING" else kind
        on = f"{self._rng.choice(columns)} = {self._rng.choice(more)}"
        return f"{source} {kind} {other} ON {on}", columns if kind in ("SEMI JOIN", "ANTI JOIN") else both

    def _source(self, depth: int) -> tuple[str, list[str]]:
        name = self._alias()
        if depth and self._rng.random() < 0.4:
            width = self._rng.randint(1, 3)
            return f"({self.query(width, depth - 1)}) {name}", [f"{name}.c{place}" for place in range(width)]
        table = self._rng.choice(sorted(TABLES))
        if depth and self._rng.random() < 0.3:
            words = dict(zip("pqr", self._rng.sample(TABLES[table], 3), strict=True), t=table)
            shape, columns = self._rng.choice(SHAPES)
            return f"({shape.format(**words)}) {name}", [
                f"{name}.{c}" for c in columns.format(**words).split()
            ]
        return f"{table} {name}", [f"{name}.{column}" for column in TABLES[table]]

    def _alias(self) -> str:
        self._aliases += 1
        return f"s{self._aliases}"

    def expression(self, columns: Sequence[str], depth: int) -> str:
        """A number made of columns."""
        one, other = self._rng.choice(columns), self._rng.choice(columns)
        choices = [one, one, one, f"{one} + {other}", f"coalesce({one}, {other})", f"abs({one} - 2)", "1"]
        choices.append(f"CASE WHEN {self.condition(columns, 0)} THEN {one} ELSE {other} END")
        if depth:
            choices.append(f"(SELECT max(q.a) FROM t q WHERE q.b = {one})")
            choices.append(f"(SELECT count(*) FROM u q WHERE q.e < {one})")
        return self._rng.choice(choices)

    def condition(self, columns: Sequence[str], depth: int) -> str:
        """Whether a row stays."""
        one, other = self._rng.choice(columns), self._rng.choice(columns)
        choices = [f"{one} > 1", f"{one} = {other}", f"{one} IS NULL OR {other} < 3", f"NOT {one} = 2"]
        if depth:
            choices.append(f"EXISTS (SELECT 1 FROM v q WHERE q.g = {one} AND q.h > 2)")
            choices.append(f"{one} IN (SELECT q.f FROM u q WHERE q.a >= {other})")
            choices.append(f"{one} NOT IN (SELECT q.c FROM v q WHERE q.c IS NOT NULL)")
        return self._rng.choice(choices)


def _named(parts: Sequence[str]) -> str:
    return ", ".join(f"{part} AS c{place}" for place, part in enumerate(parts))
