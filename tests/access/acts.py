"""The acts of the table in `test_who_may.py`, as requests that change nothing even where they are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access import definitions
from access.roles import email

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


def _tag(kind: str, full_name: str) -> tuple[str, dict[str, Any]]:
    tagged = {"securableType": kind, "fullName": full_name, "set": {"pii": ""}, "etag": STALE}
    return "TagService/UpdateTags", tagged


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
    "catalog.bindings": (
        "WorkspaceBindingService/GetWorkspaceBindings",
        {"securableType": "CATALOG", "fullName": "main"},
    ),
    "catalog.bind": (
        "WorkspaceBindingService/UpdateWorkspaceBindings",
        {"securableType": "CATALOG", "fullName": "main", "remove": ["no such workspace"]},
    ),
    "catalog.tag": _tag("CATALOG", "main"),
    "schema.create": ("SchemaService/CreateSchema", {"parent": "main", "schema": {"name": "sales"}}),
    "schema.get": ("SchemaService/GetSchema", {"fullName": SALES}),
    "schema.comment": _update("schema", SALES, "comment"),
    "schema.rename": _update("schema", SALES, "name", name="x"),
    "schema.transfer": _update("schema", SALES, "owner", owner=email("sel")),
    "schema.delete": ("SchemaService/DeleteSchema", {"fullName": SALES, "etag": STALE, "force": True}),
    "schema.grant": _grant("SCHEMA", SALES, "SELECT"),
    "schema.grant-external": _grant("SCHEMA", SALES, "External_Use Schema"),
    "schema.tag": _tag("SCHEMA", SALES),
    "deleted.restore": ("TableService/UndeleteTable", {"fullName": "{gone}", "newName": "orders"}),
    "volume.create": ("VolumeService/CreateVolume", {"parent": SALES, "volume": {"name": "receipts"}}),
    "volume.get": ("VolumeService/GetVolume", {"fullName": RECEIPTS}),
    "volume.comment": _update("volume", RECEIPTS, "comment"),
    "volume.rename": _update("volume", RECEIPTS, "name", name="x"),
    "volume.transfer": _update("volume", RECEIPTS, "owner", owner=email("sel")),
    "volume.delete": ("VolumeService/DeleteVolume", {"fullName": RECEIPTS, "etag": STALE}),
    "volume.grant": _grant("VOLUME", RECEIPTS, "READ VOLUME"),
    "volume.tag": _tag("VOLUME", RECEIPTS),
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
    "model.tag": _tag("REGISTERED_MODEL", CHURN),
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
    "table.list-tags": ("TagService/ListTags", {"securableType": "TABLE", "fullName": ORDERS}),
    "table.tag": _tag("TABLE", ORDERS),
    "table.check-select": ("AuthorizationService/Check", {"access": _access("SELECT")}),
    "table.batch-select": ("AuthorizationService/BatchCheck", {"accesses": [_access("SELECT")]}),
    "table.plan-select": ("AuthorizationService/AuthorizePlan", {"accesses": [_access("SELECT")]}),
    "table.plan-modify": (
        "AuthorizationService/AuthorizePlan",
        {"accesses": [_access("SELECT"), _access("MODIFY")]},
    ),
    "audit.list": ("AuditService/ListAuditRecords", {}),
    "audit.head": ("AuditService/GetAuditHead", {}),
    "audit.replay": ("AuditService/ReplayDecisions", {}),
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
    "table.simulate-revoke": (
        "LineageGovernanceService/SimulateRevoke",
        {"securableType": "TABLE", "fullName": ORDERS, "privileges": ["SELECT"], "principal": email("use")},
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
    "federation.create": (
        "FederationPolicyService/CreateFederationPolicy",
        {"federationPolicy": {"issuer": "x"}},
    ),
    "federation.list": ("FederationPolicyService/ListFederationPolicies", {}),
    "federation.delete": ("FederationPolicyService/DeleteFederationPolicy", {"id": "none"}),
    "ip-access.create": ("IpAccessListService/CreateIpAccessList", {"ipAccessList": {"label": "x"}}),
    "ip-access.get": ("IpAccessListService/GetIpAccessList", {"id": "none"}),
    "ip-access.list": ("IpAccessListService/ListIpAccessLists", {}),
    "ip-access.delete": ("IpAccessListService/DeleteIpAccessList", {"id": "none"}),
    "ip-access.update": ("IpAccessListService/UpdateIpAccessList", {"ipAccessList": {"id": "none"}}),
    "ip-access.settings": ("IpAccessListService/GetIpAccessSettings", {}),
    "ip-access.enforce": ("IpAccessListService/UpdateIpAccessSettings", {}),
    "workspace.ip-create": (
        "IpAccessListService/CreateIpAccessList",
        {"ipAccessList": {"label": "x", "workspace": "workspace"}},
    ),
    "workspace.ip-list": ("IpAccessListService/ListIpAccessLists", {"workspace": "workspace"}),
    "workspace.ip-delete": (
        "IpAccessListService/DeleteIpAccessList",
        {"id": "none", "workspace": "workspace"},
    ),
    "workspace.ip-enforce": (
        "IpAccessListService/UpdateIpAccessSettings",
        {"ipAccessSettings": {"workspace": "workspace"}},
    ),
    "engine.list-secrets": ("ServicePrincipalService/ListServicePrincipalSecrets", {"name": "{engine}"}),
    "engine.create-secret": (
        "ServicePrincipalService/CreateServicePrincipalSecret",
        {"name": "{engine}", "lifetimeSeconds": -1},
    ),
    "engine.delete-secret": (
        "ServicePrincipalService/DeleteServicePrincipalSecret",
        {"name": "{engine}", "id": "0" * 22},
    ),
    "engine.list-tokens": ("TokenService/ListTokens", {"principal": "{engine}"}),
    "engine.mint": ("TokenService/CreateToken", {"principal": "{engine}", "workspace": "unknown workspace"}),
    "engine.rotate": ("TokenService/RotateToken", {"principal": "{engine}", "id": "0" * 22}),
    "workspace.tokens": ("TokenService/ListWorkspaceTokens", {"workspace": "workspace"}),
    "workspace.end-token": ("TokenService/DeleteWorkspaceToken", {"workspace": "workspace", "id": "0" * 22}),
    "engine.revoke-token": ("TokenService/DeleteToken", {"principal": "{engine}", "id": "0" * 22}),
    "lineage.record": ("LineageService/RecordOpenLineage", {"event": "e30="}),
    "lineage.record-batch": ("LineageService/RecordOpenLineageBatch", {"events": ["e30="]}),
    "lineage.record-sql": ("LineageService/RecordSql", {"sql": " "}),
    "session.get": ("SessionService/GetSession", {}),
    **definitions.ACTS,
}
