"""One servicer class for each proto service, made from its descriptor: every method hands its request to the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from grpc_status import rpc_status

from lakewarden_server.core.errors import InvalidArgument, Overloaded, Reason
from lakewarden_server.core.peers import grpc_peer
from lakewarden_server.pipeline.errors import CallFailed, status_of
from lakewarden_server.pipeline.headers import request_id
from lakewarden_server.pipeline.pipeline import Handler, Incoming
from lakewarden_server.rpc.lanes import Admission, Lanes, in_pool

Behaviour = Callable[[Any, Message, grpc.ServicerContext], Message]


def servicer_class(
    service: ServiceDescriptor, pipeline: Handler, *, client_certificates: bool = False
) -> type[Any]:
    """A class with one method per RPC of `service`, all of them through `pipeline`, with what the client showed in TLS if that was asked for."""
    certificate = _certificate if client_certificates else _no_certificate
    names = {
        method.name: _behaviour(f"{service.full_name}/{method.name}", pipeline, certificate)
        for method in service.methods
    }
    return type(f"{service.name}Servicer", (), names)


def add_servicers(
    server: grpc.Server, servicers: Mapping[ServiceDescriptor, Any], pipeline: Handler, lanes: Lanes
) -> None:
    """Registers the methods of all servicers, each in the lane of its rule; a call whose lane is full is refused without its request.

    In one table: grpcio asks handler after handler for each call, at a microsecond each.
    """
    handlers: dict[str, Any] = {}
    for service, servicer in servicers.items():
        for method in service.methods:
            name = f"{service.full_name}/{method.name}"
            lane = lanes.lane(pipeline.methods[name].rule)
            behaviour = _reading(getattr(servicer, method.name), GetMessageClass(method.input_type))
            # Bytes come in unread: a deserializer of grpcio that fails leaves its stream open, and 256 of them block a connection.
            handler: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
                in_pool(behaviour, lane),
                response_serializer=GetMessageClass(method.output_type).SerializeToString,
            )
            handlers[f"/{name}"] = (handler, lane)
    server.add_generic_rpc_handlers((Admission(handlers, lanes.refusals.handler),))


def refuse(_request: object, context: grpc.ServicerContext) -> Message:
    """The behaviour of a method whose lane is full."""
    chosen = request_id(_metadata(context.invocation_metadata()))
    _abort(
        status_of(Overloaded(Reason.OVERLOADED, "the server has all it can do: retry later"), chosen), context
    )


def _behaviour(
    full_name: str, pipeline: Handler, certificate: Callable[[grpc.ServicerContext], bytes]
) -> Behaviour:
    def answer(_servicer: Any, request: Message, context: grpc.ServicerContext) -> Message:
        incoming = Incoming(
            metadata=_metadata(context.invocation_metadata()),
            seconds_left=context.time_remaining(),
            certificate=certificate(context),
            peer=grpc_peer(context.peer()),
        )
        try:
            reply = pipeline.handle(full_name, request, incoming)
        except CallFailed as failure:
            _abort(failure.status, context)
        # Trailing: it travels with the status, where initial metadata would cost a message of its own.
        context.set_trailing_metadata(reply.metadata)
        return reply.message

    return answer


def _reading(behaviour: Callable[..., Message], message: type[Any]) -> Callable[..., Message]:
    def read(data: bytes, context: grpc.ServicerContext) -> Message:
        try:
            request = message.FromString(data)
        except DecodeError:
            problem = f"the request is no {message.DESCRIPTOR.full_name}: send one of this release"
            chosen = request_id(_metadata(context.invocation_metadata()))
            _abort(status_of(InvalidArgument(Reason.FIELD_INVALID, problem), chosen), context)
        return behaviour(request, context)

    return read


def _abort(found: status_pb2.Status, context: grpc.ServicerContext) -> NoReturn:
    status = rpc_status.to_status(found)
    context.set_trailing_metadata(status.trailing_metadata)
    context.abort(status.code, status.details)
    raise AssertionError("abort always raises")


def _certificate(context: grpc.ServicerContext) -> bytes:
    """The client's own certificate in PEM."""
    # The stubs say bytes; it is a list of them.
    found = cast(Mapping[str, Sequence[bytes]], context.auth_context())
    return next(iter(found.get("x509_pem_cert", ())), b"")


def _no_certificate(_context: grpc.ServicerContext) -> bytes:
    """Nothing was asked for: to look would cost each call a few microseconds."""
    return b""


def _metadata(pairs: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Text metadata by key; of a key sent twice the last one counts, for every reader alike."""
    return {key: value for key, value in pairs if isinstance(value, str)}
