"""The 22 TPC-H queries run, and each is seen to read exactly its tables. The table sets are written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from duckdb_extensions import import_extension

import duckdb
from lakewarden.duckdb import Access, AccessDenied, GovernedConnection, govern

TABLES_BY_QUERY = {
    1: "lineitem",
    2: "nation part partsupp region supplier",
    3: "customer lineitem orders",
    4: "lineitem orders",
    5: "customer lineitem nation orders region supplier",
    6: "lineitem",
    7: "customer lineitem nation orders supplier",
    8: "customer lineitem nation orders part region supplier",
    9: "lineitem nation orders part partsupp supplier",
    10: "customer lineitem nation orders",
    11: "nation partsupp supplier",
    12: "lineitem orders",
    13: "customer orders",
    14: "lineitem part",
    15: "lineitem supplier",
    16: "part partsupp supplier",
    17: "lineitem part",
    18: "customer lineitem orders",
    19: "lineitem part",
    20: "lineitem nation part partsupp supplier",
    21: "lineitem nation orders supplier",
    22: "customer orders",
}


FIRST_COLUMN = {
    "customer": "c_custkey", "lineitem": "l_orderkey", "nation": "n_nationkey", "orders": "o_orderkey",
    "part": "p_partkey", "partsupp": "ps_partkey", "region": "r_regionkey", "supplier": "s_suppkey",
}  # fmt: skip


class TablePolicy:
    """Grants everything but one table, under `demands`."""

    def __init__(self) -> None:
        self.forbidden = ""
        self.demands: dict[str, object] = {}

    def authorize_plan(self, accesses: Any, *, subject: str | None = None, capabilities: object = ()) -> Any:
        denials = [
            SimpleNamespace(full_name=name, privilege=privilege, reason="not granted", fix="")
            for name, privilege, _ in accesses
            if name == self.forbidden
        ]
        return SimpleNamespace(allowed=not denials, denials=denials, revision=1, **self.demands)


@pytest.fixture(scope="module")
def policy() -> TablePolicy:
    return TablePolicy()


@pytest.fixture(scope="module")
def raw() -> Iterator[duckdb.DuckDBPyConnection]:
    import_extension("tpch")
    with duckdb.connect() as connection:
        connection.execute("LOAD tpch; ATTACH ':memory:' AS tpch; USE tpch; CALL dbgen(sf = 0.01)")
        yield connection


@pytest.fixture(scope="module")
def queries(raw: duckdb.DuckDBPyConnection) -> dict[int, str]:
    return dict(raw.execute("FROM tpch_queries()").fetchall())


@pytest.fixture(scope="module")
def governed(
    raw: duckdb.DuckDBPyConnection, queries: dict[int, str], policy: TablePolicy
) -> Iterator[GovernedConnection]:
    with govern(raw, policy, subject="ann@example.com") as connection:
        yield connection


@pytest.mark.parametrize("number", TABLES_BY_QUERY)
def test_query_reads_exactly_its_tables(
    governed: GovernedConnection, queries: dict[int, str], number: int
) -> None:
    expected = [Access(f"tpch.main.{table}", "SELECT", "TABLE") for table in TABLES_BY_QUERY[number].split()]
    assert list(governed.explain_access(queries[number])) == expected


@pytest.mark.parametrize("number", TABLES_BY_QUERY)
def test_query_gives_the_rows_it_gives_ungoverned(
    raw: duckdb.DuckDBPyConnection,
    governed: GovernedConnection,
    queries: dict[int, str],
    policy: TablePolicy,
    number: int,
) -> None:
    policy.forbidden = ""
    assert governed.execute(queries[number]).fetchall() == raw.execute(queries[number]).fetchall()


@pytest.mark.parametrize("number", TABLES_BY_QUERY)
def test_query_gives_the_same_rows_through_filters_and_masks_that_change_nothing(
    raw: duckdb.DuckDBPyConnection,
    governed: GovernedConnection,
    queries: dict[int, str],
    policy: TablePolicy,
    number: int,
) -> None:
    """Every table is read through a subquery then: correlated, nested, several times, in CTEs."""
    names = {table: f"tpch.main.{table}" for table in TABLES_BY_QUERY[number].split()}
    policy.forbidden = ""
    policy.demands = {
        "row_filters": {name: f"{FIRST_COLUMN[table]} IS NOT NULL" for table, name in names.items()},
        "column_masks": {
            name: {FIRST_COLUMN[table]: f"{FIRST_COLUMN[table]} + 0"} for table, name in names.items()
        },
    }
    try:
        assert governed.execute(queries[number]).fetchall() == raw.execute(queries[number]).fetchall()
    finally:
        policy.demands = {}


@pytest.mark.parametrize(
    "table", sorted({table for tables in TABLES_BY_QUERY.values() for table in tables.split()})
)
def test_without_one_table_exactly_the_queries_that_read_it_are_denied(
    governed: GovernedConnection, queries: dict[int, str], policy: TablePolicy, table: str
) -> None:
    policy.forbidden = f"tpch.main.{table}"
    denied = set()
    for number, sql in queries.items():
        try:
            governed.execute(sql)
        except AccessDenied:
            denied.add(number)
    assert denied == {number for number, tables in TABLES_BY_QUERY.items() if table in tables.split()}
