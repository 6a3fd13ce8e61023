"""A call takes a thread when its request is there, not when its headers are, and requests are received a few at a time.

grpcio gives each call a thread that then waits for the request: whoever opens a few calls and sends nothing has every thread of a
server, and every other call pays for waking the thread twice. Here the thread that polls the network takes the request, and the pool
gets the call with it. What is not asked for stays with the sender but for what the connection's window lets through (RFC 9113 section 5.2), so the
memory that requests take while they are received is what is asked for at once. `rpc.lanes` sets `experimental_thread_pool`. Calls that are not
recognised run as grpcio would run them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, ParamSpec, TypeVar

from grpc._cython import cygrpc  # type: ignore[attr-defined]

from lakewarden_server.core.clock import monotonic
from lakewarden_server.rpc.open_calls import TOO_MANY_OPEN, OpenCalls
from lakewarden_server.rpc.pooled_calls import PooledCall

REQUEST_SECONDS_MAX = 10.0
"""How long a call may wait for its own request."""
LATE = f"the request did not arrive within {REQUEST_SECONDS_MAX:g} seconds of its headers: send it with them"
EXPECTED_MAX = 500
"""Calls that wait for their requests at once, half of what a server takes."""
RECEIVED_MAX = 100
"""Of these, requests that are received at once; then, as when too many wait, the call ends that waits longest of who has most."""
RECEIVED_PER_CALLER_MAX = 20
"""Of one principal; its others wait until these have arrived."""
RECEIVED_OF_STRANGERS_MAX = 8
"""Of all who call health without a credential; then the one that waits longest ends."""
STRANGERS = ""
DRIVEN_OUT = "too many calls wait for their requests: send the request with the headers"
LOOK_SECONDS = 1.0

P = ParamSpec("P")
T = TypeVar("T")


class _Expected(NamedTuple):
    """A call whose request is to come, since when (monotonic seconds), and who gets the request."""

    since: float
    call: PooledCall
    arrived: Callable[[Any], None]

    def end(self, code: Any, details: str) -> None:
        # One that cannot be ended must not keep the others.
        with suppress(Exception):
            self.call.end(code, details)


class _Caller:
    """What one caller's calls wait for, oldest first."""

    __slots__ = ("asked", "queued")

    def __init__(self) -> None:
        self.asked: dict[int, _Expected] = {}
        self.queued: deque[_Expected] = deque()

    def __len__(self) -> int:
        return len(self.asked) + len(self.queued)


