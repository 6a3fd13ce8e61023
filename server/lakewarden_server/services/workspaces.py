"""Workspaces: attached to a metastore here, assigned to principals by grants on them."""

from __future__ import annotations

from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import workspaces_pb2 as pb
from lakewarden_policy import ACCOUNT_ID, name_key, validate_name
from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.entities import Workspace
from lakewarden_server.services import ip_access_lists, securables, validation, workspace_groups
from lakewarden_server.services.call import Call


class WorkspaceService:
    """Implements `lakewarden.v1.WorkspaceService`."""

    def create_workspace(self, request: pb.CreateWorkspaceRequest, call: Call) -> pb.Workspace:
        """Creates a workspace, attached to a metastore when one is named, and then with a catalog of its own."""
        attached = _metastore_id(request.workspace, call)
        named = request.workspace.default_catalog
        workspace = securables.create(
            call, Workspace, request.workspace, metastore_id=attached, default_catalog=_catalog_name(named)
        )
        workspace_groups.create(call, workspace)
        if attached and not request.omit_catalog:
            workspace_groups.add_workspace_catalog(call, workspace, attached)
            workspace.default_catalog = workspace.default_catalog or workspace.name
        call.uow.session.flush()
        return to_message(workspace, call)

    def get_workspace(self, request: pb.GetWorkspaceRequest, call: Call) -> pb.Workspace:
        """Returns one workspace."""
        return to_message(call.row(Workspace, call.self_id), call)

    def list_workspaces(self, request: pb.ListWorkspacesRequest, call: Call) -> pb.ListWorkspacesResponse:
        """Lists the workspaces the caller may see."""
        page, token = securables.page(call, Workspace, "WORKSPACE", ACCOUNT_ID, request)
        return pb.ListWorkspacesResponse(
            workspaces=[to_message(workspace, call) for workspace in page], next_page_token=token
        )

    def update_workspace(self, request: pb.UpdateWorkspaceRequest, call: Call) -> pb.Workspace:
        """Changes what the mask names; `metastore` attaches, or detaches when empty."""
        setters = {
            **securables.SETTERS,
            "metastore": _set_metastore,
            "default_catalog": _set_default_catalog,
        }
        workspace = securables.update(call, Workspace, request.workspace, request.update_mask.paths, setters)
        workspace_groups.rename(call, workspace)
        call.uow.session.flush()
        return to_message(workspace, call)

    def delete_workspace(self, request: pb.DeleteWorkspaceRequest, call: Call) -> Empty:
        """Deletes a workspace with its objects, assignments and groups, the bindings to it and the tokens limited to it."""
        securables.delete(call, force=True, sent_etag=request.etag)
        workspace_groups.delete(call, call.self_id)
        securables.delete_tokens_of_workspace(call, call.self_id)
        ip_access_lists.delete_of_workspace(call, call.self_id)
        return Empty()


def to_message(workspace: Workspace, call: Call) -> pb.Workspace:
    """The message of a workspace row."""
    metastore = call.snapshot.securables.get(workspace.metastore_id or "")
    message = pb.Workspace(
        metastore=metastore.name if metastore else "", default_catalog=workspace.default_catalog
    )
    securables.fill(message, workspace, call)
    return message


def _set_metastore(workspace: Any, message: Any, call: Call) -> None:
    workspace.metastore_id = _metastore_id(message, call)


def _set_default_catalog(workspace: Any, message: Any, call: Call) -> None:
    workspace.default_catalog = _catalog_name(message.default_catalog)


def _catalog_name(name: str) -> str:
    """A catalog's name as displayed, or none. Whether there is such a catalog is not asked: it may come later."""
    return validation.named(validate_name, name, "CATALOG") if name else ""


def _metastore_id(message: Any, call: Call) -> str | None:
    if not message.metastore:
        return None
    found = call.snapshot.child(ACCOUNT_ID, "METASTORE", name_key(message.metastore))
    if found is None:
        raise InvalidArgument(
            Reason.FIELD_INVALID, f"metastore: there is no metastore {message.metastore!r}", field="metastore"
        )
    return found.id
