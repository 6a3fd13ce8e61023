"""What grpcio tells of a call besides its request, as the pipeline takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import grpc

from lakewarden_server.core.peers import grpc_peer
from lakewarden_server.pipeline.pipeline import Incoming

Certificate = Callable[[grpc.ServicerContext], bytes]
"""What the client of a call showed in TLS, in PEM."""


def certificate_reader(*, client_certificates: bool) -> Certificate:
    """How certificates are read where clients are asked for them; where not, to look would cost each call a few microseconds."""
    return _certificate if client_certificates else _no_certificate


def incoming_of(context: grpc.ServicerContext, certificate: Certificate) -> Incoming:
    """What came with a call."""
    return Incoming(
        metadata=text_metadata(context.invocation_metadata()),
        seconds_left=context.time_remaining(),
        certificate=certificate(context),
        peer=grpc_peer(context.peer()),
    )


def text_metadata(pairs: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Text metadata by key; of a key sent twice the last one counts, for every reader alike."""
    return {key: value for key, value in pairs if isinstance(value, str)}


def _certificate(context: grpc.ServicerContext) -> bytes:
    """The client's own certificate."""
    # The stubs say bytes; it is a list of them.
    found = cast(Mapping[str, Sequence[bytes]], context.auth_context())
    return next(iter(found.get("x509_pem_cert", ())), b"")


def _no_certificate(_context: grpc.ServicerContext) -> bytes:
    return b""
