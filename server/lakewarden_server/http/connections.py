"""A connection of the HTTP server: how long one may be open without a request, and how many there are."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MAX = 400
"""Far below the files a process may have open, far above the requests that run and wait."""
HEAD_SECONDS = 10.0
"""In which the head of a request arrives: from the connection on, or from the first byte after an answer."""

_CERTIFICATE = "client_certificate"


def certificate_of(scope: Mapping[str, Any]) -> bytes:
    """What the client of a request showed in TLS, in PEM, its chain verified; empty for none."""
    found: bytes = scope["state"][_CERTIFICATE]
    return found


class Connection(H11Protocol):
    """uvicorn's protocol, whose own timer runs only after an answer, and until the next byte."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request; where there are too many connections, the longest idle one ends for it."""
        super().connection_made(transport)
        # Here and in no header, which anybody could send.
        self.app_state = {**self.app_state, _CERTIFICATE: _shown(transport)}
        self._watch_head()
        others = [cast(Connection, other) for other in self.connections if other is not self]
        others = [other for other in others if not other.transport.is_closing()]
        if len(others) >= CONNECTIONS_MAX:
            idle = [other for other in others if other._is_idle]
            min(idle, key=lambda other: other._idle_since, default=self).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Reads on; a head that is begun has its time however slowly its bytes come."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """Waits for the next request, or begins it where it has arrived already."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the waiting."""
        self._stop_watching()
        super().connection_lost(exc)

    @property
    def _is_idle(self) -> bool:
        """Whether no request has begun that is not answered."""
        return self.cycle is None or self.cycle.response_complete

    def _watch_head(self) -> None:
        if not self._is_idle:
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _shown(transport: asyncio.Transport) -> bytes:
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls else None
    return ssl.DER_cert_to_PEM_cert(certificate).encode() if certificate else b""
