"""Shuffling a source column in a real engine changes no output that does not list it; a tracer that leaves an edge out is caught."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

import duckdb
from lakewarden_server.lineage.mapping import ColumnUse
from lakewarden_server.lineage.sql.traced import Source
from lineage.sql.benchmarks import QUERY_COUNTS, benchmark, generated
from lineage.sql.golden import traced_query
from lineage.sql.perturbation import Asked, Engine, lists
from lineage.sql.queries import Drawn, small_tables

SCALE = 0.01
SAMPLE = {"tpch": ["part", "supplier"], "tpcds": ["promotion", "warehouse"]}
"""Tables whose columns are shuffled in every run; those of all in the long one."""


def small(seed: int, count: int) -> tuple[Engine, list[Asked]]:
    """Random queries that run, on small tables."""
    engine, drawn, asked = Engine(small_tables(seed)), Drawn(seed), []
    while len(asked) < count:
        try:
            asked.append(engine.ask(drawn.query()))
        except duckdb.Error:
            continue
    return engine, asked


def broken(engine: Engine, asked: Sequence[Asked], tables: Sequence[str]) -> Iterator[str]:
    """Each query that breaks what is said of it, with the column that was shuffled."""
    for table in tables:
        reading = [each for each in asked if table in {source[-1] for source in each.traced.reads}]
        for column in engine.tables[table]:
            with engine.shuffled(table, column):
                for each in reading:
                    if engine.judge(each, table, column).broken:
                        yield f"{table}.{column}: {each.sql}"


@pytest.mark.parametrize("seed", [1])
def test_random_queries_depend_on_nothing_they_do_not_list(seed: int) -> None:
    engine, asked = small(seed, 60)
    assert [each.sql for each in asked if each.traced.reason] == []
    assert list(broken(engine, asked, list(engine.tables))) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_many_random_queries_depend_on_nothing_they_do_not_list(seed: int) -> None:
    engine, asked = small(seed, 500)
    assert [each.sql for each in asked if each.traced.reason] == []
    assert list(broken(engine, asked, list(engine.tables))) == []


def benchmark_queries(name: str, tables: Sequence[str]) -> tuple[Engine, list[Asked]]:
    """The queries of a benchmark that read any of some tables."""
    engine = Engine(generated(name, SCALE))
    reading = [
        query
        for number, query in benchmark(name).queries.items()
        if {source[-1] for source in traced_query(name, number).reads} & set(tables)
    ]
    return engine, [engine.ask(query) for query in reading]


@pytest.mark.parametrize("name", QUERY_COUNTS)
def test_benchmarks_depend_on_nothing_they_do_not_list(name: str) -> None:
    engine, asked = benchmark_queries(name, SAMPLE[name])
    assert len(asked) > 5
    assert list(broken(engine, asked, SAMPLE[name])) == []


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", QUERY_COUNTS)
def test_benchmarks_depend_on_no_column_of_any_table_they_do_not_list(name: str) -> None:
    engine, asked = benchmark_queries(name, list(benchmark(name).tables))
    assert list(broken(engine, asked, list(engine.tables))) == []


def test_control_an_edge_left_out_is_caught() -> None:
    """Of every subtype; edges that these rows happen not to depend on cannot be."""
    engine, asked = small(4, 60)
    caught: Counter[str] = Counter()
    for table, columns in engine.tables.items():
        for column in columns:
            with engine.shuffled(table, column):
                for each in asked:
                    if not lists(each.traced, table, column) or not engine.judge(each, table, column).changed:
                        continue
                    for use in each.traced.uses:
                        if (use.source[-1], use.column) == (table, column):
                            caught[use.subtype] += engine.judge(without(each, use), table, column).broken
    assert {subtype: caught[subtype] > 0 for subtype in caught} == dict.fromkeys(caught, True)
    assert len(caught) >= 8, caught


def without(asked: Asked, use: ColumnUse[Source]) -> Asked:
    """A tracer that had missed an edge; the other ways in which the same target uses the same column go too."""
    left = [
        each
        for each in asked.traced.uses
        if (each.target, each.source, each.column) != (use.target, use.source, use.column)
    ]
    return asked._replace(traced=asked.traced._replace(uses=tuple(left)))
