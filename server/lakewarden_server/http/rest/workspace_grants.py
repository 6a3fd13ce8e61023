"""Grants on a workspace: what assignments and the use of tokens are, by two names of the Databricks API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lakewarden.v1 import grants_pb2
from lakewarden_server.http.calls import UPDATE_GRANTS
from lakewarden_server.http.rest.exchanges import Exchange

_WORKSPACE = grants_pb2.SecurableType.WORKSPACE


def assignments(exchange: Exchange, workspace: str) -> Iterator[grants_pb2.PrivilegeAssignment]:
    """Who holds what by grants on the workspace itself. Raises `CallFailed`."""
    request = grants_pb2.ListGrantsRequest(securable_type=_WORKSPACE, full_name=workspace)
    return exchange.pages("GrantService/ListGrants", request, "assignments")


def update(
    exchange: Exchange,
    workspace: str,
    *,
    grant: Mapping[str, Sequence[str]],
    revoke: Mapping[str, Sequence[str]],
) -> Sequence[grants_pb2.PrivilegeAssignment]:
    """Grants and revokes the privileges of principals, all of it or nothing; what those principals hold then. Raises `CallFailed`."""
    changes = [
        grants_pb2.GrantChange(action=action, principal=principal, privileges=privileges)
        for action, wanted in (
            (grants_pb2.GrantChange.GRANT, grant),
            (grants_pb2.GrantChange.REVOKE, revoke),
        )
        for principal, privileges in wanted.items()
        if privileges
    ]
    request = grants_pb2.UpdateGrantsRequest(securable_type=_WORKSPACE, full_name=workspace, changes=changes)
    reply: grants_pb2.UpdateGrantsResponse = exchange.calls(UPDATE_GRANTS, request)
    return reply.assignments
