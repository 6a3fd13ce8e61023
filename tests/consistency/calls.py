"""The client of one thread of a storm: real clients, one attempt each, under a request id that goes with a request and not with a try."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from lakewarden import Client, LakewardenError
from lakewarden._connection import Connection
from lakewarden_server.testing import WORKSPACE

TIMEOUT_SECONDS = 5.0
LOST_CODES = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "ABORTED", "RESOURCE_EXHAUSTED"}
)
"""What a call may end with through no fault of the server's but that of the storm."""


@dataclass
class RequestId:
    """The id of the request under way; the thread that owns it changes it."""

    value: str = ""


@dataclass(frozen=True)
class _OneRequest(Connection):
    """A connection whose calls carry the id they are told, so that tries at several replicas are one request."""

    request: RequestId = field(default_factory=RequestId)

    def call(self, method, request):  # type: ignore[no-untyped-def]
        """One attempt."""
        self.last_seen.revision = ""
        deadline = time.monotonic() + self.timeout_seconds
        return self._try(method, request, request_id=self.request.value, deadline=deadline)


class Session:
    """One thread's clients: a channel for each replica, a client for each token on it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._request = RequestId()
        self._channels: dict[str, Client] = {}
        self._clients: dict[tuple[str, str, bool], Client] = {}

    def next_request(self) -> None:
        """What is called from now on is another request."""
        self._request.value = str(uuid.uuid4())

    def client(self, endpoint: str, token: str, *, bounded: bool = False) -> Client:
        """The client with this token of the replica at `endpoint`."""
        key = (endpoint, token, bounded)
        if key not in self._clients:
            if endpoint not in self._channels:
                self._channels[endpoint] = self._open(endpoint)
            client = self._channels[endpoint].as_token(token)
            self._clients[key] = client.with_freshness("bounded") if bounded else client
        return self._clients[key]

    @staticmethod
    def revision(client: Client) -> int:
        """The number of the revision the client's last reply carried; 0 where there was none."""
        number = client.revision.rpartition(":")[2]
        return int(number) if number else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _open(self, endpoint: str) -> Client:
        client = self._stack.enter_context(
            Client(endpoint, token="", workspace=WORKSPACE, retries=0, timeout_seconds=TIMEOUT_SECONDS)
        )
        given = {name: getattr(client._connection, name) for name in Connection.__dataclass_fields__}
        client._connection = _OneRequest(**given, request=self._request)
        return client


def is_lost(error: LakewardenError) -> bool:
    """Whether nobody knows what became of the call, or it only has to be made again."""
    return error.code in LOST_CODES
