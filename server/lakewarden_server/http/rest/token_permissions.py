"""Who may use tokens in a workspace, which the Databricks API calls the permissions of `authorization/tokens` (semantics 5.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakewarden_server.http.calls import GET_SESSION, UPDATE_GRANTS
from lakewarden_server.http.rest import workspace_grants
from lakewarden_server.http.rest.errors import Refused
from lakewarden_server.http.rest.exchanges import Exchange, Operation, read_text
from lakewarden_server.http.rest.principals import name_in, named

LEVEL, PRIVILEGE = "CAN_USE", "USE_TOKENS"
"""The one level that clients of this API know, and what it is here; admins of the workspace have it without a grant."""


def get_levels(exchange: Exchange) -> Mapping[str, Any]:
    """The one level there is."""
    text = "Create and use personal access tokens in the workspace."
    return {"permission_levels": [{"permission_level": LEVEL, "description": text}]}


def get(exchange: Exchange) -> Mapping[str, Any]:
    """Who has it by grants on the workspace."""
    found = workspace_grants.assignments(exchange, exchange.workspace)
    told = [{"permission_level": LEVEL, "inherited": False}]
    return {
        "object_id": "/authorization/tokens",
        "object_type": "tokens",
        "access_control_list": [
            {**named(assignment.principal), "all_permissions": told}
            for assignment in found
            if PRIVILEGE in assignment.privileges
        ],
    }


def replace(exchange: Exchange) -> Mapping[str, Any]:
    """Lets those who are said use tokens, and nobody else; admins may in any case."""
    wanted = _users(exchange)
    keys = {name.lower() for name in wanted}
    held = [
        assignment.principal
        for assignment in workspace_grants.assignments(exchange, exchange.workspace)
        if PRIVILEGE in assignment.privileges and assignment.principal.lower() not in keys
    ]
    return _changed(exchange, wanted, held)


def add(exchange: Exchange) -> Mapping[str, Any]:
    """Lets those who are said use tokens too."""
    return _changed(exchange, _users(exchange), [])


_PATH = "/api/2.0/permissions/authorization/tokens"
OPERATIONS = (
    Operation("GET", f"{_PATH}/permissionLevels", GET_SESSION, get_levels),
    Operation("GET", _PATH, "GrantService/ListGrants", get),
    Operation("PUT", _PATH, UPDATE_GRANTS, replace),
    Operation("PATCH", _PATH, UPDATE_GRANTS, add),
)


def _users(exchange: Exchange) -> list[str]:
    """Who is said to use tokens. Raises `Refused`."""
    found: dict[str, None] = {}
    for record in exchange.records("access_control_list"):
        if read_text(record, "permission_level") != LEVEL:
            raise Refused(f"permission_level: {LEVEL} is the one there is")
        found[name_in(record)] = None
    return list(found)


def _changed(exchange: Exchange, granted: list[str], revoked: list[str]) -> Mapping[str, Any]:
    if granted or revoked:
        workspace_grants.update(
            exchange,
            exchange.workspace,
            grant={name: [PRIVILEGE] for name in granted},
            revoke={name: [PRIVILEGE] for name in revoked},
        )
    return get(exchange)
