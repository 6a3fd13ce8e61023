"""Isolation of catalogs, locations and credentials, and the workspaces they are bound to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lakewarden._connection import Connection
from lakewarden._errors import InvalidArgument
from lakewarden.v1 import workspace_bindings_pb2 as pb
from lakewarden.v1 import workspace_bindings_pb2_grpc

Bindable = pb.WorkspaceBindings.BindableType


class WorkspaceBindings:
    """Where a securable can be reached from. Its owner may change that from any workspace of the metastore."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = workspace_bindings_pb2_grpc.WorkspaceBindingServiceStub(connection.open_channel)

    def get(self, kind: str, full_name: str) -> pb.WorkspaceBindings:
        """Return isolation and bindings."""
        request = pb.GetWorkspaceBindingsRequest(securable_type=bindable_type(kind), full_name=full_name)
        return self._connection.call(self._stub.GetWorkspaceBindings, request)

    def update(
        self,
        kind: str,
        full_name: str,
        *,
        isolated: bool | None = None,
        add: Mapping[str, str] | Iterable[str] = (),
        remove: Iterable[str] = (),
    ) -> pb.WorkspaceBindings:
        """Change isolation and bindings, all or nothing; `add` maps workspaces to READ_WRITE or READ_ONLY.

        Isolating binds the calling workspace too, unless `add` or `remove` say something of it.
        """
        types = dict(add) if isinstance(add, Mapping) else dict.fromkeys(add, "READ_WRITE")
        mode = pb.ISOLATION_MODE_UNSPECIFIED
        if isolated is not None:
            mode = pb.ISOLATION_MODE_ISOLATED if isolated else pb.ISOLATION_MODE_OPEN
        request = pb.UpdateWorkspaceBindingsRequest(
            securable_type=bindable_type(kind),
            full_name=full_name,
            isolation_mode=mode,
            add=[_binding(workspace, text) for workspace, text in types.items()],
            remove=list(remove),
        )
        return self._connection.call(self._stub.UpdateWorkspaceBindings, request)


def bindable_type(name: str) -> Bindable.ValueType:
    """The enum value for `catalog`, `EXTERNAL_LOCATION` … Raises InvalidArgument."""
    kinds = dict(Bindable.items())
    key = name.upper().replace("-", "_").replace(" ", "_")
    if not kinds.get(key):
        known = ", ".join(kind.lower() for kind, value in kinds.items() if value)
        raise InvalidArgument(
            f"{name!r} cannot be bound to workspaces; there are {known}", reason="FIELD_INVALID"
        )
    return kinds[key]


def _binding(workspace: str, text: str) -> pb.WorkspaceBinding:
    types = dict(pb.BindingType.items())
    key = f"BINDING_TYPE_{text.upper()}"
    if not types.get(key):
        raise InvalidArgument(f"{text!r} is not READ_WRITE or READ_ONLY", reason="FIELD_INVALID")
    return pb.WorkspaceBinding(workspace=workspace, binding_type=types[key])
