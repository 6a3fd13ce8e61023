"""`information_schema` shows of the catalog what the caller may see, as it is called today, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lakewarden import Client, NotFound
from lakewarden_server.services.system_tables.reading import Reading
from lakewarden_server.testing import EmbeddedServer, serve

INFO = "system.information_schema"


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with serve() as found:
        _build(found.client())
        yield found


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedServer]:
    """For tests that change nothing but what their own users may do."""
    with serve() as found:
        _build(found.client())
        yield found


@pytest.fixture
def either(database_url: str) -> Iterator[EmbeddedServer]:
    """On SQLite and on PostgreSQL."""
    with serve(database_url=database_url) as found:
        _build(found.client())
        yield found


def _build(admin: Client) -> None:
    columns = [
        {"name": "id", "type_text": "BIGINT", "required": True},
        {"name": "amount", "type_text": "DECIMAL(15,2)", "comment": "in euros"},
        {"name": "note", "type_text": "STRING"},
    ]
    for catalog in ("main", "vault"):
        admin.catalogs.create(catalog)
        admin.schemas.create(f"{catalog}.sales")
        admin.tables.create(f"{catalog}.sales.orders", columns=columns, comment="what was bought")
    admin.tables.create("main.sales.prices", columns=columns)
    admin.views.create("main.sales.big", definition="SELECT id FROM main.sales.orders WHERE amount > 9")
    admin.volumes.create("main.sales.files")
    admin.functions.create("main.sales.mask", ["x STRING"], "STRING", "'***'")


def _rows(client: Client, name: str, *columns: str, **asked: Any) -> list[tuple[Any, ...]]:
    found = client.system_table(name, columns=columns, **asked)
    return list(zip(*(found[column].to_pylist() for column in columns), strict=True))


def _tables(client: Client, name: str = f"{INFO}.tables") -> list[str]:
    found = _rows(client, name, "table_catalog", "table_schema", "table_name")
    return [".".join(parts) for parts in found]


EVERYTHING = ["main.sales.big", "main.sales.orders", "main.sales.prices", "vault.sales.orders"]


def test_the_owner_sees_all_of_the_metastore_or_one_catalog(either: EmbeddedServer) -> None:
    admin = either.client()
    assert _tables(admin) == EVERYTHING
    assert _tables(admin, "vault.information_schema.tables") == ["vault.sales.orders"]
    assert _rows(admin, f"{INFO}.catalogs", "catalog_name", "catalog_owner") == [
        ("main", "admin@example.com"),
        ("vault", "admin@example.com"),
    ]
    assert _rows(admin, "main.information_schema.catalogs", "catalog_name") == [("main",)]
    assert _rows(admin, "main.information_schema.schemata", "catalog_name", "schema_name") == [
        ("main", "default"),
        ("main", "sales"),
    ]
    name = "information_schema.information_schema_catalog_name"
    assert _rows(admin, f"main.{name}", "catalog_name") == [("main",)]
    assert _rows(admin, f"system.{name}", "catalog_name") == [("system",)]
    assert _rows(admin, f"{INFO}.metastores", "metastore_name", "metastore_owner") == [
        ("metastore", "admin@example.com")
    ]


def test_a_row_says_what_is_known_and_leaves_the_rest_null(either: EmbeddedServer) -> None:
    admin = either.client()
    (row,) = admin.system_table(f"{INFO}.tables", equal_to={"table_name": "prices"}).to_pylist()
    assert {
        key: row[key] for key in ("table_type", "is_insertable_into", "data_source_format", "table_owner")
    } == {
        "table_type": "MANAGED",
        "is_insertable_into": "YES",
        "data_source_format": "DELTA",
        "table_owner": "admin@example.com",
    }
    assert abs(row["created"] - datetime.now(UTC)) < timedelta(minutes=5)
    assert (row["comment"], row["storage_path"], row["storage_sub_directory"]) == (None, None, None)
    columns = _rows(
        admin, f"{INFO}.columns", "column_name", "ordinal_position", "is_nullable", "full_data_type", "data_type",
        "numeric_precision", "numeric_precision_radix", "numeric_scale", "comment",
        equal_to={"table_name": "prices"},
    )  # fmt: skip
    assert columns == [
        ("id", 0, "NO", "BIGINT", "BIGINT", 64, 2, 0, None),
        ("amount", 1, "YES", "DECIMAL(15,2)", "DECIMAL", 15, 10, 2, "in euros"),
        ("note", 2, "YES", "STRING", "STRING", None, None, None, None),
    ]
    assert _rows(admin, f"{INFO}.columns", "column_name", "is_nullable", equal_to={"table_name": "big"}) == [
        ("id", None)
    ]
    assert _rows(admin, f"{INFO}.volumes", "volume_name", "volume_type") == [("files", "MANAGED")]


def test_who_may_browse_sees_names_and_not_the_text_of_definitions(shared: EmbeddedServer) -> None:
    admin, browser = shared.client(), shared.client_as("browser")
    admin.grants.grant("BROWSE", "catalog", "main", "browser@example.com")
    assert _tables(browser) == [name for name in EVERYTHING if name.startswith("main.")]
    (view,) = admin.system_table(f"{INFO}.views").to_pylist()
    assert (view["view_definition"], view["is_materialized"]) == (
        "SELECT id FROM main.sales.orders WHERE amount > 9",
        "NO",
    )
    assert _rows(browser, f"{INFO}.views", "table_name", "view_definition") == [("big", None)]
    assert _rows(admin, f"{INFO}.routines", "routine_name", "routine_definition") == [("mask", "'***'")]
    assert _rows(browser, f"{INFO}.routines", "specific_name", "routine_definition") == [("mask", None)]


def test_who_may_see_one_table_sees_that_row_alone(shared: EmbeddedServer) -> None:
    admin, reader = shared.client(), shared.client_as("reader")
    for privilege, kind, name in (
        ("USE CATALOG", "catalog", "main"),
        ("USE SCHEMA", "schema", "main.sales"),
        ("SELECT", "table", "main.sales.orders"),
    ):
        admin.grants.grant(privilege, kind, name, "reader@example.com")
    assert _tables(reader) == ["main.sales.orders"]
    assert {row[0] for row in _rows(reader, f"{INFO}.columns", "table_name")} == {"orders"}
    assert _rows(reader, f"{INFO}.volumes", "volume_name") == []
    admin.grants.revoke("SELECT", "table", "main.sales.orders", "reader@example.com")
    assert _tables(reader) == []


def test_who_has_no_rights_sees_nothing_and_not_whether_a_catalog_exists(shared: EmbeddedServer) -> None:
    stranger = shared.client_as("stranger")
    for table in ("catalogs", "schemata", "tables", "columns", "views", "volumes", "routines"):
        assert stranger.system_table(f"{INFO}.{table}").num_rows == 0
        told = [_refused(stranger, catalog, table) for catalog in ("main", "none")]
        assert told[0] == told[1]
    assert _refused(shared.client(), "none", "tables") == _refused(stranger, "none", "tables")
    assert stranger.system_table(f"{INFO}.tables", equal_to={"table_catalog": "none"}).num_rows == 0


def _refused(client: Client, catalog: str, table: str) -> str:
    with pytest.raises(NotFound, match="the catalog does not exist, or you may not use it") as refused:
        client.system_table(f"{catalog}.information_schema.{table}")
    return str(refused.value).replace(catalog, "CATALOG").replace(table, "TABLE")


@pytest.mark.parametrize(
    ("privilege", "shown"), [("USE CATALOG", []), ("CREATE SCHEMA", []), ("BROWSE", ["vault.sales.orders"])]
)
def test_a_catalog_is_there_for_who_sees_it_as_long_as_that_is_so(
    shared: EmbeddedServer, privilege: str, shown: list[str]
) -> None:
    visitor = shared.client_as("visitor")
    shared.client().grants.grant("SELECT", "table", "vault.sales.orders", "visitor@example.com")
    _refused(visitor, "vault", "tables")
    shared.client().grants.grant(privilege, "catalog", "vault", "visitor@example.com")
    assert _tables(visitor, "vault.information_schema.tables") == shown
    shared.client().grants.revoke(privilege, "catalog", "vault", "visitor@example.com")
    _refused(visitor, "vault", "tables")


def test_the_answer_is_that_of_the_lists(either: EmbeddedServer) -> None:
    """Two ways to the same truth, for people with one privilege each."""
    admin = either.client()
    for number, (privilege, kind, name) in enumerate(
        (
            ("BROWSE", "catalog", "main"),
            ("MANAGE", "schema", "main.sales"),
            ("SELECT", "catalog", "vault"),
            ("ALL PRIVILEGES", "table", "main.sales.prices"),
            ("APPLY TAG", "table", "main.sales.orders"),
        )
    ):
        client = either.client_as(f"user{number}")
        for use, where in (("USE CATALOG", "main"), ("USE SCHEMA", "main.sales")):
            admin.grants.grant(use, use.split()[1].lower(), where, f"user{number}@example.com")
        admin.grants.grant(privilege, kind, name, f"user{number}@example.com")
        listed = [
            found.full_name
            for schema in ("main.sales", "vault.sales")
            for found in (*client.tables.list(schema), *client.views.list(schema))
        ]
        assert _tables(client) == sorted(listed)


def test_the_same_comparison_fails_where_rows_are_not_filtered(
    shared: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what is seen follows from the one question `Reading.access` asks."""
    original = Reading.access

    def as_admin(self: Reading, kind: str, privilege: str | None) -> Any:
        asked = original(self, kind, privilege)
        admin = self.call.snapshot.principal_named("admin@example.com")
        assert admin
        asked.asked = asked.asked._replace(subject_id=admin.id)
        return asked

    stranger = shared.client_as("stranger")
    assert _tables(stranger) == []
    monkeypatch.setattr(Reading, "access", as_admin)
    assert _tables(stranger) == EVERYTHING


