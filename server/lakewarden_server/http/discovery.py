"""What clients ask before they log in: where the token endpoint is and what it takes (RFC 8414), and what kind of host this is."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lakewarden_policy import ACCOUNT_ID
from lakewarden_server.http import oauth
from lakewarden_server.http.requests import base_url
from lakewarden_server.http.rest.endpoints import charged
from lakewarden_server.pipeline.pipeline import Handler

METADATA: Final = "/.well-known/oauth-authorization-server"


def routes(pipeline: Handler) -> list[Route]:
    """Where it is told; without a token, as nothing in it is about the account's data."""
    host, server = partial(charged, pipeline, _host), partial(charged, pipeline, _authorization_server)
    return [
        Route("/.well-known/databricks-config", host),
        Route(f"/oidc{METADATA}", server),
        Route(f"/oidc/accounts/{ACCOUNT_ID}{METADATA}", server),
    ]


async def _host(request: Request) -> JSONResponse:
    """No workspace is named: one host serves them all, and the client says which it means."""
    return _told({"oidc_endpoint": f"{base_url(request)}/oidc", "account_id": ACCOUNT_ID})


async def _authorization_server(request: Request) -> JSONResponse:
    """There is no authorization endpoint: people log in with tokens."""
    base = base_url(request)
    return _told(
        {
            "issuer": base + request.url.path.removesuffix(METADATA),
            "token_endpoint": base + oauth.PATHS[0],
            "grant_types_supported": [oauth.CLIENT_CREDENTIALS, oauth.TOKEN_EXCHANGE],
            "response_types_supported": [],
            "scopes_supported": [oauth.SCOPE],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }
    )


def _told(found: dict[str, Any]) -> JSONResponse:
    """Kept by nobody on the way: another client reaches the server by another name."""
    return JSONResponse(found, headers={"Cache-Control": "no-store"})
