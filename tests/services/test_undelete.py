"""Deleted tables: who sees and restores them, what comes back with them, and what is left after the retention."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import text

from lakewarden import Client
from lakewarden.v1 import tables_pb2, tables_pb2_grpc
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import Column, Grant, ModelVersion, Table
from lakewarden_server.purging import purge
from lakewarden_server.storage import retention
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
COLUMNS = [{"name": "id", "type_text": "BIGINT", "required": True}, {"name": "amount", "type_text": "DOUBLE"}]
ALMOST = retention.RETENTION - timedelta(minutes=1)
PAST = retention.RETENTION + timedelta(seconds=1)


@pytest.fixture
def table(both: EmbeddedServer, fresh: Fresh) -> str:
    """Full name of a table with columns, in a schema of its own."""
    admin, catalog = both.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    admin.schemas.create(f"{catalog}.s")
    admin.tables.create(f"{catalog}.s.orders", COLUMNS, comment="all orders", properties={"a": "1"})
    return f"{catalog}.s.orders"


def _schema(table: str) -> str:
    return table.rpartition(".")[0]


def _let_in(admin: Client, table: str, principal: str, *privileges: str) -> None:
    """The gates above a table, and privileges on it."""
    catalog, schema, _ = table.split(".")
    admin.grants.grant("USE CATALOG", "catalog", catalog, principal)
    admin.grants.grant("USE SCHEMA", "schema", f"{catalog}.{schema}", principal)
    if privileges:
        admin.grants.grant(privileges, "table", table, principal)


def _backdate(server: EmbeddedServer, table_id: str, age: timedelta) -> None:
    """Makes a deleted table that old, as its row would be then."""
    database = server.app.database
    with database.write(deadline=monotonic() + 10, request_id="", actor_id="", policy_digest="") as uow:
        uow.session.get_one(Table, table_id).deleted_time = uow.time - age
        uow.commit()


def _purge(server: EmbeddedServer) -> int:
    return retention.purge(server.app.database, policy_digest="")


def _rows(server: EmbeddedServer, entity: type[Any], owner: str, object_id: str) -> int:
    with server.app.database.read() as uow:
        return uow.session.query(entity).filter_by(**{owner: object_id}).count()


def test_deleted_table_comes_back_as_it_was(both: EmbeddedServer, table: str) -> None:
    admin, reader = both.client(), both.client_as("reader")
    _let_in(admin, table, "reader@example.com", "SELECT")
    before = admin.tables.get(table)
    admin.tables.delete(table)
    assert not reader.authorization.check("SELECT", "table", table)
    restored = admin.tables.undelete(table)
    assert (restored.id, restored.full_name, restored.owner) == (before.id, table, before.owner)
    assert (restored.comment, dict(restored.properties)) == ("all orders", {"a": "1"})
    assert restored.columns == before.columns
    assert restored.etag != before.etag
    assert admin.tables.get(table) == restored
    assert reader.authorization.check("SELECT", "table", table)
    assert list(admin.tables.list_deleted(_schema(table))) == []


def test_deleted_table_is_listed_with_its_times_the_last_deleted_first(
    both: EmbeddedServer, table: str
) -> None:
    admin = both.client()
    first = admin.tables.get(table).id
    admin.tables.delete(table)
    second = admin.tables.create(table).id
    admin.tables.delete(table)
    other = admin.tables.create(f"{_schema(table)}.other").id
    admin.tables.delete(f"{_schema(table)}.other")
    found = list(admin.tables.list_deleted(_schema(table)))
    assert [row.id for row in found] == [other, second, first]
    assert {row.full_name for row in found[1:]} == {table}
    for row in found:
        assert row.purge_time.ToDatetime() - row.delete_time.ToDatetime() == retention.RETENTION
        assert row.owner == "admin@example.com"
    assert [row.id for row in admin.tables.list_deleted(_schema(table), name="ORDERS")] == [second, first]
    assert [row.id for row in admin.tables.list_deleted(_schema(table), page_size=1)] == [
        other,
        second,
        first,
    ]
    with fails("PAGE_TOKEN_INVALID", "INVALID_ARGUMENT"):
        admin.tables._call("ListDeletedTables", parent=_schema(table), page_token="bogus")


def test_undelete_by_name_takes_the_last_deleted_and_by_id_any(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    first = admin.tables.get(table).id
    admin.tables.delete(table)
    second = admin.tables.create(table).id
    admin.tables.delete(table)
    assert admin.tables.undelete(table).id == second
    assert admin.tables.undelete(table, table_id=first, new_name="older").full_name == (
        f"{_schema(table)}.older"
    )


def test_name_taken_meanwhile_needs_a_new_one(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    admin.tables.delete(table)
    admin.tables.create(table)
    with fails("NAME_TAKEN", "ALREADY_EXISTS", saying="new_name"):
        admin.tables.undelete(table)
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        admin.tables.undelete(table, new_name="a.b")
    assert admin.tables.undelete(table, new_name="before").name == "before"
    assert {row.name for row in admin.tables.list(_schema(table))} == {"orders", "before"}


def test_same_name_inherits_nothing_while_the_old_table_waits(both: EmbeddedServer, table: str) -> None:
    admin, reader = both.client(), both.client_as("heir")
    _let_in(admin, table, "heir@example.com", "SELECT")
    admin.tables.delete(table)
    again = admin.tables.create(table)
    assert list(again.columns) == []
    assert list(admin.grants.list("table", table)) == []
    assert not reader.authorization.check("SELECT", "table", table)
    admin.tables.undelete(table, new_name="before")
    assert reader.authorization.check("SELECT", "table", f"{_schema(table)}.before")
    assert not reader.authorization.check("SELECT", "table", table)


def test_deleted_table_is_no_table_to_anything_else(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    deleted = admin.tables.get(table).id
    admin.tables.delete(table)
    for name in (table, f"{_schema(table)}.{deleted}"):
        with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
            admin.tables.get(name)
        with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
            admin.grants.grant("SELECT", "table", name, "admin@example.com")
        with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
            admin.tables.delete(name)
    assert list(admin.tables.list(_schema(table))) == []


def test_schema_with_nothing_but_deleted_tables_is_empty(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    deleted = admin.tables.get(table).id
    admin.tables.delete(table)
    admin.schemas.delete(_schema(table))
    admin.schemas.create(_schema(table))
    assert list(admin.tables.list_deleted(_schema(table))) == []
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.tables.undelete(table, table_id=deleted)


def test_table_deleted_with_its_schema_is_gone_for_good(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    deleted = admin.tables.get(table).id
    admin.schemas.delete(_schema(table), force=True)
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.tables.undelete(table)
    admin.schemas.create(_schema(table))
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.tables.undelete(table, table_id=deleted)
    assert _rows(both, Grant, "securable_id", deleted) == 0


def test_owner_restores_only_with_the_right_to_create(both: EmbeddedServer, table: str, fresh: Fresh) -> None:
    admin, name = both.client(), fresh("owner")
    owner = both.client_as(name)
    _let_in(admin, table, f"{name}@example.com")
    admin.tables.set_owner(table, f"{name}@example.com")
    owner.tables.delete(table)
    assert [row.owner for row in owner.tables.list_deleted(_schema(table))] == [f"{name}@example.com"]
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying="CREATE TABLE"):
        owner.tables.undelete(table)
    admin.grants.grant("CREATE TABLE", "schema", _schema(table), f"{name}@example.com")
    assert owner.tables.undelete(table).owner == f"{name}@example.com"


def test_owner_of_the_schema_restores_what_others_owned(
    both: EmbeddedServer, table: str, fresh: Fresh
) -> None:
    admin, name = both.client(), fresh("steward")
    steward = both.client_as(name)
    admin.grants.grant("USE CATALOG", "catalog", table.partition(".")[0], f"{name}@example.com")
    admin.schemas.set_owner(_schema(table), f"{name}@example.com")
    admin.tables.delete(table)
    assert steward.tables.undelete(table).owner == "admin@example.com"


def test_nobody_else_sees_or_restores_it(both: EmbeddedServer, table: str, fresh: Fresh) -> None:
    admin, name = both.client(), fresh("creator")
    creator = both.client_as(name)
    _let_in(admin, table, f"{name}@example.com", "SELECT", "MODIFY")
    admin.grants.grant("CREATE TABLE", "schema", _schema(table), f"{name}@example.com")
    deleted = admin.tables.get(table).id
    admin.tables.delete(table)
    assert list(creator.tables.list_deleted(_schema(table))) == []
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND", saying="could restore"):
        creator.tables.undelete(table)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        creator.tables.undelete(table, table_id=deleted)


def test_grants_of_a_deleted_principal_do_not_come_back(
    both: EmbeddedServer, table: str, fresh: Fresh
) -> None:
    admin, name = both.client(), fresh("leaver")
    both.client_as(name)
    _let_in(admin, table, f"{name}@example.com", "SELECT")
    admin.tables.set_owner(table, f"{name}@example.com")
    admin.tables.delete(table)
    leaver = admin.users.get(f"{name}@example.com").id
    admin.users.delete(f"{name}@example.com")
    # What it owned stays under its id, which is nobody.
    assert [row.owner for row in admin.tables.list_deleted(_schema(table))] == [leaver]
    assert admin.tables.undelete(table).owner == leaver
    assert list(admin.grants.list("table", table)) == []


def test_repeated_undelete_is_answered_alike(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    deleted = admin.tables.get(table).id
    admin.tables.delete(table)
    request_id = "4f1c1c1e-0000-4000-8000-00000000" + deleted[-4:]
    first, second = (_undelete_as(both, request_id, f"{_schema(table)}.{deleted}") for _ in range(2))
    assert first == second


def _undelete_as(server: EmbeddedServer, request_id: str, full_name: str) -> Any:
    with grpc.insecure_channel(server.endpoint) as channel:
        return tables_pb2_grpc.TableServiceStub(channel).UndeleteTable(
            tables_pb2.UndeleteTableRequest(full_name=full_name),
            metadata=(
                ("authorization", f"Bearer {server.admin_token}"),
                ("lakewarden-workspace", "workspace"),
                ("lakewarden-request-id", request_id),
            ),
        )


def test_table_can_be_restored_until_the_retention_is_over(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    deleted = admin.tables.get(table).id
    admin.tables.delete(table)
    _backdate(both, deleted, ALMOST)
    assert [row.id for row in admin.tables.list_deleted(_schema(table))] == [deleted]
    assert admin.tables.undelete(table).id == deleted
    admin.tables.delete(table)
    _backdate(both, deleted, PAST)
    assert list(admin.tables.list_deleted(_schema(table))) == []
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.tables.undelete(table, table_id=deleted)


def test_state_loaded_in_time_restores_nothing_afterwards(
    both: EmbeddedServer, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No change happened since, so the server still holds the state in which the table could be restored."""
    admin = both.client()
    deleted = admin.tables.get(table).id
    admin.tables.delete(table)
    assert [row.id for row in admin.tables.list_deleted(_schema(table))] == [deleted]
    monkeypatch.setattr(retention, "RETENTION", timedelta(0))
    assert list(admin.tables.list_deleted(_schema(table))) == []
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND", saying="cannot be restored"):
        admin.tables.undelete(table, table_id=deleted)


