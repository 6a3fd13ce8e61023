"""Assignment of principals to workspaces in the words of the Databricks API (semantics 5.3): as USER or as ADMIN, which outranks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakewarden.v1 import grants_pb2
from lakewarden_policy import ACCOUNT_ID
from lakewarden_server.http.calls import GET_SESSION, UPDATE_GRANTS
from lakewarden_server.http.rest import workspace_grants
from lakewarden_server.http.rest.errors import Refused
from lakewarden_server.http.rest.exchanges import Exchange, Operation
from lakewarden_server.http.rest.principals import id_of, named, number_of

ROLES = {"USER": "Work in the workspace.", "ADMIN": "Work in the workspace, assign others and manage it."}


def list_roles(exchange: Exchange) -> Mapping[str, Any]:
    """As what one can be assigned."""
    return {"permissions": [{"permission_level": role, "description": text} for role, text in ROLES.items()]}


def list_assignments(exchange: Exchange) -> Mapping[str, Any]:
    """Who is assigned, directly; members of a group that is are not told one by one."""
    found = workspace_grants.assignments(exchange, exchange.path["workspace"])
    told = [_told(assignment) for assignment in found]
    return {"permission_assignments": [each for each in told if each["permissions"]]}


def assign(exchange: Exchange) -> Mapping[str, Any]:
    """Makes a principal what is said, and nothing else of these; with nothing said it is unassigned."""
    wanted = set(exchange.texts("permissions"))
    if wanted - ROLES.keys():
        raise Refused(f"permissions: some of {', '.join(ROLES)}")
    role = "ADMIN" if "ADMIN" in wanted else next(iter(wanted), "")
    return _set(exchange, role)


def unassign(exchange: Exchange) -> Mapping[str, Any]:
    """Takes both away from a principal."""
    _set(exchange, "")
    return {}


_PATH = f"/api/2.0/accounts/{ACCOUNT_ID}/workspaces/{{workspace}}/permissionassignments"
OPERATIONS = (
    Operation("GET", f"{_PATH}/permissions", GET_SESSION, list_roles),
    Operation("GET", _PATH, "GrantService/ListGrants", list_assignments),
    Operation("PUT", f"{_PATH}/principals/{{principal}}", UPDATE_GRANTS, assign),
    Operation("DELETE", f"{_PATH}/principals/{{principal}}", UPDATE_GRANTS, unassign),
)


def _set(exchange: Exchange, role: str) -> Mapping[str, Any]:
    principal_id = id_of(exchange.path["principal"])
    principal = f"id/{principal_id}"
    held = workspace_grants.update(
        exchange,
        exchange.path["workspace"],
        grant={principal: [role] if role else []},
        revoke={principal: [other for other in ROLES if other != role]},
    )
    if not role:
        return {"principal": {"principal_id": number_of(principal_id)}, "permissions": []}
    return _told(next(iter(held)))


def _told(assignment: grants_pb2.PrivilegeAssignment) -> dict[str, Any]:
    return {
        "principal": {**named(assignment.principal), "principal_id": number_of(assignment.principal_id)},
        "permissions": [role for role in ROLES if role in assignment.privileges],
    }
