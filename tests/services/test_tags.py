"""Tags: set, removed and listed, on objects and on columns; they follow what they are on and go with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from lakewarden import Client
from lakewarden_policy import Snapshot
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import Table, Tag
from lakewarden_server.services import tags as tag_service
from lakewarden_server.storage import retention
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
ANN, BOB = "ann@example.com", "bob@example.com"
COLUMNS = [{"name": name, "type_text": "STRING"} for name in ("id", "Mail", "note")]


@pytest.fixture
def table(both: EmbeddedServer, fresh: Fresh) -> str:
    """Full name of a table with columns, in a catalog of its own; ann and bob work in the workspace."""
    admin, catalog = both.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    admin.schemas.create(f"{catalog}.s")
    for name in ("ann", "bob"):
        both.client_as(name)
    return admin.tables.create(f"{catalog}.s.people", COLUMNS).full_name


def _tags(client: Client, kind: str, name: str, **options: Any) -> list[tuple[str, str, str]]:
    return [(tag.column, tag.key, tag.value) for tag in client.tags.list(kind, name, **options)]


def _let_in(admin: Client, table: str, *privileges: str) -> None:
    catalog, schema, _ = table.split(".")
    admin.grants.grant("USE CATALOG", "catalog", catalog, ANN)
    admin.grants.grant("USE SCHEMA", "schema", f"{catalog}.{schema}", ANN)
    admin.grants.grant(privileges, "table", table, ANN)


def test_tags_are_set_replaced_and_removed_and_say_who_set_them(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    answer = admin.tags.update("table", table, set={"team": "billing", "Reviewed": "", "pii": "yes"})
    assert [tag.key for tag in answer.tags] == ["Reviewed", "pii", "team"]
    admin.tags.update("table", table, set={"team": "sales", "PII": "no"}, remove=["Reviewed", "absent"])
    assert _tags(admin, "table", table) == [("", "PII", "no"), ("", "pii", "yes"), ("", "team", "sales")]
    (tag,) = admin.tags.list("table", table, limit=1)
    assert tag.updated_by == "admin@example.com"
    assert tag.update_time.seconds > 0
    (record,) = admin.audit.list(action="table.tag", limit=1)
    told = [json.loads(record.detail[name]) for name in ("set", "remove")]
    assert (record.object_name, told) == (table, [["PII", "team"], ["Reviewed", "absent"]])


def test_every_kind_that_can_be_tagged_is(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, catalog = both.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    schema = admin.schemas.create(f"{catalog}.s").full_name
    admin.tables.create(f"{schema}.t", COLUMNS)
    admin.views.create(f"{schema}.v", f"SELECT id FROM {schema}.t")
    admin.materialized_views.create(f"{schema}.m", f"SELECT id FROM {schema}.t")
    admin.streaming_tables.create(f"{schema}.st", f"SELECT id FROM {schema}.t")
    admin.volumes.create(f"{schema}.files")
    admin.models.create(f"{schema}.model")
    named = {
        "catalog": catalog, "schema": schema, "table": f"{schema}.t", "view": f"{schema}.v",
        "materialized_view": f"{schema}.m", "streaming_table": f"{schema}.st", "volume": f"{schema}.files",
        "registered_model": f"{schema}.model",
    }  # fmt: skip
    for kind, name in named.items():
        admin.tags.update(kind, name, set={"kind": kind})
    assert {kind: _tags(admin, kind, name) for kind, name in named.items()} == {
        kind: [("", "kind", kind)] for kind in named
    }
    for kind in ("view", "materialized_view", "streaming_table"):
        admin.tags.update(kind, named[kind], set={"pii": ""}, column="ID")
        assert _tags(admin, kind, named[kind], column="id") == [("id", "pii", "")]
    with fails("FIELD_INVALID", saying="the volume has no column"):
        admin.tags.update("volume", named["volume"], set={"a": ""}, column="id")
    with fails("FIELD_INVALID", saying="cannot be tagged"):
        admin.tags.update("function", f"{schema}.f", set={"a": ""})


def test_tags_of_columns_stand_behind_those_of_the_table(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    admin.tags.update("table", table, set={"z": "1"})
    admin.tags.update("table", table, set={"b": "2", "a": "3"}, column="note")
    admin.tags.update("table", table, set={"pii": "email"}, column="MAIL")
    whole = [("", "z", "1"), ("Mail", "pii", "email"), ("note", "a", "3"), ("note", "b", "2")]
    assert _tags(admin, "table", table) == whole
    for size in (1, 2, 3, 4):
        assert _tags(admin, "table", table, page_size=size) == whole
    assert _tags(admin, "table", table, column="mail") == [("Mail", "pii", "email")]
    assert _tags(admin, "table", table, column="id") == []
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="no column 'nothing'"):
        _tags(admin, "table", table, column="nothing")


def test_who_holds_apply_tag_tags_and_who_sees_it_reads(both: EmbeddedServer, table: str) -> None:
    admin, ann, bob = both.client(), both.client_as("ann"), both.client_as("bob")
    admin.tags.update("table", table, set={"pii": "yes"})
    for client in (ann, bob):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
            _tags(client, "table", table)
    admin.grants.grant("BROWSE", "catalog", table.partition(".")[0], BOB)
    assert _tags(bob, "table", table) == [("", "pii", "yes")]
    with fails("PRIVILEGE_MISSING", saying="APPLY TAG"):
        bob.tags.update("table", table, set={"pii": "no"})
    _let_in(admin, table, "SELECT", "MANAGE")
    with fails("PRIVILEGE_MISSING", saying="APPLY TAG"):
        ann.tags.update("table", table, remove=["pii"])
    _let_in(admin, table, "APPLY TAG")
    ann.tags.update("table", table, set={"pii": "email"}, column="mail")
    assert _tags(bob, "table", table) == [("", "pii", "yes"), ("Mail", "pii", "email")]
    admin.grants.revoke("USE SCHEMA", "schema", table.rpartition(".")[0], ANN)
    with fails("ACCESS_DENIED"):
        ann.tags.update("table", table, remove=["pii"])


def test_a_tag_on_the_catalog_takes_apply_tag_on_the_catalog(both: EmbeddedServer, table: str) -> None:
    admin, ann, catalog = both.client(), both.client_as("ann"), table.partition(".")[0]
    admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", catalog, ANN)
    with fails("PRIVILEGE_MISSING"):
        ann.tags.update("catalog", catalog, set={"a": ""})
    admin.grants.grant("APPLY TAG", "catalog", catalog, ANN)
    for kind, name in (("catalog", catalog), ("schema", table.rpartition(".")[0]), ("table", table)):
        ann.tags.update(kind, name, set={"a": ""})


def test_tags_follow_a_rename_and_go_with_the_object(both: EmbeddedServer, table: str) -> None:
    admin, schema = both.client(), table.rpartition(".")[0]
    admin.tags.update("table", table, set={"pii": "yes"})
    admin.tags.update("table", table, set={"pii": "email"}, column="mail")
    admin.tables.rename(table, "persons")
    renamed = f"{schema}.persons"
    told = [("", "pii", "yes"), ("Mail", "pii", "email")]
    assert _tags(admin, "table", renamed) == told
    deleted = admin.tables.get(renamed).id
    admin.tables.delete(renamed)
    admin.tables.create(renamed, COLUMNS)
    assert _tags(admin, "table", renamed) == []
    admin.tables.undelete(f"{schema}.persons", table_id=deleted, new_name="again")
    assert _tags(admin, "table", f"{schema}.again") == told


def test_tags_of_what_can_no_longer_be_restored_are_purged(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    admin.tags.update("table", table, set={"pii": "yes"})
    admin.tags.update("table", table, set={"pii": "email"}, column="mail")
    deleted = admin.tables.get(table).id
    admin.tables.delete(table)
    database = both.app.database
    with database.write(deadline=monotonic() + 10, request_id="", actor_id="", policy_digest="") as uow:
        old = retention.RETENTION + timedelta(seconds=1)
        uow.session.get_one(Table, deleted).deleted_time = uow.time - old
        uow.commit()
    retention.purge(database, policy_digest="")
    with database.read() as view:
        assert view.session.query(Tag).filter_by(securable_id=deleted).count() == 0


def test_a_column_that_is_left_out_loses_its_tags_and_one_that_stays_keeps_them(
    both: EmbeddedServer, table: str
) -> None:
    admin = both.client()
    for column in ("id", "mail"):
        admin.tags.update("table", table, set={"pii": column}, column=column)
    kept = [{"name": name, "type_text": "STRING"} for name in ("note", "ID")]
    admin.tables.update(table, columns=kept)
    assert _tags(admin, "table", table) == [("ID", "pii", "id")]
    admin.tables.update(table, columns=COLUMNS)
    assert _tags(admin, "table", table) == [("id", "pii", "id")]


def test_a_new_definition_of_a_view_drops_the_tags_of_columns_it_leaves_out(
    both: EmbeddedServer, table: str
) -> None:
    admin, view = both.client(), f"{table}_view"
    admin.views.create(view, f"SELECT id, mail FROM {table}")
    for column in ("id", "mail"):
        admin.tags.update("view", view, set={"pii": column}, column=column)
    admin.views.redefine(view, f"SELECT mail AS id FROM {table}")
    assert _tags(admin, "view", view) == [("id", "pii", "id")]
    admin.views.redefine(view, f"SELECT id, mail FROM {table}")
    assert _tags(admin, "view", view) == [("id", "pii", "id")]


def test_the_etag_moves_with_the_tags_and_a_stale_one_is_refused(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    before = admin.tables.get(table).etag
    after = admin.tags.update("table", table, set={"pii": "yes"}, etag=before).etag
    assert after == admin.tables.get(table).etag != before
    with fails("ETAG_MISMATCH", "ABORTED"):
        admin.tags.update("table", table, set={"pii": "no"}, etag=before)
    assert admin.tags.update("table", table, set={"pii": "yes"}, remove=["absent"]).etag == after
    admin.tags.update("table", table, set={"pii": "no"}, etag=after)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ({"": "x"}, "1 to 255 characters"),
        ({"k" * 256: ""}, "1 to 255 characters"),
        ({" a": ""}, "space at an end"),
        ({"a ": ""}, "space at an end"),
        ({"a\nb": ""}, "control character"),
        ({"a\u202eb": ""}, "control character"),
        *[({f"a{character}b": ""}, "one of") for character in ",.:/-="],
        ({"a": "v" * 1_001}, "more than 1000 characters"),
        ({"a": "\0"}, "NUL"),
        ({str(number): "" for number in range(51)}, "at most 50"),
    ],
)
def test_what_is_no_tag_is_refused(
    server: EmbeddedServer, named: str, pairs: dict[str, str], words: str
) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying=words):
        server.client().tags.update("schema", named, set=pairs)
    assert _tags(server.client(), "schema", named) == []


@pytest.fixture(scope="module")
def named(server: EmbeddedServer) -> str:
    server.client().catalogs.create("limits")
    return server.client().schemas.create("limits.s").full_name


def test_the_longest_tags_are_kept_as_they_are(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, catalog = server.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    pairs = {"é" * 255: "語" * 1_000, "two words": "a=b,c.d"}
    admin.tags.update("catalog", catalog, set=pairs)
    assert {key: value for _, key, value in _tags(admin, "catalog", catalog)} == pairs


def test_an_object_and_each_column_has_fifty_tags(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, catalog = server.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    admin.schemas.create(f"{catalog}.s")
    table = admin.tables.create(f"{catalog}.s.t", COLUMNS).full_name
    full = {f"k{number:02}": "" for number in range(50)}
    for column in ("", "id"):
        admin.tags.update("table", table, set=full, column=column)
        with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", saying="would have 51 tags, and at most 50"):
            admin.tags.update("table", table, set={"more": ""}, column=column)
        admin.tags.update("table", table, set={"more": ""}, remove=["k00"], column=column)
    assert len(_tags(admin, "table", table)) == 100


def test_the_columns_of_a_table_have_so_many_tags_together(
    server: EmbeddedServer, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_service, "COLUMN_TAGS_MAX", 3)
    admin, catalog = server.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    admin.schemas.create(f"{catalog}.s")
    table = admin.tables.create(f"{catalog}.s.t", COLUMNS).full_name
    for column in ("id", "mail", "note"):
        admin.tags.update("table", table, set={"a": ""}, column=column)
    with fails("QUOTA_EXCEEDED", saying="at most 3 tags together"):
        admin.tags.update("table", table, set={"b": ""}, column="id")
    admin.tags.update("table", table, set={"b": ""})


def test_a_change_is_all_or_nothing_and_says_something(server: EmbeddedServer, named: str) -> None:
    admin = server.client()
    with fails("FIELD_INVALID", saying="set and removed at once"):
        admin.tags.update("schema", named, set={"a": "", "b": ""}, remove=["a"])
    with fails("FIELD_INVALID", saying="nothing to set"):
        admin.tags.update("schema", named)
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.tags.update("table", "limits.s.absent", set={"a": ""})
    with fails("PAGE_TOKEN_INVALID"):
        list(_page(admin, named, "bogus"))
    assert _tags(admin, "schema", named) == []


def _page(client: Client, schema: str, token: str) -> Any:
    from lakewarden.v1 import tags_pb2

    request = tags_pb2.ListTagsRequest(securable_type=tags_pb2.Tag.SCHEMA, full_name=schema, page_token=token)
    return client.tags._connection.call(client.tags._stub.ListTags, request).tags


def test_tags_stand_in_the_change_log_and_decide_nothing(both: EmbeddedServer, table: str) -> None:
    admin = both.client()
    admin.tables.get(table)
    held = both.app.follower.held
    admin.tags.update("table", table, set={"pii": "yes"})
    with both.app.database.read() as view:
        logged = view.connection.execute(
            text("SELECT kind, operation FROM change_log WHERE revision = :revision ORDER BY kind"),
            {"revision": view.revision},
        )
        assert [tuple(row) for row in logged] == [("TABLE", "UPDATE"), ("TAG", "CREATE")]
    admin.tables.get(table)
    after = both.app.follower.held
    assert held is not None
    assert after is not None
    assert _besides_revisions(after) == _besides_revisions(held)


def _besides_revisions(state: Snapshot) -> list[Any]:
    return [found._replace(revision=0) for _, found in sorted(state.securables.items())]
