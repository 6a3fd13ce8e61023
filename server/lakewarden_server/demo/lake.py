"""The data: TPC-H made by DuckDB's own extension in memory, and the 22 queries that come with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow
from duckdb_extensions import import_extension

import duckdb

CATALOG = "tpch"
SCHEMA = "tpch.main"
SCALE = 0.01
TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")


@dataclass(frozen=True)
class Lake:
    """A loaded, still ungoverned DuckDB, its queries by number, and how many rows it holds."""

    connection: duckdb.DuckDBPyConnection
    queries: dict[int, str]
    row_count: int

    def arrow_schema(self, table: str) -> pyarrow.Schema:
        """The Arrow schema of a table, as an engine would register it."""
        return self.connection.table(f"{SCHEMA}.{table}").limit(0).to_arrow_table().schema


def load_lake(connection: duckdb.DuckDBPyConnection, extension_directory: Path) -> Lake:
    """Generates the data in memory behind `connection`; nothing is downloaded.

    DuckDB copies the extension from its package into `extension_directory` before it loads it, else into the home directory.
    """
    connection.execute(f"SET extension_directory = '{extension_directory}'")
    import_extension("tpch", con=connection)
    connection.execute(f"LOAD tpch; ATTACH ':memory:' AS {CATALOG}; USE {CATALOG}; CALL dbgen(sf = {SCALE})")
    # Read now: once the database is governed, table functions are refused.
    queries = dict(connection.execute("FROM tpch_queries()").fetchall())
    row_count = sum(len(connection.table(f"{SCHEMA}.{table}")) for table in TABLES)
    return Lake(connection, queries, row_count)
