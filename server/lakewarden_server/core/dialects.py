"""The SQL dialects a text may be in, by sqlglot's names."""

from __future__ import annotations

from typing import Final

DIALECT_DEFAULT: Final = "duckdb"
DIALECTS: Final = (
    "duckdb",
    "spark",
    "databricks",
    "trino",
    "postgres",
    "snowflake",
    "bigquery",
    "hive",
    "mysql",
    "sqlite",
)
