"""The gRPC server: its limits, its pools, health, reflection, and the refusal of plaintext off loopback."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from lakewarden_server.core.addresses import AddressUnavailable, refuse_plaintext
from lakewarden_server.core.certificates import Certificate, Certificates
from lakewarden_server.pipeline.pipeline import Handler
from lakewarden_server.rpc.gate import Gate
from lakewarden_server.rpc.incoming import certificate_reader
from lakewarden_server.rpc.lanes import Lanes, in_pool
from lakewarden_server.rpc.servicers import add_servicers, refuse, servicer_class

CONCURRENT_CALLS_MAX = 1_000
TRANSPORT_BYTES_MAX = 9 << 20
"""Above the pipeline's own limit, so that a request that is too large gets an error with a reason."""
METADATA_BYTES_MAX = 16 << 10
CONNECTION_STREAMS_MAX = 256

OPTIONS = (
    ("grpc.max_receive_message_length", TRANSPORT_BYTES_MAX),
    ("grpc.max_send_message_length", TRANSPORT_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.max_concurrent_streams", CONNECTION_STREAMS_MAX),
    # It widens the window of every stream to what the network takes at once, many times 64 KiB: so much would be held of each call nobody reads.
    # One that is read is let send all of its request at once without it.
    ("grpc.http2.bdp_probe", 0),
)


class RpcServer:
    """A started or stoppable gRPC server over one pipeline."""

    def __init__(
        self,
        pipeline: Handler,
        services: Sequence[ServiceDescriptor],
        *,
        address: str,
        shared_port: bool = False,
        certificates: Certificates | None = None,
        allow_plaintext: bool = False,
        read_threads: int,
    ) -> None:
        """A server for `address` (`host:port`, port 0 for any), not bound yet. Raises `InsecureAddress`."""
        refuse_plaintext(address, tls=certificates is not None, allowed=allow_plaintext)
        asked = certificates is not None and certificates.asks_clients
        gate = Gate(pipeline, certificate_reader(client_certificates=asked))
        self._lanes = Lanes.of(read_threads=read_threads, refuse=refuse, gate=gate)
        self._server = grpc.server(
            self._lanes.reflection,
            # Two servers on one port share its calls without a word, so only workers of one server may.
            options=(*OPTIONS, ("grpc.so_reuseport", int(shared_port))),
            maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX,
        )
        servicers = {
            service: servicer_class(service, pipeline, client_certificates=asked)() for service in services
        }
        add_servicers(self._server, servicers, pipeline, self._lanes)
        self._health = health.HealthServicer(experimental_non_blocking=True)
        # Its own parameter for a pool leaves out Check, and changes the class for every server of the process.
        for name in ("Check", "Watch"):
            setattr(self._health, name, in_pool(getattr(self._health, name), self._lanes.prompt))
        self._names = [service.full_name for service in services]
        self.set_serving(False)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self._address, self._certificates = address, certificates
        self.port = 0

    def queued(self) -> dict[str, int]:
        """How many calls wait for a thread, by pool."""
        lanes = {
            "read": self._lanes.reads,
            "write": self._lanes.writes,
            "urgent": self._lanes.urgent,
            **self._lanes.apart,
            **self._lanes.streamed,
        }
        return {pool: lane._work_queue.qsize() for pool, lane in lanes.items()}

    def start(self) -> None:
        """Binds the address and accepts calls; health stays NOT_SERVING until `set_serving`. Raises `AddressUnavailable`.

        Not sooner: a bound port takes connections, which would then wait for a state that is still being loaded.
        """
        self.port = self._bind(self._address, self._certificates)
        self._server.start()
        self._lanes.arrivals.start()

    def set_serving(self, serving: bool) -> None:
        """Tells health checks whether this server can answer."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *self._names):
            self._health.set(name, status)

    def stop(self, grace_seconds: float) -> None:
        """Refuses new calls, lets running ones end for at most `grace_seconds`, then releases every thread."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_seconds).wait()
        self._lanes.shutdown()

    def _bind(self, address: str, certificates: Certificates | None) -> int:
        try:
            if certificates is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, _credentials(certificates)))
        except RuntimeError:
            raise AddressUnavailable.at(address) from None


def _credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Credentials for which gRPC asks before each handshake whether there is another certificate."""
    given = certificates.current

    def newest() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        found = certificates.current
        if found is given:
            return None
        given = found
        return _configuration(found)

    # None says that nothing changed, which the stubs do not know.
    return grpc.dynamic_ssl_server_credentials(_configuration(given), newest, certificates.asks_clients)  # type: ignore[arg-type]


def _configuration(certificate: Certificate) -> grpc.ServerCertificateConfiguration:
    contents = certificate.contents
    pair = (contents.private_key, contents.chain)
    return grpc.ssl_server_certificate_configuration([pair], contents.client_ca or None)
