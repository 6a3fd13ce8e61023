"""One servicer class for each proto service, made from its descriptor: every method hands its request to the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from lakewarden_server.core.errors import InvalidArgument, Overloaded, Reason
from lakewarden_server.pipeline.errors import CallFailed, status_of
from lakewarden_server.pipeline.headers import request_id
from lakewarden_server.pipeline.pipeline import Handler
from lakewarden_server.rpc.incoming import Certificate, certificate_reader, incoming_of, text_metadata
from lakewarden_server.rpc.lanes import Admission, Lanes, in_pool
from lakewarden_server.rpc.statuses import abort

Behaviour = Callable[[Any, Message, grpc.ServicerContext], Any]
"""Answers with a message, or with an iterator of them."""


def servicer_class(
    service: ServiceDescriptor, pipeline: Handler, *, client_certificates: bool = False
) -> type[Any]:
    """A class with one method per RPC of `service`, all of them through `pipeline`, with what the client showed in TLS if that was asked for."""
    certificate = certificate_reader(client_certificates=client_certificates)
    names = {
        method.name: (_streaming if method.server_streaming else _behaviour)(
            f"{service.full_name}/{method.name}", pipeline, certificate
        )
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
            lane = lanes.lane(pipeline.methods[name])
            behaviour = _reading(getattr(servicer, method.name), GetMessageClass(method.input_type))
            # Bytes come in unread: a deserializer of grpcio that fails leaves its stream open, and 256 of them block a connection.
            handler: grpc.RpcMethodHandler[Any, Any] = _handler_of(method)(
                in_pool(behaviour, lane),
                response_serializer=GetMessageClass(method.output_type).SerializeToString,
            )
            handlers[f"/{name}"] = (handler, lane)
    server.add_generic_rpc_handlers((Admission(handlers, lanes.refusals.handler),))


def refuse(_request: object, context: grpc.ServicerContext) -> Message:
    """The behaviour of a method whose lane is full."""
    chosen = request_id(text_metadata(context.invocation_metadata()))
    abort(
        status_of(Overloaded(Reason.OVERLOADED, "the server has all it can do: retry later"), chosen), context
    )


def _behaviour(full_name: str, pipeline: Handler, certificate: Certificate) -> Behaviour:
    def answer(_servicer: Any, request: Message, context: grpc.ServicerContext) -> Message:
        try:
            reply = pipeline.handle(full_name, request, incoming_of(context, certificate))
        except CallFailed as failure:
            abort(failure.status, context)
        # Trailing: it travels with the status, where initial metadata would cost a message of its own.
        context.set_trailing_metadata(reply.metadata)
        return reply.message

    return answer


def _streaming(full_name: str, pipeline: Handler, certificate: Certificate) -> Behaviour:
    def answer(_servicer: Any, request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
        try:
            reply = pipeline.handle(full_name, request, incoming_of(context, certificate))
            context.set_trailing_metadata(reply.metadata)
            yield from reply.following or ()
        except CallFailed as failure:
            abort(failure.status, context)

    return answer


def _handler_of(method: MethodDescriptor) -> Callable[..., grpc.RpcMethodHandler[Any, Any]]:
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler
    return grpc.unary_unary_rpc_method_handler


def _reading(behaviour: Callable[..., Any], message: type[Any]) -> Callable[..., Any]:
    def read(data: bytes, context: grpc.ServicerContext) -> Any:
        try:
            request = message.FromString(data)
        except DecodeError:
            problem = f"the request is no {message.DESCRIPTOR.full_name}: send one of this release"
            chosen = request_id(text_metadata(context.invocation_metadata()))
            abort(status_of(InvalidArgument(Reason.FIELD_INVALID, problem), chosen), context)
        return behaviour(request, context)

    return read
