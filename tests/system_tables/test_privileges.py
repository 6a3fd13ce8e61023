"""Who was granted what, told to whom ListGrants tells it; and what guards tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakewarden import Client
from lakewarden_server.services.system_tables import privileges
from lakewarden_server.testing import EmbeddedServer, serve

INFO = "system.information_schema"
Told = set[tuple[str, str, str]]


BOTH = pytest.mark.parametrize("server", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def server(request: pytest.FixtureRequest, make_database_url: object) -> Iterator[EmbeddedServer]:
    with serve(database_url=make_database_url(getattr(request, "param", "sqlite"))) as found:  # type: ignore[operator]
        _build(found)
        yield found


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedServer]:
    """For tests that change nothing."""
    with serve() as found:
        _build(found)
        yield found


def _build(found: EmbeddedServer) -> None:
    admin = found.client()
    for name in ("ann", "bob", "cat"):
        found.token_of(name)
    admin.catalogs.create("main")
    admin.schemas.create("main.s")
    columns = [{"name": "id", "type_text": "INT"}, {"name": "ssn", "type_text": "STRING"}]
    admin.tables.create("main.s.t", columns=columns)
    admin.volumes.create("main.s.v")
    for privilege, kind, name, principal in (
        ("USE CATALOG,SELECT", "catalog", "main", "ann"),
        ("USE SCHEMA", "schema", "main.s", "ann"),
        ("USE CATALOG,USE SCHEMA", "catalog", "main", "bob"),
        ("SELECT", "table", "main.s.t", "bob"),
        ("USE CATALOG,USE SCHEMA", "catalog", "main", "cat"),
        ("MANAGE", "table", "main.s.t", "cat"),
        ("READ VOLUME", "volume", "main.s.v", "ann"),
        ("CREATE CATALOG", "metastore", "metastore", "bob"),
    ):
        admin.grants.grant(privilege.split(","), kind, name, f"{principal}@example.com")


def _told(client: Client, table: str) -> Told:
    rows = client.system_table(f"{INFO}.{table}").to_pylist()
    assert {row["is_grantable"] for row in rows} <= {"NO"}
    return {(row["grantee"].partition("@")[0], row["privilege_type"], row["inherited_from"]) for row in rows}


@BOTH
def test_who_may_grant_is_told_all_grants_and_what_containers_pass_down(server: EmbeddedServer) -> None:
    admin = server.client()
    assert _told(admin, "table_privileges") == {
        ("bob", "SELECT", "NONE"),
        ("cat", "MANAGE", "NONE"),
        ("ann", "SELECT", "CATALOG"),
    }
    assert ("ann", "USE_SCHEMA", "NONE") in _told(admin, "schema_privileges")
    assert ("bob", "USE_SCHEMA", "CATALOG") in _told(admin, "schema_privileges")
    assert _told(admin, "volume_privileges") == {("ann", "READ_VOLUME", "NONE")}
    assert ("bob", "CREATE_CATALOG", "NONE") in _told(admin, "metastore_privileges")
    (row,) = admin.system_table("main.information_schema.volume_privileges").to_pylist()
    assert (row["volume_schema"], row["volume_name"], row["grantor"]) == ("s", "v", "admin@example.com")


def test_others_are_told_their_own(shared: EmbeddedServer) -> None:
    assert _told(shared.client_as("bob"), "table_privileges") == {("bob", "SELECT", "NONE")}
    assert _told(shared.client_as("ann"), "table_privileges") == {("ann", "SELECT", "CATALOG")}
    # MANAGE shows all grants on the table, and of those on the catalog one's own.
    assert _told(shared.client_as("cat"), "table_privileges") == {
        ("bob", "SELECT", "NONE"),
        ("cat", "MANAGE", "NONE"),
    }
    assert _told(shared.client_as("stranger"), "catalog_privileges") == set()


def test_direct_grants_are_those_of_list_grants(shared: EmbeddedServer) -> None:
    for name in ("ann", "bob", "cat"):
        client = shared.client_as(name)
        listed = {
            (assignment.principal.partition("@")[0], privilege, "NONE")
            for assignment in client.grants.list("table", "main.s.t")
            for privilege in assignment.privileges
        }
        direct = {told for told in _told(client, "table_privileges") if told[2] == "NONE"}
        assert direct == listed


def test_the_comparison_fails_where_all_are_told_everything(
    shared: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(privileges, "sees_all", lambda call, place: True)
    assert ("cat", "MANAGE", "NONE") in _told(shared.client_as("bob"), "table_privileges")


def test_a_revoked_grant_and_one_of_a_deleted_principal_are_gone(server: EmbeddedServer) -> None:
    admin = server.client()
    admin.grants.revoke("SELECT", "catalog", "main", "ann@example.com")
    admin.users.delete("bob@example.com")
    assert _told(admin, "table_privileges") == {("cat", "MANAGE", "NONE")}


@BOTH
def test_filters_and_masks_are_told_and_their_functions_to_who_sees_them(server: EmbeddedServer) -> None:
    admin = server.client()
    admin.schemas.create("main.rules")
    admin.functions.create("main.rules.few", ["x INT"], "BOOLEAN", "x < 10")
    admin.functions.create("main.rules.mask", ["x STRING"], "STRING", "'***'")
    admin.tables.set_row_filter("main.s.t", "main.rules.few", columns=["id"])
    admin.tables.set_column_mask("main.s.t", "ssn", "main.rules.mask")

    def rows(client: Client) -> list[tuple[str, ...]]:
        filters = client.system_table(f"{INFO}.row_filters").to_pylist()
        masks = client.system_table(f"{INFO}.column_masks").to_pylist()
        return [tuple(row.values()) for row in (*filters, *masks)]

    assert rows(admin) == [
        ("main", "s", "t", "main.rules.few", "id"),
        ("main", "s", "t", "ssn", "main.rules.mask", None),
    ]
    assert rows(server.client_as("bob")) == [
        ("main", "s", "t", None, "id"),
        ("main", "s", "t", "ssn", None, None),
    ]
    assert rows(server.client_as("stranger")) == []
