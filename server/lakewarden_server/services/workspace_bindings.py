"""Isolation and workspace bindings of catalogs, external locations and credentials (semantics 4)."""

from __future__ import annotations

from lakewarden.v1 import workspace_bindings_pb2 as pb
from lakewarden_policy import ACCOUNT_ID, READ_ONLY, READ_WRITE, name_key
from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.entities import Securable, WorkspaceBinding
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.storage.repositories import workspace_bindings

ISOLATED, OPEN = "ISOLATED", "OPEN"
_TYPES = {
    pb.BINDING_TYPE_UNSPECIFIED: READ_WRITE,
    pb.BINDING_TYPE_READ_WRITE: READ_WRITE,
    pb.BINDING_TYPE_READ_ONLY: READ_ONLY,
}


class WorkspaceBindingService:
    """Implements `lakewarden.v1.WorkspaceBindingService`."""

    def get_workspace_bindings(
        self, request: pb.GetWorkspaceBindingsRequest, call: Call
    ) -> pb.WorkspaceBindings:
        """Returns isolation and bindings."""
        return to_message(call.row(Securable, call.self_id), call)

    def update_workspace_bindings(
        self, request: pb.UpdateWorkspaceBindingsRequest, call: Call
    ) -> pb.WorkspaceBindings:
        """Sets the isolation, adds and removes bindings."""
        validation.repeated(request.add, "add")
        validation.repeated(request.remove, "remove")
        securable = call.row(Securable, call.self_id)
        added = {_workspace_id(binding.workspace, call, "add"): _type(binding) for binding in request.add}
        removed = {_workspace_id(name, call, "remove") for name in request.remove}
        if added.keys() & removed:
            raise validation.invalid("remove", "a workspace is added and removed at once")
        isolates = request.isolation_mode == pb.ISOLATION_MODE_ISOLATED and securable.isolation_mode == OPEN
        if isolates and call.workspace_id and call.workspace_id not in removed:
            added.setdefault(call.workspace_id, READ_WRITE)
        _set_isolation(securable, request.isolation_mode)
        _apply(call, securable.id, added=added, removed=removed)
        call.uow.session.flush()
        call.detail.update(
            isolation_mode=securable.isolation_mode,
            add=sorted(call.snapshot.securables[workspace].name for workspace in added),
            remove=list(request.remove),
        )
        return to_message(securable, call)


def to_message(securable: Securable, call: Call) -> pb.WorkspaceBindings:
    """Isolation and bindings; a binding whose workspace is gone is left out."""
    workspaces = call.snapshot.securables
    rows = [
        (workspaces[row.workspace_id].name, row.type)
        for row in workspace_bindings.of_securable(call.uow.session, securable.id)
        if row.workspace_id in workspaces
    ]
    return pb.WorkspaceBindings(
        isolation_mode=pb.IsolationMode.Value(f"ISOLATION_MODE_{securable.isolation_mode}"),
        bindings=[
            pb.WorkspaceBinding(workspace=name, binding_type=pb.BindingType.Value(f"BINDING_TYPE_{kind}"))
            for name, kind in sorted(rows)
        ],
    )


def _set_isolation(securable: Securable, mode: pb.IsolationMode.ValueType) -> None:
    if mode not in pb.IsolationMode.values():
        raise validation.invalid("isolation_mode", "say OPEN or ISOLATED")
    if mode:
        securable.isolation_mode = ISOLATED if mode == pb.ISOLATION_MODE_ISOLATED else OPEN


def _apply(call: Call, securable_id: str, *, added: dict[str, str], removed: set[str]) -> None:
    session = call.uow.session
    bound = {row.workspace_id: row for row in workspace_bindings.of_securable(session, securable_id)}
    for workspace_id, kind in sorted(added.items()):
        row = bound.get(workspace_id)
        if row is None:
            session.add(WorkspaceBinding(securable_id=securable_id, workspace_id=workspace_id, type=kind))
        else:
            row.type = kind
    for workspace_id in removed & bound.keys():
        session.delete(bound[workspace_id])


def _workspace_id(name: str, call: Call, field: str) -> str:
    """Id of a workspace of this metastore; one of another metastore is answered like one that does not exist."""
    found = call.snapshot.child(ACCOUNT_ID, "WORKSPACE", name_key(name)) if name else None
    if found is None or found.metastore_id != call.metastore_id:
        raise InvalidArgument(
            Reason.FIELD_INVALID,
            f"{field}: there is no workspace {name!r} attached to this metastore",
            field=field,
        )
    return found.id


def _type(binding: pb.WorkspaceBinding) -> str:
    kind = _TYPES.get(binding.binding_type)
    if kind is None:
        raise validation.invalid("binding_type", "say READ_WRITE or READ_ONLY")
    return kind
