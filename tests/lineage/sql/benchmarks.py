"""The 22 queries of TPC-H and the 99 of TPC-DS with their tables, as DuckDB's extensions have them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from duckdb_extensions import import_extension

import duckdb

GENERATORS = {"tpch": "dbgen", "tpcds": "dsdgen"}
QUERY_COUNTS = {"tpch": 22, "tpcds": 99}


class Benchmark(NamedTuple):
    """Queries by number, and the columns of each table in order."""

    queries: Mapping[int, str]
    tables: Mapping[str, tuple[str, ...]]


def generated(name: str, scale: float) -> duckdb.DuckDBPyConnection:
    """A database in memory with the tables of a benchmark; scale 0 leaves them empty."""
    connection = duckdb.connect()
    with tempfile.TemporaryDirectory() as directory:
        connection.execute(f"SET extension_directory = '{directory}'")
        import_extension(name, con=connection)
        connection.execute(f"LOAD {name}; SET threads = 1; CALL {GENERATORS[name]}(sf = {scale})")
    return connection


def columns_in(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, ...]]:
    """The columns of each table of a database."""
    rows = connection.execute(
        "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() WHERE NOT internal GROUP BY ALL"
    ).fetchall()
    return {table: tuple(columns) for table, columns in sorted(rows)}


@cache
def benchmark(name: str) -> Benchmark:
    """A benchmark without data."""
    with generated(name, 0) as connection:
        queries = connection.execute(f"SELECT query_nr, query FROM {name}_queries() ORDER BY ALL").fetchall()
        return Benchmark(dict(queries), columns_in(connection))
