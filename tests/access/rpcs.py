"""Every RPC a server offers, by reflection, and calls below the client: raw bytes, any metadata, the whole error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from lakewarden_policy import load_policy
from lakewarden_server.app import services
from lakewarden_server.authn.keys import KEY_BYTES, Keys
from lakewarden_server.pipeline.rules import Method, collect_methods

TIMEOUT_SECONDS = 20


@cache
def offered() -> dict[str, Method]:
    """The methods of the composition root itself, by wire name: a service it forgets cannot be forgotten here alone."""
    return collect_methods(services(Keys.derive(bytes(KEY_BYTES))), load_policy())


def names() -> list[str]:
    """The wire names in order."""
    return sorted(offered())


def request_class(name: str) -> Any:
    """Class of an RPC's request."""
    return GetMessageClass(offered()[name].input_type)


@dataclass(frozen=True)
class Answer:
    """How a call ended; `reason` and `details` are empty for a reply and for an error that is not ours."""

    code: str
    message: Any = None
    text: str = ""
    reason: str = ""
    metadata: Mapping[str, str] | None = None
    details: tuple[str, ...] = ()
    trailers: tuple[str, ...] = ()


def call(
    channel: grpc.Channel,
    name: str,
    request: bytes = b"",
    *,
    token: str = "",
    workspace: str = "",
    **metadata: str,
) -> Answer:
    """Calls an RPC by its wire name with the given bytes."""
    method = offered().get(name)
    reply_class = GetMessageClass(method.output_type) if method else None
    pairs = {
        "authorization": f"Bearer {token}" if token else "",
        "lakewarden-workspace": workspace,
        **{key.replace("_", "-"): value for key, value in metadata.items()},
    }
    streams = method is not None and method.streams
    kind: Any = channel.unary_stream if streams else channel.unary_unary
    stub = kind(f"/{name}", None, reply_class.FromString if reply_class else None)
    sent = tuple((key, value) for key, value in pairs.items() if value)
    try:
        reply = stub(request, timeout=TIMEOUT_SECONDS, metadata=sent)
        return Answer("OK", _put_together(reply) if streams else reply)
    except grpc.RpcError as error:
        return _failed(error)


def _put_together(messages: Iterable[Any]) -> Any:
    """The messages of a stream as one."""
    first, *others = messages
    for message in others:
        first.MergeFrom(message)
    return first


def _failed(error: Any) -> Answer:
    reason, metadata, kinds = "", {}, []
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        kinds.append(detail.TypeName())
        information = error_details_pb2.ErrorInfo()
        if detail.Unpack(information):
            reason, metadata = information.reason, dict(information.metadata)
    trailers = tuple(sorted(key for key, _ in error.trailing_metadata() or ()))
    return Answer(error.code().name, None, error.details() or "", reason, metadata, tuple(kinds), trailers)
