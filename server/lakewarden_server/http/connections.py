"""A connection of the HTTP server: how long it may wait for its client, and how many there are."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from lakewarden_server.core.peers import peer_at

CONNECTIONS_MAX = 400
"""Far below the files a process may have open, far above the requests that run and wait."""
CONNECTIONS_PER_PEER_MAX = 200
"""Half of all, so that no one address drives out others; a network behind one address, or a proxy, has more than can be worked on."""
HEAD_SECONDS = 10.0
"""In which the head of a request arrives: from the connection on, or from the first byte after an answer."""
ANSWER_SECONDS = 30.0
"""In which a client takes an answer that the network did not take at once."""
PASSED_BYTES_MAX = 16_777_216
"""Of a body whose answer was there before it: let pass and dropped within `HEAD_SECONDS`, or a client that sends on would find the connection
broken and never read that it is to come again, or that this was too much."""

_CERTIFICATE = "client_certificate"


def certificate_of(scope: Mapping[str, Any]) -> bytes:
    """What the client of a request showed in TLS, in PEM, its chain verified; empty for none."""
    found: bytes = scope["state"][_CERTIFICATE]
    return found


class _Phase(Enum):
    HEAD = "waits for a request"
    BODY = "waits for the rest of one"
    WORK = "has the request, and no answer yet"


class Connection(H11Protocol):
    """uvicorn's protocol, whose own timer runs only after an answer and until the next byte, and which waits for readers for ever."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._site = ""
        self._is_ended = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._phase, self._phase_since = _Phase.HEAD, self.loop.time()
        self._unsent_since: float | None = None
        self._passed = 0

    @property
    def waits_since(self) -> float | None:
        """Since when it has waited for its client, by the loop's clock; None while the server works on its request.

        Counted from where the waiting began and not from the last byte, or a byte a second would make it look new.
        """
        if self._unsent_since is not None:
            return self._unsent_since
        return None if self._phase is _Phase.WORK else self._phase_since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request; where there are too many connections, one of them ends."""
        super().connection_made(transport)
        # So that `pause_writing` tells of every answer that was not taken. With 0, TLS would be told of none at all.
        transport.set_write_buffer_limits(high=1, low=0)
        # Here and in no header, which anybody could send.
        self.app_state = {**self.app_state, _CERTIFICATE: _shown(transport)}
        self._site = peer_at(self.client[0] if self.client else "").site
        self._watch()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """Reads on; a head that is begun has its time however slowly its bytes come."""
        super().data_received(data)
        self._watch()
        self._let_pass(data)

    def on_response_complete(self) -> None:
        """Waits for the next request, or begins it where it has arrived already."""
        self._set_phase(_Phase.HEAD)
        super().on_response_complete()
        self._set_phase(self._found_phase)

    def pause_writing(self) -> None:
        """Begins to wait until what was written is taken, also where the connection is closing meanwhile."""
        super().pause_writing()
        self._unsent_since = self.loop.time()
        self._answer_timer = self.loop.call_later(ANSWER_SECONDS, self._end)

    def resume_writing(self) -> None:
        """All was taken."""
        super().resume_writing()
        self._stop_answer_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the waiting."""
        self._stop_head_timer()
        self._stop_answer_timer()
        super().connection_lost(exc)

    @property
    def _found_phase(self) -> _Phase:
        if self.cycle is None or self.cycle.response_complete:
            return _Phase.HEAD
        return _Phase.BODY if self.cycle.more_body else _Phase.WORK

    def _set_phase(self, phase: _Phase) -> None:
        if phase is not self._phase:
            self._phase, self._phase_since = phase, self.loop.time()

    def _watch(self) -> None:
        self._set_phase(self._found_phase)
        if self._phase is not _Phase.HEAD:
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end)

    def _let_pass(self, data: bytes) -> None:
        """Counts what follows an answer of the body it refused."""
        is_refused = self._phase is _Phase.HEAD and self.cycle is not None and self.cycle.more_body
        self._passed = self._passed + len(data) if is_refused else 0
        if self._passed > PASSED_BYTES_MAX:
            self._end()

    def _make_room(self) -> None:
        """Where there are too many connections, of a peer or of all, the one of them ends that has waited longest for its client.

        One whose request has arrived is worked on and never ends for another; where all are, the new one does.
        """
        others = [cast(Connection, other) for other in self.connections if other is not self]
        others = [other for other in others if not other._is_ended]
        of_peer = [other for other in others if other._site == self._site]
        if len(of_peer) >= CONNECTIONS_PER_PEER_MAX:
            crowd = of_peer
        elif len(others) >= CONNECTIONS_MAX:
            crowd = others
        else:
            return
        waiting = {other: since for other in crowd if (since := other.waits_since) is not None}
        min(waiting, key=waiting.__getitem__, default=self)._end()

    def _end(self) -> None:
        # Not `close`, which waits until everything written is taken.
        self._is_ended = True
        self.transport.abort()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_answer_timer(self) -> None:
        self._unsent_since = None
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None


def _shown(transport: asyncio.Transport) -> bytes:
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls else None
    return ssl.DER_cert_to_PEM_cert(certificate).encode() if certificate else b""
