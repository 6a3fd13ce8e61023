"""The world of the access tests, and for every RPC requests about what exists in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict

from access import definitions, objects, places
from access.rpcs import names, request_class
from lakewarden_server.testing import EmbeddedServer
from lineage.corpus import event

NOBODY = "nobody@example.com"


@dataclass(frozen=True)
class World:
    """A server, one object of each kind, and tokens without grants."""

    server: EmbeddedServer
    nobody_token: str
    engine: str
    """Application id of a service principal without grants."""
    deleted: str
    """Full name of a deleted table."""
    engine_token: str
    admin_token_id: str
    ip_access_list: str


def build(server: EmbeddedServer) -> World:
    """Creates one object of each kind as the admin, and principals that are given nothing."""
    admin = server.client()
    admin.catalogs.create("main")
    admin.schemas.create("main.sales")
    admin.tables.create("main.sales.orders", [{"name": "id", "type_text": "BIGINT"}])
    deleted = admin.tables.create("main.sales.gone").id
    admin.tables.delete("main.sales.gone")
    admin.volumes.create("main.sales.receipts")
    admin.models.create("main.sales.churn")
    admin.models.create_version("main.sales.churn")
    definitions.create_all(admin)
    places.build_places(admin)
    objects.build_objects(admin)
    admin.groups.create("analysts")
    admin.users.create(NOBODY)
    engine = admin.service_principals.create("engine").name
    return World(
        server,
        nobody_token=server.issue_token(NOBODY),
        engine=engine,
        deleted=f"main.sales.{deleted}",
        engine_token=server.issue_token(engine),
        admin_token_id=admin.session.get().token_id,
        ip_access_list=admin.ip_access_lists.create("office", "BLOCK", ["203.0.113.0/24"]).id,
    )


_ACCESS = {"securableType": "TABLE", "fullName": "main.sales.orders", "privilege": "SELECT"}
_CHANGE = {"action": "GRANT", "principal": NOBODY, "privileges": ["SELECT"]}

EVENT = base64.b64encode(event()).decode()
REQUESTS: Mapping[str, Mapping[str, Any]] = {
    **definitions.requests(NOBODY),
    "AuditService/GetAuditHead": {},
    "AuditService/ListAuditRecords": {},
    "AuditService/ReplayDecisions": {},
    "AuditService/VerifyAuditLog": {},
    "AuthorizationService/AuthorizePlan": {"accesses": [_ACCESS]},
    "AuthorizationService/BatchCheck": {"accesses": [_ACCESS]},
    "AuthorizationService/Check": {"access": _ACCESS},
    "AuthorizationService/Explain": {**_ACCESS, "subject": "admin@example.com"},
    "AuthorizationService/FilterSecurables": {"securableType": "TABLE", "fullNames": ["main.sales.orders"]},
    "AuthorizationService/ListAccessible": {"securableType": "TABLE"},
    "AuthorizationService/ListPrincipals": _ACCESS,
    "AuthorizationService/WatchPolicy": {},
    "AuthorizationService/Simulate": {**_ACCESS, "subject": "admin@example.com"},
    "CatalogService/CreateCatalog": {"catalog": {"name": "mine"}},
    "CatalogService/DeleteCatalog": {"fullName": "main", "force": True},
    "CatalogService/GetCatalog": {"fullName": "main"},
    "CatalogService/ListCatalogs": {},
    "CatalogService/UpdateCatalog": {"catalog": {"fullName": "main", "comment": "x"}, "updateMask": "comment"},
    "GrantService/ListEffectivePrivileges": {
        "securableType": "TABLE", "fullName": "main.sales.orders", "principal": "admin@example.com",
    },
    "GrantService/ListGrants": {"securableType": "TABLE", "fullName": "main.sales.orders"},
    "GrantService/UpdateGrants": {
        "securableType": "TABLE", "fullName": "main.sales.orders", "changes": [_CHANGE],
    },
    "GroupService/CreateGroup": {"group": {"name": "mine"}},
    "GroupService/DeleteGroup": {"name": "analysts"},
    "GroupService/GetGroup": {"name": "analysts"},
    "GroupService/ListGroupMembers": {"name": "analysts"},
    "GroupService/ListGroups": {},
    "GroupService/UpdateGroup": {"name": "analysts", "group": {"name": "mine"}, "updateMask": "name"},
    "GroupService/UpdateGroupMembers": {"name": "analysts", "add": [NOBODY]},
    "LineageGovernanceService/FindLineageLeaks": {},
    "LineageGovernanceService/SimulateRevoke": {
        "securableType": "TABLE", "fullName": "main.sales.orders", "privileges": ["SELECT"], "principal": NOBODY,
    },
    "ExternalLineageService/CreateExternalLineage": {
        "externalLineage": {"source": {"table": "main.sales.orders"}, "target": {"table": "main.sales.orders"}},
    },
    "ExternalLineageService/UpdateExternalLineage": {
        "externalLineage": {"source": {"table": "main.sales.orders"}, "target": {"table": "main.sales.orders"}},
        "updateMask": "columns",
    },
    "ExternalLineageService/DeleteExternalLineage": {
        "source": {"table": "main.sales.orders"}, "target": {"table": "main.sales.orders"},
    },
    "ExternalLineageService/ListExternalLineage": {"object": {"table": "main.sales.orders"}},
    "LineageGraphService/AnalyzeImpact": {"root": {"table": "main.sales.orders"}},
    "LineageGraphService/FindLineagePaths": {
        "source": {"table": "main.sales.orders"}, "target": {"table": "main.sales.orders"},
    },
    "LineageGraphService/GetLineageHistory": {
        "source": {"table": "main.sales.orders"}, "target": {"table": "main.sales.orders"},
    },
    "LineageGraphService/StreamLineage": {"traversal": {"root": {"table": "main.sales.orders"}}},
    "LineageGraphService/TraverseLineage": {"root": {"table": "main.sales.orders"}},
    "SystemTableService/ListSystemTables": {},
    "SystemTableService/ReadSystemTable": {"fullName": "system.information_schema.tables"},
    "MetastoreService/CreateMetastore": {"metastore": {"name": "mine"}},
    "MetastoreService/DeleteMetastore": {"fullName": "metastore", "force": True},
    "MetastoreService/GetMetastore": {"fullName": "metastore"},
    "MetastoreService/ListMetastores": {},
    "MetastoreService/UpdateMetastore": {
        "metastore": {"fullName": "metastore", "owner": NOBODY}, "updateMask": "owner",
    },
    "RegisteredModelService/CreateModelVersion": {"fullName": "main.sales.churn", "modelVersion": {"source": "x"}},
    "RegisteredModelService/CreateRegisteredModel": {"parent": "main.sales", "registeredModel": {"name": "mine"}},
    "RegisteredModelService/DeleteModelAlias": {"fullName": "main.sales.churn", "alias": "best"},
    "RegisteredModelService/DeleteModelVersion": {"fullName": "main.sales.churn", "version": 1},
    "RegisteredModelService/DeleteRegisteredModel": {"fullName": "main.sales.churn"},
    "RegisteredModelService/GetModelVersion": {"fullName": "main.sales.churn", "version": 1},
    "RegisteredModelService/GetRegisteredModel": {"fullName": "main.sales.churn"},
    "RegisteredModelService/ListModelVersions": {"fullName": "main.sales.churn"},
    "RegisteredModelService/ListRegisteredModels": {"parent": "main.sales"},
    "RegisteredModelService/SetModelAlias": {"fullName": "main.sales.churn", "alias": "best", "version": 1},
    "RegisteredModelService/UpdateModelVersion": {
        "modelVersion": {"fullName": "main.sales.churn", "version": 1, "comment": "x"}, "updateMask": "comment",
    },
    "RegisteredModelService/UpdateRegisteredModel": {
        "registeredModel": {"fullName": "main.sales.churn", "owner": NOBODY}, "updateMask": "owner",
    },
    "SchemaService/CreateSchema": {"parent": "main", "schema": {"name": "mine"}},
    "SchemaService/DeleteSchema": {"fullName": "main.sales", "force": True},
    "FederationPolicyService/CreateFederationPolicy": {"federationPolicy": {"issuer": "https://id.example.com"}},
    "FederationPolicyService/DeleteFederationPolicy": {"id": "none"},
    "FederationPolicyService/ListFederationPolicies": {},
    "IpAccessListService/CreateIpAccessList": {
        "ipAccessList": {"label": "mine", "listType": "BLOCK", "ipAddresses": ["203.0.113.0/24"]}
    },
    "IpAccessListService/DeleteIpAccessList": {"id": "{ip_access_list}"},
    "IpAccessListService/GetIpAccessList": {"id": "{ip_access_list}"},
    "IpAccessListService/GetIpAccessSettings": {},
    "IpAccessListService/ListIpAccessLists": {},
    "IpAccessListService/UpdateIpAccessList": {"ipAccessList": {"id": "{ip_access_list}"}, "updateMask": "enabled"},
    "IpAccessListService/UpdateIpAccessSettings": {"ipAccessSettings": {"enforced": True}},
    "SchemaService/GetSchema": {"fullName": "main.sales"},
    "SchemaService/ListSchemas": {"parent": "main"},
    "SchemaService/UpdateSchema": {"schema": {"fullName": "main.sales", "owner": NOBODY}, "updateMask": "owner"},
    "ServicePrincipalService/CreateServicePrincipal": {"servicePrincipal": {"displayName": "mine"}},
    "ServicePrincipalService/CreateServicePrincipalSecret": {"name": "{engine}"},
    "ServicePrincipalService/DeleteServicePrincipal": {"name": "{engine}"},
    "ServicePrincipalService/DeleteServicePrincipalSecret": {"name": "{engine}", "id": "0" * 22},
    "ServicePrincipalService/ListServicePrincipalSecrets": {"name": "{engine}"},
    "ServicePrincipalService/GetServicePrincipal": {"name": "{engine}"},
    "ServicePrincipalService/ListServicePrincipals": {},
    "ServicePrincipalService/UpdateServicePrincipal": {
        "servicePrincipal": {"name": "{engine}", "active": False}, "updateMask": "active",
    },
    "LineageService/RecordOpenLineage": {"event": EVENT},
    "LineageService/RecordOpenLineageBatch": {"events": [EVENT]},
    "LineageService/RecordSql": {
        "sql": "SELECT amount FROM main.sales.orders", "runId": "01890000-0000-7000-8000-00000000000a", "dryRun": True,
    },
    "SessionService/GetSession": {},
    "TableService/CreateTable": {"parent": "main.sales", "table": {"name": "mine"}},
    "TableService/DeleteTable": {"fullName": "main.sales.orders"},
    "TableService/GetTable": {"fullName": "main.sales.orders"},
    "TableService/ListDeletedTables": {"parent": "main.sales"},
    "TableService/ListTables": {"parent": "main.sales"},
    "TableService/UndeleteTable": {"fullName": "{deleted}"},
    "TableService/UpdateTable": {
        "table": {"fullName": "main.sales.orders", "owner": NOBODY}, "updateMask": "owner",
    },
    "TagService/ListTags": {"securableType": "TABLE", "fullName": "main.sales.orders"},
    "TagService/UpdateTags": {"securableType": "TABLE", "fullName": "main.sales.orders", "set": {"pii": "none"}},
    "TokenService/CreateAccessToken": {},
    "TokenService/CreateToken": {"principal": "{engine}"},
    "TokenService/DeleteToken": {"id": "{admin_token_id}", "principal": "admin@example.com"},
    "TokenService/DeleteWorkspaceToken": {"workspace": "workspace", "id": "0" * 22},
    "TokenService/ListTokens": {"principal": "admin@example.com"},
    "TokenService/ListWorkspaceTokens": {"workspace": "workspace"},
    "TokenService/RotateToken": {"id": "{admin_token_id}", "principal": "admin@example.com"},
    "UserService/CreateUser": {"user": {"name": "mine@example.com"}},
    "UserService/DeleteUser": {"name": "admin@example.com"},
    "UserService/GetUser": {"name": "admin@example.com"},
    "UserService/ListUsers": {},
    "UserService/UpdateUser": {"user": {"name": "admin@example.com", "active": False}, "updateMask": "active"},
    "VolumeService/CreateVolume": {"parent": "main.sales", "volume": {"name": "mine"}},
    "VolumeService/DeleteVolume": {"fullName": "main.sales.receipts"},
    "VolumeService/GetVolume": {"fullName": "main.sales.receipts"},
    "VolumeService/ListVolumes": {"parent": "main.sales"},
    "VolumeService/UpdateVolume": {
        "volume": {"fullName": "main.sales.receipts", "owner": NOBODY}, "updateMask": "owner",
    },
    "WorkspaceBindingService/GetWorkspaceBindings": {"securableType": "CATALOG", "fullName": "main"},
    "WorkspaceBindingService/UpdateWorkspaceBindings": {
        "securableType": "CATALOG", "fullName": "main", "isolationMode": "ISOLATION_MODE_OPEN",
    },
    "WorkspaceService/CreateWorkspace": {"workspace": {"name": "mine", "metastore": "metastore"}},
    "WorkspaceService/DeleteWorkspace": {"fullName": "workspace"},
    "WorkspaceService/GetWorkspace": {"fullName": "workspace"},
    "WorkspaceService/ListWorkspaces": {},
    "WorkspaceService/UpdateWorkspace": {
        "workspace": {"fullName": "workspace", "owner": NOBODY}, "updateMask": "owner",
    },
    **places.requests(NOBODY),
    **objects.requests(NOBODY),
}  # fmt: skip
"""For every RPC, a request that would succeed for the admin; about others, where an RPC may be about oneself."""


def request_for(name: str, world: World | None = None) -> bytes:
    """The bytes of the request of an RPC, by wire name."""
    body = REQUESTS[name.removeprefix("lakewarden.v1.")]
    message = ParseDict(_fill(body, world), request_class(name)())
    serialized: bytes = message.SerializeToString()
    return serialized


def rpc_names() -> list[str]:
    """The wire names, each known to have a request here."""
    missing = [name for name in names() if name.removeprefix("lakewarden.v1.") not in REQUESTS]
    assert not missing, f"no request is written down for {missing}"
    return names()


def _fill(value: Any, world: World | None) -> Any:
    if isinstance(value, Mapping):
        return {key: _fill(inner, world) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, world) for inner in value]
    if isinstance(value, str) and value.startswith("{") and world is not None:
        return getattr(world, value.strip("{}"))
    return value
