"""Statements that go to the driver itself give what SQLAlchemy's execution gives, and fail as it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, select, text

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import Internal, Unavailable
from lakewarden_server.entities import Base, LineageContribution, LineageEdge, LineageEvent, LineageRun
from lakewarden_server.storage import Database, create_database
from lakewarden_server.storage.repositories.lineage import LineageStore, values_of
from lakewarden_server.storage.repositories.prepared import AMONG, array, run, select_among, stream

OWN = {"workspace_id": "w", "principal_id": "p"}
KEYS = (
    select(LineageEvent.key, LineageEvent.run_id)
    .where(LineageEvent.workspace_id == "w")
    .order_by(LineageEvent.key)
)
EVENT = {
    **OWN,
    "key": "é",
    "sequence": 2**53 + 1,
    "run_id": 7,
    "time": 1,
    "received_time": datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
    "flags": [],
    "dropped_facets": [["sql", "TOO_LARGE"]],
    "body": b"\x00\xff",
}
CONTRIBUTION = {
    "run_id": 7,
    "source_name_id": 1,
    "target_name_id": 2,
    "source_time": 3,
    "target_time": 4,
    "edge_id": 5,
    "live": True,
    "since": 6,
    "first_time": 7,
    "last_time": 8,
    "mapping_hash": "[]",
    "defines": False,
    "first_since": None,
}


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """In a transaction with a row of each kind of value."""
    with database.transaction(deadline=monotonic() + 60) as connection:
        store = LineageStore(connection)
        store.put(LineageEvent, [EVENT])
        store.put(LineageContribution, [CONTRIBUTION])
        yield connection


@pytest.mark.parametrize(
    ("entity", "column", "row"), [(LineageEvent, "key", EVENT), (LineageContribution, "run_id", CONTRIBUTION)]
)
def test_values_are_those_that_were_written_and_those_that_sqlalchemy_reads(
    connection: Connection, entity: type[Base], column: str, row: dict[str, Any]
) -> None:
    (found,) = LineageStore(connection).find(entity, column, [row[column]])
    (by_sqlalchemy,) = connection.execute(select(entity.__table__)).all()
    assert values_of(found) == values_of(by_sqlalchemy) == row
    assert list(map(type, found)) == list(map(type, by_sqlalchemy))


def test_columns_and_conditions_are_those_asked_for(connection: Connection) -> None:
    store = LineageStore(connection)
    (found,) = store.find(LineageEvent, "key", ["é", "e"], only=("body", "time"), **OWN)
    assert (found._fields, *found) == (("body", "time"), b"\x00\xff", 1)
    assert store.find(LineageEvent, "key", ["é"], workspace_id="another") == []


def test_a_value_that_is_not_given_is_missed_and_not_taken_for_nothing(connection: Connection) -> None:
    dialect = connection.dialect.name
    statement = select_among(LineageRun, dialect, "key", (), ("workspace_id",))
    with pytest.raises(KeyError, match="workspace_id"):
        run(connection, statement, {AMONG: array(dialect, ["k"])})


def test_a_list_that_would_have_to_be_written_anew_is_refused(connection: Connection) -> None:
    with pytest.raises(LookupError, match="give an array"):
        run(connection, select(LineageEdge.__table__.c.id).where(LineageEdge.id.in_([1, 2])), {})


def test_all_rows_come_in_chunks_and_postgresql_keeps_the_rest(connection: Connection) -> None:
    LineageStore(connection).put(LineageEvent, [EVENT | {"key": str(number)} for number in range(4)])
    chunks = stream(connection, KEYS, 2)
    first = next(chunks)
    if connection.dialect.name == "postgresql":
        assert connection.execute(text("SELECT count(*) FROM pg_cursors WHERE name = 'stream'")).scalar() == 1
    assert [list(map(tuple, chunk)) for chunk in (first, *chunks)] == [
        [("0", 7), ("1", 7)],
        [("2", 7), ("3", 7)],
        [("é", 7)],
    ]
    if connection.dialect.name == "postgresql":
        assert connection.execute(text("SELECT count(*) FROM pg_cursors WHERE name = 'stream'")).scalar() == 0


def test_nothing_runs_outside_a_transaction(database: Database) -> None:
    with database.engines.reader.connect() as connection, pytest.raises(LookupError, match="was begun"):
        LineageStore(connection).find(LineageEdge, "id", [1])


def test_what_the_driver_raises_is_told_as_what_it_is(database: Database) -> None:
    with pytest.raises(Internal), database.transaction(deadline=monotonic() + 60) as connection:
        LineageStore(connection).put(LineageEvent, [EVENT | {"body": None}])
    assert database.errors == {"INTERNAL_ERROR": 1}


def test_a_connection_that_is_lost_is_not_used_again(make_database_url: Callable[[str], str]) -> None:
    """PostgreSQL ends it in the middle; the next transaction has another one."""
    url = make_database_url("postgresql")
    database = create_database(url)

    def find(lost: bool) -> list[Any]:
        with database.transaction(deadline=monotonic() + 60) as connection:
            driver: Any = connection.connection.dbapi_connection
            if lost:
                with psycopg.connect(url, autocommit=True) as other:
                    other.execute("SELECT pg_terminate_backend(%s, 1000)", (driver.info.backend_pid,))
            return LineageStore(connection).find(LineageEdge, "id", [1])

    try:
        with pytest.raises(Unavailable):
            find(lost=True)
        assert find(lost=False) == []
    finally:
        database.close()
