"""Statements made once for many values: an array as one parameter, and rows handed to the driver as it takes them.

SQLAlchemy's own way costs more than the database does here: it writes `IN` anew for every list, and looks at each value of each row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, any_, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite

from lakewarden_server.entities import Base


def _dialect_of(driver: Any) -> Any:
    """As its engines have it; SQLAlchemy does not type this."""
    return driver.dialect()


AMONG: Final = "among"
"""The parameter that holds the values; see `array`."""
ROWS_TOGETHER: Final = (100, 10, 1)
"""Of one INSERT. With every row of its own a thread would give the interpreter away for each, and wait to have it back."""

_INSERTS: Final = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_DRIVERS: Final[Mapping[str, Any]] = {"sqlite": _dialect_of(pysqlite), "postgresql": _dialect_of(psycopg)}


def array(dialect: str, values: Collection[Any]) -> Any:
    """The values of the parameter AMONG."""
    return json.dumps(list(values)) if dialect == "sqlite" else list(values)


def among(column: Any, dialect: str) -> ColumnElement[bool]:
    """Whether a column has one of the values."""
    if dialect == "sqlite":
        listed = func.json_each(bindparam(AMONG)).table_valued("value")
        found: ColumnElement[bool] = column.in_(select(listed.c.value))
        return found
    return column == any_(bindparam(AMONG, type_=postgresql.ARRAY(column.type)))  # type: ignore[no-any-return]


@cache
def select_among(
    entity: type[Base], dialect: str, column: str, only: tuple[str, ...], where: tuple[str, ...]
) -> Select[Any]:
    """The rows, or `only` some columns of them, whose `column` is AMONG, and whose columns `where` are as the parameters of their names."""
    table = entity.__table__
    wanted = [table.c[name] for name in only] if only else list(table.c)
    more = [table.c[name] == bindparam(name) for name in where]
    return select(*wanted).where(among(table.c[column], dialect), *more)


@cache
def select_tuples(entity: type[Base], dialect: str, columns: tuple[str, ...]) -> Select[Any]:
    """The rows whose whole numbers in `columns` are one of the tuples that `tuples` makes parameters of."""
    table = entity.__table__
    if dialect == "sqlite":
        listed = func.json_each(bindparam(AMONG)).table_valued("value")
        values: list[Any] = [
            func.json_extract(listed.c.value, f"$[{place}]") for place in range(len(columns))
        ]
    else:
        numbers = postgresql.ARRAY(BigInteger)
        arrays = func.unnest(*(bindparam(name, type_=numbers) for name in columns))
        listed = arrays.table_valued(*columns).render_derived()
        values = list(listed.c)
    equal = [table.c[name] == value for name, value in zip(columns, values, strict=True)]
    return select(table).select_from(listed).where(*equal)


def tuples(dialect: str, columns: Sequence[str], values: Collection[tuple[int, ...]]) -> dict[str, Any]:
    """The parameters of `select_tuples`."""
    if dialect == "sqlite":
        return {AMONG: json.dumps(list(values))}
    return {name: [each[place] for each in values] for place, name in enumerate(columns)}


class _Upsert(NamedTuple):
    """An INSERT of some rows in the words of a driver; its columns, with what it makes of their values before."""

    text: str
    columns: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    names: tuple[str, ...] | None
    """Of its parameters, row by row; None where a driver takes them by their place."""


def upsert(connection: Connection, entity: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows that all have the same columns, or replaces those with their primary keys, of which each is there once."""
    start = 0
    for count in ROWS_TOGETHER:
        if start + count > len(rows):
            continue
        prepared = _upsert(entity, connection.dialect.name, frozenset(rows[0]), count)
        while start + count <= len(rows):
            values = _values(prepared, rows[start : start + count])
            given = values if prepared.names is None else dict(zip(prepared.names, values, strict=True))
            connection.exec_driver_sql(prepared.text, given)
            start += count


def _values(prepared: _Upsert, rows: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    """Row by row."""
    return tuple(
        [
            row[name] if process is None else process(row[name])
            for row in rows
            for name, process in prepared.columns
        ]
    )


@cache
def _upsert(entity: type[Base], dialect: str, columns: frozenset[str], count: int) -> _Upsert:
    table: Any = entity.__table__
    driver = _DRIVERS[dialect]
    statement: Any = _INSERTS[dialect](table)
    keys = [column.name for column in table.primary_key]
    others = {name: statement.excluded[name] for name in sorted(columns) if name not in keys}
    if others:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=others)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    compiled = statement.values([dict.fromkeys(columns)] * count).compile(dialect=driver)
    written = [column for column in table.c if column.name in columns]
    names = tuple(f"{column.name}_m{number}" for number in range(count) for column in written)
    if tuple(compiled.positiontup or compiled.params) != names:
        raise LookupError(f"the values of {table.name} are taken in another order")
    processors = [column.type.dialect_impl(driver).bind_processor(driver) for column in written]
    found = tuple((column.name, process) for column, process in zip(written, processors, strict=True))
    return _Upsert(compiled.string, found, None if compiled.positional else names)
