"""One gRPC channel with a credential: metadata, deadline, retries and error translation of every call.

The resource classes call `Connection.call` and `Connection.stream`; nothing else in the client touches gRPC.
"""

from __future__ import annotations

import ipaddress
import random
import re
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import grpc

from lakewarden import __version__
from lakewarden._errors import ConfigurationError, LakewardenError, Unavailable, from_rpc_error

Request = TypeVar("Request")
Response = TypeVar("Response")
Answer = TypeVar("Answer")

DEFAULT_PORT = 50051
TIMEOUT_SECONDS_MAX = 30.0
TRIES_MAX = 3
BACKOFF_SECONDS = 0.25
RETRY_SECONDS_MAX = 5.0
# The least gRPC takes; with its jitter of a fifth it stays below the shortest pause before a retry.
RECONNECT_MILLISECONDS = 100
# A little above the 8 MiB the largest request may have, so that what is larger gets the server's own reason.
MESSAGE_BYTES_MAX = 9 * 1024 * 1024
BOOTSTRAP_PREFIX = "lwboot_"
# Visible ASCII: anything else is no token, and gRPC would refuse it with a message that repeats the secret.
_TOKEN = re.compile(r"[!-~]+")
# The characters a metadata value may hold as they are; `%` never occurs in a name, so that decoding is unambiguous.
_METADATA_SAFE = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


@dataclass
class LastSeen:
    """The newest revision a reply carried; one string assigned at a time, so it needs no lock."""

    revision: str = ""


@dataclass
class Lifetime:
    """Whether the channel was closed; shared by all copies. gRPC would crash the process over a stub made after that."""

    closed: bool = False


