"""OpenTelemetry traces (extra `otel`), configured by the standard OTEL_ variables, which the SDK reads itself.

A span is a call: its method, code, reason and request id, with the caller's `traceparent` as its parent; never a name or a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from threading import Timer

from google.rpc import code_pb2
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lakewarden_server.observability.observed import Outcome

SERVICE = "lakewarden"
STOP_SECONDS_MAX = 3.0
FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes that are an error of the server (OpenTelemetry's semantic conventions for gRPC)."""


class Traces:
    """Makes a span of each call and exports them in batches; `stop` exports the rest."""

    def __init__(self) -> None:
        found = Resource.create()
        if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            found = found.merge(Resource({SERVICE_NAME: SERVICE}))
        self._provider = TracerProvider(resource=found)
        self._exporter = OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(SERVICE, version("lakewarden"))
        self._parent = TraceContextTextMapPropagator()

    def stop(self) -> None:
        """Exports what is left, unless the collector does not answer."""
        # The exporter would go on trying for longer than a stop may take.
        impatience = Timer(STOP_SECONDS_MAX, self._exporter.shutdown)
        impatience.start()
        self._provider.shutdown()
        impatience.cancel()

    def began(self, method: str, request_id: str, metadata: Mapping[str, str]) -> Span:
        """Opens the call's span."""
        service, _, name = method.partition("/")
        return self._tracer.start_span(
            method,
            context=self._parent.extract(metadata),
            kind=SpanKind.SERVER,
            attributes={
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": name,
                "lakewarden.request_id": request_id,
            },
        )

    def ended(self, began: Span, _method: str, outcome: Outcome) -> None:
        """Closes it."""
        began.set_attribute("rpc.grpc.status_code", code_pb2.Code.Value(outcome.code))
        if outcome.reason:
            began.set_attribute("lakewarden.reason", outcome.reason)
        if outcome.code in FAULTS:
            began.set_status(Status(StatusCode.ERROR))
        began.end()

    def suspended(self, _began: Span) -> None:
        """A span that is not closed is not told: the call gets another one."""
