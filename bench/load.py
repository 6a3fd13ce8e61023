"""The callers, a process of their own: asks the server what it is told to, line by line, and answers with times.

Each request is made once and never again, serialized beforehand, and both methods get the same bytes and metadata, so
that what the callers cost is the same on both sides.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import uuid
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import grpc

from bench.server import ECHO_METHOD
from bench.worlds import Size, ask, make_world
from lakewarden.v1 import authorization_pb2 as pb
from lakewarden.v1 import grants_pb2

METHODS = {"check": "/lakewarden.v1.AuthorizationService/Check", "echo": f"/{ECHO_METHOD}"}
TIMEOUT_SECONDS = 10.0
QUESTIONS = 60_000


class Load:
    """One channel to the server and a stream of fresh questions."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._channel = grpc.insecure_channel(wanted["endpoint"])
        self._calls: dict[str, Any] = {
            name: self._channel.unary_unary(method) for name, method in METHODS.items()
        }
        self._metadata = (
            ("authorization", f"Bearer {wanted['token']}"),
            ("lakewarden-workspace", wanted["workspace"]),
        )
        self._requests = _requests(Size(**wanted["size"]))

    def latency(self, method: str, count: int) -> dict[str, Any]:
        """Seconds of each call, one after the other, and the share of questions that were allowed."""
        call, times, replies = self._calls[method], [], []
        for request in [next(self._requests) for _ in range(count)]:
            started = perf_counter()
            reply = call(request, timeout=TIMEOUT_SECONDS, metadata=self._metadata_of_call())
            times.append(perf_counter() - started)
            replies.append(reply)
        allowed = sum(pb.CheckResponse.FromString(reply).verdict.allowed for reply in replies)
        return {"seconds": times, "allowed_share": allowed / count}

    def throughput(self, method: str, callers: int, seconds: float) -> dict[str, Any]:
        """Calls per second of `callers` that each ask again as soon as they are answered."""
        run = _Run(self, method, perf_counter() + seconds)
        started = perf_counter()
        run.start(callers)
        run.idle.wait(seconds + TIMEOUT_SECONDS)
        if run.failures:
            raise RuntimeError(f"{len(run.failures)} calls failed, the first: {run.failures[0]}")
        return {"per_second": run.done / (run.finished - started)}

    def send(self, method: str) -> Any:
        """Starts one call and returns its future."""
        return self._calls[method].future(
            next(self._requests), timeout=TIMEOUT_SECONDS, metadata=self._metadata_of_call()
        )

    def _metadata_of_call(self) -> tuple[tuple[str, str], ...]:
        return (*self._metadata, ("lakewarden-request-id", str(uuid.uuid4())))


class _Run:
    """Callers without threads of their own: each answer's callback asks the next question."""

    def __init__(self, load: Load, method: str, end: float) -> None:
        self._load, self._method, self._end = load, method, end
        self._lock = threading.Lock()
        self._active = 0
        self.done = 0
        self.finished = 0.0
        self.failures: list[str] = []
        self.idle = threading.Event()

    def start(self, callers: int) -> None:
        self._active = callers
        for _ in range(callers):
            self._load.send(self._method).add_done_callback(self._answered)

    def _answered(self, future: Any) -> None:
        now = perf_counter()
        with self._lock:
            if future.code() is grpc.StatusCode.OK:
                self.done += 1
            else:
                self.failures.append(str(future.details()))
            more = now < self._end and not self.failures
            if not more:
                self._active -= 1
                self.finished = now
                if self._active == 0:
                    self.idle.set()
        if more:
            self._load.send(self._method).add_done_callback(self._answered)


def _requests(size: Size) -> Iterator[bytes]:
    """Serialized requests, endlessly; a question comes again only after all others."""
    world = make_world(size)
    serialized = [
        pb.CheckRequest(
            subject=question.user,
            access=pb.Access(securable_type=grants_pb2.TABLE, full_name=question.table, privilege="SELECT"),
        ).SerializeToString()
        for question in ask(world, QUESTIONS, seed=1)
    ]
    shuffle = random.Random(2)
    while True:
        yield from serialized
        shuffle.shuffle(serialized)


def main(argument: str) -> None:
    """Reads one JSON command per line, prints one JSON answer per line."""
    wanted: dict[str, Any] = json.loads(argument)
    if wanted["cores"]:
        os.sched_setaffinity(0, wanted["cores"])
    load = Load(wanted)
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(load, command.pop("measure"))(**command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