class Arrivals:
    """The calls of a server whose requests have not arrived. Ends those that wait too long, once it is started."""

    def __init__(
        self,
        *,
        seconds_max: float = REQUEST_SECONDS_MAX,
        look_seconds: float = LOOK_SECONDS,
        expected_max: int = EXPECTED_MAX,
        received_max: int = RECEIVED_MAX,
        received_per_caller_max: int = RECEIVED_PER_CALLER_MAX,
    ) -> None:
        self._seconds_max, self._look_seconds = seconds_max, look_seconds
        self._expected_max, self._received_max = expected_max, received_max
        self._per_caller_max = received_per_caller_max
        self._lock = threading.Lock()
        self._callers: dict[str, _Caller] = {}
        self._count = self._asked_count = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lakewarden-arrivals", daemon=True)

    def __len__(self) -> int:
        return self._count

    def start(self) -> None:
        """Begins to end calls that wait too long."""
        self._thread.start()

    def stop(self) -> None:
        """Waits for the thread; does nothing where there is none."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def expect(self, call: PooledCall, caller: str, arrived: Callable[[Any], None]) -> None:
        """Calls `arrived` with the request, in the polling thread, or with None when it will not come. `caller` is the id of a principal, or STRANGERS."""
        one = _Expected(monotonic(), call, arrived)
        with self._lock:
            waiting = self._callers.get(caller)
            if waiting is None:
                waiting = self._callers[caller] = _Caller()
            strange = caller == STRANGERS
            queues = not strange and len(waiting.asked) >= self._per_caller_max
            driven_out = self._driven_out(waiting if strange else None, asks=not queues)
            self._count += 1
            if queues:
                waiting.queued.append(one)
            else:
                self._note_asked(waiting, one)
        if driven_out is not None:
            driven_out.end(cygrpc.StatusCode.resource_exhausted, DRIVEN_OUT)
        if not queues:
            self._ask(one, caller)

    def _driven_out(self, strangers: _Caller | None, *, asks: bool) -> _Expected | None:
        """The call that has to go so that one more may come. Its request may still be there for a moment."""
        if strangers is not None and len(strangers.asked) >= RECEIVED_OF_STRANGERS_MAX:
            return self._forget_longest(strangers)
        if self._count >= self._expected_max or (asks and self._asked_count >= self._received_max):
            most = max(self._callers.values(), key=lambda waiting: len(waiting.asked))
            return self._forget_longest(most) if most.asked else None
        return None

    def _forget_longest(self, waiting: _Caller) -> _Expected:
        self._count -= 1
        self._asked_count -= 1
        return waiting.asked.pop(next(iter(waiting.asked)))

    def _note_asked(self, waiting: _Caller, one: _Expected) -> None:
        waiting.asked[id(one.call)] = one
        self._asked_count += 1

    def _ask(self, one: _Expected, caller: str) -> None:
        following: tuple[_Expected, str] | None = (one, caller)
        while following is not None:
            one, caller = following
            if one.call.receive(partial(self._received, one, caller)):
                return
            # Its caller gave it up while it was queued.
            following = self._arrived(one, caller)
            one.arrived(None)

    def _received(self, one: _Expected, caller: str, request: Any) -> None:
        following = self._arrived(one, caller)
        if following is not None:
            self._ask(*following)
        one.arrived(request)

    def _arrived(self, one: _Expected, caller: str) -> tuple[_Expected, str] | None:
        """Forgets a call whose request is there; tells whose is asked for now."""
        with self._lock:
            waiting = self._callers.get(caller)
            if waiting is not None and waiting.asked.pop(id(one.call), None) is not None:
                self._count -= 1
                self._asked_count -= 1
            if waiting is not None and not len(waiting):
                del self._callers[caller]
            if self._count == self._asked_count or self._asked_count >= self._received_max:
                return None
            for name, waiting in self._callers.items():
                if waiting.queued and len(waiting.asked) < self._per_caller_max:
                    following = waiting.queued.popleft()
                    self._note_asked(waiting, following)
                    return following, name
            return None

    def _watch(self) -> None:
        while not self._stopped.wait(self._look_seconds):
            before = monotonic() - self._seconds_max
            with self._lock:
                callers = self._callers.values()
                late = [one for waiting in callers for one in waiting.asked.values() if one.since < before]
                queued = []
                for waiting in callers:
                    while waiting.queued and waiting.queued[0].since < before:
                        queued.append(waiting.queued.popleft())
                        self._count -= 1
                self._callers = {name: waiting for name, waiting in self._callers.items() if len(waiting)}
            for one in (*late, *queued):
                one.end(cygrpc.StatusCode.deadline_exceeded, LATE)
            for one in queued:
                # Nothing was asked of it, so nothing will come.
                one.arrived(None)


class CallPool(ThreadPoolExecutor):
    """Threads for calls whose requests have arrived."""

    def __init__(self, name: str, *, threads: int, arrivals: Arrivals, open_calls: OpenCalls) -> None:
        super().__init__(threads, thread_name_prefix=f"lakewarden-{name}")
        self._arrivals = arrivals
        self._open_calls = open_calls

    def submit(self, function: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> Future[T]:
        """Runs a function when a thread is free; a call, when its request is there too. The future ends with the call."""
        call = PooledCall.of(function, args)
        if call is None:
            return self.start(function, *args, **options)
        ended: Future[Any] = Future()
        if self._open_calls.admit(call):
            self.enter(call, ended)
        else:
            call.end(cygrpc.StatusCode.resource_exhausted, TOO_MANY_OPEN)
            ended.set_result(None)
        return ended

    def enter(self, call: PooledCall, ended: Future[Any]) -> None:
        """Begins with a call when its headers are there; `ended` is set when it has ended."""
        self.expect(call, STRANGERS, ended)

    def expect(self, call: PooledCall, caller: str, ended: Future[Any]) -> None:
        """Runs a call once its request has arrived."""

        def arrived(request: Any) -> None:
            running: Future[Any] | None = None
            # Raised here, it would end the thread that polls. A pool that was shut down takes nothing.
            with suppress(RuntimeError):
                running = None if request is None else self.received(call, request)
            if running is None:
                ended.set_result(None)
            else:
                running.add_done_callback(lambda _: ended.set_result(None))

        self._arrivals.expect(call, caller, arrived)

    def received(self, call: PooledCall, request: Any) -> Future[Any]:
        """Runs a call whose request is there."""
        return self.admit(call.with_request(request))

    def admit(self, call: PooledCall) -> Future[Any]:
        """Runs a call that need not wait for its request when a thread is free."""
        return self.start(*call)

    def start(self, function: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
        """Runs a function when a thread is free."""
        return super().submit(function, *args, **options)
