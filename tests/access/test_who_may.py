"""Who may do what, as a table written from the semantics: role x act -> allowed or denied, asked of the running server.

Requests are made so that an allowed one changes nothing: a stale etag, a taken name, a grant to nobody. The world stays
the same from the first row to the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from access.roles import ROLES, WORKSPACE_OF, cast, email
from access.rpcs import Answer, call, offered, request_class
from lakewarden_server.testing import EmbeddedServer, serve

# `+` may, `.` may not. Columns are the roles of `roles.py`.
TABLE = """
                       acc met cat sch tab man mug use sel mod bro grp wsa una oth
metastore.create        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
metastore.get           +   +   +   +   +   +   +   +   +   +   +   +   +   .   .
metastore.comment       +   +   .   .   .   .   .   .   .   .   .   .   .   .   .
metastore.rename        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
metastore.transfer      +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
metastore.delete        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
metastore.grant         +   +   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.create        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.get           +   +   +   +   +   +   +   +   +   +   +   +   +   .   .
workspace.comment       +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
workspace.rename        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.attach        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.delete        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.assign        +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
workspace.entitle       +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
catalog.create          .   +   .   .   .   .   .   .   .   .   .   .   .   .   .
catalog.get             .   +   +   +   +   +   +   +   +   +   +   +   .   .   .
catalog.comment         .   +   +   .   .   +   +   .   .   .   .   .   .   .   .
catalog.rename          .   +   .   .   .   .   .   .   .   .   .   .   .   .   .
catalog.transfer        .   +   +   .   .   +   +   .   .   .   .   .   .   .   .
catalog.delete          .   +   +   .   .   +   +   .   .   .   .   .   .   .   .
catalog.grant           .   +   +   .   .   +   +   .   .   .   .   .   .   .   .
catalog.grant-external  .   .   +   .   .   .   .   .   .   .   .   .   .   .   .
schema.create           .   .   +   .   .   .   .   .   .   .   .   .   .   .   .
schema.get              .   +   +   +   +   .   +   +   +   +   +   +   .   .   .
schema.comment          .   +   +   +   .   .   +   .   .   .   .   .   .   .   .
schema.rename           .   .   +   .   .   .   .   .   .   .   .   .   .   .   .
schema.transfer         .   +   +   +   .   .   +   .   .   .   .   .   .   .   .
schema.delete           .   +   +   +   .   .   +   .   .   .   .   .   .   .   .
schema.grant            .   +   +   +   .   .   +   .   .   .   .   .   .   .   .
schema.grant-external   .   .   +   .   .   .   .   .   .   .   .   .   .   .   .
table.create            .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
table.get               .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.list-grants       .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.comment           .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.columns           .   +   +   +   +   .   +   .   .   +   .   .   .   .   .
table.properties        .   +   +   +   +   .   +   .   .   +   .   .   .   .   .
table.rename            .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
table.transfer          .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.delete            .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.grant             .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.revoke            .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.check-select      .   .   .   .   +   .   .   .   +   +   .   +   .   .   .
table.batch-select      .   .   .   .   +   .   .   .   +   +   .   +   .   .   .
table.plan-select       .   .   .   .   +   .   .   .   +   +   .   +   .   .   .
table.plan-modify       .   .   .   .   +   .   .   .   .   +   .   .   .   .   .
audit.list              +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
audit.head              +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
audit.verify            +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
deleted.restore         .   +   +   +   .   .   .   .   .   .   .   .   .   .   .
volume.create           .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
volume.get              .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
volume.comment          .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
volume.rename           .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
volume.transfer         .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
volume.delete           .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
volume.grant            .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.create            .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
model.get               .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
model.comment           .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.rename            .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
model.transfer          .   +   .   .   .   .   .   .   .   .   .   .   .   .   .
model.delete            .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.grant             .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.get-version       .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
model.list-versions     .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
model.create-version    .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
model.update-version    .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.finish-version    .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.delete-version    .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.set-alias         .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.delete-alias      .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.explain-own       .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.explain-other     .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.effective-own     .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.effective-other   .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.who-can           .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.simulate-own      .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.simulate-grant    .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.filter-select     .   .   .   .   +   .   .   .   +   +   .   +   .   .   .
table.filter-see        .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.list-select       .   .   .   .   +   .   .   .   +   +   .   +   .   .   .
account.appoint         +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
user.create             +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
user.get                +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
user.disable            +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
user.delete             +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
group.create            +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
group.get               +   .   .   .   .   .   .   .   .   .   .   +   .   .   .
group.list-members      +   .   .   .   .   .   .   .   .   .   .   +   .   .   .
group.rename            +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
group.members           +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
group.delete            +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.get              +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.disable          +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.delete           +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.list-tokens      +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.mint             +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.revoke-token     +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
session.get             +   +   +   +   +   +   +   +   +   +   +   +   +   +   +
"""

STALE = "stale"
MODELS = "RegisteredModelService"
SALES, ORDERS = "main.sales", "main.sales.orders"
RECEIPTS, CHURN = "main.sales.receipts", "main.sales.churn"


def _update(noun: str, full_name: str, path: str, **values: Any) -> tuple[str, dict[str, Any]]:
    name = "".join(map(str.capitalize, noun.split("_")))
    rpc = f"{name}Service/Update{name}"
    return rpc, {noun: {"fullName": full_name, "etag": STALE, **values}, "updateMask": path}


def _grant(kind: str, name: str, privilege: str, action: str = "GRANT") -> tuple[str, dict[str, Any]]:
    change = {"action": action, "principal": "unknown principal", "privileges": [privilege]}
    return "GrantService/UpdateGrants", {"securableType": kind, "fullName": name, "changes": [change]}


def _access(privilege: str) -> dict[str, str]:
    return {"securableType": "TABLE", "fullName": ORDERS, "privilege": privilege}


def _simulated(privilege: str) -> dict[str, Any]:
    change = {"action": "GRANT", "principal": email("sel"), "privileges": [privilege]}
    return {"securableType": "TABLE", "fullName": ORDERS, "change": change}


def _named_update(service: str, field: str, name: str) -> tuple[str, dict[str, Any]]:
    return f"{service}Service/Update{service}", {field: {"name": name, "etag": STALE}, "updateMask": "active"}


ACTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "metastore.create": ("MetastoreService/CreateMetastore", {"metastore": {"name": "metastore"}}),
    "metastore.get": ("MetastoreService/GetMetastore", {"fullName": "metastore"}),
    "metastore.comment": _update("metastore", "metastore", "comment"),
    "metastore.rename": _update("metastore", "metastore", "name", name="x"),
    "metastore.transfer": _update("metastore", "metastore", "owner", owner=email("sel")),
    "metastore.delete": ("MetastoreService/DeleteMetastore", {"fullName": "metastore", "etag": STALE}),
    "metastore.grant": _grant("METASTORE", "metastore", "CREATE CATALOG"),
    "workspace.create": ("WorkspaceService/CreateWorkspace", {"workspace": {"name": "workspace"}}),
    "workspace.get": ("WorkspaceService/GetWorkspace", {"fullName": "workspace"}),
    "workspace.comment": _update("workspace", "workspace", "comment"),
    "workspace.rename": _update("workspace", "workspace", "name", name="x"),
    "workspace.attach": _update("workspace", "workspace", "metastore", metastore="elsewhere"),
    "workspace.delete": ("WorkspaceService/DeleteWorkspace", {"fullName": "workspace", "etag": STALE}),
    "workspace.assign": _grant("WORKSPACE", "workspace", "USER"),
    "workspace.entitle": _grant("WORKSPACE", "workspace", "query_Engine"),
    "catalog.create": ("CatalogService/CreateCatalog", {"catalog": {"name": "main"}}),
    "catalog.get": ("CatalogService/GetCatalog", {"fullName": "main"}),
    "catalog.comment": _update("catalog", "main", "comment"),
    "catalog.rename": _update("catalog", "main", "name", name="x"),
    "catalog.transfer": _update("catalog", "main", "owner", owner=email("sel")),
    "catalog.delete": ("CatalogService/DeleteCatalog", {"fullName": "main", "etag": STALE, "force": True}),
    "catalog.grant": _grant("CATALOG", "main", "SELECT"),
    "catalog.grant-external": _grant("CATALOG", "main", " external  use_SCHEMA "),
    "schema.create": ("SchemaService/CreateSchema", {"parent": "main", "schema": {"name": "sales"}}),
    "schema.get": ("SchemaService/GetSchema", {"fullName": SALES}),
    "schema.comment": _update("schema", SALES, "comment"),
    "schema.rename": _update("schema", SALES, "name", name="x"),
    "schema.transfer": _update("schema", SALES, "owner", owner=email("sel")),
    "schema.delete": ("SchemaService/DeleteSchema", {"fullName": SALES, "etag": STALE, "force": True}),
    "schema.grant": _grant("SCHEMA", SALES, "SELECT"),
    "schema.grant-external": _grant("SCHEMA", SALES, "External_Use Schema"),
    "deleted.restore": ("TableService/UndeleteTable", {"fullName": "{gone}", "newName": "orders"}),
    "volume.create": ("VolumeService/CreateVolume", {"parent": SALES, "volume": {"name": "receipts"}}),
    "volume.get": ("VolumeService/GetVolume", {"fullName": RECEIPTS}),
    "volume.comment": _update("volume", RECEIPTS, "comment"),
    "volume.rename": _update("volume", RECEIPTS, "name", name="x"),
    "volume.transfer": _update("volume", RECEIPTS, "owner", owner=email("sel")),
    "volume.delete": ("VolumeService/DeleteVolume", {"fullName": RECEIPTS, "etag": STALE}),
    "volume.grant": _grant("VOLUME", RECEIPTS, "READ VOLUME"),
    "model.create": (
        f"{MODELS}/CreateRegisteredModel",
        {"parent": SALES, "registeredModel": {"name": "churn"}},
    ),
    "model.get": (f"{MODELS}/GetRegisteredModel", {"fullName": CHURN}),
    "model.comment": _update("registered_model", CHURN, "comment"),
    "model.rename": _update("registered_model", CHURN, "name", name="x"),
    "model.transfer": _update("registered_model", CHURN, "owner", owner=email("sel")),
    "model.delete": (f"{MODELS}/DeleteRegisteredModel", {"fullName": CHURN, "etag": STALE}),
    "model.grant": _grant("REGISTERED_MODEL", CHURN, "EXECUTE"),
    "model.get-version": (f"{MODELS}/GetModelVersion", {"fullName": CHURN, "version": 1}),
    "model.list-versions": (f"{MODELS}/ListModelVersions", {"fullName": CHURN}),
    "model.create-version": (
        f"{MODELS}/CreateModelVersion",
        {"fullName": CHURN, "modelVersion": {"runId": "x" * 300}},
    ),
    "model.update-version": (
        f"{MODELS}/UpdateModelVersion",
        {"modelVersion": {"fullName": CHURN, "version": 9}, "updateMask": "comment"},
    ),
    "model.finish-version": (
        f"{MODELS}/UpdateModelVersion",
        {"modelVersion": {"fullName": CHURN, "version": 9}, "updateMask": "status"},
    ),
    "model.delete-version": (f"{MODELS}/DeleteModelVersion", {"fullName": CHURN, "version": 9}),
    "model.set-alias": (f"{MODELS}/SetModelAlias", {"fullName": CHURN, "alias": "best", "version": 9}),
    "model.delete-alias": (f"{MODELS}/DeleteModelAlias", {"fullName": CHURN, "alias": "best"}),
    "table.create": ("TableService/CreateTable", {"parent": SALES, "table": {"name": "orders"}}),
    "table.get": ("TableService/GetTable", {"fullName": ORDERS}),
    "table.list-grants": ("GrantService/ListGrants", {"securableType": "TABLE", "fullName": ORDERS}),
    "table.comment": _update("table", ORDERS, "comment"),
    "table.columns": _update("table", ORDERS, "columns"),
    "table.properties": _update("table", ORDERS, "properties"),
    "table.rename": _update("table", ORDERS, "name", name="x"),
    "table.transfer": _update("table", ORDERS, "owner", owner=email("sel")),
    "table.delete": ("TableService/DeleteTable", {"fullName": ORDERS, "etag": STALE}),
    "table.grant": _grant("TABLE", ORDERS, "SELECT"),
    "table.revoke": _grant("TABLE", ORDERS, "SELECT", "REVOKE"),
    "table.check-select": ("AuthorizationService/Check", {"access": _access("SELECT")}),
    "table.batch-select": ("AuthorizationService/BatchCheck", {"accesses": [_access("SELECT")]}),
    "table.plan-select": ("AuthorizationService/AuthorizePlan", {"accesses": [_access("SELECT")]}),
    "table.plan-modify": (
        "AuthorizationService/AuthorizePlan",
        {"accesses": [_access("SELECT"), _access("MODIFY")]},
    ),
    "audit.list": ("AuditService/ListAuditRecords", {}),
    "audit.head": ("AuditService/GetAuditHead", {}),
    "audit.verify": ("AuditService/VerifyAuditLog", {}),
    "table.explain-own": ("AuthorizationService/Explain", _access("SELECT")),
    "table.explain-other": ("AuthorizationService/Explain", {**_access("SELECT"), "subject": email("use")}),
    "table.effective-own": (
        "GrantService/ListEffectivePrivileges",
        {"securableType": "TABLE", "fullName": ORDERS},
    ),
    "table.effective-other": (
        "GrantService/ListEffectivePrivileges",
        {"securableType": "TABLE", "fullName": ORDERS, "principal": email("use")},
    ),
    "table.who-can": ("AuthorizationService/ListPrincipals", _access("SELECT")),
    "table.simulate-own": ("AuthorizationService/Simulate", _access("SELECT")),
    "table.simulate-grant": (
        "AuthorizationService/Simulate",
        {**_access("SELECT"), "grants": [_simulated("SELECT")]},
    ),
    "table.filter-select": (
        "AuthorizationService/FilterSecurables",
        {"securableType": "TABLE", "fullNames": [ORDERS], "privilege": "SELECT"},
    ),
    "table.filter-see": (
        "AuthorizationService/FilterSecurables",
        {"securableType": "TABLE", "fullNames": [ORDERS]},
    ),
    "table.list-select": (
        "AuthorizationService/ListAccessible",
        {"securableType": "TABLE", "privilege": "SELECT"},
    ),
    "account.appoint": _grant("ACCOUNT", "account", "ADMIN"),
    "user.create": ("UserService/CreateUser", {"user": {"name": email("sel")}}),
    "user.get": ("UserService/GetUser", {"name": "admin@example.com"}),
    "user.disable": _named_update("User", "user", "admin@example.com"),
    "user.delete": ("UserService/DeleteUser", {"name": "admin@example.com", "etag": STALE}),
    "group.create": ("GroupService/CreateGroup", {"group": {"name": "readers"}}),
    "group.get": ("GroupService/GetGroup", {"name": "readers"}),
    "group.list-members": ("GroupService/ListGroupMembers", {"name": "readers"}),
    "group.rename": (
        "GroupService/UpdateGroup",
        {"name": "readers", "group": {"name": "x", "etag": STALE}, "updateMask": "name"},
    ),
    "group.members": ("GroupService/UpdateGroupMembers", {"name": "readers", "add": ["unknown principal"]}),
    "group.delete": ("GroupService/DeleteGroup", {"name": "readers", "etag": STALE}),
    "engine.get": ("ServicePrincipalService/GetServicePrincipal", {"name": "{engine}"}),
    "engine.disable": _named_update("ServicePrincipal", "servicePrincipal", "{engine}"),
    "engine.delete": ("ServicePrincipalService/DeleteServicePrincipal", {"name": "{engine}", "etag": STALE}),
    "engine.list-tokens": ("TokenService/ListTokens", {"principal": "{engine}"}),
    "engine.mint": ("TokenService/CreateToken", {"principal": "{engine}", "workspace": "unknown workspace"}),
    "engine.revoke-token": ("TokenService/DeleteToken", {"principal": "{engine}", "id": "0" * 22}),
    "session.get": ("SessionService/GetSession", {}),
}

ALLOWED = {
    ("ABORTED", "ETAG_MISMATCH"),
    ("ALREADY_EXISTS", "NAME_TAKEN"),
    ("INVALID_ARGUMENT", "PRINCIPAL_UNKNOWN"),
    ("INVALID_ARGUMENT", "FIELD_INVALID"),
    ("FAILED_PRECONDITION", "NOT_EMPTY"),
    ("NOT_FOUND", "OBJECT_NOT_FOUND"),
}
"""What an allowed request of this table ends with when it is not OK: it got past authorization."""
ASKED_ELSEWHERE = {
    "ServicePrincipalService/CreateServicePrincipal": "every call makes a new one; tests/services has it",
    "CatalogService/ListCatalogs": "filtered, never refused; test_lists.py",
    "GroupService/ListGroups": "filtered, never refused; test_lists.py",
    "MetastoreService/ListMetastores": "filtered, never refused; test_lists.py",
    "SchemaService/ListSchemas": "filtered, never refused; test_lists.py",
    "ServicePrincipalService/ListServicePrincipals": "filtered, never refused; test_lists.py",
    "TableService/ListDeletedTables": "filtered, never refused; test_lists.py",
    "TableService/ListTables": "filtered, never refused; test_lists.py",
    "RegisteredModelService/ListRegisteredModels": "filtered, never refused; test_lists.py",
    "VolumeService/ListVolumes": "filtered, never refused; test_lists.py",
    "UserService/ListUsers": "filtered, never refused; test_lists.py",
    "WorkspaceService/ListWorkspaces": "filtered, never refused; test_lists.py",
}


def _rows() -> dict[str, dict[str, bool]]:
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    return {act: dict(zip(head, (mark == "+" for mark in marks), strict=True)) for act, *marks in rows}


EXPECTED = _rows()


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[EmbeddedServer, dict[str, str], dict[str, str]]]:
    """A server, a token for each role, and what the placeholders of requests stand for."""
    with serve() as server:
        tokens = cast(server)
        engine = server.client().service_principals.create("engine").name
        gone = next(server.client(tokens["cat"]).tables.list_deleted(SALES)).id
        yield server, tokens, {"{engine}": engine, "{gone}": f"{SALES}.{gone}"}


@pytest.fixture(scope="module")
def line(stage: tuple[EmbeddedServer, dict[str, str], dict[str, str]]) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stage[0].endpoint) as channel:
        yield channel


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("act", EXPECTED)
def test_role_may_do_what_the_table_says(
    stage: tuple[EmbeddedServer, dict[str, str], dict[str, str]], line: grpc.Channel, act: str, role: str
) -> None:
    _, tokens, known = stage
    rpc, body = ACTS[act]
    body = {key: known.get(value, value) if isinstance(value, str) else value for key, value in body.items()}
    if "servicePrincipal" in body:
        body["servicePrincipal"] = {**body["servicePrincipal"], "name": known["{engine}"]}
    name = f"lakewarden.v1.{rpc}"
    message = ParseDict(body, request_class(name)())
    answer = call(
        line,
        name,
        message.SerializeToString(),
        token=tokens[role],
        workspace=WORKSPACE_OF.get(role, "workspace"),
    )
    assert _allowed(answer) is EXPECTED[act][role], answer


def test_table_has_every_rpc_or_a_reason() -> None:
    asked = {rpc for rpc, _ in ACTS.values()}
    names = {name.removeprefix("lakewarden.v1.") for name in offered()}
    assert asked | set(ASKED_ELSEWHERE) == names
    assert set(EXPECTED) == set(ACTS)


def test_every_role_is_told_yes_and_no() -> None:
    """The control: no column and no row of the table is all one answer, but who one is."""
    assert all({row[role] for row in EXPECTED.values()} == {True, False} for role in ROLES)
    assert all(set(row.values()) == {True, False} for act, row in EXPECTED.items() if act != "session.get")


def _allowed(answer: Answer) -> bool:
    """Yes or no; anything else than a plain answer of either kind fails the test."""
    reply = answer.message
    if hasattr(reply, "allowed_now"):
        # Simulate was answered, whatever it says.
        return True
    for listed in ("indices", "full_names"):
        if hasattr(reply, listed):
            return bool(getattr(reply, listed))
    if hasattr(reply, "verdict"):
        return bool(reply.verdict.allowed)
    if hasattr(reply, "verdicts"):
        decided = {verdict.allowed for verdict in reply.verdicts}
        return bool(getattr(reply, "allowed", True)) and decided == {True}
    if answer.code == "OK" or (answer.code, answer.reason) in ALLOWED:
        return True
    assert answer.code == "PERMISSION_DENIED", answer
    return False
