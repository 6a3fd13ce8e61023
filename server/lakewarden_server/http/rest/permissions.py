"""Permissions on the objects of a workspace in the words of the Databricks API (semantics 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from lakewarden.v1 import grants_pb2, permissions_pb2, workspace_objects_pb2
from lakewarden.v1.grants_pb2 import SecurableType
from lakewarden_server.http.calls import UPDATE_GRANTS
from lakewarden_server.http.rest import token_permissions
from lakewarden_server.http.rest.errors import Refused
from lakewarden_server.http.rest.exchanges import Exchange, Operation, read_text
from lakewarden_server.http.rest.principals import name_in, named

OWNER = "IS_OWNER"
TYPES = {
    "alerts": "LEGACY_ALERT",
    "alertsv2": "ALERT",
    "apps": "APP",
    "authorization": "PASSWORDS",
    "cluster-policies": "CLUSTER_POLICY",
    "clusters": "CLUSTER",
    "dashboards": "DASHBOARD",
    "database-instances": "DATABASE_INSTANCE",
    "database-projects": "DATABASE_PROJECT",
    "dbsql-dashboards": "LEGACY_DASHBOARD",
    "directories": "DIRECTORY",
    "experiments": "EXPERIMENT",
    "files": "FILE",
    "genie": "GENIE_SPACE",
    "instance-pools": "INSTANCE_POOL",
    "jobs": "JOB",
    "knowledge-assistants": "KNOWLEDGE_ASSISTANT",
    "notebooks": "NOTEBOOK",
    "pipelines": "PIPELINE",
    "queries": "QUERY",
    "registered-models": "WORKSPACE_MODEL",
    "repos": "REPO",
    "serving-endpoints": "SERVING_ENDPOINT",
    "sql/warehouses": "WAREHOUSE",
    "supervisor-agents": "SUPERVISOR_AGENT",
    "vector-search-endpoints": "VECTOR_SEARCH_ENDPOINT",
    "warehouses": "WAREHOUSE",
}
"""What the paths of this API call the kinds of objects."""
_PATHS = {kind: path for path, kind in TYPES.items()}


def get_levels(exchange: Exchange) -> Mapping[str, Any]:
    """The levels that objects of a type have."""
    request = permissions_pb2.ListPermissionLevelsRequest(type=_type(exchange))
    levels = exchange.calls("PermissionService/ListPermissionLevels", request).levels
    return {
        "permission_levels": [
            {"permission_level": level.level, "description": level.description} for level in levels
        ]
    }


def get(exchange: Exchange) -> Mapping[str, Any]:
    """Who has which level, and where from."""
    request = permissions_pb2.GetPermissionsRequest(type=_type(exchange), full_name=_id(exchange))
    return _told(exchange, exchange.calls("PermissionService/GetPermissions", request))


def replace(exchange: Exchange) -> Mapping[str, Any]:
    """Puts the levels that are said in the place of all on the object itself."""
    request = permissions_pb2.SetPermissionsRequest(
        type=_type(exchange),
        full_name=_id(exchange),
        permissions=[
            permissions_pb2.PermissionAssignment(principal=name, levels=levels)
            for name, levels in _levels(exchange).items()
        ],
    )
    return _told(exchange, exchange.calls("PermissionService/SetPermissions", request))


def add(exchange: Exchange) -> Mapping[str, Any]:
    """Adds the levels that are said, in one call; a new owner is one of its own."""
    wanted = _levels(exchange)
    owners = [name for name, levels in wanted.items() if OWNER in levels]
    if owners and wanted != {owners[0]: [OWNER]}:
        raise Refused(f"name a new owner ({OWNER}) in a request of its own")
    if owners:
        _hand_over(exchange, owners[0])
    elif wanted:
        changes = [
            grants_pb2.GrantChange(action=grants_pb2.GrantChange.GRANT, principal=name, privileges=levels)
            for name, levels in wanted.items()
        ]
        exchange.calls(
            UPDATE_GRANTS,
            grants_pb2.UpdateGrantsRequest(
                securable_type=_type(exchange), full_name=_id(exchange), changes=changes
            ),
        )
    return get(exchange)


def _operations(method: str, path: str, rpc: str, answer: Any) -> list[Operation]:
    """At both depths a type has in a path."""
    root = "/api/2.0/permissions"
    return [
        Operation(method, f"{root}/{parts}{path}", rpc, answer)
        for parts in ("{type}/{id}", "{above}/{type}/{id}")
    ]


OPERATIONS = (
    *token_permissions.OPERATIONS,
    *_operations("GET", "/permissionLevels", "PermissionService/ListPermissionLevels", get_levels),
    *_operations("GET", "", "PermissionService/GetPermissions", get),
    *_operations("PUT", "", "PermissionService/SetPermissions", replace),
    *_operations("PATCH", "", UPDATE_GRANTS, add),
)


def _type(exchange: Exchange) -> SecurableType.ValueType:
    """The kind of object in the path. Raises `Refused`."""
    parts = (exchange.path.get("above", ""), exchange.path["type"])
    kind = TYPES.get("/".join(filter(None, parts)))
    if kind is None or (kind == "PASSWORDS" and _id(exchange) != "passwords"):
        raise Refused(f"there are no such objects; say one of {', '.join(TYPES)}")
    return SecurableType.Value(kind)


def _id(exchange: Exchange) -> str:
    return exchange.path["id"]


def _levels(exchange: Exchange) -> dict[str, list[str]]:
    """The levels of each principal in the body's list. Raises `Refused`."""
    found: dict[str, list[str]] = {}
    for record in exchange.records("access_control_list"):
        found.setdefault(name_in(record), []).append(read_text(record, "permission_level"))
    return found


def _hand_over(exchange: Exchange, owner: str) -> None:
    handed = workspace_objects_pb2.WorkspaceObject(type=_type(exchange), full_name=_id(exchange), owner=owner)
    exchange.calls(
        "WorkspaceObjectService/UpdateWorkspaceObject",
        workspace_objects_pb2.UpdateWorkspaceObjectRequest(
            workspace_object=handed, update_mask=FieldMask(paths=["owner"])
        ),
    )


def _told(exchange: Exchange, permissions: permissions_pb2.Permissions) -> Mapping[str, Any]:
    kind = SecurableType.Name(permissions.type)
    return {
        "object_id": f"/{_PATHS[kind]}/{permissions.full_name}",
        "object_type": kind.lower().replace("_", "-"),
        "access_control_list": _entries(permissions.permissions, root=f"/{_PATHS[kind]}/"),
    }


def _entries(permissions: Iterable[permissions_pb2.Permission], *, root: str) -> list[Mapping[str, Any]]:
    """One entry for each principal; what comes from the workspace, this API shows as coming from the root of all such objects."""
    levels: dict[str, list[Mapping[str, Any]]] = {}
    for permission in permissions:
        told: dict[str, Any] = {"permission_level": permission.level, "inherited": permission.inherited}
        if permission.inherited:
            above = _PATHS.get(SecurableType.Name(permission.inherited_from_type))
            told["inherited_from_object"] = [f"/{above}/{permission.inherited_from}" if above else root]
        levels.setdefault(permission.principal, []).append(told)
    return [{**named(name), "all_permissions": told} for name, told in levels.items()]
