"""A watched server: metrics on a port, log lines in memory, traces sent to a collector of the test's own."""

from __future__ import annotations

import io
import json
import logging
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from lakewarden_server.observability.logs import JsonFormatter
from lakewarden_server.testing import EmbeddedServer


def watched(server: EmbeddedServer, **settings: Any) -> EmbeddedServer:
    """The same installation, served anew with these settings."""
    server.app.settings = replace(server.app.settings, **settings)
    server.restart()
    return server


def exposition(server: EmbeddedServer) -> str:
    """What Prometheus would read."""
    with urllib.request.urlopen(
        f"http://{server.app.observability.metrics_address}/metrics", timeout=10
    ) as reply:
        text: str = reply.read().decode()
        return text


def samples(server: EmbeddedServer) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by its name and the values of its labels in the order of their names, but for buckets and times of creation."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition(server))
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """The JSON lines of `lakewarden` loggers, from DEBUG on."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger("lakewarden")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    """The lines written so far."""
    return [json.loads(line) for line in written.getvalue().splitlines()]


@dataclass
class Collector:
    """Takes OTLP over HTTP, as an OpenTelemetry collector does."""

    endpoint: str = ""
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Any]:
        """Every span received."""
        requests = (ExportTraceServiceRequest.FromString(body) for body in self.bodies)
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
