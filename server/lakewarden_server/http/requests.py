"""What every endpoint does with an HTTP request first: its body within limits, what travels beside it, a thread to answer it in."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lakewarden_server.core.peers import Peer, peer_at
from lakewarden_server.pipeline import headers

REQUESTS_WAITING_MAX = 50
BODY_BYTES_MAX = headers.MESSAGE_BYTES_MAX
BODY_SECONDS = 20.0
UNPROVEN_BODY_BYTES_MAX = 1 << 16
"""Of whoever only says who he is; for more of it the credential is looked up first."""
LARGE_BODIES_MAX = 20
"""Over `BODY_BYTES_MAX`, being received or worked on at once."""
LARGE_BODIES_PER_CALLER_MAX = 4
OPEN_BODY_BYTES_MAX = 16_384
"""Where no credential is asked for in a header."""
HOST_BYTES_MAX = 255
"""Addresses of this server stand in answers, once for each resource."""
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
"""All there are, for a path whose handler tells them apart or refuses them itself."""
WORKSPACE_HEADER = "x-databricks-workspace-id"
"""How clients of the Databricks API say which workspace they call; here by its name."""
_HOST = re.compile(rb"[\w.:\[\]-]{0,%d}" % HOST_BYTES_MAX)
Found = TypeVar("Found")


class BodyTooLarge(Exception):
    """The body is over its limit; no more of it was read."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"at most {bytes_max} bytes are read: split the request")


class NotArrived(Exception):
    """The body did not arrive: too slowly, or the client left."""


class Busy(Exception):
    """More requests wait than the server takes on; this one was not begun."""


class Threads:
    """Threads that answer requests, and how many requests may wait for them."""

    def __init__(self, count: int) -> None:
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="lakewarden-http")
        self._taken = threading.Semaphore(count + REQUESTS_WAITING_MAX)

    async def run(self, ask: Callable[[], Found]) -> Found:
        """What `ask` returns in a thread. Raises `Busy`."""
        if not self._taken.acquire(blocking=False):
            raise Busy
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, ask)
        finally:
            self._taken.release()


class LargeBodies:
    """Bodies over `BODY_BYTES_MAX` that are held at once, of all and of one caller. For one event loop."""

    def __init__(
        self, *, bodies_max: int = LARGE_BODIES_MAX, per_caller_max: int = LARGE_BODIES_PER_CALLER_MAX
    ) -> None:
        self._bodies_max, self._per_caller_max = bodies_max, per_caller_max
        self._held: Counter[str] = Counter()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """Holds one more. Raises `Busy`."""
        if self._held.total() >= self._bodies_max or self._held[caller] >= self._per_caller_max:
            raise Busy
        self._held[caller] += 1
        try:
            yield
        finally:
            self._held -= Counter((caller,))


async def read_body(
    request: Request,
    *,
    bytes_max: int = BODY_BYTES_MAX,
    prove: Callable[[], Awaitable[object]] | None = None,
    grow: Callable[[], object] | None = None,
) -> bytes:
    """The body, all of it within `BODY_SECONDS`. Raises `BodyTooLarge` and `NotArrived`.

    Past `UNPROVEN_BODY_BYTES_MAX` it reads on when `prove` has returned, past `BODY_BYTES_MAX` when `grow` has, and raises what they raise.
    """
    found, chunks = bytearray(), request.stream()
    until = asyncio.get_running_loop().time() + BODY_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(until):
                chunk = await anext(chunks, None)
        except (ClientDisconnect, TimeoutError):
            raise NotArrived from None
        if chunk is None:
            return bytes(found)
        found += chunk
        if len(found) > bytes_max:
            raise BodyTooLarge(bytes_max)
        if prove is not None and len(found) > UNPROVEN_BODY_BYTES_MAX:
            await prove()
            prove = None
        if grow is not None and len(found) > BODY_BYTES_MAX:
            grow()
            grow = None


def metadata(request: Request, *, of_workspace: bool) -> dict[str, str]:
    """The metadata of the RPCs a request becomes. At the account's paths no workspace is called from."""
    found = {name.lower(): value for name, value in request.headers.items()}
    named = found.pop(headers.WORKSPACE, "") or found.pop(WORKSPACE_HEADER, "")
    if of_workspace and named:
        found[headers.WORKSPACE] = named
    return found


def peer_of(request: Request) -> Peer:
    """The other end of the connection; no header says it."""
    return peer_at(request.client.host if request.client else "")


def base_url(request: Request) -> str:
    """Where the client reached this server, without a path.

    A proxy that ends TLS may say so, which makes the address safer and never less so; nothing else is believed of it.
    """
    behind_tls = request.headers.get("x-forwarded-proto", "").strip().lower() == "https"
    return f"{'https' if behind_tls else request.url.scheme}://{request.url.netloc}"


def with_head_checked(application: ASGIApp) -> ASGIApp:
    """The application for heads that mean one thing to everybody on the way (RFC 9112 6.1): one short `Host` that is a name or an
    address with or without a port, one credential, and one length of the body.
    """

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        problem = _ambiguity(scope["headers"])
        if problem is None:
            await application(scope, receive, send)
        else:
            await PlainTextResponse(problem, 400, {"Connection": "close"})(scope, receive, send)

    return checked


def _ambiguity(heads: Collection[tuple[bytes, bytes]]) -> str | None:
    """What is wrong with a head, None where nothing is."""
    names = Counter(name for name, _value in heads)
    if not all(_HOST.fullmatch(value) for name, value in heads if name == b"host"):
        return "the header Host names no host"
    if names[b"content-length"] and names[b"transfer-encoding"]:
        return "the headers Content-Length and Transfer-Encoding exclude each other"
    if names[b"authorization"] > 1:
        return "the header Authorization stands there more than once"
    return None