def test_a_catalog_that_is_not_bound_to_the_workspace_is_not_there(server: EmbeddedServer) -> None:
    admin = server.client()
    admin.workspaces.create("elsewhere", metastore="metastore", omit_catalog=True)
    browser = server.client_as("browser")
    admin.grants.grant("USER", "workspace", "elsewhere", "browser@example.com")
    admin.grants.grant("BROWSE", "catalog", "vault", "browser@example.com")
    there = server.client_as("browser", workspace="elsewhere")
    assert _tables(there) == ["vault.sales.orders"]
    admin.workspace_bindings.update("catalog", "vault", isolated=True)
    assert _tables(browser) == ["vault.sales.orders"]
    assert _tables(there) == []
    assert _rows(there, f"{INFO}.catalogs", "catalog_name") == []


def test_a_metastore_admin_sees_what_the_lists_show_it(server: EmbeddedServer) -> None:
    admin, keeper, carol = server.client(), server.client_as("keeper"), server.client_as("carol")
    admin.grants.grant("CREATE CATALOG", "metastore", "metastore", "carol@example.com")
    carol.catalogs.create("hers")
    carol.schemas.create("hers.s")
    carol.tables.create("hers.s.t", columns=[{"name": "a", "type_text": "INT"}])
    admin.metastores.set_owner("metastore", "keeper@example.com")
    seen = [catalog.name for catalog in keeper.catalogs.list()]
    assert [name for (name,) in _rows(keeper, f"{INFO}.catalogs", "catalog_name")] == seen
    assert "hers" in seen
    listed = [
        found.full_name
        for schema in ("hers.s", "main.sales", "vault.sales")
        for found in (*keeper.tables.list(schema), *keeper.views.list(schema))
    ]
    assert _tables(keeper) == sorted(listed)
    assert "hers.s.t" in listed


def test_a_renamed_table_has_the_name_of_today(server: EmbeddedServer) -> None:
    admin = server.client()
    admin.tables.rename("main.sales.prices", "costs")
    admin.schemas.rename("vault.sales", "shop")
    assert _tables(admin) == [
        "main.sales.big",
        "main.sales.costs",
        "main.sales.orders",
        "vault.shop.orders",
    ]
    assert ("costs",) in _rows(admin, "main.information_schema.columns", "table_name")


def test_a_deleted_table_is_gone(server: EmbeddedServer) -> None:
    admin = server.client()
    admin.tables.delete("main.sales.prices")
    assert "main.sales.prices" not in _tables(admin)
