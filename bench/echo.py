"""A bare unary echo: on the server under load, and as a server of its own with the gRPC options it is told.

As a process it is started by `bench.processes` with one JSON object as argument: prints one JSON line when it serves, ends when its
stdin closes.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc

from lakewarden.v1 import authorization_pb2 as pb
from lakewarden_server.rpc.arrivals import Arrivals, CallPool
from lakewarden_server.rpc.lanes import in_pool
from lakewarden_server.rpc.open_calls import OpenCalls
from lakewarden_server.rpc.pooled_calls import PooledCall

ECHO_METHOD = "bench.Echo/Check"


CALLS_MAX = 1_000
"""Of all callers, whose requests arrive at once: none is held back."""


class EchoPool(CallPool):
    """Threads as those that answer reads. Whose a call is makes no difference."""

    def __init__(self, threads: int) -> None:
        arrivals = Arrivals(received_max=CALLS_MAX, received_per_caller_max=CALLS_MAX)
        super().__init__("echo", threads=threads, arrivals=arrivals, open_calls=OpenCalls())

    def enter(self, call: PooledCall, ended: Future[Any]) -> None:
        """Asks for the request of whoever calls."""
        self.expect(call, "anybody", ended)


def add_echo(server: grpc.Server, revision: str, pool: ThreadPoolExecutor) -> None:
    """A method that answers every Check with the same yes: message classes and sizes of the real one, no pipeline."""
    reply = pb.CheckResponse(verdict=pb.Verdict(allowed=True), revision=revision)

    def answer(_request: pb.CheckRequest, _context: grpc.ServicerContext) -> pb.CheckResponse:
        return reply

    handler = grpc.unary_unary_rpc_method_handler(
        in_pool(answer, pool),
        request_deserializer=pb.CheckRequest.FromString,
        response_serializer=pb.CheckResponse.SerializeToString,
    )
    service, _, method = ECHO_METHOD.partition("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))


def main(argument: str) -> None:
    """Serves the echo alone, waits."""
    wanted: dict[str, Any] = json.loads(argument)
    if wanted["cores"]:
        os.sched_setaffinity(0, wanted["cores"])
    threads = wanted["threads"]
    pool = EchoPool(threads) if wanted["on_arrival"] else ThreadPoolExecutor(threads)
    server = grpc.server(
        pool,
        options=[tuple(option) for option in wanted["options"]],
        compression=grpc.Compression.Gzip if wanted["gzip"] else None,
    )
    add_echo(server, "epoch:1", pool)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"endpoint": f"127.0.0.1:{port}"}), flush=True)
    sys.stdin.read()
    server.stop(0).wait()


if __name__ == "__main__":
    main(sys.argv[1])
