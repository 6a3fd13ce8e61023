"""Threads for reflection, whose streams hold one for as long as their callers like: a few for each peer, and not for long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from grpc._cython import cygrpc  # type: ignore[attr-defined]

from lakewarden_server.rpc.open_calls import TOO_MANY_OPEN, OpenCalls
from lakewarden_server.rpc.pooled_calls import PooledCall

REFLECTION_THREADS = 4
"""Streams of reflection that are open at once; then the one that is open longest ends."""
REFLECTION_STREAMS_PER_PEER_MAX = 2
REFLECTION_SECONDS_MAX = 10.0
"""However much is asked in it: a tool reads the whole API within one."""
OVER = f"a stream of reflection ends after {REFLECTION_SECONDS_MAX:g} seconds: open another one"
MADE_ROOM = "too many streams of reflection are open, and this one was open longest: try again"

P = ParamSpec("P")
T = TypeVar("T")


class StreamPool(ThreadPoolExecutor):
    """Threads for streams, as many as may be open."""

    def __init__(
        self,
        name: str,
        *,
        open_calls: OpenCalls,
        threads: int = REFLECTION_THREADS,
        per_peer_max: int = REFLECTION_STREAMS_PER_PEER_MAX,
        seconds_max: float = REFLECTION_SECONDS_MAX,
    ) -> None:
        super().__init__(threads, thread_name_prefix=f"lakewarden-{name}")
        self._admissions = (open_calls, OpenCalls(per_peer_max))
        self._open_max, self._seconds_max = threads, seconds_max
        self._open: dict[int, PooledCall] = {}
        self._lock = threading.Lock()

    def submit(self, function: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> Future[T]:
        """Runs a function when a thread is free; a stream, until its time is over. The future ends with it."""
        call = PooledCall.stream_of(function, args)
        if call is None:
            return super().submit(function, *args, **options)
        if not all(admission.admit(call) for admission in self._admissions):
            call.end_stream(cygrpc.StatusCode.resource_exhausted, TOO_MANY_OPEN)
            ended: Future[Any] = Future()
            ended.set_result(None)
            return ended
        return self._run(call)

    def _run(self, call: PooledCall) -> Future[Any]:
        key, longest = id(call), None
        with self._lock:
            if len(self._open) >= self._open_max:
                longest = self._open.pop(next(iter(self._open)))
            self._open[key] = call
        if longest is not None:
            longest.end_stream(cygrpc.StatusCode.resource_exhausted, MADE_ROOM)
        running = super().submit(call.run, *call[1:])
        timer = threading.Timer(
            self._seconds_max, call.end_stream, (cygrpc.StatusCode.deadline_exceeded, OVER)
        )
        timer.daemon = True
        timer.start()

        def over(_: object) -> None:
            timer.cancel()
            with self._lock, suppress(KeyError):
                del self._open[key]

        running.add_done_callback(over)
        return running
