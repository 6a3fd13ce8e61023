"""Materialized views and streaming tables of a real server, whose rows DuckDB has or has not."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

import duckdb
from lakewarden.duckdb import AccessDenied, GovernanceError, GovernedConnection, StatementRefused, govern
from lakewarden_server.testing import EmbeddedServer, serve

ANN, OWNER = "ann@example.com", "owner@example.com"
LAKE = """
ATTACH ':memory:' AS lake;
USE lake;
CREATE SCHEMA hr;
CREATE TABLE hr.people(id INTEGER, ssn VARCHAR);
INSERT INTO hr.people VALUES (1, 'secret-11'), (2, 'secret-22');
CREATE TABLE daily(id INTEGER, total INTEGER);
INSERT INTO daily VALUES (1, 10), (2, 20);
CREATE TABLE events(id INTEGER);
INSERT INTO events VALUES (7);
CREATE TABLE private(ssn VARCHAR);
INSERT INTO private VALUES ('secret-33');
CREATE TABLE plain_view(ssn VARCHAR);
INSERT INTO plain_view VALUES ('secret-44');
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """ann reads what is stored in `main` but `private`, and nothing of `hr`."""
    with serve() as server:
        admin = server.client()
        admin.catalogs.create("lake")
        for schema in ("main", "hr"):
            admin.schemas.create(f"lake.{schema}")
        for name in (ANN, OWNER):
            server.client_as(name)
            admin.grants.grant("USE CATALOG", "catalog", "lake", name)
            admin.grants.grant("USE SCHEMA", "schema", "lake.main", name)
        columns = [{"name": "id", "type_text": "INT"}, {"name": "ssn", "type_text": "STRING"}]
        admin.tables.create("lake.hr.people", columns)
        for name in ("daily", "private", "unstored", "hidden"):
            admin.materialized_views.create(
                f"lake.main.{name}", "SELECT id, count(*) AS total FROM hr.people"
            )
        admin.streaming_tables.create("lake.main.events", "SELECT id FROM hr.people")
        admin.streaming_tables.create("lake.main.unfed", "SELECT id FROM hr.people")
        admin.views.create("lake.main.plain_view", "SELECT id FROM hr.people")
        admin.views.create(
            "lake.main.busy", "SELECT d.id, e.id AS event FROM daily d, events e WHERE total > 10"
        )
        admin.views.create("lake.main.late", "SELECT id FROM unstored")
        for name in ("daily", "unstored"):
            admin.grants.grant("SELECT", "materialized_view", f"lake.main.{name}", ANN)
        for name in ("events", "unfed"):
            admin.grants.grant(["SELECT", "MODIFY"], "streaming_table", f"lake.main.{name}", ANN)
        for name in ("plain_view", "busy", "late"):
            admin.grants.grant("SELECT", "view", f"lake.main.{name}", ANN)
        yield server


@pytest.fixture
def ann(raw: duckdb.DuckDBPyConnection, server: EmbeddedServer) -> GovernedConnection:
    return govern(raw, server.client_as(ANN))


READS = {
    "FROM daily ORDER BY id": [(1, 10), (2, 20)],
    'SELECT total FROM lake."MAIN".Daily AS d WHERE d.id = 2': [(20,)],
    "SELECT * FROM events": [(7,)],
    "SELECT daily.id, events.id FROM daily, events ORDER BY 1": [(1, 7), (2, 7)],
    "SELECT * FROM busy": [(2, 7)],
    "WITH daily AS (SELECT total FROM daily) SELECT sum(total) FROM daily": [(30,)],
}


@pytest.mark.parametrize("sql", READS)
def test_stored_rows_are_read_with_select_on_what_stores_them(ann: GovernedConnection, sql: str) -> None:
    assert ann.execute(sql).fetchall() == READS[sql]


def test_base_of_a_materialized_view_stays_out_of_reach(ann: GovernedConnection) -> None:
    with pytest.raises(AccessDenied):
        ann.execute("SELECT daily.id FROM daily, hr.people")


def test_reader_loses_the_stored_rows_with_the_grant(ann: GovernedConnection, server: EmbeddedServer) -> None:
    admin = server.client()
    admin.grants.revoke("SELECT", "materialized_view", "lake.main.daily", ANN)
    with pytest.raises(AccessDenied):
        ann.execute("FROM daily")
    assert ann.execute("SELECT count(*) FROM busy").fetchall() == [(1,)], "read for the view's owner"
    admin.grants.grant("SELECT", "materialized_view", "lake.main.daily", ANN)


