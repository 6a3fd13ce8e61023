"""The RPCs of one HTTP request: all through the pipeline, with the credential, workspace and request id it came with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from lakewarden.v1 import sessions_pb2
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.peers import Peer
from lakewarden_server.pipeline import headers
from lakewarden_server.pipeline.pipeline import Handler, Incoming, Reply
from lakewarden_server.pipeline.rates import Charge

REQUEST_SECONDS = 30.0
"""For all the calls of one request together, from the first of them on."""
PACKAGE = "lakewarden.v1"
GET_SESSION = "SessionService/GetSession"
UPDATE_GRANTS = "GrantService/UpdateGrants"


class Calls:
    """Calls RPCs as whoever sent the HTTP request; there is no other way from HTTP to the state."""

    def __init__(
        self,
        pipeline: Handler,
        metadata: Mapping[str, str],
        certificate: bytes,
        peer: Peer,
        *,
        about: str = GET_SESSION,
    ) -> None:
        """`metadata` is that of a gRPC call: keys in lower case. `certificate` is what the client showed in TLS, in PEM.

        `about` is the `Service/Method` the request is made for, whatever it reads before that: it is charged as one call of it.
        """
        self._pipeline = pipeline
        self._about = f"{PACKAGE}.{about}"
        self._charge = Charge(urgent=pipeline.methods[self._about].rule.urgent)
        self.metadata = metadata
        self._certificate = certificate
        self._peer = peer
        self._deadline: float | None = None
        self.reply_metadata: tuple[tuple[str, str], ...] = ()
        """Of the last reply: revision and request id."""

    def __call__(self, method: str, request: Message) -> Any:
        """The reply of `Service/Method`. Raises `CallFailed`."""
        reply = self._handle(method, request, only_admit=False)
        self.reply_metadata = reply.metadata
        return reply.message

    def admit(self, method: str, request: Message) -> None:
        """Nothing, where the caller may make this write. Raises `CallFailed`."""
        self._handle(method, request, only_admit=True)

    def session(self) -> sessions_pb2.Session:
        """Who the caller is and where from. Raises `CallFailed`."""
        found: sessions_pb2.Session = self(GET_SESSION, sessions_pb2.GetSessionRequest())
        return found

    def screen(self, *, is_open: bool = False) -> None:
        """Charges the peer, and refuses, in memory alone, whoever shows nothing that could be a credential where one is needed.

        Raises `CallFailed`.
        """
        self._pipeline.screen(self._about, self._incoming(None)._replace(is_open=is_open))

    def show(self, authorization: str) -> None:
        """From now on calls with this credential, which the request had elsewhere than in its headers."""
        self.metadata = {**self.metadata, headers.AUTHORIZATION: authorization}

    def _handle(self, method: str, request: Message, *, only_admit: bool) -> Reply:
        if self._deadline is None:
            self._deadline = monotonic() + REQUEST_SECONDS
        incoming = self._incoming(self._deadline - monotonic())._replace(only_admit=only_admit)
        return self._pipeline.handle(f"{PACKAGE}.{method}", request, incoming)

    def _incoming(self, seconds_left: float | None) -> Incoming:
        return Incoming(
            self.metadata, seconds_left, self._peer, certificate=self._certificate, charge=self._charge
        )
