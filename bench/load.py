"""The callers, a process of their own: asks the server what it is told to, line by line, and answers with times.

Requests are serialized beforehand, and every method carries the same metadata, so that what the callers cost is the same
on both sides of a ratio.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from itertools import islice
from time import perf_counter
from typing import Any

import grpc

from bench.commands import answer_commands
from bench.requests import sent
from bench.worlds import Size, make_world

TIMEOUT_SECONDS = 10.0


class Load:
    """One channel to the server and a stream of requests for each method."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._channel = grpc.insecure_channel(wanted["endpoint"])
        self._sent = sent(make_world(Size(**wanted["size"])))
        self._calls: dict[str, Any] = {
            name: self._channel.unary_unary(method.path) for name, method in self._sent.items()
        }
        self._tokens = {"grant": wanted["admin_token"]}
        self._engine_token = wanted["token"]
        self._workspace = wanted["workspace"]

    def latency(self, method: str, count: int) -> dict[str, Any]:
        """Seconds of each call, one after the other, and the share of answers that were yes."""
        call, times, replies = self._calls[method], [], []
        for request in list(islice(self._sent[method].requests, count)):
            started = perf_counter()
            reply = call(request, timeout=TIMEOUT_SECONDS, metadata=self._metadata(method))
            times.append(perf_counter() - started)
            replies.append(reply)
        return {"seconds": times, "allowed_share": self._allowed_share(method, replies)}

    def throughput(self, method: str, callers: int, seconds: float) -> dict[str, Any]:
        """Calls per second, for some seconds, of `callers` that each ask again as soon as they are answered."""
        run = _Run(self, method, self._sent[method].requests, perf_counter() + seconds)
        return {"per_second": run.per_second(callers), "calls": len(run.replies)}

    def rate(self, method: str, callers: int, count: int) -> dict[str, Any]:
        """The same for a number of calls, whose requests are all made before the first is sent."""
        run = _Run(self, method, iter(list(islice(self._sent[method].requests, count))), float("inf"))
        per_second = run.per_second(callers)
        return {"per_second": per_second, "allowed_share": self._allowed_share(method, run.replies)}

    def send(self, method: str, request: bytes) -> Any:
        """Starts one call and returns its future."""
        return self._calls[method].future(request, timeout=TIMEOUT_SECONDS, metadata=self._metadata(method))

    def _metadata(self, method: str) -> tuple[tuple[str, str], ...]:
        return (
            ("authorization", f"Bearer {self._tokens.get(method, self._engine_token)}"),
            ("lakewarden-workspace", self._workspace),
            *self._sent[method].metadata,
            ("lakewarden-request-id", str(uuid.uuid4())),
        )

    def _allowed_share(self, method: str, replies: list[bytes]) -> float:
        return sum(map(self._sent[method].allowed, replies)) / len(replies)


class _Run:
    """Callers without threads of their own: each answer's callback asks the next question."""

    def __init__(self, load: Load, method: str, requests: Iterator[bytes], end: float) -> None:
        self._load, self._method, self._requests, self._end = load, method, requests, end
        self._lock = threading.Lock()
        self._active = 0
        self._finished = 0.0
        self._failures: list[str] = []
        self._idle = threading.Event()
        self.replies: list[bytes] = []

    def per_second(self, callers: int) -> float:
        """Runs to the end. Raises RuntimeError when a call failed."""
        self._active = callers
        started = perf_counter()
        for _ in range(callers):
            self._ask_next()
        self._idle.wait()
        if self._failures:
            raise RuntimeError(f"{len(self._failures)} calls failed, the first: {self._failures[0]}")
        return len(self.replies) / (self._finished - started)

    def _ask_next(self) -> None:
        with self._lock:
            now = perf_counter()
            request = next(self._requests, None) if now < self._end and not self._failures else None
            if request is None:
                self._active -= 1
                self._finished = now
                if self._active == 0:
                    self._idle.set()
                return
        self._load.send(self._method, request).add_done_callback(self._answered)

    def _answered(self, future: Any) -> None:
        if future.code() is grpc.StatusCode.OK:
            self.replies.append(future.result())
        else:
            self._failures.append(str(future.details()))
        self._ask_next()


if __name__ == "__main__":
    answer_commands(Load)
