"""HTTP as `app` sees it: the application and its server, started and stopped together."""

from __future__ import annotations

from typing import Any

from lakewarden_server.http.application import Application
from lakewarden_server.http.server import HttpServer
from lakewarden_server.pipeline.pipeline import Handler


class HttpEdge:
    """A started or stoppable HTTP edge over one pipeline."""

    def __init__(self, pipeline: Handler, *, threads: int, producer_threads: int, **served: Any) -> None:
        """`served` is where and how `HttpServer` serves. Raises `InsecureAddress`."""
        self._application = Application(pipeline, threads=threads, producer_threads=producer_threads)
        self._server = HttpServer(self._application.asgi, **served)

    @property
    def address(self) -> str:
        """`host:port` it listens on; empty before the start."""
        return self._server.address

    def start(self) -> None:
        """Answers requests. Raises `AddressUnavailable`."""
        self._server.start()

    def stop(self, grace_seconds: float) -> None:
        """Lets running requests end, then releases every thread."""
        self._server.stop(grace_seconds)
        self._application.stop()
