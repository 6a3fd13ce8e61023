"""Tracing SQL: the 121 queries of TPC-H and TPC-DS as CREATE TABLE AS, by the process that does it for a server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from bench.figures import Figure, percentile
from lakewarden_server.lineage.sql.tracer import Tracer
from lakewarden_server.lineage.sql.tracing import trace

ROUNDS = 5
BENCHMARKS = ("tpch", "tpcds")
TESTS = Path(__file__).parents[1] / "tests"
MILLISECONDS = 1e3


def sql_lineage_figures(rounds: int = ROUNDS, benchmarks: Sequence[str] = BENCHMARKS) -> list[Figure]:
    """Each query's median; worker and own process take turns."""
    sys.path.insert(0, str(TESTS))
    from lineage.sql.benchmarks import benchmark
    from lineage.sql.catalog import only

    asked: list[tuple[str, dict[str, Any]]] = [
        (
            f"CREATE TABLE answer AS {query}",
            {"dialect": "duckdb", "columns_of": only(held.tables), "catalog": "c", "schema": "s"},
        )
        for held in map(benchmark, benchmarks)
        for query in held.queries.values()
    ]
    times: dict[str, list[list[float]]] = {"worker": [], "own": []}
    with Tracer() as tracer:
        uses = sum(len(answer.uses) for sql, words in asked for answer in tracer.trace(sql, **words))
        for _ in range(rounds):
            times["worker"].append([_timed(tracer.trace, sql, words) for sql, words in asked])
            times["own"].append([_timed(trace, sql, words) for sql, words in asked])
    worker, own = ([median(query) for query in zip(*times[name], strict=True)] for name in ("worker", "own"))
    raw = {
        "queries": len(asked),
        "uses": uses,
        "p50_ms": median(worker),
        "max_ms": max(worker),
        "own_process_p50_ms": median(own),
        "own_process_p95_ms": percentile(own, 0.95),
    }
    return [Figure("sql_lineage_p95_ms", percentile(worker, 0.95), raw)]


def _timed(ask: Callable[..., Any], sql: str, words: dict[str, Any]) -> float:
    began = perf_counter()
    ask(sql, **words)
    return (perf_counter() - began) * MILLISECONDS
