"""Objects of a workspace and the permissions on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from lakewarden._authorization import Grants, change, securable_type
from lakewarden._connection import Connection
from lakewarden._paging import pages
from lakewarden.v1 import (
    grants_pb2,
    permissions_pb2,
    permissions_pb2_grpc,
    workspace_objects_pb2,
    workspace_objects_pb2_grpc,
)

Levels = Mapping[str, str | Iterable[str]]
"""Principal -> one level or several."""


class WorkspaceObjects:
    """Jobs, clusters, notebooks, folders and the like: which there are in the calling workspace. Engines register what they have."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = workspace_objects_pb2_grpc.WorkspaceObjectServiceStub(connection.open_channel)

    def create(
        self,
        kind: str,
        name: str,
        *,
        owner: str = "",
        parent: str = "",
        display_name: str = "",
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> workspace_objects_pb2.WorkspaceObject:
        """Register an object by the id its engine gave it, in the folder with the id `parent`.

        `owner` owns it where its kind has owners (jobs, pipelines, warehouses), else is granted the level that manages it.
        """
        message = workspace_objects_pb2.WorkspaceObject(
            type=securable_type(kind),
            name=name,
            owner=owner,
            parent=parent,
            display_name=display_name,
            comment=comment,
            properties=dict(properties or {}),
        )
        request = workspace_objects_pb2.CreateWorkspaceObjectRequest(workspace_object=message)
        return self._connection.call(self._stub.CreateWorkspaceObject, request)

    def get(self, kind: str, name: str) -> workspace_objects_pb2.WorkspaceObject:
        """Return one object."""
        request = workspace_objects_pb2.GetWorkspaceObjectRequest(type=securable_type(kind), full_name=name)
        return self._connection.call(self._stub.GetWorkspaceObject, request)

    def list(
        self,
        kind: str | None = None,
        *,
        parent: str = "",
        recursive: bool = False,
        page_size: int = 0,
        limit: int | None = None,
    ) -> Iterator[workspace_objects_pb2.WorkspaceObject]:
        """Yield the objects in a folder that the caller may see, by type and id; `recursive`: in folders below it too."""
        wanted = securable_type(kind) if kind else grants_pb2.SECURABLE_TYPE_UNSPECIFIED

        def fetch(size: int, token: str) -> tuple[list[workspace_objects_pb2.WorkspaceObject], str]:
            request = workspace_objects_pb2.ListWorkspaceObjectsRequest(
                type=wanted, parent=parent, recursive=recursive, page_size=size, page_token=token
            )
            reply = self._connection.call(self._stub.ListWorkspaceObjects, request)
            return [*reply.workspace_objects], reply.next_page_token

        return pages(fetch, page_size=page_size, limit=limit)

    def update(
        self,
        kind: str,
        name: str,
        *,
        display_name: str | None = None,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> workspace_objects_pb2.WorkspaceObject:
        """Change what people read of it; what is None stays."""
        values = {"display_name": display_name, "comment": comment, "properties": properties}
        return self._update(
            kind, name, {key: value for key, value in values.items() if value is not None}, etag=etag
        )

    def move(
        self, kind: str, name: str, parent: str, *, etag: str = ""
    ) -> workspace_objects_pb2.WorkspaceObject:
        """Move it, with everything in it, to the folder with that id; to the workspace itself when it is empty."""
        return self._update(kind, name, {"parent": parent}, etag=etag)

    def set_owner(
        self, kind: str, name: str, owner: str, *, etag: str = ""
    ) -> workspace_objects_pb2.WorkspaceObject:
        """Name its one owner, as whom it runs. Workspace admins only."""
        return self._update(kind, name, {"owner": owner}, etag=etag)

    def delete(self, kind: str, name: str, *, force: bool = False, etag: str = "") -> None:
        """Unregister it with all permissions on it; `force` takes what is in a folder along."""
        request = workspace_objects_pb2.DeleteWorkspaceObjectRequest(
            type=securable_type(kind), full_name=name, force=force, etag=etag
        )
        self._connection.call(self._stub.DeleteWorkspaceObject, request)

    def _update(
        self, kind: str, name: str, values: Mapping[str, Any], *, etag: str
    ) -> workspace_objects_pb2.WorkspaceObject:
        message = workspace_objects_pb2.WorkspaceObject(
            type=securable_type(kind), full_name=name, etag=etag, **values
        )
        request = workspace_objects_pb2.UpdateWorkspaceObjectRequest(
            workspace_object=message, update_mask=FieldMask(paths=list(values))
        )
        return self._connection.call(self._stub.UpdateWorkspaceObject, request)


class Permissions:
    """Who has which level on which object of the calling workspace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = permissions_pb2_grpc.PermissionServiceStub(connection.open_channel)
        self._grants = Grants(connection)

    def get(self, kind: str, name: str) -> permissions_pb2.Permissions:
        """Return every level somebody has, those inherited from folders and held by admins too, each with where it is from."""
        request = permissions_pb2.GetPermissionsRequest(type=securable_type(kind), full_name=name)
        return self._connection.call(self._stub.GetPermissions, request)

    def set(self, kind: str, name: str, levels: Levels) -> permissions_pb2.Permissions:
        """Replace everything granted on the object itself; the owner and what is inherited stay."""
        request = permissions_pb2.SetPermissionsRequest(
            type=securable_type(kind),
            full_name=name,
            permissions=[
                permissions_pb2.PermissionAssignment(principal=principal, levels=_names(wanted))
                for principal, wanted in levels.items()
            ],
        )
        return self._connection.call(self._stub.SetPermissions, request)

    def update(
        self, kind: str, name: str, *, add: Levels | None = None, remove: Levels | None = None
    ) -> list[grants_pb2.PrivilegeAssignment]:
        """Grant and revoke levels on the object itself, all or none; returns what each named principal has there now."""
        changes = [
            change(action, principal, _names(levels))
            for action, wanted in (
                (grants_pb2.GrantChange.REVOKE, remove),
                (grants_pb2.GrantChange.GRANT, add),
            )
            for principal, levels in (wanted or {}).items()
        ]
        return self._grants.update(kind, name, changes)

    def levels(self, kind: str) -> tuple[permissions_pb2.PermissionLevel, ...]:
        """Return the levels that objects of a kind have."""
        request = permissions_pb2.ListPermissionLevelsRequest(type=securable_type(kind))
        return tuple(self._connection.call(self._stub.ListPermissionLevels, request).levels)


def _names(levels: str | Iterable[str]) -> list[str]:
    return [levels] if isinstance(levels, str) else list(levels)