@dataclass(frozen=True)
class Connection:
    """A channel and what every call on it carries. Copies with another token or workspace share the channel."""

    # Use `open_channel`, which refuses a closed one.
    channel: grpc.Channel = field(repr=False)
    endpoint: str
    confidential: bool
    token: str = field(default="", repr=False)
    scheme: str = "Bearer"
    workspace: str = ""
    at_least_revision: str = ""
    freshness: str = ""
    timeout_seconds: float = 10.0
    retries: int = TRIES_MAX - 1
    last_seen: LastSeen = field(default_factory=LastSeen, repr=False)
    lifetime: Lifetime = field(default_factory=Lifetime, repr=False)

    def __post_init__(self) -> None:
        """Refuse what must not be sent, before anything is."""
        if not 0 < self.timeout_seconds <= TIMEOUT_SECONDS_MAX:
            raise ConfigurationError(
                f"a timeout must be over 0 and at most {TIMEOUT_SECONDS_MAX:g} seconds, not {self.timeout_seconds:g}",
                reason="TIMEOUT_INVALID",
            )
        if not 0 <= self.retries < TRIES_MAX:
            raise ConfigurationError(
                f"retries must be from 0 to {TRIES_MAX - 1}, not {self.retries}", reason="RETRIES_INVALID"
            )
        if not self.token:
            return
        if not _TOKEN.fullmatch(self.token):
            raise ConfigurationError("the token holds characters that no token has", reason="TOKEN_MALFORMED")
        if not self.confidential:
            raise ConfigurationError(
                f"refusing to send a token to {self.endpoint} in plain text. Use TLS, or say insecure (--insecure)",
                reason="TOKEN_OVER_PLAINTEXT",
            )

    @property
    def open_channel(self) -> grpc.Channel:
        """The channel. Raises ConfigurationError once it is closed."""
        if self.lifetime.closed:
            raise _closed()
        return self.channel

    def with_client_secret(self, client_id: str, client_secret: str) -> Connection:
        """Return a copy that proves itself with a client secret (RFC 6749 section 2.3.1), from no workspace."""
        pair = f"{quote(client_id, safe='')}:{quote(client_secret.strip(), safe='')}"
        return replace(self, token=b64encode(pair.encode()).decode(), scheme="Basic", workspace="")

    def close(self) -> None:
        """Close the channel, for all copies."""
        self.lifetime.closed = True
        self.channel.close()

    def call(self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        """Make one call, with retries while the server is unavailable or says when to retry, and return its reply.

        All tries carry one request id, by which the server does a mutation at most once; so retrying is as safe for
        mutations as for reads. Raises LakewardenError.
        """
        return self._retried(partial(self._try, method, request))

    def stream(
        self, method: grpc.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> Generator[Response, None, None]:
        """Make one call that is answered in a stream, and return its messages, which come while they are read.

        It is retried like any other until the first message is there. The timeout is for the whole of it. Closing the generator
        ends the call. Raises LakewardenError, also while the messages are read.
        """
        return self._retried(partial(self._begin, method, request))

    def _retried(self, attempt: Callable[[str, float], Answer]) -> Answer:
        """What the first try gives that does not fail; it is given a request id and a deadline in monotonic seconds."""
        request_id = str(uuid.uuid4())
        deadline = time.monotonic() + self.timeout_seconds
        tries = 0
        while True:
            tries += 1
            try:
                return attempt(request_id, deadline)
            except LakewardenError as error:
                pause = _pause(error, tries)
                if pause is None or tries > self.retries or time.monotonic() + pause >= deadline:
                    raise
                time.sleep(pause)

    def _try(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        request_id: str,
        deadline: float,
    ) -> Response:
        """One attempt within what is left of the deadline."""
        with self._translated(request_id):
            response, call = method.with_call(
                request, timeout=_left(deadline), metadata=self._metadata(request_id)
            )
        self._note(call)
        return response

    def _begin(
        self,
        method: grpc.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        request_id: str,
        deadline: float,
    ) -> Generator[Response, None, None]:
        """One attempt, up to the first message."""
        with self._translated(request_id):
            call = method(request, timeout=_left(deadline), metadata=self._metadata(request_id))
            first = list(islice(call, 1))
        return self._following(first, call, request_id)

    def _following(
        self, first: list[Response], call: Any, request_id: str
    ) -> Generator[Response, None, None]:
        try:
            yield from first
            with self._translated(request_id):
                yield from call
            self._note(call)
        finally:
            call.cancel()

    @contextmanager
    def _translated(self, request_id: str) -> Iterator[None]:
        """Raises what gRPC raises as a LakewardenError."""
        try:
            yield
        except grpc.RpcError as error:
            raise from_rpc_error(error, request_id=request_id, endpoint=self.endpoint) from None
        except ValueError as error:
            # All that gRPC says of a channel that was closed is in the text of a ValueError.
            if "closed" not in str(error).lower():
                raise
            raise _closed() from None

    def _note(self, call: grpc.Call) -> None:
        """Remembers the revision an answer carried."""
        for key, value in (*(call.initial_metadata() or ()), *(call.trailing_metadata() or ())):
            if key == "lakewarden-revision":
                self.last_seen.revision = str(value)

    def _metadata(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """What every call carries besides the request."""
        pairs = (
            ("authorization", f"{self.scheme} {self.token}" if self.token else ""),
            ("lakewarden-workspace", quote(self.workspace, safe=_METADATA_SAFE)),
            ("lakewarden-at-least-revision", self.at_least_revision),
            ("lakewarden-freshness", self.freshness),
            ("lakewarden-request-id", request_id),
        )
        return tuple((key, value) for key, value in pairs if value)

    def health(self) -> str:
        """Ask the standard health service and return the status's name, e.g. `SERVING`.

        The reply is one enum field, read here by hand: a dependency for two bytes would not pay.
        """
        method = self.open_channel.unary_unary("/grpc.health.v1.Health/Check", _identity, _identity)
        reply = replace(self, retries=0).call(method, b"")
        status = reply[1] if len(reply) >= 2 and reply[0] == 0x08 else 0
        return {1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}.get(status, "UNKNOWN")


def _pause(error: LakewardenError, tries: int) -> float | None:
    """Seconds before the next try, spread so that many clients do not come back together; None where none would help."""
    if error.retry_seconds is not None:
        # Never sooner than the server said, and later each time; what takes long is the caller's to wait for.
        if error.retry_seconds > RETRY_SECONDS_MAX:
            return None
        return random.uniform(1, 2) * max(error.retry_seconds, 0.0) * tries
    if isinstance(error, Unavailable):
        return random.uniform(0.5, 1) * BACKOFF_SECONDS * 4.0 ** (tries - 1)
    return None


def _left(deadline: float) -> float:
    """Seconds until then, and some where it has passed: gRPC takes no less."""
    return max(deadline - time.monotonic(), 0.001)


def _closed() -> ConfigurationError:
    return ConfigurationError(
        "this client, or the one it was made from, was closed; make a new one", reason="CLIENT_CLOSED"
    )


def _identity(message: bytes) -> bytes:
    return message


def open_connection(
    *,
    endpoint: str,
    token: str,
    workspace: str,
    tls: bool | None,
    ca_file: str,
    cert_file: str,
    key_file: str,
    insecure: bool,
    timeout_seconds: float,
    retries: int,
) -> Connection:
    """Open a channel to `endpoint`; gRPC connects on the first call. Raises ConfigurationError.

    `tls` None means: TLS, except for a loopback address and under `insecure`; always where a file of certificates is named.
    """
    target, loopback = parse_endpoint(endpoint)
    if tls and insecure:
        raise ConfigurationError("TLS and insecure contradict each other", reason="ENDPOINT_INVALID")
    if bool(cert_file) != bool(key_file):
        raise ConfigurationError(
            "a client certificate needs its key: name both files", reason="CERT_FILE_INVALID"
        )
    if cert_file and tls is False:
        raise ConfigurationError("a client certificate is shown over TLS only", reason="ENDPOINT_INVALID")
    secure = tls if tls is not None else bool(ca_file or cert_file) or not (loopback or insecure)
    options: list[tuple[str, str | int]] = [
        ("grpc.primary_user_agent", f"lakewarden-python/{__version__}"),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        # Retries are ours, above: gRPC's own would not keep the deadline we tell the user.
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0 if loopback else 1),
        # A connection of our own: gRPC would share one between clients, and all of them would ask one worker of a server.
        ("grpc.use_local_subchannel_pool", 1),
        # A retry comes sooner than gRPC's second of waiting after a connection that a stopping worker refused.
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_MILLISECONDS),
    ]
    channel = (
        grpc.secure_channel(target, _credentials(ca_file, cert_file, key_file), options=options)
        if secure
        else grpc.insecure_channel(target, options=options)
    )
    try:
        return Connection(
            channel=channel,
            endpoint=endpoint,
            confidential=secure or loopback or insecure,
            token=token.strip(),
            workspace=workspace,
            timeout_seconds=timeout_seconds,
            retries=retries,
        )
    except LakewardenError:
        channel.close()
        raise


def _credentials(ca_file: str, cert_file: str, key_file: str) -> grpc.ChannelCredentials:
    """TLS with the system's roots, or with the certificates of one file; with a client certificate where there is one."""
    return grpc.ssl_channel_credentials(
        root_certificates=_contents(ca_file, "CA"),
        private_key=_contents(key_file, "KEY"),
        certificate_chain=_contents(cert_file, "CERT"),
    )


def _contents(file: str, what: str) -> bytes | None:
    if not file:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the {what} file {file}: {error.strerror}", reason=f"{what}_FILE_INVALID"
        ) from None


def parse_endpoint(endpoint: str) -> tuple[str, bool]:
    """Return gRPC's target for `host`, `host:port`, `[v6]:port` or `unix:path`, and whether it is loopback.

    Raises ConfigurationError. Only literal loopback addresses and `localhost` count: a name resolves to what its
    owner likes.
    """
    if endpoint.startswith("unix:") and len(endpoint) > len("unix:"):
        return endpoint, True
    matched = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", endpoint)
    port = int(matched[2] or DEFAULT_PORT) if matched else 0
    if matched is None or not 0 < port < 65536:
        raise ConfigurationError(
            f"{endpoint!r} is no endpoint. Write host:port, e.g. localhost:{DEFAULT_PORT}",
            reason="ENDPOINT_INVALID",
        )
    host = matched[1]
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = host.lower() == "localhost"
    return f"{host}:{port}", loopback
