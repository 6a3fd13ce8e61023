"""Statements made once for many values: an array as one parameter, and rows handed to the driver as it takes them.

SQLAlchemy's own way costs more than the database does here: it writes `IN` anew for every list, and looks at each value of each row.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Select,
    any_,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite

from lakewarden_server.entities import Base


def _dialect_of(driver: Any) -> Any:
    """As its engines have it; SQLAlchemy does not type this."""
    return driver.dialect()


_Process = Callable[[Any], Any]

_named: Final[Callable[[str, Sequence[str]], Any]] = namedtuple
"""For names that a statement has, and not the code, which alone types know."""

AMONG: Final = "among"
"""The parameter that holds the values; see `array`."""
STREAM: Final = "stream"
"""The cursor of `stream`, of which a transaction reads one at a time."""
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


class _Prepared(NamedTuple):
    """A statement in the words of a driver."""

    text: str
    parameters: tuple[tuple[str, Any], ...]
    """In their order, the name of each, and its value where that is a part of the statement."""
    processes: tuple[tuple[int, _Process], ...]
    """Places of parameters that the driver takes in another form, and what makes it of ours."""
    names: tuple[str, ...] | None
    """Of the parameters; None where the driver takes them by their place."""
    row: Callable[[Iterable[Any]], Any] | None
    """Gives the values of a row their names; None where there are no rows."""
    results: tuple[tuple[int, _Process], ...]
    """The same of the values of a row, and what makes ours of them."""


def run(connection: Connection, statement: Any, values: Mapping[str, Any]) -> list[Any]:
    """The rows, as named tuples, of a statement that is made once and kept for ever.

    The driver is given it without SQLAlchemy's execution, which takes five times as long as a look-up does: what is raised is the driver's
    error, and whoever listens to SQLAlchemy's cursors hears nothing.
    """
    prepared = _prepared(statement, connection.dialect.name)
    given = [values[name] if fixed is None else fixed for name, fixed in prepared.parameters]
    return _run(connection, prepared, given)


def stream(connection: Connection, statement: Any, size: int) -> Iterator[Sequence[tuple[Any, ...]]]:
    """All rows of a statement without parameters, so many at a time, each the values as the driver gives them; see `run`."""
    prepared = _prepared(statement, connection.dialect.name)
    given = _changed([fixed for _name, fixed in prepared.parameters], prepared.processes)
    # PostgreSQL would send everything at once to a cursor without a name.
    where = () if prepared.names is None else (STREAM,)
    with closing(_driver(connection).cursor(*where)) as cursor:
        cursor.execute(prepared.text, _told(prepared, given))
        while rows := cursor.fetchmany(size):
            yield rows


def upsert(connection: Connection, entity: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows that all have the same columns, or replaces those with their primary keys, of which each is there once."""
    start = 0
    for count in ROWS_TOGETHER:
        if start + count > len(rows):
            continue
        prepared = _upsert(entity, connection.dialect.name, frozenset(rows[0]), count)
        columns = [column.name for column in entity.__table__.c if column.name in rows[0]]
        while start + count <= len(rows):
            given = [row[name] for row in rows[start : start + count] for name in columns]
            _run(connection, prepared, given)
            start += count


def _run(connection: Connection, prepared: _Prepared, given: list[Any]) -> list[Any]:
    with closing(_driver(connection).cursor()) as cursor:
        cursor.execute(prepared.text, _told(prepared, _changed(given, prepared.processes)))
        if prepared.row is None:
            return []
        rows: Sequence[Sequence[Any]] = cursor.fetchall()
    if prepared.results:
        rows = [_changed(list(row), prepared.results) for row in rows]
    return list(map(prepared.row, rows))


def _told(prepared: _Prepared, given: list[Any]) -> Any:
    """The values of all parameters as the driver takes them."""
    return given if prepared.names is None else dict(zip(prepared.names, given, strict=True))


def _changed(values: list[Any], processes: Iterable[tuple[int, _Process]]) -> list[Any]:
    for place, process in processes:
        values[place] = process(values[place])
    return values


def _driver(connection: Connection) -> Any:
    if not connection.in_transaction():
        raise LookupError("a prepared statement belongs in a transaction that was begun")
    return connection.connection


def _to_driver(kind: Any, driver: Any) -> _Process | None:
    """What makes a value of a type one of the driver's."""
    if isinstance(kind, Boolean):
        return None
    process: _Process | None = kind.dialect_impl(driver).bind_processor(driver)
    if process is None or not isinstance(kind, JSON):
        return process
    # Most lists that are stored as JSON are empty.
    empty = process([])
    return lambda value: empty if value == [] else process(value)


@cache
def _prepared(statement: Any, dialect: str) -> _Prepared:
    driver = _DRIVERS[dialect]
    compiled = statement.compile(dialect=driver)
    bound = {name: parameter for parameter, name in compiled.bind_names.items()}
    names = tuple(compiled.positiontup or compiled.params)
    if any(bound[name].expanding for name in names):
        raise LookupError("a list is written anew for every length of it: give an array")
    parameters = tuple((name, bound[name].value) for name in names)
    columns = list(statement.exported_columns)
    row = _named("Row", [column.name for column in columns])
    taken = [_to_driver(bound[name].type, driver) for name in names]
    processors = [column.type.dialect_impl(driver).result_processor(driver, None) for column in columns]
    return _Prepared(
        compiled.string,
        parameters,
        _placed(taken),
        None if compiled.positional else names,
        row._make if columns else None,
        _placed(processors),
    )


def _placed(processes: Iterable[_Process | None]) -> tuple[tuple[int, _Process], ...]:
    return tuple((place, process) for place, process in enumerate(processes) if process is not None)


@cache
def _upsert(entity: type[Base], dialect: str, columns: frozenset[str], count: int) -> _Prepared:
    table: Any = entity.__table__
    statement: Any = _INSERTS[dialect](table)
    keys = [column.name for column in table.primary_key]
    others = {name: statement.excluded[name] for name in sorted(columns) if name not in keys}
    if others:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=others)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    prepared = _prepared(statement.values([dict.fromkeys(columns)] * count), dialect)
    written = [column.name for column in table.c if column.name in columns]
    names = [f"{name}_m{number}" for number in range(count) for name in written]
    if [name for name, _fixed in prepared.parameters] != names:
        raise LookupError(f"the values of {table.name} are taken in another order")
    return prepared
