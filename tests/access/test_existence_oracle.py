"""What is missing and what is hidden cannot be told apart: code, message, reason, metadata, details and trailers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from access import definitions, objects, places
from access.rpcs import Answer, call, offered, request_class
from lakewarden_policy import KINDS
from lakewarden_server.pipeline.rules import Method
from lakewarden_server.testing import EmbeddedServer, serve

GUEST = "guest@example.com"
NAME = "{name}"
NOTHING = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class House:
    """A server where the guest may enter `main` and `main.open`, and sees nothing else that exists."""

    server: EmbeddedServer
    guest_token: str
    engine: str
    deleted: str

    def named(self, text: str) -> str:
        """A name with the ids only this house knows."""
        known = {"{engine}": self.engine, "{deleted}": self.deleted, "{nothing}": NOTHING}
        for placeholder, value in known.items():
            text = text.replace(placeholder, value)
        return text


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with serve() as server:
        admin = server.client()
        guest = server.token_of(GUEST)
        admin.metastores.create("elsewhere")
        admin.workspaces.create("remote", metastore="elsewhere", omit_catalog=True)
        server.client(workspace="remote").catalogs.create("foreign")
        places.build_places(admin)
        places.build_afar(server.client(workspace="remote"))
        objects.build_objects(admin)
        server.client(workspace="remote").workspace_objects.create("job", "900")
        for catalog in ("main", "vault"):
            admin.catalogs.create(catalog)
            for schema in ("open", "room"):
                admin.schemas.create(f"{catalog}.{schema}")
                for nouns in (admin.tables, admin.volumes, admin.models):
                    nouns.create(f"{catalog}.{schema}.box")
                definitions.create_all(admin, f"{catalog}.{schema}", name="box")
        for nouns in (admin.tables, admin.volumes, admin.models):
            nouns.create("vault.default.box")
        definitions.create_all(admin, "vault.default", name="box")
        admin.grants.grant("USE CATALOG", "catalog", "main", GUEST)
        admin.grants.grant("USE SCHEMA", "schema", "main.open", GUEST)
        admin.tables.create("main.open.seen")
        admin.grants.grant("SELECT", "table", "main.open.seen", GUEST)
        admin.groups.create("secret")
        admin.users.create("spy@example.com")
        for name in ("vault.default.gone", "vault.room.gone"):
            deleted = admin.tables.create(name).id
            admin.tables.delete(name)
        yield House(server, guest, admin.service_principals.create("engine").name, deleted)


@pytest.fixture(scope="module")
def line(house: House) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(house.server.endpoint) as channel:
        yield channel


# Hidden name -> names that do not exist, of the same length.
HIDDEN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "METASTORE": {"elsewhere": ("elsewhome",)},
    "WORKSPACE": {"remote": ("remove",)},
    "CATALOG": {"vault": ("vaalt",), "foreign": ("foraign",), "VAULT": ("VAALT",)},
    "SCHEMA": {
        "vault.room": ("vault.roam", "vaalt.room"),
        "main.room": ("main.roam",),
        "vault.default": ("vaalt.default",),
    },
    "TABLE": {
        "vault.room.box": ("vault.room.fox", "vault.roam.box", "vaalt.room.box"),
        "main.room.box": ("main.room.fox", "main.roam.box"),
        "main.open.box": ("main.open.fox",),
    },
    "DELETED_TABLE": {
        "vault.room.{deleted}": ("vault.room.{nothing}", "vault.roam.{deleted}", "vaalt.room.{deleted}")
    },
    "USER": {"spy@example.com": ("spa@example.com",)},
    "GROUP": {"secret": ("secrat",)},
    "SERVICE_PRINCIPAL": {"{engine}": ("00000000-0000-4000-8000-000000000000",)},
    **places.HIDDEN,
    **objects.HIDDEN,
}
IN_SCHEMAS = ("TABLE", "VOLUME", "REGISTERED_MODEL")
HIDDEN = {**HIDDEN, **dict.fromkeys(IN_SCHEMAS, HIDDEN["TABLE"])}
HIDDEN = {
    **HIDDEN,
    # Each kind under names of its own: tables and views share a namespace.
    **{
        kind.upper(): {
            hidden.replace("box", f"{kind}box"): tuple(
                other.replace("box", f"{kind}box").replace("fox", f"{kind}fox") for other in missing
            )
            for hidden, missing in HIDDEN["TABLE"].items()
        }
        for kind in definitions.NAMES
    },
}
BODIES: Mapping[str, Mapping[str, Any]] = {
    **definitions.bodies(NAME),
    "CatalogService/DeleteCatalog": {"fullName": NAME, "force": True},
    "CatalogService/GetCatalog": {"fullName": NAME},
    "CatalogService/UpdateCatalog": {"catalog": {"fullName": NAME, "name": "x"}, "updateMask": "name,owner,nonsense"},
    "GroupService/DeleteGroup": {"name": NAME},
    "GroupService/GetGroup": {"name": NAME},
    "GroupService/ListGroupMembers": {"name": NAME},
    "GroupService/UpdateGroup": {"name": NAME, "group": {"name": "x"}, "updateMask": "name"},
    "GroupService/UpdateGroupMembers": {"name": NAME, "add": [GUEST]},
    "MetastoreService/DeleteMetastore": {"fullName": NAME},
    "MetastoreService/GetMetastore": {"fullName": NAME},
    "MetastoreService/UpdateMetastore": {"metastore": {"fullName": NAME, "name": "x"}, "updateMask": "name"},
    "RegisteredModelService/CreateModelVersion": {"fullName": NAME, "modelVersion": {"runId": "x" * 300}},
    "RegisteredModelService/CreateRegisteredModel": {"parent": NAME, "registeredModel": {"name": "new"}},
    "RegisteredModelService/DeleteModelAlias": {"fullName": NAME, "alias": "best"},
    "RegisteredModelService/DeleteModelVersion": {"fullName": NAME, "version": 1},
    "RegisteredModelService/DeleteRegisteredModel": {"fullName": NAME},
    "RegisteredModelService/GetModelVersion": {"fullName": NAME, "alias": "best"},
    "RegisteredModelService/GetRegisteredModel": {"fullName": NAME},
    "RegisteredModelService/ListModelVersions": {"fullName": NAME},
    "RegisteredModelService/ListRegisteredModels": {"parent": NAME},
    "RegisteredModelService/SetModelAlias": {"fullName": NAME, "alias": "7", "version": 1},
    "RegisteredModelService/UpdateModelVersion": {"modelVersion": {"fullName": NAME}, "updateMask": "status,comment"},
    "RegisteredModelService/UpdateRegisteredModel": {"registeredModel": {"fullName": NAME}, "updateMask": "name,owner"},
    "SchemaService/CreateSchema": {"parent": NAME, "schema": {"name": "new"}},
    "SchemaService/DeleteSchema": {"fullName": NAME, "etag": "stale"},
    "SchemaService/GetSchema": {"fullName": NAME},
    "SchemaService/ListSchemas": {"parent": NAME},
    "SchemaService/UpdateSchema": {"schema": {"fullName": NAME}, "updateMask": "comment"},
    "ServicePrincipalService/DeleteServicePrincipal": {"name": NAME},
    "ServicePrincipalService/CreateServicePrincipalSecret": {"name": NAME},
    "ServicePrincipalService/ListServicePrincipalSecrets": {"name": NAME},
    "ServicePrincipalService/DeleteServicePrincipalSecret": {"name": NAME, "id": "0" * 22},
    "ServicePrincipalService/GetServicePrincipal": {"name": NAME},
    "ServicePrincipalService/UpdateServicePrincipal": {"servicePrincipal": {"name": NAME}, "updateMask": "active"},
    "TableService/CreateTable": {"parent": NAME, "table": {"name": "new"}, "createStatement": "not sql ("},
    "TableService/DeleteTable": {"fullName": NAME},
    "TableService/GetTable": {"fullName": NAME},
    "TableService/ListDeletedTables": {"parent": NAME},
    "TableService/ListTables": {"parent": NAME},
    "TableService/UndeleteTable": {"fullName": NAME, "newName": "a.b"},
    "TableService/UpdateTable": {"table": {"fullName": NAME}, "updateMask": "columns"},
    "UserService/DeleteUser": {"name": NAME},
    "UserService/GetUser": {"name": NAME},
    "UserService/UpdateUser": {"user": {"name": NAME}, "updateMask": "active"},
    "VolumeService/CreateVolume": {"parent": NAME, "volume": {"name": "new", "volumeType": "EXTERNAL"}},
    "VolumeService/DeleteVolume": {"fullName": NAME},
    "VolumeService/GetVolume": {"fullName": NAME},
    "VolumeService/ListVolumes": {"parent": NAME},
    "VolumeService/UpdateVolume": {"volume": {"fullName": NAME}, "updateMask": "comment,owner"},
    "WorkspaceService/DeleteWorkspace": {"fullName": NAME},
    "TokenService/DeleteWorkspaceToken": {"workspace": NAME, "id": "0" * 22},
    "TokenService/ListWorkspaceTokens": {"workspace": NAME},
    "WorkspaceService/GetWorkspace": {"fullName": NAME},
    "WorkspaceService/UpdateWorkspace": {"workspace": {"fullName": NAME}, "updateMask": "comment"},
    **places.naming(NAME),
}  # fmt: skip
GRANTS: Mapping[str, Mapping[str, Any]] = {
    "AuthorizationService/Explain": {"privilege": "NONSENSE"},
    "AuthorizationService/ListPrincipals": {"privilege": "NONSENSE"},
    "AuthorizationService/Simulate": {"privilege": "NONSENSE"},
    "GrantService/ListEffectivePrivileges": {},
    "GrantService/ListGrants": {},
    "GrantService/UpdateGrants": {
        "changes": [{"action": "GRANT", "principal": "unknown", "privileges": ["NONSENSE"]}]
    },
    "LineageGovernanceService/SimulateRevoke": {"principal": "unknown", "privileges": ["NONSENSE"]},
}
SEEN = {"table": "main.open.seen"}
"""The one table the guest sees."""
LINEAGE: Mapping[str, Mapping[str, Any]] = {
    "ExternalLineageService/CreateExternalLineage": {"externalLineage": {"source": SEEN, "target": {"table": NAME}}},
    "ExternalLineageService/DeleteExternalLineage": {"source": {"table": NAME}, "target": SEEN},
    "ExternalLineageService/ListExternalLineage": {"object": {"table": NAME}},
    "ExternalLineageService/UpdateExternalLineage": {"externalLineage": {"source": SEEN, "target": {"table": NAME}}, "updateMask": "columns"},
    "LineageGovernanceService/FindLineageLeaks": {"sources": [{"table": NAME}]},
    "LineageGraphService/AnalyzeImpact": {"root": {"table": NAME}, "columns": ["id"]},
    "LineageGraphService/FindLineagePaths": {"source": SEEN, "target": {"table": NAME}},
    "LineageGraphService/GetLineageHistory": {"source": {"table": NAME}, "target": SEEN},
    "LineageGraphService/StreamLineage": {"traversal": {"root": {"table": NAME}}},
    "LineageGraphService/TraverseLineage": {"root": {"table": NAME}},
}  # fmt: skip
"""They name several tables, so that no rule can say which one a call is about."""
BINDINGS: Mapping[str, Mapping[str, Any]] = {
    "WorkspaceBindingService/GetWorkspaceBindings": {},
    "WorkspaceBindingService/UpdateWorkspaceBindings": {"remove": ["no such workspace"]},
}
TAGS: Mapping[str, Mapping[str, Any]] = {
    "TagService/ListTags": {"column": "no such column"},
    "TagService/UpdateTags": {"set": {"a.b": ""}, "column": "no such column", "etag": "stale"},
}
TAGGABLE = ("CATALOG", "SCHEMA", *IN_SCHEMAS, "VIEW", "MATERIALIZED_VIEW", "STREAMING_TABLE")
WORKSPACES: Mapping[str, Mapping[str, Any]] = {
    "IpAccessListService/CreateIpAccessList": {"ipAccessList": {"workspace": NAME, "label": ""}},
    "IpAccessListService/DeleteIpAccessList": {"workspace": NAME, "id": "none"},
    "IpAccessListService/GetIpAccessList": {"workspace": NAME, "id": "none"},
    "IpAccessListService/GetIpAccessSettings": {"workspace": NAME},
    "IpAccessListService/ListIpAccessLists": {"workspace": NAME},
    "IpAccessListService/UpdateIpAccessList": {"ipAccessList": {"workspace": NAME}, "updateMask": "label"},
    "IpAccessListService/UpdateIpAccessSettings": {"ipAccessSettings": {"workspace": NAME}},
}
SUBJECTS: Mapping[str, Mapping[str, Any]] = {
    "AuthorizationService/AuthorizePlan": {"subject": NAME, "accesses": [{"securableType": "TABLE", "fullName": "main.open.box", "privilege": "SELECT"}]},
    "AuthorizationService/BatchCheck": {"subject": NAME, "accesses": [{"securableType": "TABLE", "fullName": "main.open.box", "privilege": "SELECT"}]},
    "AuthorizationService/Check": {"subject": NAME, "access": {"securableType": "TABLE", "fullName": "main.open.box", "privilege": "SELECT"}},
    "AuthorizationService/FilterSecurables": {"subject": NAME, "securableType": "TABLE", "fullNames": ["main.open.box"]},
    "AuthorizationService/ListAccessible": {"subject": NAME, "securableType": "TABLE"},
    "AuthorizationService/WatchPolicy": {"engine": NAME},
    "TokenService/CreateToken": {"principal": NAME},
    "TokenService/DeleteToken": {"principal": NAME, "id": "0" * 22},
    "TokenService/ListTokens": {"principal": NAME},
    "TokenService/RotateToken": {"principal": NAME, "id": "0" * 22},
}  # fmt: skip


def _kind(rpc: str) -> str:
    method = offered()[f"lakewarden.v1.{rpc}"]
    own = str(method.kind)
    if method.rule.self:
        return own
    return KINDS[own].parents[0]


def _pairs(*kinds: str) -> Iterator[tuple[str, str, str]]:
    """Kind, hidden name and missing name."""
    for kind in kinds:
        for hidden, missing in HIDDEN[kind].items():
            for other in missing:
                yield kind, hidden, other


def _bodies(rpc: str, kind: str) -> Iterator[dict[str, Any]]:
    """The requests of an RPC to compare; a list also with a page nobody can have."""
    if rpc in objects.BODIES:
        named, more = {"type": kind, "fullName": NAME}, objects.BODIES[rpc]
        yield {"workspaceObject": named, **more} if "/Update" in rpc else {**named, **more}
        return
    if rpc in (named := {**GRANTS, **BINDINGS, **TAGS}):
        yield {"securableType": kind, "fullName": NAME, **named[rpc]}
        return
    body = dict({**BODIES, **SUBJECTS, **WORKSPACES, **LINEAGE}[rpc])
    yield body
    if rpc.partition("/")[2].startswith("List") and "parent" in body:
        yield {**body, "pageToken": "bogus"}
        yield {**body, "pageSize": -1}


def _cases() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    kinds = {rpc: (_kind(rpc),) for rpc in BODIES}
    inside = (*IN_SCHEMAS, *map(str.upper, definitions.NAMES))
    kinds |= dict.fromkeys(
        GRANTS, ("METASTORE", "WORKSPACE", "CATALOG", "SCHEMA", *inside, *places.HIDDEN, *objects.HIDDEN)
    )
    kinds |= dict.fromkeys(BINDINGS, ("CATALOG",)) | dict.fromkeys(objects.BODIES, tuple(objects.HIDDEN))
    kinds |= dict.fromkeys(WORKSPACES, ("WORKSPACE",)) | dict.fromkeys(
        SUBJECTS, ("USER", "SERVICE_PRINCIPAL", "GROUP")
    )
    kinds |= dict.fromkeys(LINEAGE, ("TABLE",)) | dict.fromkeys(TAGS, TAGGABLE)
    for rpc, wanted in kinds.items():
        for kind, hidden, missing in _pairs(*wanted):
            for body in _bodies(rpc, kind):
                yield rpc, hidden, missing, body


CASES = list(_cases())
CONTROLS = [
    case
    for case in CASES
    # Reads only, of what this workspace reaches; subjects of checks and a list of bogus page are answered alike for all.
    if not offered()[f"lakewarden.v1.{case[0]}"].rule.write
    and case[1] not in {"foreign", "elsewhere", "900"}
    and not case[1].startswith("afar")
    and case[0] not in SUBJECTS
    and not {"pageToken", "pageSize"} & set(case[3])
]


@pytest.mark.parametrize(("rpc", "hidden", "missing", "body"), CASES)
def test_hidden_and_missing_look_the_same(
    house: House, line: grpc.Channel, rpc: str, hidden: str, missing: str, body: dict[str, Any]
) -> None:
    hidden, missing = house.named(hidden), house.named(missing)
    there, gone = (_ask(house, line, rpc, body, name) for name in (hidden, missing))
    assert there == gone
    assert there.code == "PERMISSION_DENIED" or _is_empty_list(rpc, there), there


@pytest.mark.parametrize(("rpc", "hidden", "missing", "body"), CONTROLS)
def test_admin_is_told_them_apart(
    house: House, line: grpc.Channel, rpc: str, hidden: str, missing: str, body: dict[str, Any]
) -> None:
    """The control: the pairs do differ for who may know, so that the test above compares a real object."""
    hidden, missing = house.named(hidden), house.named(missing)
    token = house.server.admin_token
    there, gone = (_ask(house, line, rpc, body, name, token=token) for name in (hidden, missing))
    assert there != gone


def test_every_rpc_that_names_something_is_asked() -> None:
    naming = {
        name.removeprefix("lakewarden.v1.")
        for name, method in offered().items()
        if method.rule.self or method.rule.parent or method.rule.subject or _is_about_a_workspace(method)
    }
    assert naming == {*BODIES, *GRANTS, *BINDINGS, *TAGS, *SUBJECTS, *WORKSPACES, *objects.BODIES}


def _is_about_a_workspace(method: Method) -> bool:
    return any(binding.kind == "WORKSPACE" for binding in method.rule.bind)


def _ask(
    house: House, channel: grpc.Channel, rpc: str, body: Mapping[str, Any], name: str, *, token: str = ""
) -> Answer:
    message = ParseDict(_named(body, name), request_class(f"lakewarden.v1.{rpc}")())
    answer = call(
        channel,
        f"lakewarden.v1.{rpc}",
        message.SerializeToString(),
        token=token or house.guest_token,
        workspace="workspace",
    )
    shape = {key: value.replace(name, NAME) for key, value in (answer.metadata or {}).items()}
    return replace(answer, text=answer.text.replace(name, NAME), metadata=shape)


def _named(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _named(inner, name) for key, inner in value.items()}
    if isinstance(value, list):
        return [_named(inner, name) for inner in value]
    return name if value == NAME else value


def _is_empty_list(rpc: str, answer: Answer) -> bool:
    listing = offered()[f"lakewarden.v1.{rpc}"].rule.operation.endswith(".list")
    if answer.code == "INVALID_ARGUMENT":
        return listing and answer.reason in {"PAGE_TOKEN_INVALID", "FIELD_INVALID"}
    return listing and answer.message is not None and not answer.message.ListFields()
