"""For every RPC about objects of a workspace: the client method that calls it, and the commands that do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lakewarden import Client

METHODS: dict[str, Callable[[Client], Any]] = {
    "PermissionService/GetPermissions": lambda client: client.permissions.get("job", "7"),
    "PermissionService/ListPermissionLevels": lambda client: client.permissions.levels("job"),
    "PermissionService/SetPermissions": lambda client: client.permissions.set("job", "7", {"b": "CAN_VIEW"}),
    "WorkspaceObjectService/CreateWorkspaceObject": lambda client: client.workspace_objects.create(
        "notebook", "7", owner="b", parent="1", display_name="n", comment="c", properties={"a": "b"}
    ),
    "WorkspaceObjectService/DeleteWorkspaceObject": lambda client: client.workspace_objects.delete(
        "job", "7", force=True, etag="e"
    ),
    "WorkspaceObjectService/GetWorkspaceObject": lambda client: client.workspace_objects.get("job", "7"),
    "WorkspaceObjectService/ListWorkspaceObjects": lambda client: list(
        client.workspace_objects.list("job", parent="1", recursive=True)
    ),
    "WorkspaceObjectService/UpdateWorkspaceObject": lambda client: client.workspace_objects.move(
        "job", "7", "1", etag="e"
    ),
}
COMMANDS: tuple[tuple[str, str], ...] = (
    ("GrantService/UpdateGrants", "object permissions update job 7 --add b=CAN_VIEW --remove c=CAN_VIEW"),
    ("PermissionService/GetPermissions", "object permissions get job 7"),
    ("PermissionService/ListPermissionLevels", "object permissions levels job"),
    ("PermissionService/SetPermissions", "object permissions set job 7 b=CAN_VIEW c=CAN_VIEW"),
    ("WorkspaceObjectService/CreateWorkspaceObject", "object register job 7 --owner b --display-name n"),
    ("WorkspaceObjectService/DeleteWorkspaceObject", "object unregister directory 1 --force --yes"),
    ("WorkspaceObjectService/GetWorkspaceObject", "object get job 7"),
    ("WorkspaceObjectService/ListWorkspaceObjects", "object list --type job --recursive"),
    ("WorkspaceObjectService/UpdateWorkspaceObject", "object move notebook 3 1"),
    ("WorkspaceObjectService/UpdateWorkspaceObject", "object owner job 7 b"),
    ("WorkspaceObjectService/UpdateWorkspaceObject", "object update job 7 --display-name n --comment c"),
)
