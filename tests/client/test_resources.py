from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest

from client.wire import WireServer
from lakewarden import Client, InvalidArgument
from lakewarden.v1 import authorization_pb2, grants_pb2, tables_pb2


def _accesses(*names: str) -> list[Any]:
    return [SimpleNamespace(full_name=name, privilege="SELECT", securable_type="TABLE") for name in names]


def test_update_names_exactly_what_changes(wire: WireServer, client: Client) -> None:
    client.catalogs.update("main", comment="", properties={"a": "b"}, etag="e1")
    request = wire.calls[0].request
    assert list(request.update_mask.paths) == ["comment", "properties"]
    assert (request.catalog.full_name, request.catalog.etag, dict(request.catalog.properties)) == (
        "main",
        "e1",
        {"a": "b"},
    )


def test_rename_keeps_the_address_apart_from_the_new_name(wire: WireServer, client: Client) -> None:
    client.schemas.rename("main.sales", "sold")
    request = wire.calls[0].request
    assert (request.schema.full_name, request.schema.name, list(request.update_mask.paths)) == (
        "main.sales",
        "sold",
        ["name"],
    )


def test_group_rename_addresses_the_old_name(wire: WireServer, client: Client) -> None:
    client.groups.rename("old", "new", etag="e1")
    request = wire.calls[0].request
    assert (request.name, request.group.name, request.group.etag) == ("old", "new", "e1")


def test_disable_switches_active_off_and_new_principals_are_active(wire: WireServer, client: Client) -> None:
    client.users.disable("bob@x.io")
    client.users.create("eve@x.io")
    assert list(wire.calls[0].request.update_mask.paths) == ["active"]
    assert wire.calls[0].request.user.active is False
    assert wire.calls[1].request.user.active is True


def test_update_without_changes_is_refused_before_any_call(wire: WireServer, client: Client) -> None:
    with pytest.raises(InvalidArgument, match="comment, properties"):
        client.catalogs.update("main")
    assert not wire.calls


def test_detach_sends_an_empty_metastore_in_the_mask(wire: WireServer, client: Client) -> None:
    client.workspaces.detach("w")
    assert list(wire.calls[0].request.update_mask.paths) == ["metastore"]
    assert wire.calls[0].request.workspace.metastore == ""


def test_full_name_is_split_into_parent_and_name(wire: WireServer, client: Client) -> None:
    client.tables.create("main.sales.orders", create_statement="CREATE TABLE x (id INT)", dialect="spark")
    request = wire.calls[0].request
    assert (request.parent, request.table.name, request.create_statement, request.dialect) == (
        "main.sales",
        "orders",
        "CREATE TABLE x (id INT)",
        "spark",
    )


@pytest.mark.parametrize("name", ["orders", "sales.orders", "a.b.c.d", "a..c", ".b.c", ""])
def test_table_name_of_the_wrong_shape_is_refused(wire: WireServer, client: Client, name: str) -> None:
    with pytest.raises(InvalidArgument):
        client.tables.create(name, [{"name": "id", "type_text": "INT"}])
    assert not wire.calls


def test_arrow_schema_is_serialized(wire: WireServer, client: Client) -> None:
    schema = pyarrow.schema([pyarrow.field("id", pyarrow.int64(), nullable=False)])
    client.tables.create("a.b.c", arrow_schema=schema)
    assert pyarrow.ipc.read_schema(pyarrow.py_buffer(wire.calls[0].request.arrow_schema)) == schema


def test_columns_come_as_messages_or_mappings(wire: WireServer, client: Client) -> None:
    message = tables_pb2.Column(name="b", type_text="TEXT")
    client.tables.create("a.b.c", [{"name": "a", "type_text": "INT", "required": True}, message])
    assert [(column.name, column.required) for column in wire.calls[0].request.table.columns] == [
        ("a", True),
        ("b", False),
    ]


def test_two_definitions_or_an_unknown_column_key_are_refused(wire: WireServer, client: Client) -> None:
    with pytest.raises(InvalidArgument):
        client.tables.create(
            "a.b.c", [{"name": "a", "type_text": "INT"}], create_statement="CREATE TABLE t (a INT)"
        )
    with pytest.raises(InvalidArgument, match="typ"):
        client.tables.create("a.b.c", [{"name": "a", "typ": "INT"}])
    assert not wire.calls


def test_grant_takes_one_privilege_or_several(wire: WireServer, client: Client) -> None:
    client.grants.grant("USE CATALOG", "catalog", "main", "g")
    client.grants.revoke(["SELECT", "MODIFY"], "TABLE", "a.b.c", "g")
    granted, revoked = (call.request for call in wire.calls)
    assert (granted.securable_type, list(granted.changes[0].privileges)) == (
        grants_pb2.CATALOG,
        ["USE CATALOG"],
    )
    assert granted.changes[0].action == grants_pb2.GrantChange.GRANT
    assert revoked.changes[0].action == grants_pb2.GrantChange.REVOKE
    assert list(revoked.changes[0].privileges) == ["SELECT", "MODIFY"]


