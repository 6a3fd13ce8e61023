"""Every RPC of the descriptor set is reached by a client method and by a command, or has a reason why not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from client import declared, definitions, lineages, objects, places
from client.wire import NOUNS, WireServer, rpcs
from lakewarden import Client
from lakewarden.cli import main
from lakewarden.v1 import lineage_graph_pb2, service_principals_pb2, system_tables_pb2, tokens_pb2

ACCESS = SimpleNamespace(full_name="main.sales.orders", privilege="SELECT", securable_type="TABLE")

METHODS: dict[str, Callable[[Client], Any]] = {
    **declared.METHODS,
    **definitions.METHODS,
    "AuditService/GetAuditHead": lambda client: client.audit.head(),
    "AuditService/ListAuditRecords": lambda client: list(client.audit.list(actor="bob@x.io")),
    "AuditService/ReplayDecisions": lambda client: client.audit.replay(),
    "AuditService/VerifyAuditLog": lambda client: client.audit.verify(),
    "AuthorizationService/AuthorizePlan": lambda client: client.authorize_plan([]),
    "AuthorizationService/BatchCheck": lambda client: client.authorization.batch_check([ACCESS]),
    "AuthorizationService/Check": lambda client: client.authorization.check("SELECT", "table", "a.b.c"),
    "AuthorizationService/Explain": lambda client: client.authorization.explain("SELECT", "table", "a.b.c"),
    "AuthorizationService/FilterSecurables": lambda client: client.authorization.filter_securables(
        "table", ["a.b.c"]
    ),
    "AuthorizationService/ListAccessible": lambda client: list(client.authorization.list_accessible("table")),
    "AuthorizationService/WatchPolicy": lambda client: client.authorization.watch_policy(),
    "AuthorizationService/ListPrincipals": lambda client: list(
        client.authorization.list_principals("SELECT", "table", "a.b.c")
    ),
    "AuthorizationService/Simulate": lambda client: client.authorization.simulate("SELECT", "table", "a.b.c"),
    "CatalogService/CreateCatalog": lambda client: client.catalogs.create(
        "main", comment="c", properties={"a": "b"}
    ),
    "CatalogService/DeleteCatalog": lambda client: client.catalogs.delete("main", force=True, etag="e"),
    "CatalogService/GetCatalog": lambda client: client.catalogs.get("main"),
    "CatalogService/ListCatalogs": lambda client: list(client.catalogs.list()),
    "CatalogService/UpdateCatalog": lambda client: client.catalogs.update("main", comment=""),
    "FederationPolicyService/CreateFederationPolicy": lambda client: client.federation_policies.create(
        "https://id.example.com", ["lakewarden"], "{}"
    ),
    "FederationPolicyService/DeleteFederationPolicy": lambda client: client.federation_policies.delete("p"),
    "FederationPolicyService/ListFederationPolicies": lambda client: list(client.federation_policies.list()),
    "IpAccessListService/CreateIpAccessList": lambda client: client.ip_access_lists.create(
        "office", "ALLOW", ["203.0.113.0/24"]
    ),
    "IpAccessListService/DeleteIpAccessList": lambda client: client.ip_access_lists.delete("l"),
    "IpAccessListService/GetIpAccessList": lambda client: client.ip_access_lists.get("l"),
    "IpAccessListService/ListIpAccessLists": lambda client: list(client.ip_access_lists.list()),
    "IpAccessListService/UpdateIpAccessList": lambda client: client.ip_access_lists.update(
        "l", enabled=False
    ),
    "IpAccessListService/GetIpAccessSettings": lambda client: client.ip_access_lists.is_enforced(),
    "IpAccessListService/UpdateIpAccessSettings": lambda client: client.ip_access_lists.enforce(),
    "GrantService/ListEffectivePrivileges": lambda client: client.grants.effective("table", "a.b.c"),
    "GrantService/ListGrants": lambda client: list(client.grants.list("schema", "main.sales", "bob@x.io")),
    "GrantService/UpdateGrants": lambda client: client.grants.grant("SELECT", "table", "a.b.c", "bob@x.io"),
    "GroupService/CreateGroup": lambda client: client.groups.create("g"),
    "GroupService/DeleteGroup": lambda client: client.groups.delete("g"),
    "GroupService/GetGroup": lambda client: client.groups.get("g"),
    "GroupService/ListGroupMembers": lambda client: list(client.groups.members("g")),
    "GroupService/ListGroups": lambda client: list(client.groups.list()),
    "GroupService/UpdateGroup": lambda client: client.groups.rename("g", "h", etag="e"),
    "GroupService/UpdateGroupMembers": lambda client: client.groups.update_members(
        "g", add=["a"], remove=["b"]
    ),
    "SystemTableService/ListSystemTables": lambda client: client.system_tables(),
    "SystemTableService/ReadSystemTable": lambda client: client.system_table("system.access.audit"),
    "MetastoreService/CreateMetastore": lambda client: client.metastores.create("eu", region="eu-central-1"),
    "MetastoreService/DeleteMetastore": lambda client: client.metastores.delete("eu", force=True),
    "MetastoreService/GetMetastore": lambda client: client.metastores.get("eu"),
    "MetastoreService/ListMetastores": lambda client: list(client.metastores.list()),
    "MetastoreService/UpdateMetastore": lambda client: client.metastores.set_owner("eu", "admins"),
    "RegisteredModelService/CreateModelVersion": lambda client: client.models.create_version("a.b.m"),
    "RegisteredModelService/CreateRegisteredModel": lambda client: client.models.create("a.b.m"),
    "RegisteredModelService/DeleteModelAlias": lambda client: client.models.delete_alias("a.b.m", "best"),
    "RegisteredModelService/DeleteModelVersion": lambda client: client.models.delete_version("a.b.m", 1),
    "RegisteredModelService/DeleteRegisteredModel": lambda client: client.models.delete("a.b.m", etag="e"),
    "RegisteredModelService/GetModelVersion": lambda client: client.models.get_version("a.b.m", "best"),
    "RegisteredModelService/GetRegisteredModel": lambda client: client.models.get("a.b.m"),
    "RegisteredModelService/ListModelVersions": lambda client: list(client.models.versions("a.b.m")),
    "RegisteredModelService/ListRegisteredModels": lambda client: list(client.models.list("a.b")),
    "RegisteredModelService/SetModelAlias": lambda client: client.models.set_alias("a.b.m", "best", 1),
    "RegisteredModelService/UpdateModelVersion": lambda client: client.models.update_version(
        "a.b.m", 1, status="READY"
    ),
    "RegisteredModelService/UpdateRegisteredModel": lambda client: client.models.set_owner("a.b.m", "g"),
    "SchemaService/CreateSchema": lambda client: client.schemas.create("main.sales"),
    "SchemaService/DeleteSchema": lambda client: client.schemas.delete("main.sales", force=True),
    "SchemaService/GetSchema": lambda client: client.schemas.get("main.sales"),
    "SchemaService/ListSchemas": lambda client: list(client.schemas.list("main")),
    "SchemaService/UpdateSchema": lambda client: client.schemas.rename("main.sales", "sold"),
    "ServicePrincipalService/CreateServicePrincipal": lambda client: client.service_principals.create(
        "spark"
    ),
    "ServicePrincipalService/DeleteServicePrincipal": lambda client: client.service_principals.delete("id"),
    "ServicePrincipalService/CreateServicePrincipalSecret": lambda client: (
        client.service_principals.create_secret("id", comment="c", lifetime_seconds=60)
    ),
    "ServicePrincipalService/ListServicePrincipalSecrets": lambda client: list(
        client.service_principals.secrets("id")
    ),
    "ServicePrincipalService/DeleteServicePrincipalSecret": lambda client: (
        client.service_principals.delete_secret("id", "s")
    ),
    "TokenService/CreateAccessToken": lambda client: client.tokens.create_access_token("id", "lwsec_x"),
    "ServicePrincipalService/GetServicePrincipal": lambda client: client.service_principals.get("id"),
    "ServicePrincipalService/ListServicePrincipals": lambda client: list(client.service_principals.list()),
    "ServicePrincipalService/UpdateServicePrincipal": lambda client: client.service_principals.disable("id"),
    "SessionService/GetSession": lambda client: client.session.get(),
    "TableService/CreateTable": lambda client: client.tables.create(
        "a.b.c", [{"name": "id", "type_text": "INT"}]
    ),
    "TableService/DeleteTable": lambda client: client.tables.delete("a.b.c", etag="e"),
    "TableService/GetTable": lambda client: client.tables.get("a.b.c"),
    "TableService/ListTables": lambda client: list(client.tables.list("a.b", omit_columns=True)),
    "TableService/ListDeletedTables": lambda client: list(client.tables.list_deleted("a.b", name="c")),
    "TableService/UndeleteTable": lambda client: client.tables.undelete("a.b.c", table_id="t", new_name="d"),
    "TableService/UpdateTable": lambda client: client.tables.update("a.b.c", columns=[]),
    "TokenService/CreateToken": lambda client: client.tokens.create(lifetime_seconds=60),
    "TokenService/DeleteToken": lambda client: client.tokens.delete("t"),
    "TagService/ListTags": lambda client: list(client.tags.list("table", "a.b.c", column="id")),
    "TagService/UpdateTags": lambda client: client.tags.update(
        "registered-model", "a.b.m", set={"pii": "no"}, remove=["old"], etag="e"
    ),
    "TokenService/DeleteWorkspaceToken": lambda client: client.tokens.delete_of_workspace("w", "t"),
    "TokenService/ListTokens": lambda client: list(client.tokens.list(principal="id")),
    "TokenService/ListWorkspaceTokens": lambda client: list(client.tokens.list_of_workspace("w")),
    "TokenService/RotateToken": lambda client: client.tokens.rotate("t", overlap_seconds=60),
    "UserService/CreateUser": lambda client: client.users.create("bob@x.io", display_name="Bob"),
    "UserService/DeleteUser": lambda client: client.users.delete("bob@x.io"),
    "UserService/GetUser": lambda client: client.users.get("bob@x.io"),
    "UserService/ListUsers": lambda client: list(client.users.list()),
    "UserService/UpdateUser": lambda client: client.users.update("bob@x.io", display_name=""),
    "VolumeService/CreateVolume": lambda client: client.volumes.create("a.b.v", storage_location="s3://b/v"),
    "VolumeService/DeleteVolume": lambda client: client.volumes.delete("a.b.v", etag="e"),
    "VolumeService/GetVolume": lambda client: client.volumes.get("a.b.v"),
    "VolumeService/ListVolumes": lambda client: list(client.volumes.list("a.b")),
    "VolumeService/UpdateVolume": lambda client: client.volumes.rename("a.b.v", "w"),
    "WorkspaceBindingService/GetWorkspaceBindings": lambda client: client.workspace_bindings.get(
        "catalog", "main"
    ),
    "WorkspaceBindingService/UpdateWorkspaceBindings": lambda client: client.workspace_bindings.update(
        "catalog", "main", isolated=True, add={"w": "READ_ONLY"}, remove=["v"]
    ),
    "WorkspaceService/CreateWorkspace": lambda client: client.workspaces.create("w", metastore="eu"),
    "WorkspaceService/DeleteWorkspace": lambda client: client.workspaces.delete("w"),
    "WorkspaceService/GetWorkspace": lambda client: client.workspaces.get("w"),
    "WorkspaceService/ListWorkspaces": lambda client: list(client.workspaces.list()),
    "WorkspaceService/UpdateWorkspace": lambda client: client.workspaces.detach("w"),
    **lineages.METHODS,
    **places.METHODS,
    **objects.METHODS,
}

# Several commands may use one RPC; each line is one command, so that this is also the list of all verbs.
COMMANDS: tuple[tuple[str, str], ...] = (
    *declared.COMMANDS,
    *definitions.COMMANDS,
    *lineages.COMMANDS,
    *objects.COMMANDS,
    ("AuditService/GetAuditHead", "audit head"),
    ("AuditService/ListAuditRecords", "audit list --since 7d --outcome denied"),
    ("AuditService/ReplayDecisions", "audit replay --since 7d"),
    ("AuditService/VerifyAuditLog", "audit verify"),
    ("AuthorizationService/Check", "check bob@x.io SELECT table a.b.c"),
    ("AuthorizationService/Explain", "explain bob@x.io SELECT table a.b.c"),
    ("AuthorizationService/FilterSecurables", "can-access bob@x.io SELECT table a.b.c"),
    ("AuthorizationService/ListAccessible", "what-can bob@x.io --privilege SELECT --under a.b"),
    ("AuthorizationService/ListPrincipals", "who-can SELECT table a.b.c"),
    ("AuthorizationService/Simulate", "simulate bob@x.io SELECT table a.b.c --join g bob@x.io"),
    ("CatalogService/CreateCatalog", "catalog create main --comment c --property a=b"),
    ("CatalogService/DeleteCatalog", "catalog delete main --force --yes"),
    ("CatalogService/GetCatalog", "catalog get main"),
    ("CatalogService/ListCatalogs", "catalog list"),
    ("CatalogService/ListCatalogs", "ls"),
    ("CatalogService/ListCatalogs", "tree"),
    ("CatalogService/UpdateCatalog", "catalog owner main admins"),
    ("CatalogService/UpdateCatalog", "catalog rename main primary"),
    ("CatalogService/UpdateCatalog", "catalog update main --comment c"),
    ("GrantService/ListEffectivePrivileges", "grants effective table a.b.c"),
    ("GrantService/ListGrants", "grants list schema a.b"),
    ("GrantService/ListGrants", "workspace member list w"),
    ("GrantService/UpdateGrants", "grant SELECT table a.b.c bob@x.io"),
    (
        "GrantService/UpdateGrants",
        'grants update table a.b.c --json {"changes":[{"principal":"b","add":["SELECT"]}]}',
    ),
    ("GrantService/UpdateGrants", "revoke SELECT table a.b.c bob@x.io"),
    ("GrantService/UpdateGrants", "workspace member add w bob@x.io"),
    ("GrantService/UpdateGrants", "workspace member remove w bob@x.io"),
    ("GroupService/CreateGroup", "group create g"),
    ("GroupService/DeleteGroup", "group delete g --yes"),
    ("GroupService/GetGroup", "group get g"),
    ("GroupService/ListGroupMembers", "group members g"),
    ("GroupService/ListGroups", "group list"),
    ("GroupService/UpdateGroup", "group rename g h"),
    ("GroupService/UpdateGroup", "group update g --external-id x"),
    ("GroupService/UpdateGroupMembers", "group add g a b"),
    ("GroupService/UpdateGroupMembers", "group remove g a"),
    ("SystemTableService/ListSystemTables", "system-table list"),
    ("SystemTableService/ReadSystemTable", "system-table read system.access.audit --where a=b --since 7d"),
    ("MetastoreService/CreateMetastore", "metastore create eu"),
    ("MetastoreService/DeleteMetastore", "metastore delete eu --yes"),
    ("MetastoreService/GetMetastore", "metastore get eu"),
    ("MetastoreService/ListMetastores", "metastores list"),
    ("MetastoreService/UpdateMetastore", "metastore owner eu admins"),
    ("MetastoreService/UpdateMetastore", "metastore rename eu us"),
    ("MetastoreService/UpdateMetastore", "metastore update eu --comment c"),
    ("RegisteredModelService/CreateModelVersion", "model version create a.b.m --source s3://b/m --pending"),
    ("RegisteredModelService/CreateRegisteredModel", "model create a.b.m --comment c"),
    ("RegisteredModelService/DeleteModelAlias", "model alias delete a.b.m best"),
    ("RegisteredModelService/DeleteModelVersion", "model version delete a.b.m 1 --yes"),
    ("RegisteredModelService/DeleteRegisteredModel", "model delete a.b.m --yes"),
    ("RegisteredModelService/GetModelVersion", "model version get a.b.m 1"),
    ("RegisteredModelService/GetModelVersion", "model version get a.b.m best"),
    ("RegisteredModelService/GetRegisteredModel", "model get a.b.m"),
    ("RegisteredModelService/ListModelVersions", "model version list a.b.m"),
    ("RegisteredModelService/ListRegisteredModels", "models list a.b"),
    ("RegisteredModelService/SetModelAlias", "model alias set a.b.m best 1"),
    ("RegisteredModelService/UpdateModelVersion", "model version set-status a.b.m 1 ready"),
    ("RegisteredModelService/UpdateModelVersion", "model version update a.b.m 1 --comment c"),
    ("RegisteredModelService/UpdateRegisteredModel", "model owner a.b.m admins"),
    ("RegisteredModelService/UpdateRegisteredModel", "model rename a.b.m n"),
    ("RegisteredModelService/UpdateRegisteredModel", "model update a.b.m --comment c"),
    ("SchemaService/CreateSchema", "schema create a.b"),
    ("SchemaService/DeleteSchema", "schema delete a.b --yes"),
    ("SchemaService/GetSchema", "schema get a.b"),
    ("SchemaService/ListSchemas", "ls a"),
    ("SchemaService/ListSchemas", "schema list a"),
    ("SchemaService/UpdateSchema", "schema owner a.b admins"),
    ("SchemaService/UpdateSchema", "schema rename a.b c"),
    ("SchemaService/UpdateSchema", "schema update a.b --comment c"),
    ("ServicePrincipalService/CreateServicePrincipal", "service-principal create spark"),
    ("ServicePrincipalService/DeleteServicePrincipal", "service-principal delete id --yes"),
    (
        "ServicePrincipalService/CreateServicePrincipalSecret",
        "service-principal secret create id --lifetime 9d",
    ),
    ("ServicePrincipalService/ListServicePrincipalSecrets", "service-principal secret list id"),
    ("ServicePrincipalService/DeleteServicePrincipalSecret", "service-principal secret delete id s --yes"),
    ("ServicePrincipalService/GetServicePrincipal", "service-principal get id"),
    ("ServicePrincipalService/ListServicePrincipals", "service-principals list"),
    ("ServicePrincipalService/UpdateServicePrincipal", "service-principal disable id"),
    ("ServicePrincipalService/UpdateServicePrincipal", "service-principal enable id"),
    ("ServicePrincipalService/UpdateServicePrincipal", "service-principal update id --display-name S"),
    ("SessionService/GetSession", "whoami"),
    ("TableService/CreateTable", "table create a.b.c --column id_INT"),
    ("TableService/DeleteTable", "table delete a.b.c --yes"),
    ("TableService/GetTable", "ls a.b.c"),
    ("TableService/GetTable", "table get a.b.c"),
    ("TableService/ListDeletedTables", "table list-deleted a.b"),
    ("TableService/ListTables", "ls a.b"),
    ("TableService/ListTables", "table list a.b"),
    ("TableService/UndeleteTable", "table undelete a.b.c --id t --new-name d"),
    ("TableService/UpdateTable", "table owner a.b.c admins"),
    ("TableService/UpdateTable", "table rename a.b.c d"),
    ("TableService/UpdateTable", "table update a.b.c --comment c"),
    (
        "FederationPolicyService/CreateFederationPolicy",
        "federation-policy create https://id.example.com --audience lakewarden --jwks /dev/null",
    ),
    ("FederationPolicyService/DeleteFederationPolicy", "federation-policy delete p --yes"),
    ("FederationPolicyService/ListFederationPolicies", "federation-policy list"),
    ("IpAccessListService/CreateIpAccessList", "ip-access-list create office allow 203.0.113.0/24"),
    ("IpAccessListService/DeleteIpAccessList", "ip-access-list delete l --yes"),
    ("IpAccessListService/GetIpAccessList", "ip-access-list get l"),
    ("IpAccessListService/ListIpAccessLists", "ip-access-list list --of-workspace w"),
    ("IpAccessListService/UpdateIpAccessList", "ip-access-list update l --address 10.0.0.0/8 --disable"),
    ("IpAccessListService/GetIpAccessSettings", "ip-access-list status"),
    ("IpAccessListService/UpdateIpAccessSettings", "ip-access-list enforce --off"),
    ("TokenService/CreateToken", "token create --lifetime 30d"),
    ("TokenService/DeleteToken", "token revoke t --yes"),
    ("TokenService/ListTokens", "token list"),
    ("TokenService/ListWorkspaceTokens", "token list --of-workspace w"),
    ("TokenService/RotateToken", "token rotate t --overlap 1h"),
    ("TokenService/DeleteWorkspaceToken", "token revoke t --of-workspace w --yes"),
    ("UserService/CreateUser", "user create bob@x.io"),
    ("UserService/DeleteUser", "user delete bob@x.io --yes"),
    ("UserService/GetUser", "user get bob@x.io"),
    ("UserService/ListUsers", "users list"),
    ("UserService/UpdateUser", "user disable bob@x.io"),
    ("UserService/UpdateUser", "user enable bob@x.io"),
    ("UserService/UpdateUser", "user update bob@x.io --display-name B"),
    ("VolumeService/CreateVolume", "volume create a.b.v --comment c"),
    ("VolumeService/DeleteVolume", "volume delete a.b.v --yes"),
    ("VolumeService/GetVolume", "volume get a.b.v"),
    ("VolumeService/ListVolumes", "volumes list a.b"),
    ("VolumeService/UpdateVolume", "volume owner a.b.v admins"),
    ("VolumeService/UpdateVolume", "volume rename a.b.v w"),
    ("VolumeService/UpdateVolume", "volume update a.b.v --comment c"),
    ("TagService/ListTags", "tags list table a.b.c --column id"),
    ("TagService/UpdateTags", "tags set view a.b.c pii=email checked --etag e"),
    ("TagService/UpdateTags", "tags unset table a.b.c pii --column id"),
    ("WorkspaceService/CreateWorkspace", "workspace create w --metastore eu"),
    ("WorkspaceBindingService/GetWorkspaceBindings", "binding get catalog main"),
    (
        "WorkspaceBindingService/UpdateWorkspaceBindings",
        "binding update catalog main --isolated --add w=READ_ONLY --remove v",
    ),
    ("WorkspaceService/CreateWorkspace", "workspace create w --metastore eu --no-catalog"),
    ("WorkspaceService/DeleteWorkspace", "workspace delete w --yes"),
    ("WorkspaceService/GetWorkspace", "workspace get w"),
    ("WorkspaceService/ListWorkspaces", "workspace list"),
    ("WorkspaceService/UpdateWorkspace", "workspace attach w eu"),
    ("WorkspaceService/UpdateWorkspace", "workspace default-catalog w main"),
    ("WorkspaceService/UpdateWorkspace", "workspace detach w --yes"),
    ("WorkspaceService/UpdateWorkspace", "workspace owner w admins"),
    ("WorkspaceService/UpdateWorkspace", "workspace rename w v"),
    ("WorkspaceService/UpdateWorkspace", "workspace update w --comment c"),
    *places.COMMANDS,
)

WITHOUT_A_COMMAND = {
    "AuthorizationService/BatchCheck": "an engine's call; people ask one question at a time",
    "AuthorizationService/AuthorizePlan": "an engine's call, made with the tables of a parsed query",
    "LineageService/RecordOpenLineage": "a producer's call; `lineage ingest` sends many at once",
    "TokenService/CreateAccessToken": "made by login, and by every command after one with a client secret",
    "AuthorizationService/WatchPolicy": "what lakewarden.replica reads; bytes say nothing to people",
}


@pytest.fixture(autouse=True)
def _token_reply(wire: WireServer) -> None:
    wire.answers["TokenService/RotateToken"] = lambda *_: tokens_pb2.RotateTokenResponse(
        token_value="lwpat_newer"
    )
    wire.answers["TokenService/CreateToken"] = lambda *_: tokens_pb2.CreateTokenResponse(
        token_value="lwpat_new"
    )
    wire.answers["TokenService/CreateAccessToken"] = lambda *_: tokens_pb2.CreateAccessTokenResponse(
        access_token="eyJ"
    )
    wire.answers["LineageGraphService/StreamLineage"] = lambda *_: [
        lineage_graph_pb2.StreamLineageResponse(ending={"complete": True})
    ]
    wire.answers["SystemTableService/ReadSystemTable"] = lambda *_: system_tables_pb2.ReadSystemTableResponse(
        arrow_stream=_one_batch()
    )
    wire.answers["ServicePrincipalService/CreateServicePrincipalSecret"] = lambda *_: (
        service_principals_pb2.CreateServicePrincipalSecretResponse(secret_value="lwsec_new")
    )


def _one_batch() -> bytes:
    sink = pa.BufferOutputStream()
    batch = pa.record_batch({"a": ["b"]})
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def test_every_proto_file_with_a_service_is_known_here() -> None:
    from importlib import resources

    files = {path.name.removesuffix("_pb2.py") for path in resources.files("lakewarden.v1").iterdir()}
    assert {name for name in files if "." not in name and name != "__init__"} - {
        "rules",
        "__pycache__",
    } == set(NOUNS)


def test_every_rpc_has_a_client_method() -> None:
    assert set(METHODS) == set(rpcs())


@pytest.mark.parametrize("rpc", sorted(METHODS))
def test_client_method_calls_its_rpc(wire: WireServer, client: Client, rpc: str) -> None:
    METHODS[rpc](client)
    assert [call.rpc for call in wire.calls] == [rpc]


def test_every_rpc_has_a_command_or_a_reason() -> None:
    assert {rpc for rpc, _ in COMMANDS} | set(WITHOUT_A_COMMAND) == set(rpcs())
    assert not {rpc for rpc, _ in COMMANDS} & set(WITHOUT_A_COMMAND)


@pytest.mark.parametrize(("rpc", "line"), COMMANDS)
@pytest.mark.parametrize("output", ["table", "json"])
def test_command_calls_its_rpc(wire: WireServer, rpc: str, line: str, output: str) -> None:
    arguments = [word.replace("id_INT", "id INT") for word in line.split()]
    code = main([*arguments, "--endpoint", wire.endpoint, "-o", output])
    assert code == (1 if line.startswith(("check", "explain", "simulate", "lineage paths")) else 0)
    called = [call.rpc for call in wire.calls]
    # `ls` asks for every kind a schema holds, tables first; `grant` looks first for what would no longer end.
    expected = ["GrantService/ListGrants", rpc] if line.startswith("grant ") else [rpc]
    assert (called[:1] if line.startswith("ls ") else called) == expected
