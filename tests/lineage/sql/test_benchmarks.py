"""All queries of TPC-H and TPC-DS are traced to the last column, as stored and as two others see them."""

from __future__ import annotations

import pytest
from sqlglot import exp, parse_one
from sqlglot.lineage import lineage

from lakewarden_server.lineage.mapping import DIRECT, WHOLE
from lineage.sql.benchmarks import QUERY_COUNTS, benchmark, generated
from lineage.sql.golden import as_text, stored, traced_query

QUERIES = [(name, number) for name, count in QUERY_COUNTS.items() for number in range(1, count + 1)]


@pytest.mark.parametrize("name", QUERY_COUNTS)
def test_every_output_of_the_engine_is_a_column(name: str) -> None:
    held = benchmark(name)
    assert list(held.queries) == list(range(1, QUERY_COUNTS[name] + 1))
    with generated(name, 0) as connection:
        outputs = {number: connection.execute(query).description for number, query in held.queries.items()}
    assert {number: len(traced_query(name, number).columns) for number in held.queries} == {
        number: len(described) for number, described in outputs.items()
    }


@pytest.mark.parametrize(("name", "number"), QUERIES)
def test_query_is_traced_as_stored(name: str, number: int) -> None:
    answer = traced_query(name, number)
    assert (answer.reason, answer.unresolved) == (None, ())
    assert as_text(answer) == stored(name)[number]


@pytest.mark.parametrize(("name", "number"), QUERIES)
def test_tables_read_are_those_the_query_names(name: str, number: int) -> None:
    held = benchmark(name)
    tree = parse_one(held.queries[number], dialect="duckdb")
    named = {table.name.lower() for table in tree.find_all(exp.Table)} & set(held.tables)
    assert {source[-1] for source in traced_query(name, number).reads} == named


@pytest.mark.parametrize(("name", "number"), QUERIES)
def test_what_another_tracer_finds_is_found(name: str, number: int) -> None:
    """sqlglot's own `lineage` finds, for each output of a distinct name, columns that make it; each of them must be in the answer."""
    held = benchmark(name)
    answer = traced_query(name, number)
    theirs = _of_sqlglot(held.queries[number], held.tables)
    whole = {(use.source[-1], use.column) for use in answer.uses if use.target == WHOLE}
    missed = {}
    for target, leaves in theirs.items():
        ours = {(use.source[-1], use.column) for use in answer.uses if use.target.lower() == target}
        missed[target] = leaves - ours - whole
    assert {target: leaves for target, leaves in missed.items() if leaves} == {}


def test_direct_uses_are_nothing_that_another_tracer_does_not_find() -> None:
    seen, unseen = 0, []
    for name, number in QUERIES:
        held = benchmark(name)
        theirs = _of_sqlglot(held.queries[number], held.tables)
        seen += sum(map(len, theirs.values()))
        unseen += [
            (name, number, use.target, use.column)
            for use in traced_query(name, number).uses
            if use.subtype in DIRECT and use.target in theirs
            if (use.source[-1], use.column) not in theirs[use.target]
        ]
    assert unseen == []
    assert seen > 900


def _of_sqlglot(query: str, tables: dict[str, tuple[str, ...]]) -> dict[str, set[tuple[str, str]]]:
    """For each output name that is there once, the columns sqlglot traces it to."""
    tree = parse_one(query, dialect="duckdb")
    schema = {table: dict.fromkeys(columns, "INT") for table, columns in tables.items()}
    nodes = lineage(None, tree, schema=schema, dialect="duckdb", trim_selects=False)
    counted = [select.alias_or_name.lower() for select in tree.selects]
    return {
        target.lower(): {
            (node.expression.name.lower(), node.name.rpartition(".")[2].lower())
            for node in root.walk()
            if not node.downstream and isinstance(node.expression, exp.Table)
        }
        for target, root in nodes.items()
        if counted.count(target.lower()) == 1
    }
