"""What every endpoint does with an HTTP request first: its body within limits, what travels beside it, a thread to answer it in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from lakewarden_server.core.peers import Peer, peer_at
from lakewarden_server.pipeline import headers

REQUESTS_WAITING_MAX = 50
BODY_BYTES_MAX = headers.MESSAGE_BYTES_MAX
BODY_SECONDS = 20.0
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
"""All there are, for a path whose handler tells them apart or refuses them itself."""
WORKSPACE_HEADER = "x-databricks-workspace-id"
"""How clients of the Databricks API say which workspace they call; here by its name."""
Found = TypeVar("Found")


class BodyTooLarge(Exception):
    """The body is over its limit; no more of it was read."""


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


async def read_body(
    request: Request, *, bytes_max: int = BODY_BYTES_MAX, seconds: float = BODY_SECONDS
) -> bytes:
    """The body. Raises `BodyTooLarge` and `NotArrived`."""
    found = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                found += chunk
                if len(found) > bytes_max:
                    raise BodyTooLarge
    except (ClientDisconnect, TimeoutError):
        raise NotArrived from None
    return bytes(found)


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