def test_view_over_stored_rows_needs_its_owner(ann: GovernedConnection, server: EmbeddedServer) -> None:
    admin = server.client()
    admin.views.set_owner("lake.main.busy", OWNER)
    with pytest.raises(AccessDenied):
        ann.execute("FROM busy")
    admin.views.set_owner("lake.main.busy", "admin@example.com")


def test_rows_that_are_not_stored_here_are_not_computed(ann: GovernedConnection) -> None:
    for name in ("unstored", "unfed"):
        with pytest.raises(AccessDenied, match="its rows are stored, and this engine does not have them"):
            ann.execute(f"SELECT * FROM {name}")
    with pytest.raises(StatementRefused, match=r"no table lake.main.unstored, which a view reads"):
        ann.execute("SELECT * FROM late")


def test_what_may_not_be_read_is_as_absent_as_any(ann: GovernedConnection) -> None:
    told = []
    for name in ("hidden", "absent", "private", "salaries"):
        with pytest.raises((AccessDenied, StatementRefused)) as denied:
            ann.execute(f"SELECT * FROM {name}")
        told.append(str(denied.value).replace(name, "it").replace("view", "table"))
    assert len(set(told)) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO daily VALUES (3, 30)",
        "UPDATE daily SET total = 0",
        "DELETE FROM daily",
        "MERGE INTO daily USING events ON daily.id = events.id WHEN MATCHED THEN DELETE",
        "INSERT INTO events VALUES (8)",
        "DELETE FROM events",
        "INSERT INTO unstored VALUES (1)",
        "CREATE OR REPLACE TABLE daily AS SELECT 1",
    ],
)
def test_stored_rows_are_not_written_by_a_query(
    ann: GovernedConnection, raw: duckdb.DuckDBPyConnection, sql: str
) -> None:
    with pytest.raises(GovernanceError):
        ann.execute(sql)
    assert raw.execute("SELECT count(*), sum(total) FROM daily").fetchall() == [(2, 30)]
    assert raw.execute("FROM events").fetchall() == [(7,)]


def test_view_of_lakewarden_is_never_a_table_of_the_same_name(
    ann: GovernedConnection, raw: duckdb.DuckDBPyConnection
) -> None:
    """The rows that DuckDB has under the name of a view are not those that the view may show."""
    with pytest.raises(AccessDenied):
        ann.execute("SELECT * FROM plain_view")
    assert raw.execute("FROM plain_view").fetchall() == [("secret-44",)]


def test_shadow_of_stored_rows_is_not_read(ann: GovernedConnection, raw: duckdb.DuckDBPyConnection) -> None:
    for shadow in ("TEMP TABLE daily", "TEMP VIEW daily", "VIEW hr.daily"):
        raw.execute(f"CREATE {shadow} AS FROM hr.people")
        assert ann.execute("SELECT sum(total) FROM daily").fetchall() == [(30,)]
        kind, name = shadow.replace("TEMP ", "").split()
        raw.execute(f"DROP {kind} {name}")
    raw.execute("DROP TABLE daily; CREATE VIEW daily AS FROM hr.people")
    with pytest.raises(StatementRefused):
        ann.execute("SELECT * FROM daily")


def test_guards_of_the_base_forbid_the_refresh_and_not_the_reading(
    ann: GovernedConnection, server: EmbeddedServer
) -> None:
    """What was stored is what its owner was shown then; computing it anew would store rows that the guards hide."""
    admin = server.client()
    asked = [
        SimpleNamespace(full_name="lake.main.daily", privilege="REFRESH", securable_type="MATERIALIZED_VIEW")
    ]
    admin.functions.create("lake.hr.nobody", ["x INTEGER"], "BOOLEAN", "x < 0")
    assert admin.authorize_plan(asked, capabilities=["ROW_FILTER", "COLUMN_MASK"]).allowed
    admin.tables.set_row_filter("lake.hr.people", "lake.hr.nobody", ["id"])
    try:
        assert not admin.authorize_plan(asked, capabilities=["ROW_FILTER", "COLUMN_MASK"]).allowed
        assert ann.execute("SELECT sum(total) FROM daily").fetchall() == [(30,)]
    finally:
        admin.tables.drop_row_filter("lake.hr.people")
