"""Objects of a workspace in the worlds of the access tests, and requests about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakewarden import Client

FOLDER, NOTEBOOK, JOB, POLICY = "100", "200", "300", "400"


def build_objects(admin: Client) -> None:
    """A notebook in a folder, a job and a cluster policy, all the admin's."""
    admin.workspace_objects.create("directory", FOLDER)
    admin.workspace_objects.create("notebook", NOTEBOOK, parent=FOLDER)
    admin.workspace_objects.create("job", JOB)
    admin.workspace_objects.create("cluster_policy", POLICY)


def requests(owner: str) -> dict[str, Mapping[str, Any]]:
    """For every RPC, a request about what exists that would succeed for the admin."""
    named = {"type": "JOB", "fullName": JOB}
    wanted = [{"principal": owner, "levels": ["CAN_VIEW"]}]
    return {
        "PermissionService/GetPermissions": named,
        "PermissionService/ListPermissionLevels": {"type": "JOB"},
        "PermissionService/SetPermissions": {**named, "permissions": wanted},
        "WorkspaceObjectService/CreateWorkspaceObject": {"workspaceObject": {"type": "JOB", "name": "mine"}},
        "WorkspaceObjectService/DeleteWorkspaceObject": named,
        "WorkspaceObjectService/GetWorkspaceObject": named,
        "WorkspaceObjectService/ListWorkspaceObjects": {"recursive": True},
        "WorkspaceObjectService/UpdateWorkspaceObject": {
            "workspaceObject": {**named, "owner": "admin@example.com"}, "updateMask": "owner",
        },
    }  # fmt: skip


HIDDEN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "JOB": {JOB: ("301",), "900": ("901",)},
    "NOTEBOOK": {NOTEBOOK: ("201",)},
    "CLUSTER_POLICY": {POLICY: ("401",)},
}
"""Of each kind, hidden ids and ids of nothing; the job 900 is in another workspace."""
BODIES: Mapping[str, Mapping[str, Any]] = {
    "PermissionService/GetPermissions": {},
    "PermissionService/SetPermissions": {"permissions": [{"principal": "unknown", "levels": ["NONSENSE"]}]},
    "WorkspaceObjectService/DeleteWorkspaceObject": {"force": True, "etag": "stale"},
    "WorkspaceObjectService/GetWorkspaceObject": {},
    "WorkspaceObjectService/UpdateWorkspaceObject": {"updateMask": "parent,owner,nonsense"},
}
"""What requests that name an object say beside it."""
