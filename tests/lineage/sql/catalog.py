"""A small catalog, and answers as lines that a test can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakewarden_server.lineage.sql.traced import ColumnsOf, Path, Source, TableName, Traced
from lakewarden_server.lineage.sql.tracing import trace

TABLES: Mapping[str, Sequence[str]] = {
    "orders": ("id", "customer", "amount", "status", "address"),
    "customers": ("id", "name", "region"),
    "target": ("id", "name", "amount"),
    "accents": ("Größe", "Maß"),
}


def columns_of(source: Source) -> Sequence[str] | None:
    """Of the tables of `main.sales`."""
    if isinstance(source, Path) or source[:2] != ("main", "sales"):
        return None
    return TABLES.get(source.name)


def only(tables: Mapping[str, Sequence[str]]) -> ColumnsOf:
    """A catalog that has these tables, in any schema."""
    return lambda source: tables.get(source.name) if isinstance(source, TableName) else None


def traced(sql: str, dialect: str = "duckdb", columns: ColumnsOf = columns_of) -> Traced:
    """The answer to one statement."""
    (answer,) = trace(sql, dialect=dialect, columns_of=columns, catalog="main", schema="sales")
    return answer


def lines(answer: Traced) -> set[str]:
    """The uses as `target = SUBTYPE table.column`; what holds for all columns has the target `*`."""
    return {
        f"{use.target or '*'} = {use.subtype} {use.source[-1]}.{use.column}{' masked' * use.masking}"
        for use in answer.uses
    }


def names(sources: Sequence[Source]) -> list[str]:
    """The last part of each source, in order."""
    return sorted(source[-1] for source in sources)
