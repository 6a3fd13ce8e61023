"""The ASGI application: which path is whose."""

from __future__ import annotations

from functools import partial
from urllib.parse import parse_qsl

from scim2_server.requests import ScimRequest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lakewarden_policy import ACCOUNT_ID
from lakewarden_server.http import discovery, oauth
from lakewarden_server.http.calls import Calls
from lakewarden_server.http.connections import certificate_of
from lakewarden_server.http.openlineage.endpoints import OpenLineageEndpoints
from lakewarden_server.http.requests import (
    METHODS,
    OPEN_BODY_BYTES_MAX,
    BodyTooLarge,
    Busy,
    NotArrived,
    Threads,
    base_url,
    metadata,
    peer_of,
    read_body,
    with_head_checked,
)
from lakewarden_server.http.rest.endpoints import RestEndpoints, charged
from lakewarden_server.http.scim import errors
from lakewarden_server.http.scim.edge import Answer, ScimEdge, purpose_of
from lakewarden_server.pipeline.errors import CallFailed
from lakewarden_server.pipeline.pipeline import Handler

ACCOUNT_MOUNTS = (f"/api/2.0/accounts/{ACCOUNT_ID}/scim/v2", "/scim/v2")
WORKSPACE_MOUNT = "/api/2.0/preview/scim/v2"


class Scim:
    """SCIM at one path."""

    def __init__(self, edge: ScimEdge, pipeline: Handler, threads: Threads, mount: str) -> None:
        self._edge = edge
        self._pipeline = pipeline
        self._threads = threads
        self._mount = mount
        self._of_workspace = mount == WORKSPACE_MOUNT

    def route(self) -> Route:
        """Its route."""
        return Route(f"{self._mount}{{path:path}}", self._endpoint, methods=METHODS)

    async def _endpoint(self, request: Request) -> Response:
        path = request.path_params["path"]
        if path and not path.startswith("/"):
            raise HTTPException(404)
        asked = ScimRequest(
            method=request.method,
            base_url=base_url(request) + self._mount,
            path=path.removesuffix(".scim"),
            query=dict(parse_qsl(request.url.query, keep_blank_values=True)),
            headers=request.headers.items(),
        )
        purpose = purpose_of(asked, of_workspace=self._of_workspace)
        sent = metadata(request, of_workspace=self._of_workspace)
        shown, peer = certificate_of(request.scope), peer_of(request)
        calls = Calls(self._pipeline, sent, shown, peer, about=purpose.rpc)
        try:
            asked.body = await self._body(request, calls, is_open=purpose.is_open)
            ask = partial(self._edge.answer, asked, calls, of_workspace=self._of_workspace)
            return _response(await self._threads.run(ask))
        except CallFailed as failure:
            return _response(self._edge.refuse_call(failure.status, calls))
        except NotArrived:
            return PlainTextResponse("the request did not arrive", 408, {"Connection": "close"})
        except BodyTooLarge as error:
            return _response(self._edge.refuse(errors.BodyTooLarge(str(error))))
        except Busy:
            return _response(self._edge.refuse(errors.Busy()), {"Retry-After": "1"})

    async def _body(self, request: Request, calls: Calls, *, is_open: bool) -> bytes:
        calls.screen(is_open=is_open)
        if is_open:
            return await read_body(request, bytes_max=OPEN_BODY_BYTES_MAX)
        return await read_body(request, prove=partial(self._threads.run, calls.session))


class TokenEndpoint:
    """Access tokens for client secrets and tokens of identity providers."""

    def __init__(self, pipeline: Handler, threads: Threads) -> None:
        self._pipeline = pipeline
        self._threads = threads

    def routes(self) -> list[Route]:
        """Its routes."""
        return [Route(path, self._endpoint, methods=["POST"]) for path in oauth.PATHS]

    async def _endpoint(self, request: Request) -> Response:
        certificate, peer = certificate_of(request.scope), peer_of(request)
        calls = Calls(self._pipeline, {}, certificate, peer, about=oauth.CREATE_ACCESS_TOKEN)
        try:
            calls.screen(is_open=True)
            form = await oauth.read_form(request)
            ask = partial(oauth.answer, calls, form, request.headers.get("authorization", ""))
            return await self._threads.run(ask)
        except CallFailed as failure:
            return oauth.refuse_call(failure)
        except oauth.Refused as refused:
            return oauth.refuse(refused)
        except Busy:
            return oauth.refuse(
                oauth.Refused("temporarily_unavailable", "too many requests wait: retry", 503)
            )


class Application:
    """What the HTTP server serves."""

    def __init__(self, pipeline: Handler, *, threads: int, producer_threads: int) -> None:
        self._threads = Threads(threads)
        # Producers wait for commits: they have threads of their own, so that nobody else waits for them.
        self._producers = Threads(producer_threads)
        edge = ScimEdge()
        mounts = [Scim(edge, pipeline, self._threads, mount) for mount in (*ACCOUNT_MOUNTS, WORKSPACE_MOUNT)]
        routes = [
            *discovery.routes(pipeline),
            *TokenEndpoint(pipeline, self._threads).routes(),
            *(mount.route() for mount in mounts),
            *OpenLineageEndpoints(pipeline, self._producers).routes(),
            *RestEndpoints(pipeline, self._threads).routes(),
        ]

        async def unrouted(request: Request, error: Exception) -> Response:
            return await charged(pipeline, partial(_refused, error), request)

        handlers = {HTTPException: unrouted}
        self.asgi = with_head_checked(Starlette(routes=routes, exception_handlers=handlers))

    def stop(self) -> None:
        """Waits for every thread."""
        self._threads.pool.shutdown(wait=True)
        self._producers.pool.shutdown(wait=True)


async def _refused(error: Exception, _request: Request) -> Response:
    """What Starlette says of a path or method that no route is for."""
    assert isinstance(error, HTTPException)
    return PlainTextResponse(error.detail, error.status_code, error.headers)


def _response(answer: Answer, more: dict[str, str] | None = None) -> Response:
    return Response(answer.body, answer.status, {**answer.headers, **(more or {})})
