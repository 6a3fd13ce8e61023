"""Tokens in the words of the Databricks API: one's own, those of a workspace, and those made on behalf of service principals (semantics 5.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lakewarden.v1 import tokens_pb2 as pb
from lakewarden_server.http.rest.errors import Refused
from lakewarden_server.http.rest.exchanges import Exchange, Operation, milliseconds
from lakewarden_server.http.rest.principals import is_application_id, number_of

_DAY = 86_400_000
_UNHEEDED = ("scopes", "autoscope_enabled")
"""Would narrow what a token may do: a token that does more than was asked for is not made."""


def create(exchange: Exchange) -> Mapping[str, Any]:
    """A token of the caller, limited to the calling workspace."""
    return _created(exchange, "")


def list_own(exchange: Exchange) -> Mapping[str, Any]:
    """The caller's tokens: those that work in the calling workspace, or all where none is said."""
    found = exchange.pages("TokenService/ListTokens", pb.ListTokensRequest(), "tokens")
    here = {"", exchange.session.workspace} if exchange.session.workspace else None
    return {"token_infos": [_token(token) for token in found if here is None or token.workspace in here]}


def delete(exchange: Exchange) -> Mapping[str, Any]:
    """Revokes a token of the caller."""
    exchange.calls("TokenService/DeleteToken", pb.DeleteTokenRequest(id=exchange.text("token_id")))
    return {}


def create_on_behalf(exchange: Exchange) -> Mapping[str, Any]:
    """A token of a service principal, limited to the calling workspace."""
    application_id = exchange.text("application_id")
    if not is_application_id(application_id):
        # Of a person the same call would make a one-time token.
        raise Refused("application_id: that of a service principal, a UUID")
    return _created(exchange, application_id)


def list_of_workspace(exchange: Exchange) -> Mapping[str, Any]:
    """The tokens limited to the calling workspace, or those of one principal among them."""
    by_id, by_name = (exchange.query.get(f"created_by_{kind}", "") for kind in ("id", "username"))
    return {
        "token_infos": [
            _managed(token)
            for token in _of_workspace(exchange)
            if by_id in ("", str(number_of(token.principal_id)))
            and by_name.lower() in ("", token.principal.lower())
        ]
    }


def get_of_workspace(exchange: Exchange) -> Mapping[str, Any]:
    """One of the tokens limited to the calling workspace."""
    for token in _of_workspace(exchange):
        if token.id == exchange.path["token_id"]:
            return {"token_info": _managed(token)}
    raise Refused(
        f"there is no token {exchange.path['token_id'][:100]!r} there",
        status=404,
        error_code="RESOURCE_DOES_NOT_EXIST",
    )


def delete_of_workspace(exchange: Exchange) -> Mapping[str, Any]:
    """Revokes one of them."""
    request = pb.DeleteWorkspaceTokenRequest(workspace=exchange.workspace, id=exchange.path["token_id"])
    exchange.calls("TokenService/DeleteWorkspaceToken", request)
    return {}


_MANAGED = "/api/2.0/token-management"
OPERATIONS = (
    Operation("POST", "/api/2.0/token/create", "TokenService/CreateToken", create),
    Operation("GET", "/api/2.0/token/list", "TokenService/ListTokens", list_own),
    Operation("POST", "/api/2.0/token/delete", "TokenService/DeleteToken", delete),
    Operation("POST", f"{_MANAGED}/on-behalf-of/tokens", "TokenService/CreateToken", create_on_behalf),
    Operation("GET", f"{_MANAGED}/tokens", "TokenService/ListWorkspaceTokens", list_of_workspace),
    Operation("GET", f"{_MANAGED}/tokens/{{token_id}}", "TokenService/ListWorkspaceTokens", get_of_workspace),
    Operation(
        "DELETE", f"{_MANAGED}/tokens/{{token_id}}", "TokenService/DeleteWorkspaceToken", delete_of_workspace
    ),
)


def _created(exchange: Exchange, principal: str) -> Mapping[str, Any]:
    exchange.refuse(*_UNHEEDED)
    request = pb.CreateTokenRequest(
        principal=principal,
        comment=exchange.text("comment"),
        lifetime_seconds=exchange.integer("lifetime_seconds"),
        workspace=exchange.workspace,
    )
    made = exchange.calls("TokenService/CreateToken", request)
    return {"token_value": made.token_value, "token_info": _token(made.token)}


def _of_workspace(exchange: Exchange) -> Iterator[pb.Token]:
    request = pb.ListWorkspaceTokensRequest(workspace=exchange.workspace)
    return exchange.pages("TokenService/ListWorkspaceTokens", request, "tokens")


def _token(token: pb.Token) -> dict[str, Any]:
    return {
        "token_id": token.id,
        "comment": token.comment,
        "creation_time": milliseconds(token, "create_time"),
        "expiry_time": milliseconds(token, "expire_time"),
    }


def _managed(token: pb.Token) -> dict[str, Any]:
    """As admins see it. Whose it is stands for who made it as well, which for a person is the same."""
    found = {
        **_token(token),
        "owner_id": number_of(token.principal_id),
        "created_by_id": number_of(token.principal_id),
        "created_by_username": token.principal,
    }
    if token.HasField("last_used_time"):
        found["last_used_day"] = milliseconds(token, "last_used_time") // _DAY * _DAY
    return found