def test_purge_removes_what_is_left_of_the_table_and_remembers_it(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    admin.grants.grant("SELECT", "table", table, "account users")
    deleted = admin.tables.get(table).id
    admin.tables.delete(table)
    _backdate(both, deleted, ALMOST)
    _purge(both)
    assert _rows(both, Column, "table_id", deleted) == 2
    _backdate(both, deleted, PAST)
    assert _purge(both) == 3
    assert _rows(both, Column, "table_id", deleted) == 0
    assert _rows(both, Grant, "securable_id", deleted) == 0
    assert _purge(both) == 0
    with both.app.database.read() as uow:
        logged = uow.connection.execute(
            text("SELECT kind, operation FROM change_log WHERE revision = :revision ORDER BY kind"),
            {"revision": uow.revision},
        ).all()
        audited = uow.connection.execute(
            text("SELECT operation, revision FROM audit_log ORDER BY sequence DESC LIMIT 1")
        ).one()
        assert tuple(audited) == ("purge", uow.revision)
    assert [tuple(row) for row in logged] == [("COLUMN", "DELETE"), ("COLUMN", "DELETE"), ("GRANT", "DELETE")]


def test_purge_leaves_what_is_live_or_can_be_restored(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    before = admin.tables.get(table)
    _purge(both)
    assert _purge(both) == 0
    admin.tables.delete(table)
    assert _purge(both) == 0
    assert admin.tables.undelete(table).columns == before.columns


def test_purge_is_bounded_and_goes_on_in_the_next_run(
    both: EmbeddedServer, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = both.client()
    deleted = admin.tables.get(table).id
    _purge(both)
    admin.schemas.delete(_schema(table), force=True)
    _backdate(both, deleted, PAST)
    monkeypatch.setattr(retention, "PURGED_ROWS_MAX", 1)
    assert [_purge(both) for _ in range(3)] == [1, 1, 0]


def test_versions_of_a_deleted_model_are_purged_with_their_aliases(
    both: EmbeddedServer, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = both.client()
    model = f"{_schema(table)}.m"
    identity = admin.models.create(model).id
    admin.models.set_alias(model, "champion", admin.models.create_version(model).version)
    admin.models.delete(model)
    monkeypatch.setattr(retention, "RETENTION", timedelta(0))
    assert _purge(both) >= 2
    assert _rows(both, ModelVersion, "model_id", identity) == 0


def test_change_log_tells_a_deletion_and_a_creation(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    identity = admin.tables.get(table).id
    admin.tables.delete(table)
    admin.tables.undelete(table)
    with both.app.database.read() as uow:
        told = uow.connection.execute(
            text("SELECT operation FROM change_log WHERE object_id = :id ORDER BY revision"), {"id": identity}
        ).scalars()
        assert list(told) == ["CREATE", "DELETE", "CREATE"]


def test_grant_that_ended_meanwhile_stays_ended(both: EmbeddedServer, table: str, fresh: Fresh) -> None:
    admin, name = both.client(), fresh("guest")
    guest = both.client_as(name)
    _let_in(admin, table, f"{name}@example.com", "SELECT")
    identity = admin.tables.get(table).id
    admin.tables.delete(table)
    with both.app.database.write(
        deadline=monotonic() + 10, request_id="", actor_id="", policy_digest=""
    ) as uow:
        for grant in uow.session.query(Grant).filter_by(securable_id=identity):
            grant.expire_time = uow.time - timedelta(seconds=1)
        uow.commit()
    admin.tables.undelete(table)
    assert not guest.authorization.check("SELECT", "table", table)


def test_hourly_work_of_the_server_includes_the_purge(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    deleted = admin.tables.get(table).id
    admin.tables.delete(table)
    _backdate(both, deleted, PAST)
    purge(both.app.database, both.app.follower)
    assert _rows(both, Column, "table_id", deleted) == 0
    with both.app.database.read() as uow:
        assert uow.session.get_one(Table, deleted).name == "orders"


def test_row_filter_and_masks_come_back_with_the_table(both: EmbeddedServer, table: str) -> None:
    admin, schema = both.client(), _schema(table)
    admin.functions.create(f"{schema}.few", ["id BIGINT"], "BOOLEAN", "id < 10")
    admin.functions.create(f"{schema}.hidden", ["amount DOUBLE"], "DOUBLE", "NULL")
    admin.tables.set_row_filter(table, f"{schema}.few", ["id"])
    before = admin.tables.set_column_mask(table, "amount", f"{schema}.hidden")
    admin.tables.delete(table)
    again = admin.tables.create(table, COLUMNS)
    assert not again.HasField("row_filter")
    admin.tables.delete(table, etag=again.etag)
    restored = admin.tables.undelete(table, table_id=before.id)
    assert restored.row_filter == before.row_filter
    assert restored.columns == before.columns
    assert restored.columns[1].mask.function == f"{schema}.hidden"
