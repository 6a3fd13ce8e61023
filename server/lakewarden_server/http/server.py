"""The HTTP server: a socket of its own and uvicorn in a thread beside gRPC, under the same rule for plaintext."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from lakewarden_server.core.addresses import AddressUnavailable, refuse_plaintext
from lakewarden_server.core.certificates import VERSION_MIN, Certificates
from lakewarden_server.http.connections import Connection

BACKLOG = 128
HEADER_BYTES_MAX = 32 << 10
SEND_BUFFER_BYTES = 128 << 10
"""What the kernel takes of an answer nobody reads. It would else be megabytes of each, out of sight of the time for taking it."""
IDLE_SECONDS = 15
TLS_SECONDS = 10.0
"""In which a client that connects over TLS ends its handshake, and one that is left takes leave."""
START_SECONDS = 10.0
POLL_SECONDS = 0.005
HANDSHAKES_MAX = 200
"""Connections whose handshake is not over; they are in no other count."""


class _NewestContext(ssl.SSLContext):
    """Begins each connection in the context of the newest certificate: asyncio keeps one context as long as it listens."""

    _certificates: Certificates

    @classmethod
    def of(cls, certificates: Certificates) -> _NewestContext:
        """The context of whatever `certificates` hold."""
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSION_MIN
        context._certificates = certificates
        return context

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """What asyncio calls for each connection."""
        return self._certificates.current.context.wrap_bio(*arguments, **options)


class _Loop(asyncio.SelectorEventLoop):
    """Gives clients less time for TLS than asyncio does, and lets fewer of them begin with it: uvicorn lets neither be said."""

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], **options: Any
    ) -> asyncio.Server:
        """A server of asyncio; of too many connections without TLS yet, the oldest ends."""
        accepting: dict[asyncio.Task[Any], None] = {}

        def accepted() -> asyncio.Protocol:
            # asyncio asks for a protocol in a task of the connection's own, which lasts until TLS stands.
            task = asyncio.current_task(self)
            if task is not None:
                if len(accepting) >= HANDSHAKES_MAX:
                    oldest = next(iter(accepting))
                    del accepting[oldest]
                    oldest.cancel()
                accepting[task] = None
                task.add_done_callback(lambda ended: accepting.pop(ended, None))
            return protocol_factory()

        if options.get("ssl"):
            options |= {"ssl_handshake_timeout": TLS_SECONDS, "ssl_shutdown_timeout": TLS_SECONDS}
        return await super().create_server(accepted, **options)


class HttpServer:
    """A started or stoppable HTTP server for one ASGI application."""

    def __init__(
        self,
        application: ASGIApp,
        *,
        address: str,
        shared_port: bool = False,
        certificates: Certificates | None = None,
        allow_plaintext: bool = False,
    ) -> None:
        """A server for `address` (`host:port`, port 0 for any), not bound yet. Raises `InsecureAddress`."""
        refuse_plaintext(address, tls=certificates is not None, allowed=allow_plaintext)
        self._address = address
        self._shared = shared_port
        configuration = uvicorn.Config(
            application,
            lifespan="off",
            ws="none",
            http=Connection,
            log_config=None,
            access_log=False,
            server_header=False,
            # Who calls is in the token; what a proxy says of it is nobody's proof.
            proxy_headers=False,
            timeout_keep_alive=IDLE_SECONDS,
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        )
        configuration.load()
        configuration.ssl = _NewestContext.of(certificates) if certificates else None
        self._server = uvicorn.Server(configuration)
        self._thread = threading.Thread(target=self._run, name="lakewarden-http", daemon=True)
        self._socket: socket.socket | None = None

    @property
    def address(self) -> str:
        """`host:port` it listens on; empty before the start."""
        if self._socket is None:
            return ""
        host = self._address.rpartition(":")[0]
        return f"{host}:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        """Binds the address and answers requests. Raises `AddressUnavailable`."""
        self._socket = _bind(self._address, shared=self._shared)
        self._thread.start()
        waited = threading.Event()
        for _ in range(round(START_SECONDS / POLL_SECONDS)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            waited.wait(POLL_SECONDS)
        raise AddressUnavailable.at(self._address)

    def stop(self, grace_seconds: float) -> None:
        """Refuses new requests, lets running ones end for at most `grace_seconds`."""
        if not self._thread.is_alive():
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_seconds))
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        assert self._socket is not None
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(self._server.serve(sockets=[self._socket]))


def _bind(address: str, *, shared: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Connections have it from the socket that listens.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(target)
            bound.listen(BACKLOG)
        except OSError:
            bound.close()
            raise
    except OSError:
        raise AddressUnavailable.at(address) from None
    return bound
