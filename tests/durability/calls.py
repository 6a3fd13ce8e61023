"""Single calls under a request id that the test chooses, to send the very same request again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from lakewarden._errors import from_rpc_error

CALL_SECONDS = 10.0


@dataclass(frozen=True)
class Caller:
    """A channel of its own with one credential; `call` makes exactly one attempt."""

    channel: grpc.Channel
    token: str
    workspace: str

    def call(
        self,
        stub_class: Callable[[grpc.Channel], Any],
        rpc: str,
        request: Any,
        *,
        request_id: str = "",
        seconds: float = CALL_SECONDS,
    ) -> tuple[Any, int]:
        """The reply and the revision it names. Raises LakewardenError."""
        metadata = (
            ("authorization", f"Bearer {self.token}"),
            ("lakewarden-workspace", self.workspace),
            ("lakewarden-request-id", request_id or str(uuid.uuid4())),
        )
        try:
            reply, call = getattr(stub_class(self.channel), rpc).with_call(
                request, timeout=seconds, metadata=metadata
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error, request_id=request_id, endpoint="test") from None
        revision = dict(call.trailing_metadata())["lakewarden-revision"]
        return reply, int(revision.rpartition(":")[2])


@contextmanager
def calling(endpoint: str, token: str, workspace: str) -> Iterator[Caller]:
    """A caller for the length of the block."""
    # A subchannel of its own, so that a broken connection is not shared with other callers of this process.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    with grpc.insecure_channel(endpoint, options=options) as channel:
        yield Caller(channel, token, workspace)
