"""From an HTTP request to an operation of the Databricks API and back: authenticated first, errors in that API's words."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lakewarden_server.http.calls import Calls
from lakewarden_server.http.connections import certificate_of
from lakewarden_server.http.requests import (
    METHODS,
    BodyTooLarge,
    Busy,
    NotArrived,
    Threads,
    metadata,
    peer_of,
    read_body,
)
from lakewarden_server.http.rest import assignments, exchanges, permissions, secrets, tokens
from lakewarden_server.http.rest.errors import Refusal, Refused, refusal_of
from lakewarden_server.http.rest.exchanges import Exchange, Operation
from lakewarden_server.pipeline import headers
from lakewarden_server.pipeline.errors import CallFailed
from lakewarden_server.pipeline.pipeline import Handler

OPERATIONS = (
    *tokens.OPERATIONS,
    *permissions.OPERATIONS,
    *assignments.OPERATIONS,
    *secrets.OPERATIONS,
)
_ABSENT = Refusal(404, "ENDPOINT_NOT_FOUND", "there is no such call here", [])
_LATE = Refusal(408, "MALFORMED_REQUEST", "the request did not arrive", [])
_BUSY = Refusal(429, "RESOURCE_EXHAUSTED", "the server has all it can do: retry later", [], 1)
_FAILED = Refusal(500, "INTERNAL_ERROR", "internal error", [])
Endpoint = Callable[[Request], Awaitable[Response]]
logger = logging.getLogger("lakewarden.rest")


class RestEndpoints:
    """Answers the operations; shared by all threads, holds no state of a request."""

    def __init__(self, pipeline: Handler, threads: Threads) -> None:
        self._pipeline = pipeline
        self._threads = threads

    def routes(self) -> list[Route]:
        """One for each operation, and one for all that is none, which comes last."""
        known = [
            Route(operation.path, partial(self._endpoint, operation), methods=[operation.method])
            for operation in OPERATIONS
        ]
        absent = partial(charged, self._pipeline, _absent)
        return [*known, Route("/api/{path:path}", absent, methods=METHODS)]

    async def _endpoint(self, operation: Operation, request: Request) -> Response:
        sent = metadata(request, of_workspace=not operation.path.startswith("/api/2.0/accounts/"))
        certificate, peer = certificate_of(request.scope), peer_of(request)
        calls = Calls(self._pipeline, sent, certificate, peer, about=operation.rpc)
        try:
            calls.screen()
            body = await read_body(request, prove=partial(self._threads.run, calls.session))
            return await self._threads.run(partial(self._answer, operation, request, body, calls))
        except CallFailed as failure:
            return _refusal(refusal_of(failure.status))
        except BodyTooLarge as error:
            return _refusal(Refusal(413, "MAX_REQUEST_SIZE_EXCEEDED", str(error), []))
        except NotArrived:
            return _refusal(_LATE, {"Connection": "close"})
        except Busy:
            return _refusal(_BUSY)

    def _answer(self, operation: Operation, request: Request, body: bytes, calls: Calls) -> Response:
        try:
            # Before the body is read as anything: who is nobody learns nothing of how it is read.
            session = calls.session()
            exchange = Exchange(
                calls=calls,
                session=session,
                path=request.path_params,
                query=dict(parse_qsl(request.url.query, keep_blank_values=True)),
                body=exchanges.parse_object(body),
                named_workspace=unquote(calls.metadata.get(headers.WORKSPACE, "")) or session.workspace,
            )
            return _response(200, operation.answer(exchange), dict(calls.reply_metadata))
        except CallFailed as failure:
            refusal = refusal_of(failure.status)
        except Refused as refused:
            refusal = refused.refusal
        except Exception:
            logger.exception("a request failed: %s %s", operation.method, operation.path)
            refusal = _FAILED
        return _refusal(refusal)


async def charged(pipeline: Handler, endpoint: Endpoint, request: Request) -> Response:
    """The answer of an endpoint that makes no call; whoever asks there is charged all the same."""
    try:
        Calls(pipeline, metadata(request, of_workspace=False), b"", peer_of(request)).screen(is_open=True)
    except CallFailed as failure:
        return _refusal(refusal_of(failure.status))
    return await endpoint(request)


async def _absent(request: Request) -> Response:
    return _refusal(_ABSENT)


def _refusal(refusal: Refusal, more: Mapping[str, str] | None = None) -> Response:
    seconds = refusal.retry_after_seconds
    retry = {} if seconds is None else {"Retry-After": str(seconds)}
    return _response(refusal.status, refusal.body, {**retry, **(more or {})})


def _response(status: int, body: Mapping[str, Any], told: Mapping[str, str]) -> Response:
    return Response(
        json.dumps(body), status, {"Cache-Control": "no-store", **told}, media_type="application/json"
    )
