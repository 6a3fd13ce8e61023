"""Texts that are broken in some place: whatever parses has an answer, and nothing raises."""

from __future__ import annotations

import random

import pytest
from sqlglot import tokenize

from lakewarden_server.core.dialects import DIALECTS
from lakewarden_server.lineage.sql.traced import Traced
from lakewarden_server.lineage.sql.tracing import trace
from lineage.sql.benchmarks import QUERY_COUNTS, benchmark
from lineage.sql.catalog import columns_of, only
from lineage.sql.queries import TABLES, Drawn

PIECES = [
    "MERGE INTO target t USING orders o ON t.id = o.id WHEN MATCHED THEN UPDATE SET name = o.customer WHEN NOT MATCHED THEN INSERT (id) VALUES (o.id)",
    "UPDATE target SET (id, name) = (SELECT id, name FROM customers c WHERE c.id = target.id) FROM orders o WHERE o.id = 1",
    "DELETE FROM target USING orders o WHERE o.id = target.id",
    "INSERT INTO target (id, name) VALUES (1, (SELECT max(name) FROM customers)), (2, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    "COPY (SELECT * FROM read_parquet('x.parquet')) TO 's3://lake/y' (FORMAT parquet)",
    "SELECT * FROM orders PIVOT (sum(amount) FOR status IN ('a', 'b')) AS p, LATERAL (SELECT p.id) l, UNNEST(p.address) u(x)",
    "WITH RECURSIVE r(a) AS (SELECT id FROM orders UNION SELECT a + 1 FROM r) SELECT a, sum(a) OVER (PARTITION BY a ORDER BY a) FROM r WINDOW w AS (ORDER BY a)",
]  # fmt: skip


def mangled(sql: str, rng: random.Random) -> str:
    """The text with some of its tokens replaced by others of their kind, dropped, doubled, or exchanged."""
    tokens = [(sql[token.start : token.end + 1], token.token_type) for token in tokenize(sql, read="duckdb")]
    for _ in range(rng.randint(1, 4)):
        one, other = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        match rng.randrange(8):
            case 0:
                tokens[one] = ("", tokens[one][1])
            case 1:
                tokens.insert(one, tokens[other])
            case 2:
                tokens[one], tokens[other] = tokens[other], tokens[one]
            case _:
                tokens[one] = rng.choice([token for token in tokens if token[1] == tokens[one][1]])
    return " ".join(text for text, _ in tokens)


def texts(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    drawn = Drawn(seed)
    queries = [
        query for name in QUERY_COUNTS for query in benchmark(name).queries.values() if len(query) < 1_500
    ]
    sources = [lambda: rng.choice(queries), lambda: rng.choice(PIECES), drawn.query]
    return [mangled(rng.choice(sources)(), rng) for _ in range(count)]


def survived(seed: int, count: int) -> int:
    """How many mangled texts parsed; all have answers."""
    parsed = 0
    known = only(
        {**benchmark("tpcds").tables, **benchmark("tpch").tables, **{t: tuple(c) for t, c in TABLES.items()}}
    )
    for place, text in enumerate(texts(seed, count)):
        dialect = DIALECTS[place % len(DIALECTS)] if place % 2 else "duckdb"
        answers = trace(
            text,
            dialect=dialect,
            columns_of=lambda s: columns_of(s) or known(s),
            catalog="main",
            schema="sales",
        )
        assert all(isinstance(answer, Traced) for answer in answers)
        for answer in answers:
            assert {use.source for use in answer.uses} <= set(answer.reads)
            assert {use.target for use in answer.uses} <= {*answer.columns, ""}
        parsed += any(answer.uses for answer in answers)
    return parsed


def test_mangled_texts_have_answers() -> None:
    assert survived(1, 600) > 150


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_many_mangled_texts_have_answers(seed: int) -> None:
    assert survived(seed, 5_000) > 1_000
