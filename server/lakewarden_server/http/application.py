"""The ASGI application: which path is whose, how much of a body is read, and in which threads requests are answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import parse_qsl

from scim2_server.requests import ScimRequest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lakewarden_policy import ACCOUNT_ID
from lakewarden_server.http import oauth
from lakewarden_server.http.connections import certificate_of
from lakewarden_server.http.scim.edge import Answer, ScimEdge
from lakewarden_server.http.scim.errors import BodyTooLarge, Busy
from lakewarden_server.pipeline import headers
from lakewarden_server.pipeline.pipeline import Handler

REQUESTS_WAITING_MAX = 50
BODY_BYTES_MAX = headers.MESSAGE_BYTES_MAX
BODY_SECONDS = 20.0
ACCOUNT_MOUNTS = (f"/api/2.0/accounts/{ACCOUNT_ID}/scim/v2", "/scim/v2")
WORKSPACE_MOUNT = "/api/2.0/preview/scim/v2"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


class Threads:
    """Threads that answer requests, and how many requests may wait for them."""

    def __init__(self, count: int) -> None:
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="lakewarden-http")
        self._taken = threading.Semaphore(count + REQUESTS_WAITING_MAX)

    def take(self) -> bool:
        """Whether there is room for one more."""
        return self._taken.acquire(blocking=False)

    def give_back(self) -> None:
        """One has been answered."""
        self._taken.release()


class Scim:
    """SCIM at one path."""

    def __init__(self, edge: ScimEdge, threads: Threads, mount: str) -> None:
        self._edge = edge
        self._threads = threads
        self._mount = mount
        self._of_workspace = mount == WORKSPACE_MOUNT

    def route(self) -> list[Route]:
        """Its routes."""
        return [Route(f"{self._mount}{{path:path}}", self._endpoint, methods=METHODS)]

    async def _endpoint(self, request: Request) -> Response:
        path = request.path_params["path"]
        if path and not path.startswith("/"):
            return PlainTextResponse("there is nothing here", 404)
        try:
            body = await asyncio.wait_for(_body(request), BODY_SECONDS)
        except (ClientDisconnect, TimeoutError):
            return PlainTextResponse("the request did not arrive", 408, {"Connection": "close"})
        if body is None:
            return _response(self._edge.refuse(BodyTooLarge(BODY_BYTES_MAX)), {"Connection": "close"})
        if not self._threads.take():
            return _response(self._edge.refuse(Busy()), {"Retry-After": "1"})
        try:
            asked = ScimRequest(
                method=request.method,
                base_url=f"{request.url.scheme}://{request.url.netloc}{self._mount}",
                path=path.removesuffix(".scim"),
                query=dict(parse_qsl(request.url.query, keep_blank_values=True)),
                headers=request.headers.items(),
                body=body,
            )
            # At the account's mounts no workspace is called from.
            left_out = "" if self._of_workspace else headers.WORKSPACE
            metadata = {
                name.lower(): value for name, value in request.headers.items() if name.lower() != left_out
            }
            ask = partial(
                self._edge.answer,
                asked,
                metadata,
                certificate_of(request.scope),
                of_workspace=self._of_workspace,
            )
            loop = asyncio.get_running_loop()
            return _response(await loop.run_in_executor(self._threads.pool, ask))
        finally:
            self._threads.give_back()


class TokenEndpoint:
    """Access tokens for client secrets and tokens of identity providers."""

    def __init__(self, pipeline: Handler, threads: Threads) -> None:
        self._pipeline = pipeline
        self._threads = threads

    def route(self) -> Route:
        """Its route."""
        return Route(oauth.PATH, self._endpoint, methods=["POST"])

    async def _endpoint(self, request: Request) -> Response:
        try:
            form = await oauth.read_form(request)
            if not self._threads.take():
                raise oauth.Refused("temporarily_unavailable", "too many requests wait: retry", 503)
        except oauth.Refused as refused:
            return oauth.refuse(refused)
        try:
            ask = partial(
                oauth.answer,
                self._pipeline,
                form,
                request.headers.get("authorization", ""),
                certificate_of(request.scope),
            )
            return await asyncio.get_running_loop().run_in_executor(self._threads.pool, ask)
        finally:
            self._threads.give_back()


class Application:
    """What the HTTP server serves."""

    def __init__(self, pipeline: Handler, *, threads: int) -> None:
        self._threads = Threads(threads)
        edge = ScimEdge(pipeline)
        mounts = [Scim(edge, self._threads, mount) for mount in (*ACCOUNT_MOUNTS, WORKSPACE_MOUNT)]
        tokens = TokenEndpoint(pipeline, self._threads)
        self.asgi = Starlette(
            routes=[tokens.route(), *(route for mount in mounts for route in mount.route())]
        )

    def stop(self) -> None:
        """Waits for every thread."""
        self._threads.pool.shutdown(wait=True)


async def _body(request: Request) -> bytes | None:
    """The body; None for one that is too large, of which no more is read."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            return None
    return bytes(body)


def _response(answer: Answer, more: Mapping[str, str] | None = None) -> Response:
    return Response(answer.body, answer.status, {**answer.headers, **(more or {})})
