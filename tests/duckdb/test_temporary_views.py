"""Temporary views of a governed connection, and attempts to read through one what its text alone would not show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest

import duckdb
from lakewarden import Client
from lakewarden._duckdb_rewrite import VIEWS_DEEP_MAX
from lakewarden._duckdb_views import TEMPORARY_VIEWS_MAX
from lakewarden.duckdb import (
    Access,
    AccessDenied,
    GovernanceError,
    GovernedConnection,
    StatementRefused,
    govern,
)
from lakewarden_server.testing import EmbeddedServer, serve

# The fixture's class lives in conftest.py, which cannot be imported.
Lake: TypeAlias = Any
ADMIN, ANN = "admin@example.com", "ann@example.com"
TABLES = {"people": ("id", "ssn", "region"), "orders": ("id", "person"), "sink": ("id", "ssn")}
LAKE = """
ATTACH ':memory:' AS lake;
USE lake;
CREATE TABLE people(id INTEGER, ssn VARCHAR, region VARCHAR);
CREATE TABLE orders(id INTEGER, person INTEGER);
CREATE TABLE sink(id INTEGER, ssn VARCHAR);
INSERT INTO people VALUES (1, 'secret-11', 'eu'), (2, 'secret-22', 'us');
INSERT INTO orders VALUES (10, 1), (20, 2);
"""


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """Ann may do everything in `lake.main`; nothing is masked or filtered yet. Each test changes that."""
    with serve() as server:
        admin = server.client()
        admin.catalogs.create("lake")
        admin.schemas.create("lake.main")
        for table, columns in TABLES.items():
            admin.tables.create(
                f"lake.main.{table}", columns=[{"name": name, "type_text": "VARCHAR"} for name in columns]
            )
        server.client_as("ann")
        admin.grants.grant("USE CATALOG", "catalog", "lake", ANN)
        admin.grants.grant(["USE SCHEMA", "MODIFY"], "schema", "lake.main", ANN)
        for table in TABLES:
            admin.grants.grant("SELECT", "table", f"lake.main.{table}", ANN)
        admin.functions.create("lake.main.hidden", ["x VARCHAR"], "VARCHAR", "'*' || right(x, 2)")
        admin.functions.create("lake.main.european", ["r VARCHAR"], "BOOLEAN", "r = 'eu'")
        yield server


@pytest.fixture
def ann(raw: duckdb.DuckDBPyConnection, server: EmbeddedServer) -> GovernedConnection:
    return govern(raw, server.client_as("ann"), lineage=False)


def rows(connection: GovernedConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def protect(admin: Client) -> None:
    admin.tables.set_column_mask("lake.main.people", "ssn", "lake.main.hidden")
    admin.tables.set_row_filter("lake.main.people", "lake.main.european", ["region"])


def test_there_is_no_result_of_a_view_that_was_made_and_that_is_why(ann: GovernedConnection) -> None:
    ann.execute("CREATE TEMP VIEW made AS SELECT id FROM people")
    with pytest.raises(duckdb.InvalidInputException, match="or made a temporary view"):
        ann.fetchall()


def test_a_view_follows_grants_filters_and_masks_that_came_after_it(
    ann: GovernedConnection, server: EmbeddedServer
) -> None:
    admin = server.client()
    ann.execute("CREATE TEMP VIEW named AS SELECT id, ssn FROM people")
    ann.execute(
        "CREATE TEMP VIEW nested (person, number) AS SELECT n.id, n.ssn FROM named AS n, orders WHERE n.id = person"
    )
    whole = [(1, "secret-11"), (2, "secret-22")]
    assert rows(ann, "FROM named ORDER BY id") == rows(ann, "FROM nested ORDER BY person") == whole
    protect(admin)
    assert rows(ann, "FROM named") == rows(ann, "FROM nested") == [(1, "*11")]
    assert rows(ann, "SELECT number FROM nested WHERE number LIKE 'secret%'") == []
    ann.execute("INSERT INTO sink FROM nested")
    assert rows(ann, "FROM sink") == [(1, "*11")]
    admin.grants.revoke("SELECT", "table", "lake.main.people", ANN)
    for sql in ("FROM named", "FROM nested", "SELECT count(*) FROM nested", "INSERT INTO sink FROM named"):
        with pytest.raises(AccessDenied, match=r"lake\.main\.people"):
            ann.execute(sql)
    admin.grants.grant("SELECT", "table", "lake.main.people", ANN)
    assert rows(ann, "FROM nested") == [(1, "*11")]


def test_a_view_may_be_over_a_view_of_the_lake_and_over_system_tables(
    ann: GovernedConnection, server: EmbeddedServer
) -> None:
    admin = server.client()
    admin.views.create("lake.main.shown", "SELECT id, ssn FROM people")
    admin.grants.grant("SELECT", "view", "lake.main.shown", ANN)
    admin.grants.revoke("SELECT", "table", "lake.main.people", ANN)
    protect(admin)
    ann.execute("CREATE TEMP VIEW mine AS FROM shown")
    ann.execute(
        "CREATE TEMP VIEW tables AS SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'"
    )
    assert rows(ann, "FROM mine") == [(1, "*11")]
    assert ("orders",) in rows(ann, "FROM tables")
    assert rows(ann, "SELECT m.id FROM mine m, tables t WHERE t.table_name = 'orders'") == [(1,)]


def test_names_in_a_view_mean_what_they_mean_where_it_is_made(lake: Lake) -> None:
    analyst = lake.analyst
    analyst.execute("CREATE TEMP VIEW v AS SELECT id FROM orders -- what is ordered")
    assert rows(
        analyst, "WITH orders AS (SELECT 7 AS id) SELECT v.id, o.id FROM v, orders AS o WHERE v.id = 1"
    ) == [(1, 7)]
    analyst.execute("CREATE TEMP VIEW w AS WITH customers AS (FROM v) SELECT max(id) AS top FROM customers;")
    assert rows(analyst, "WITH v AS (SELECT 99 AS id) SELECT top FROM w") == [(3,)]
    analyst.execute("CREATE OR REPLACE TEMPORARY VIEW V AS SELECT 5 AS id")
    assert rows(analyst, 'SELECT top, "v".id FROM W AS w, v') == [(5, 5)]


def test_a_view_is_asked_for_as_what_it_reads(lake: Lake) -> None:
    orders, customers = (Access(f"lake.main.{name}", "SELECT", "TABLE") for name in ("orders", "customers"))
    create = "CREATE TEMP VIEW v AS SELECT o.id FROM orders o JOIN customers c ON o.customer = c.id"
    assert lake.analyst.explain_access(create) == (customers, orders)
    lake.analyst.execute(create)
    assert lake.analyst.explain_access("SELECT count(*) FROM v, v AS w") == (customers, orders)
    assert lake.policy.asked[-1][1] == (customers, orders)
    with pytest.raises(duckdb.InvalidInputException, match="no result"):
        lake.analyst.fetchall()


def test_a_view_is_of_its_connection_alone_and_leaves_duckdb_as_it_was(lake: Lake) -> None:
    before = lake.contents()
    lake.analyst.execute("CREATE TEMP VIEW mine AS FROM orders")
    assert lake.contents() == before
    other = lake.analyst.as_subject("bob@example.com")
    with pytest.raises(AccessDenied, match=r"lake\.main\.mine"):
        other.execute("FROM mine")
    for qualified in ("main.mine", "lake.main.mine", "temp.mine"):
        with pytest.raises(GovernanceError):
            lake.analyst.execute(f"FROM {qualified}")


def test_a_view_with_the_name_of_a_table_hides_it_and_opens_nothing(lake: Lake) -> None:
    # Refusing the name would tell whether there is such a table.
    lake.analyst.execute("CREATE TEMP VIEW salaries AS SELECT 42 AS amount")
    assert rows(lake.analyst, "FROM salaries") == [(42,)]
    for sql in ("FROM main.salaries", "SELECT s.amount FROM lake.main.salaries s, salaries"):
        with pytest.raises(AccessDenied, match=r"lake\.main\.salaries"):
            lake.analyst.execute(sql)


WRITES = (
    "INSERT INTO orders VALUES (9, 9, 9)",
    "DELETE FROM orders",
    "UPDATE orders SET amount = 1",
    "MERGE INTO orders USING customers USING (id) WHEN MATCHED THEN DELETE",
    "CREATE TABLE orders AS SELECT 1 AS id",
)


@pytest.mark.parametrize("sql", WRITES)
def test_what_has_the_name_of_a_view_is_not_written(lake: Lake, sql: str) -> None:
    lake.analyst.execute("CREATE TEMP VIEW orders AS SELECT 1 AS id, 1 AS amount")
    before = lake.contents()
    with pytest.raises(StatementRefused, match="orders is a temporary view"):
        lake.analyst.execute(sql)
    assert lake.contents() == before


HOSTILE = (
    "CREATE TEMP VIEW v AS SELECT * FROM salaries",
    "CREATE TEMP VIEW v AS WITH o AS (FROM salaries) SELECT 1 FROM o",
    "CREATE TEMP VIEW v AS SELECT id FROM orders UNION ALL SELECT amount FROM salaries",
    "CREATE TEMP VIEW v AS FROM read_csv('x.csv')",
    "CREATE TEMP VIEW v AS FROM 'x.csv'",
    "CREATE TEMP VIEW v AS SELECT top_salary()",
    "CREATE TEMP VIEW v AS FROM salaries_view",
    "CREATE TEMP VIEW v AS FROM scratch",
    "CREATE TEMP VIEW v AS DELETE FROM orders RETURNING id",
    "CREATE TEMP VIEW v AS SELECT 1) UNION (SELECT amount FROM salaries",
    "CREATE TEMP VIEW v AS SELECT 1; DELETE FROM orders",
    "CREATE TEMP VIEW v AS FROM v",
    "CREATE TEMP VIEW v(a, b AS SELECT 1",
    "CREATE TEMP VIEW v(salaries.a) AS SELECT 1",
    "CREATE TEMP VIEW temp.v AS SELECT 1",
    'CREATE TEMP VIEW "v.w" AS SELECT 1',
    'CREATE TEMP VIEW "" AS SELECT 1',
    "CREATE TEMP VIEW IF NOT EXISTS v AS SELECT 1",
    "CREATE TEMP RECURSIVE VIEW v(a) AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "CREATE OR REPLACE VIEW orders AS SELECT 1",
    "CREATE MATERIALIZED VIEW v AS SELECT 1",
    "CREATE TEMP VIEW given AS SELECT 2",
    "DROP VIEW given",
    "SELECT given",
    "FROM v",
)


@pytest.mark.parametrize("sql", HOSTILE)
def test_hostile_views_are_not_made(lake: Lake, sql: str) -> None:
    lake.analyst.execute("CREATE TEMP VIEW given AS SELECT 1 AS one")
    before = lake.contents()
    with pytest.raises((GovernanceError, duckdb.BinderException)):
        lake.analyst.execute(sql)
    assert lake.contents() == before
    assert rows(lake.analyst, "FROM given") == [(1,)]
    with pytest.raises(GovernanceError):
        lake.analyst.execute("FROM v")


def test_parameters_are_of_statements_not_of_views(lake: Lake) -> None:
    for sql in ("CREATE TEMP VIEW v AS SELECT ? AS a", "CREATE TEMP VIEW v AS SELECT $a AS a"):
        with pytest.raises(StatementRefused, match="parameter"):
            lake.analyst.execute(sql)
    lake.analyst.execute("CREATE TEMP VIEW plain AS SELECT $$x ?$$ AS a")
    with pytest.raises(StatementRefused, match="parameter"):
        lake.analyst.execute("CREATE TEMP VIEW v AS SELECT 1 AS a", [1])
    lake.analyst.execute("CREATE TEMP VIEW v AS FROM orders")
    assert lake.analyst.execute("SELECT amount FROM v WHERE id = ?", [2]).fetchall() == [(20,)]


def test_views_over_each_other_end(lake: Lake) -> None:
    analyst = lake.analyst
    analyst.execute("CREATE TEMP VIEW a AS SELECT 1 AS x")
    analyst.execute("CREATE TEMP VIEW b AS FROM a")
    with pytest.raises(StatementRefused, match="reads itself"):
        analyst.execute("CREATE OR REPLACE TEMP VIEW a AS FROM b")
    assert rows(analyst, "FROM b") == [(1,)]
    view = "b"
    for level in range(VIEWS_DEEP_MAX - 2):
        analyst.execute(f"CREATE TEMP VIEW t{level} AS SELECT l.x FROM {view} AS l")
        view = f"t{level}"
    with pytest.raises(StatementRefused, match="too many levels"):
        analyst.execute(f"CREATE TEMP VIEW deeper AS FROM {view}")


def test_a_connection_has_so_many_views(lake: Lake) -> None:
    views = lake.analyst._views
    for number in range(TEMPORARY_VIEWS_MAX):
        views.keep(views.made_by(f"CREATE TEMP VIEW v{number} AS SELECT {number} AS n"))
    with pytest.raises(StatementRefused, match=f"at most {TEMPORARY_VIEWS_MAX}"):
        lake.analyst.execute("CREATE TEMP VIEW more AS SELECT 1 AS n")
    lake.analyst.execute("CREATE OR REPLACE TEMP VIEW v9 AS SELECT 7 AS n")
    assert rows(lake.analyst, "FROM v9") == [(7,)]
