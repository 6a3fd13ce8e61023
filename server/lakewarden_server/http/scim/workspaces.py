"""SCIM of one workspace: whoever is assigned to it, directly or through groups. Creating assigns, deleting unassigns (semantics 5.3, 5.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scim2_models import (
    ConflictException,
    NotFoundException,
    Resource,
    ResourceType,
    ResponseParameters,
    SearchRequest,
)
from scim2_server.storage import SearchPage

from lakewarden.v1 import grants_pb2, sessions_pb2
from lakewarden_server.http.calls import UPDATE_GRANTS, Calls
from lakewarden_server.http.scim.errors import CallRefused
from lakewarden_server.http.scim.nouns import Noun
from lakewarden_server.http.scim.storage import RpcStorage, noun_of
from lakewarden_server.pipeline.errors import CallFailed

ASSIGNMENTS = ("USER", "ADMIN")
_WORKSPACE = grants_pb2.SecurableType.WORKSPACE


class WorkspaceStorage(RpcStorage):
    """The principals of a workspace, as the caller of one request may see, change, assign and unassign them."""

    def __init__(self, calls: Calls, session: sessions_pb2.Session, workspace: str) -> None:
        super().__init__(calls, session)
        self._workspace = workspace

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """One that is assigned, or the caller. Raises `CallFailed`, `NotFoundException`."""
        found = super().get(resource_type, resource_id, response_parameters=response_parameters)
        if not self._is_assigned(resource_id) and not self._is_caller(resource_id):
            raise NotFoundException(detail=f"it is not assigned to workspace {self._workspace}")
        return found

    def search(
        self,
        resource_types: list[ResourceType],
        search_request: SearchRequest[Any],
        *,
        position: Any = None,
    ) -> SearchPage:
        """One page of those who are assigned."""
        return self.search_matching(resource_types, search_request)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Assigns it; made first where the account does not have it. Raises `CallFailed`."""
        try:
            found = super().create(resource_type, resource)
        except CallFailed as failure:
            if CallRefused(failure.status).reason != "NAME_TAKEN":
                raise
            found = self._existing(noun_of(resource_type), resource, failure)
        self._change(str(found.id), grants_pb2.GrantChange.GRANT, ["USER"])
        return found

    def delete(
        self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None
    ) -> None:
        """Unassigns it; the account keeps it. Raises `CallFailed`, and `ConflictException` where a group still assigns it."""
        self._change(resource_id, grants_pb2.GrantChange.REVOKE, ASSIGNMENTS)
        if self._is_assigned(resource_id):
            raise ConflictException(
                detail="a group it is in is assigned to the workspace: take it out of that"
            )

    def _candidates(self, noun: Noun, scim_filter: Any) -> Iterator[Any]:
        return (
            message for message in super()._candidates(noun, scim_filter) if self._is_assigned(message.id)
        )

    def _existing(self, noun: Noun, resource: Resource[Any], failure: CallFailed) -> Resource[Any]:
        attribute, field = next(iter(noun.keyed.items()))
        reply = self._list(noun, **{field: getattr(resource, attribute)})
        for message in getattr(reply, f"{noun.field}s"):
            return self._built(noun, message, with_members=True)
        raise failure

    def _is_assigned(self, principal_id: str) -> bool:
        if self._is_caller(principal_id) and self._session.workspace:
            return True
        request = grants_pb2.ListEffectivePrivilegesRequest(
            securable_type=_WORKSPACE, full_name=self._workspace, principal=f"id/{principal_id}"
        )
        held = self._calls("GrantService/ListEffectivePrivileges", request).privileges
        return any(found.privilege in ASSIGNMENTS for found in held)

    def _change(self, principal_id: str, action: Any, privileges: Any) -> None:
        change = grants_pb2.GrantChange(action=action, principal=f"id/{principal_id}", privileges=privileges)
        request = grants_pb2.UpdateGrantsRequest(
            securable_type=_WORKSPACE, full_name=self._workspace, changes=[change]
        )
        self._calls(UPDATE_GRANTS, request)