@pytest.mark.parametrize("kind", ["tabel", "", "SECURABLE_TYPE_UNSPECIFIED", "0"])
def test_unknown_kind_is_refused_before_any_call(wire: WireServer, client: Client, kind: str) -> None:
    with pytest.raises(InvalidArgument, match="table"):
        client.grants.grant("SELECT", kind, "a.b.c", "g")
    assert not wire.calls


def test_verdict_is_true_or_false_and_says_why(wire: WireServer, client: Client) -> None:
    verdict = authorization_pb2.Verdict(allowed=False, reason="no USE SCHEMA", fixes=["GRANT USE SCHEMA …"])
    reply = authorization_pb2.CheckResponse(verdict=verdict, revision="e:1")
    wire.answers["AuthorizationService/Check"] = lambda *_: reply
    answer = client.authorization.check("SELECT", "table", "a.b.c", subject="bob@x.io")
    assert not answer
    assert (answer.reason, answer.fixes, answer.revision) == ("no USE SCHEMA", ("GRANT USE SCHEMA …",), "e:1")
    assert wire.calls[0].request.subject == "bob@x.io"


def test_plan_answer_pairs_each_denial_with_its_access(wire: WireServer, client: Client) -> None:
    yes, no = (
        authorization_pb2.Verdict(allowed=True),
        authorization_pb2.Verdict(reason="r", fixes=["f1", "f2"]),
    )
    wire.answers["AuthorizationService/AuthorizePlan"] = lambda *_: authorization_pb2.AuthorizePlanResponse(
        verdicts=[yes, no], revision="e:2"
    )
    answer = client.authorize_plan(_accesses("a.b.c", "a.b.d"), subject="bob@x.io")
    assert not answer
    assert [(denial.full_name, denial.reason, denial.fix) for denial in answer.denials] == [
        ("a.b.d", "r", "f1; f2")
    ]
    assert answer.revision == "e:2"


@pytest.mark.parametrize(("allowed", "verdict"), [(True, False), (False, True)])
def test_plan_answer_that_contradicts_itself_is_a_denial(
    wire: WireServer, client: Client, allowed: bool, verdict: bool
) -> None:
    wire.answers["AuthorizationService/AuthorizePlan"] = lambda *_: authorization_pb2.AuthorizePlanResponse(
        allowed=allowed, verdicts=[authorization_pb2.Verdict(allowed=verdict)]
    )
    assert not client.authorize_plan(_accesses("a.b.c"))


def test_plan_answer_with_a_verdict_missing_is_an_error(wire: WireServer, client: Client) -> None:
    wire.answers["AuthorizationService/AuthorizePlan"] = lambda *_: authorization_pb2.AuthorizePlanResponse(
        allowed=True
    )
    with pytest.raises(ValueError, match="shorter"):
        client.authorize_plan(_accesses("a.b.c"))


def test_capabilities_are_named_and_unknown_ones_refused(wire: WireServer, client: Client) -> None:
    client.authorize_plan([], capabilities=["ROW_FILTER"])
    assert list(wire.calls[0].request.capabilities) == [authorization_pb2.ROW_FILTER]
    with pytest.raises(InvalidArgument):
        client.authorize_plan([], capabilities=["TELEPATHY"])


@pytest.mark.parametrize("columns", [["id"], "id BIGINT", [("id", "BIGINT")]])
def test_column_of_another_shape_is_refused_with_an_example(client: Client, columns: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"is no column; one looks like") as refused:
        client.tables.create("a.b.c", columns=columns)
    assert '{"name": "id", "type_text": "BIGINT"}' in str(refused.value)


def test_plan_answer_carries_what_the_engine_must_enforce(wire: WireServer, client: Client) -> None:
    """An answer whose conditions were dropped on the way would let an engine show what it must hide."""
    verdict = authorization_pb2.Verdict(
        allowed=True, row_filter="amount < 10", column_masks={"name": "'***'"}
    )
    wire.answers["AuthorizationService/AuthorizePlan"] = lambda *_: authorization_pb2.AuthorizePlanResponse(
        allowed=True, verdicts=[verdict, authorization_pb2.Verdict(allowed=True)]
    )
    answer = client.authorize_plan(_accesses("a.b.c", "a.b.d"))
    assert answer.row_filters == {"a.b.c": "amount < 10"}
    assert answer.column_masks == {"a.b.c": {"name": "'***'"}}
