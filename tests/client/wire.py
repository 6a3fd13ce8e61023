"""The other end of the wire: a gRPC server that records what the client sends and answers as told.

Faults (a server that is down, a lost reply, a foreign error) cannot be asked of the real server, so they are made here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

NOUNS = (
    "audit",
    "authorization",
    "catalogs",
    "functions",
    "connections",
    "external_locations",
    "external_lineage",
    "external_metadata",
    "federation_policies",
    "grants",
    "ip_access_lists",
    "lineage_governance",
    "lineage_graph",
    "lineage",
    "groups",
    "materialized_views",
    "metastores",
    "permissions",
    "registered_models",
    "providers",
    "recipients",
    "schemas",
    "service_credentials",
    "service_principals",
    "sessions",
    "streaming_tables",
    "shares",
    "system_tables",
    "storage_credentials",
    "tables",
    "tags",
    "tokens",
    "users",
    "volumes",
    "workspace_bindings",
    "workspace_objects",
    "views",
    "workspaces",
)


def rpcs() -> dict[str, Any]:
    """Every RPC of the API as `Service/Method` with its descriptor."""
    files = [import_module(f"lakewarden.v1.{noun}_pb2").DESCRIPTOR for noun in NOUNS]
    services = [service for file in files for service in file.services_by_name.values()]
    return {f"{service.name}/{method.name}": method for service in services for method in service.methods}


@dataclass
class Recorded:
    """One call as it arrived."""

    rpc: str
    request: Any
    metadata: dict[str, str]
    seconds_left: float


Answer = Callable[[Recorded, grpc.ServicerContext], Any]


@dataclass
class WireServer(grpc.GenericRpcHandler):
    """Records each call; answers with what `answers` says for the RPC, a stream with each message of it, else with an empty reply."""

    calls: list[Recorded] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    endpoint: str = ""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Handle any RPC of the API."""
        name = details.method.removeprefix("/lakewarden.v1.")
        method = rpcs().get(name)
        if method is None:
            return None
        request_class = message_factory.GetMessageClass(method.input_type)
        reply_class = message_factory.GetMessageClass(method.output_type)

        def behave(request: Any, context: grpc.ServicerContext) -> Any:
            metadata = {key: str(value) for key, value in context.invocation_metadata()}
            recorded = Recorded(name, request, metadata, context.time_remaining())
            self.calls.append(recorded)
            answer = self.answers.get(name)
            return reply_class() if answer is None else answer(recorded, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Any:
            yield from behave(request, context)

        if method.server_streaming:
            handler, act = grpc.unary_stream_rpc_method_handler, stream
        else:
            handler, act = grpc.unary_unary_rpc_method_handler, behave
        return handler(
            act,
            request_deserializer=request_class.FromString,
            response_serializer=reply_class.SerializeToString,
        )

    def start(self) -> grpc.Server:
        """Serve on a free port of loopback."""
        server = grpc.server(ThreadPoolExecutor(4), handlers=[self], options=[("grpc.so_reuseport", 0)])
        self.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        return server


def fail(
    code: grpc.StatusCode,
    message: str,
    *,
    reason: str = "",
    domain: str = "lakewarden",
    request_id: str = "",
    retry_seconds: float | None = None,
    **metadata: str,
) -> Answer:
    """An answer that is an error with google.rpc details, as the server sends them."""

    def answer(recorded: Recorded, context: grpc.ServicerContext) -> Any:
        details: Sequence[Any] = [
            error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)
        ]
        if request_id:
            details = [*details, error_details_pb2.RequestInfo(request_id=request_id)]
        if retry_seconds is not None:
            delay = duration_pb2.Duration()
            delay.FromMicroseconds(round(retry_seconds * 1e6))
            details = [*details, error_details_pb2.RetryInfo(retry_delay=delay)]
        packed = []
        for detail in details:
            packed.append(any_pb2.Any())
            packed[-1].Pack(detail)
        status = status_pb2.Status(
            code=code.value[0], message=message, details=packed if reason or request_id else []
        )
        context.abort_with_status(rpc_status.to_status(status))

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The first answer to the first call, the second to the second …; the last one stays."""
    left = list(answers)

    def answer(recorded: Recorded, context: grpc.ServicerContext) -> Any:
        return (left.pop(0) if len(left) > 1 else left[0])(recorded, context)

    return answer
