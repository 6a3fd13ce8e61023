"""The tables of tags tell what the caller may see, as it is called today, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lakewarden import Client, NotFound
from lakewarden_server.services.system_tables import service
from lakewarden_server.services.system_tables.reading import Reading
from lakewarden_server.testing import EmbeddedServer, serve

INFO = "system.information_schema"
TABLES = ("catalog_tags", "schema_tags", "table_tags", "column_tags", "volume_tags")


@pytest.fixture
def either(database_url: str) -> Iterator[EmbeddedServer]:
    """On SQLite and on PostgreSQL."""
    with serve(database_url=database_url) as found:
        _build(found.client())
        yield found


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with serve() as found:
        _build(found.client())
        yield found


def _build(admin: Client) -> None:
    """In each of two catalogs a tag with the catalog's name on one of everything."""
    columns = [{"name": name, "type_text": "STRING"} for name in ("id", "Mail")]
    for catalog in ("main", "vault"):
        admin.catalogs.create(catalog)
        schema = admin.schemas.create(f"{catalog}.s").full_name
        admin.tables.create(f"{schema}.people", columns)
        admin.tables.create(f"{schema}.plain", columns)
        admin.views.create(f"{schema}.mails", f"SELECT mail FROM {schema}.people", columns=["mail"])
        admin.volumes.create(f"{schema}.files")
        for kind, name, column in (
            ("catalog", catalog, ""),
            ("schema", schema, ""),
            ("table", f"{schema}.people", ""),
            ("table", f"{schema}.people", "mail"),
            ("view", f"{schema}.mails", ""),
            ("view", f"{schema}.mails", "mail"),
            ("volume", f"{schema}.files", ""),
        ):
            admin.tags.update(kind, name, set={"pii": catalog}, column=column)
    admin.tags.update("table", "main.s.people", set={"a": "", "Z": "1"}, column="id")


def _rows(client: Client, table: str, **asked: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in client.system_table(table, **asked).to_pylist()]


def _all(client: Client, catalog: str = "system") -> list[list[tuple[Any, ...]]]:
    return [_rows(client, f"{catalog}.information_schema.{table}") for table in TABLES]


MAIN = [
    [("main", "pii", "main")],
    [("main", "s", "pii", "main")],
    [("main", "s", "mails", "pii", "main"), ("main", "s", "people", "pii", "main")],
    [
        ("main", "s", "mails", "mail", "pii", "main"),
        ("main", "s", "people", "id", "Z", "1"),
        ("main", "s", "people", "id", "a", None),
        ("main", "s", "people", "Mail", "pii", "main"),
    ],
    [("main", "s", "files", "pii", "main")],
]


def test_each_table_tells_the_tags_of_its_kind(either: EmbeddedServer) -> None:
    admin = either.client()
    assert _all(admin, "main") == MAIN
    vault = _all(admin, "vault")
    assert [len(rows) for rows in vault] == [1, 1, 2, 2, 1]
    assert _all(admin) == [main + other for main, other in zip(MAIN, vault, strict=True)]
    admin.schemas.rename("main.s", "t")
    admin.tags.update("table", "main.t.people", remove=["a", "Z"], column="id")
    assert _rows(admin, "main.information_schema.column_tags") == [
        ("main", "t", "mails", "mail", "pii", "main"),
        ("main", "t", "people", "Mail", "pii", "main"),
    ]
    admin.tables.delete("main.t.people")
    assert _rows(admin, "main.information_schema.table_tags") == [("main", "t", "mails", "pii", "main")]


def test_a_reading_in_small_batches_is_the_same(
    either: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = either.client()
    whole = _all(admin)
    monkeypatch.setattr(service, "BATCH_ROWS_MAX", 1)
    assert _all(admin) == whole


def test_tags_are_told_within_what_the_caller_sees(server: EmbeddedServer) -> None:
    admin, eve = server.client(), server.client_as("eve")
    assert _all(eve) == [[]] * 5
    admin.grants.grant("BROWSE", "catalog", "main", "eve@example.com")
    assert _all(eve) == _all(admin, "main") == MAIN
    with pytest.raises(NotFound):
        _all(eve, "vault")
    admin.grants.revoke("BROWSE", "catalog", "main", "eve@example.com")
    admin.grants.grant("USE CATALOG", "catalog", "main", "eve@example.com")
    admin.grants.grant("USE SCHEMA", "schema", "main.s", "eve@example.com")
    admin.grants.grant("SELECT", "table", "main.s.people", "eve@example.com")
    assert _all(eve) == [MAIN[0], MAIN[1], MAIN[2][1:], MAIN[3][1:], []]


def test_what_is_told_is_what_the_calls_list(server: EmbeddedServer) -> None:
    admin = server.client()
    listed = [
        (catalog, "s", name, tag.column, tag.key, tag.value or None)
        for catalog in ("main", "vault")
        for kind, name in (("view", "mails"), ("table", "people"), ("table", "plain"))
        for tag in admin.tags.list(kind, f"{catalog}.s.{name}")
        if tag.column
    ]
    assert _rows(admin, f"{INFO}.column_tags") == listed


def test_control_one_who_is_shown_what_the_admin_sees_is_caught(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Reading.access

    def as_admin(reading: Reading, kind: str, privilege: str | None) -> Any:
        asked = original(reading, kind, privilege)
        admin = reading.call.snapshot.principal_named("admin@example.com")
        assert admin
        asked.asked = asked.asked._replace(subject_id=admin.id)
        return asked

    eve = server.client_as("eve")
    assert _all(eve) == [[]] * 5
    monkeypatch.setattr(Reading, "access", as_admin)
    assert _all(eve) == _all(server.client())
