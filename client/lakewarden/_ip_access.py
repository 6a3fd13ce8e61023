"""IP access lists, as a client sees them: from which addresses the account and its workspaces are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import ClassVar

from google.protobuf.field_mask_pb2 import FieldMask

from lakewarden._resources import Resource, changed
from lakewarden.v1 import ip_access_lists_pb2 as pb
from lakewarden.v1 import ip_access_lists_pb2_grpc


class IpAccessLists(Resource[pb.IpAccessList]):
    """IP access lists. Without `workspace` every method is about the account. Admins only."""

    messages: ClassVar[ModuleType] = pb
    stub_class = ip_access_lists_pb2_grpc.IpAccessListServiceStub
    noun = "IpAccessList"
    plural = "IpAccessLists"
    field = "ip_access_list"
    key = "id"

    def create(
        self,
        label: str,
        list_type: str,
        ip_addresses: Iterable[str],
        *,
        workspace: str = "",
        enabled: bool = True,
    ) -> pb.IpAccessList:
        """Make a list of `list_type` `ALLOW` or `BLOCK`. A change that would refuse the caller's own address raises FailedPrecondition."""
        return self._create(
            {
                "label": label,
                "list_type": list_type,
                "ip_addresses": list(ip_addresses),
                "workspace": workspace,
            },
            disabled=not enabled,
        )

    def get(self, list_id: str, *, workspace: str = "") -> pb.IpAccessList:
        """Return the list with this id."""
        reply: pb.IpAccessList = self._call("GetIpAccessList", id=list_id, workspace=workspace)
        return reply

    def list(
        self, *, workspace: str = "", page_size: int = 0, limit: int | None = None
    ) -> Iterator[pb.IpAccessList]:
        """Yield all lists of the scope, in the order of their ids."""
        return self._list(page_size=page_size, limit=limit, workspace=workspace)

    def update(
        self,
        list_id: str,
        *,
        workspace: str = "",
        label: str | None = None,
        list_type: str | None = None,
        ip_addresses: Iterable[str] | None = None,
        enabled: bool | None = None,
        etag: str = "",
    ) -> pb.IpAccessList:
        """Change what is not None; the addresses are replaced as a whole. A stale `etag` raises Aborted."""
        addresses = None if ip_addresses is None else [*ip_addresses]
        values = changed(
            {"label": label, "list_type": list_type, "ip_addresses": addresses, "enabled": enabled}
        )
        reply: pb.IpAccessList = self._call(
            "UpdateIpAccessList",
            ip_access_list={"id": list_id, "workspace": workspace, "etag": etag, **values},
            update_mask=FieldMask(paths=sorted(values)),
        )
        return reply

    def delete(self, list_id: str, *, workspace: str = "", etag: str = "") -> None:
        """Delete a list."""
        self._delete(list_id, workspace=workspace, etag=etag)

    def is_enforced(self, *, workspace: str = "") -> bool:
        """Whether the scope enforces its lists."""
        reply: pb.IpAccessSettings = self._call("GetIpAccessSettings", workspace=workspace)
        return reply.enforced

    def enforce(self, *, enforced: bool = True, workspace: str = "") -> None:
        """Make the scope enforce its lists, or not."""
        self._call(
            "UpdateIpAccessSettings", ip_access_settings={"workspace": workspace, "enforced": enforced}
        )
