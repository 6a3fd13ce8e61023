"""Credentials are looked at with a call's headers: the request of a stranger is never asked for.

Whoever was verified by this process before, and still is in the state it has in memory, is asked for the request at once. Everybody else is
first authenticated by a thread, as in any call and on a state no older than it, so that a token made a moment ago elsewhere is good and one that is
not is refused as ever. What was verified is verified again with the request: the state may be another one then.
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from lakewarden_server.pipeline import headers
from lakewarden_server.pipeline.errors import CallFailed
from lakewarden_server.pipeline.pipeline import Handler
from lakewarden_server.rpc.incoming import Certificate, incoming_of
from lakewarden_server.rpc.pooled_calls import PooledCall
from lakewarden_server.rpc.statuses import abort


class Gate:
    """Whom calls come from, and how large their requests may be. Safe for threads."""

    def __init__(self, pipeline: Handler, certificate: Certificate) -> None:
        self._pipeline = pipeline
        self._certificate = certificate

    def remembered(self, call: PooledCall) -> str | None:
        """Id of the principal that shows what was verified before, from memory alone; None for everybody else."""
        authorization = ""
        for key, value in call.event.invocation_metadata:
            if key == headers.AUTHORIZATION:
                authorization = value
        certificate = b"" if authorization else self._certificate(call.context)
        return self._pipeline.remembered(authorization, certificate)

    def checked(
        self, call: PooledCall, found: Callable[[str], object], *, request_bytes: int = 0
    ) -> PooledCall:
        """The call as a thread runs it without its request: it ends refused, or goes on and `found` gets the id of who calls."""

        def look() -> status_pb2.Status | None:
            if not call.is_active:
                return None
            incoming = incoming_of(call.context, self._certificate)
            try:
                caller_id = self._pipeline.vouch(call.method, incoming._replace(request_bytes=request_bytes))
            except CallFailed as failure:
                return failure.status
            found(caller_id)
            return None

        return call._replace(request=look, behaviour=_refuse)

    def too_large(self, call: PooledCall, request_bytes: int) -> PooledCall | None:
        """The call as a thread refuses it for the size of its request; None where that is not too large."""
        method = self._pipeline.methods[call.method]
        if request_bytes <= headers.request_bytes_max(method):
            return None

        def passed(_caller_id: str) -> None:
            call.end(cygrpc.StatusCode.resource_exhausted, "the request is too large: split it")

        return self.checked(call, passed, request_bytes=request_bytes)


def _refuse(status: status_pb2.Status, context: grpc.ServicerContext) -> Message:
    abort(status, context)
