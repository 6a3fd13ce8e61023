"""What a server listens with: gRPC, HTTP, or both, over one pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from google.protobuf.descriptor import ServiceDescriptor

from lakewarden_server.config import Settings, SettingsError
from lakewarden_server.core.certificates import Certificates
from lakewarden_server.pipeline.pipeline import Handler
from lakewarden_server.rpc.lanes import APART, STREAMED, URGENT_THREADS, WRITE_THREADS
from lakewarden_server.rpc.server import RpcServer

if TYPE_CHECKING:
    from lakewarden_server.http.edge import HttpEdge

HTTP_THREADS = 4
"""Answer HTTP requests, where it is served."""
PRODUCER_THREADS = 8
"""Answer those who send lineage over HTTP; they wait for commits, so as many as should share one."""


def answering_threads(settings: Settings) -> int:
    """How many threads answer calls, each of which may hold a connection that reads."""
    apart = sum(threads for threads, _waiting in (*APART.values(), *STREAMED.values()))
    of_http = HTTP_THREADS + PRODUCER_THREADS if settings.http else 0
    return settings.read_threads + WRITE_THREADS + URGENT_THREADS + apart + of_http


def rpc_server(
    settings: Settings,
    pipeline: Handler,
    services: Sequence[ServiceDescriptor],
    certificates: Certificates | None,
    *,
    shared_port: bool,
) -> RpcServer | None:
    """What serves gRPC where that is asked for. Raises `InsecureAddress`."""
    if not settings.listen:
        return None
    return RpcServer(
        pipeline,
        services,
        address=settings.listen,
        shared_port=shared_port,
        certificates=certificates,
        allow_plaintext=settings.allow_plaintext,
        read_threads=settings.read_threads,
    )


def http_edge(
    settings: Settings, pipeline: Handler, certificates: Certificates | None, *, shared_port: bool
) -> HttpEdge | None:
    """What serves HTTP where that is asked for; its packages are loaded only then. Raises `SettingsError`, `InsecureAddress`."""
    if not settings.http:
        return None
    if find_spec("scim2_server") is None or find_spec("uvicorn") is None:
        raise SettingsError("HTTP needs more packages: pip install 'lakewarden[server,scim]'")
    from lakewarden_server.http.edge import HttpEdge

    return HttpEdge(
        pipeline,
        threads=HTTP_THREADS,
        producer_threads=PRODUCER_THREADS,
        address=settings.http,
        shared_port=shared_port,
        certificates=certificates,
        allow_plaintext=settings.allow_plaintext,
    )
