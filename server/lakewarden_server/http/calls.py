"""The RPCs of one HTTP request: all through the pipeline, with the credential, workspace and request id it came with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.peers import Peer
from lakewarden_server.pipeline.pipeline import Handler, Incoming, Reply

REQUEST_SECONDS = 30.0
"""For all the calls of one request together."""


class Calls:
    """Calls RPCs as whoever sent the HTTP request; there is no other way from HTTP to the state."""

    def __init__(
        self, pipeline: Handler, metadata: Mapping[str, str], certificate: bytes, peer: Peer
    ) -> None:
        """`metadata` is that of a gRPC call: keys in lower case. `certificate` is what the client showed in TLS, in PEM."""
        self._pipeline = pipeline
        self._metadata = metadata
        self._certificate = certificate
        self._peer = peer
        self._deadline = monotonic() + REQUEST_SECONDS
        self.reply_metadata: tuple[tuple[str, str], ...] = ()
        """Of the last reply: revision and request id."""

    def __call__(self, method: str, request: Message) -> Any:
        """The reply of `Service/Method` of `lakewarden.v1`. Raises `CallFailed`."""
        reply = self._handle(method, request, only_admit=False)
        self.reply_metadata = reply.metadata
        return reply.message

    def admit(self, method: str, request: Message) -> None:
        """Nothing, where the caller may make this write. Raises `CallFailed`."""
        self._handle(method, request, only_admit=True)

    def _handle(self, method: str, request: Message, *, only_admit: bool) -> Reply:
        incoming = Incoming(
            self._metadata,
            self._deadline - monotonic(),
            self._peer,
            only_admit=only_admit,
            certificate=self._certificate,
        )
        return self._pipeline.handle(f"lakewarden.v1.{method}", request, incoming)
