"""Asks a running server for its health, as a load balancer would."""

from __future__ import annotations

from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

HEALTH_SECONDS = 5.0


def ask_health(
    endpoint: str, ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None
) -> str:
    """The health of a running server, asked over TLS where there is a CA, or UNREACHABLE."""
    if ca_file is None:
        channel = grpc.insecure_channel(endpoint)
    else:
        credentials = grpc.ssl_channel_credentials(
            ca_file.read_bytes(),
            key_file.read_bytes() if key_file else None,
            cert_file.read_bytes() if cert_file else None,
        )
        channel = grpc.secure_channel(endpoint, credentials)
    with channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS
            )
        except grpc.RpcError:
            return "UNREACHABLE"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))
