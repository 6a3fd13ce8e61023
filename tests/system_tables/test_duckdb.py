"""System tables as ordinary tables of a governed DuckDB connection: with the caller's rights, and nothing of DuckDB's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import duckdb
from lakewarden import Client
from lakewarden.duckdb import AccessDenied, GovernedConnection, StatementRefused, govern
from lakewarden_server.testing import serve
from lineage.lake import Lake

SECRET = "topsecret"
Connect = Callable[[str], GovernedConnection]


@pytest.fixture(scope="module")
def connect() -> Iterator[Connect]:
    """Connections of principals by name; `ada` may read orders and browse nothing."""
    with serve() as server:
        lake = Lake(server, ("raw.orders", "sales.menu", f"raw.{SECRET}"))
        lake.made("raw.orders", "sales.menu")
        lake.made(f"raw.{SECRET}", "raw.orders")
        server.token_of("ada")
        for privilege, kind, name in (
            ("USE CATALOG", "catalog", "main"),
            ("USE SCHEMA", "schema", "main.raw"),
            ("SELECT", "table", "main.raw.orders"),
        ):
            lake.admin.grants.grant(privilege, kind, name, "ada@example.com")
        loader = duckdb.connect()
        loader.execute(
            "ATTACH ':memory:' AS lake; CREATE SCHEMA lake.raw; CREATE SCHEMA lake.sales; USE lake.raw"
        )
        loader.execute(f"CREATE TABLE orders AS SELECT 7 AS id; CREATE TABLE {SECRET} AS SELECT 9 AS id")
        loader.execute("CREATE TABLE lake.sales.menu AS SELECT 1 AS id")

        def client(name: str) -> Client:
            return lake.admin if name == "admin" else server.client_as(name)

        yield lambda name: govern(loader, client(name), catalog_map={"lake": "main"}, lineage=False)
        loader.close()


def test_a_system_table_is_selected_joined_and_aggregated(connect: Connect) -> None:
    admin = connect("admin")
    names = "SELECT table_name FROM main.information_schema.tables ORDER BY ALL"
    assert admin.execute(names.replace("main.", "lake.")).fetchall() == [("menu",), ("orders",), (SECRET,)]
    for name in (
        "system.information_schema.tables",
        "information_schema.tables",
        '"SYSTEM"."Information_Schema"."TABLES"',
    ):
        assert admin.execute(f"SELECT count(*) FROM {name}").fetchall() == [(3,)]
    assert admin.execute(
        "SELECT l.target_table_name, count(*) FROM system.access.table_lineage l"
        " JOIN system.information_schema.tables t ON t.table_name = l.source_table_name GROUP BY ALL ORDER BY ALL"
    ).fetchall() == [("menu", 1), ("orders", 1)]
    assert admin.execute(
        "WITH o AS (FROM orders) SELECT o.id, tables.table_name FROM o, system.information_schema.tables"
        " WHERE tables.table_name = 'menu'"
    ).fetchall() == [(7, "menu")]
    (time,) = admin.execute("SELECT max(event_time) FROM system.access.table_lineage").fetchone() or ()
    assert time.year == 2026


def test_rows_are_the_callers_own(connect: Connect) -> None:
    ada = connect("ada")
    assert ada.execute("SELECT table_name FROM system.information_schema.tables").fetchall() == [("orders",)]
    lineage = ada.execute(
        "SELECT source_table_name, target_table_name FROM system.access.table_lineage"
    ).fetchall()
    assert sorted(lineage, key=str) == [("orders", None), (None, "orders")]
    assert ada.execute("SELECT count(*) FROM orders, information_schema.columns").fetchall() == [(1,)]
    with pytest.raises(AccessDenied):
        ada.execute(f"SELECT * FROM system.information_schema.tables, lake.raw.{SECRET}")
    with pytest.raises(AccessDenied, match=r"audit"):
        ada.execute("SELECT * FROM system.access.audit")
    assert connect("admin").execute("SELECT count(*) > 0 FROM system.access.audit").fetchall() == [(True,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM system.information_schema.key_column_usage",
        "SELECT * FROM information_schema.character_sets",
        "SELECT * FROM system.main.duckdb_tables",
        "SELECT * FROM duckdb_tables()",
        "SELECT * FROM pg_catalog.pg_tables",
        "SELECT * FROM system.pg_catalog.pg_tables",
        'SELECT * FROM "lake"."information_schema "."tables"',
        "INSERT INTO system.access.table_lineage SELECT * FROM orders",
        "DELETE FROM information_schema.tables",
        "UPDATE main.information_schema.tables SET comment = 'x'",
        "SELECT * FROM temp.information_schema.tables",
    ],
)  # fmt: skip
def test_nothing_of_duckdbs_own_catalog_is_read(connect: Connect, sql: str) -> None:
    ada = connect("ada")
    try:
        found = str(ada.execute(sql).fetchall())
    except (StatementRefused, AccessDenied) as refused:
        found = str(refused)
    assert SECRET not in found
    assert "menu" not in found


def test_what_was_fetched_is_there_for_one_statement_and_one_connection(connect: Connect) -> None:
    admin, ada = connect("admin"), connect("ada")
    admin.execute("SELECT * FROM system.information_schema.tables")
    (name,) = (key[2] for key in admin._system.keys)
    for connection in (ada, admin):
        with pytest.raises(StatementRefused):
            connection.execute(f"SELECT * FROM temp.main.{name}")
    admin.execute("SELECT * FROM system.information_schema.catalogs")
    with pytest.raises(StatementRefused):
        admin.execute(f"SELECT * FROM system.information_schema.catalogs, temp.main.{name}")
    admin.execute("SELECT 1")
    assert admin._system.keys == frozenset()


def test_another_subject_and_unknown_tables_are_refused(connect: Connect) -> None:
    admin = connect("admin")
    with pytest.raises(StatementRefused, match="another subject"):
        admin.as_subject("ada@example.com").execute("SELECT * FROM system.information_schema.tables")
    with pytest.raises(StatementRefused, match=r"did you mean system\.information_schema\.tables"):
        admin.execute("SELECT * FROM system.information_schema.tabels")
    assert admin.explain_access("SELECT * FROM orders, information_schema.tables") == (
        ("main.raw.orders", "SELECT", "TABLE"),
    )
