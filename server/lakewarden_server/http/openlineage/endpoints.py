"""From a producer's HTTP request to the RPCs of lineage and back, in the answers its clients retry by.

They retry on 500, 502, 503 and 504 and never on 429 (OpenLineage, client/python/configuration.md): whoever should come again gets 503.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lakewarden.v1 import lineage_pb2 as pb
from lakewarden_server.core.errors import Reason
from lakewarden_server.http import statuses
from lakewarden_server.http.calls import Calls
from lakewarden_server.http.connections import certificate_of
from lakewarden_server.http.openlineage.bodies import (
    BODY_BYTES_MAX,
    BodyInvalid,
    EncodingUnknown,
    decoded,
    split,
)
from lakewarden_server.http.requests import (
    BodyTooLarge,
    Busy,
    LargeBodies,
    NotArrived,
    Threads,
    metadata,
    peer_of,
    read_body,
)
from lakewarden_server.pipeline.errors import CallFailed
from lakewarden_server.pipeline.pipeline import Handler

PATH: Final = "/api/v1/lineage"
ONE: Final = "LineageService/RecordOpenLineage"
BATCH: Final = "LineageService/RecordOpenLineageBatch"
RETRY_SECONDS: Final = 1
_COME_AGAIN: Final = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE", "ABORTED"})
logger = logging.getLogger("lakewarden.openlineage")

Answer = Callable[[Calls, bytes, bool], Response]


class OpenLineageEndpoints:
    """Answers producers; shared by all threads, holds no state of a request."""

    def __init__(self, pipeline: Handler, threads: Threads) -> None:
        self._pipeline = pipeline
        self._threads = threads
        self._large = LargeBodies()

    def routes(self) -> list[Route]:
        """One for a single event, one for a list."""
        return [
            Route(PATH, partial(self._endpoint, _one, ONE), methods=["POST"]),
            Route(f"{PATH}/batch", partial(self._endpoint, _batch, BATCH), methods=["POST"]),
        ]

    async def _endpoint(self, answer: Answer, rpc: str, request: Request) -> Response:
        sent = metadata(request, of_workspace=True)
        calls = Calls(self._pipeline, sent, certificate_of(request.scope), peer_of(request), about=rpc)
        caller = ""

        async def prove() -> None:
            nonlocal caller
            caller = (await self._threads.run(calls.session)).principal

        try:
            calls.screen()
            with ExitStack() as held:
                body = await read_body(
                    request,
                    bytes_max=BODY_BYTES_MAX,
                    prove=prove,
                    grow=lambda: held.enter_context(self._large.one(caller)),
                )
                return await self._threads.run(partial(self._answer, answer, request, body, calls))
        except CallFailed as failure:
            return _failure(failure)
        except BodyTooLarge:
            return _too_large()
        except NotArrived:
            return _refusal(
                408, Reason.DEADLINE_PASSED, "the request did not arrive", {"Connection": "close"}
            )
        except Busy:
            return _refusal(
                503, Reason.OVERLOADED, "too many requests wait: retry", {"Retry-After": str(RETRY_SECONDS)}
            )

    def _answer(self, answer: Answer, request: Request, body: bytes, calls: Calls) -> Response:
        strict = request.query_params.get("strict", "").lower() in ("1", "true")
        encoding = request.headers.get("content-encoding", "").strip().lower()
        try:
            if encoding or answer is _batch:
                # Before the body is read as anything: who is nobody learns nothing of how it is read.
                calls.session()
            return answer(calls, decoded(body, encoding), strict)
        except CallFailed as failure:
            return _failure(failure)
        except BodyInvalid as invalid:
            return _refusal(400, Reason.EVENT_INVALID, str(invalid))
        except EncodingUnknown:
            return _refusal(
                415,
                Reason.FIELD_INVALID,
                "Content-Encoding is none of gzip, identity",
                {"Accept-Encoding": "gzip"},
            )
        except BodyTooLarge:
            return _too_large()
        except Exception:
            logger.exception("a request failed: %s", request.url.path)
            return _refusal(500, Reason.INTERNAL_ERROR, "internal error")


def _one(calls: Calls, body: bytes, strict: bool) -> Response:
    """201 for a new event, as Marquez answers; 200 for one that is known already."""
    outcome = calls(ONE, pb.RecordOpenLineageRequest(event=body, strict=strict))
    told = {"key": outcome.key, "flags": list(outcome.flags), "dropped_facets": _dropped(outcome)}
    return _response(201 if outcome.is_new else 200, told)


def _batch(calls: Calls, body: bytes, strict: bool) -> Response:
    """204 where every event was recorded, else 200 and which were not (OpenLineage.yml, BatchResponse)."""
    request = pb.RecordOpenLineageBatchRequest(events=split(body), strict=strict)
    outcomes = calls(BATCH, request).outcomes
    failed = [(index, outcome) for index, outcome in enumerate(outcomes) if not outcome.accepted]
    if not failed:
        return Response(status_code=204)
    retriable = sum(outcome.retriable for _index, outcome in failed)
    return _response(
        200,
        {
            "status": "partial_success",
            "summary": {
                "received": len(outcomes),
                "successful": len(outcomes) - len(failed),
                "failed": len(failed),
                "retriable": retriable,
                "non_retriable": len(failed) - retriable,
            },
            "failed_events": [
                {"index": index, "reason": outcome.message, "retriable": outcome.retriable}
                for index, outcome in failed
            ],
        },
    )


def _dropped(outcome: pb.LineageEventOutcome) -> list[dict[str, str]]:
    return [
        {"owner": dropped.owner, "facet": dropped.facet, "code": dropped.code}
        for dropped in outcome.dropped_facets
    ]


def _failure(failure: CallFailed) -> Response:
    status = statuses.http_status(failure.status)
    more: dict[str, str] = {}
    if statuses.code_name(failure.status) in _COME_AGAIN:
        status = 503
        more["Retry-After"] = str(statuses.retry_after_seconds(failure.status) or RETRY_SECONDS)
    return _refusal(status, statuses.reason_of(failure.status), failure.status.message, more)


def _too_large() -> Response:
    return _refusal(
        413,
        Reason.MESSAGE_TOO_LARGE,
        f"at most {BODY_BYTES_MAX} bytes are read, decompressed: send less at once",
    )


def _refusal(status: int, reason: str, message: str, more: Mapping[str, str] | None = None) -> Response:
    return _response(status, {"status": "failure", "reason": reason, "message": message}, more)


def _response(status: int, body: Mapping[str, Any], more: Mapping[str, str] | None = None) -> Response:
    return Response(
        json.dumps(body),
        status,
        {"Cache-Control": "no-store", **(more or {})},
        media_type="application/json",
    )
