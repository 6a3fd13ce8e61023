"""A call takes a thread when its request is there, not when its headers are.

grpcio gives each call a thread that then waits for the request: whoever opens a few calls and sends nothing has every thread of a
server, and every other call pays for waking the thread twice. Here the thread that polls the network takes the request, and the pool
gets the call with it. Functions and constants of grpcio's `_server` and its cython messages are used here, and tests
pin them; `rpc.lanes` sets `experimental_thread_pool`. Calls it does not recognise
run as grpcio would run them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, ParamSpec, TypeVar

from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from lakewarden_server.core.clock import monotonic

REQUEST_SECONDS_MAX = 10.0
"""How long a call may wait for its own request."""
LATE = f"the request did not arrive within {REQUEST_SECONDS_MAX:g} seconds of its headers: send it with them"
NONE_SENT = "the call was closed without a request: send exactly one"
EXPECTED_MAX = 500
"""Calls that wait for their requests at once, half of what a server takes; then the one that waits longest ends."""
DRIVEN_OUT = "too many calls wait for their requests: send the request with the headers"
LOOK_SECONDS = 1.0
ONE_REQUEST = "unary_request"
"""The name of the function by which grpcio waits for the request of a call that has one."""

P = ParamSpec("P")
T = TypeVar("T")


class UnaryCall(NamedTuple):
    """What grpcio hands to a pool for a call with one request: its own parts, in its own order."""

    run: Callable[..., Any]
    answer: Callable[..., Any]
    event: Any
    state: Any
    behaviour: Callable[..., Any]
    request: Callable[[], Any]
    """Waits for the request in the thread that asks."""
    deserializer: Any
    serializer: Any

    @classmethod
    def of(cls, function: Callable[..., Any], arguments: tuple[Any, ...]) -> UnaryCall | None:
        """The call that is to be run; None for anything else, also for a stream of requests."""
        if len(arguments) != len(cls._fields) - 1 or getattr(arguments[4], "__name__", "") != ONE_REQUEST:
            return None
        return cls(function, *arguments)

    @property
    def is_active(self) -> bool:
        """Whether anybody waits for the answer."""
        return bool(_server._is_rpc_state_active(self.state))

    def receive(self, arrived: Callable[[Any], None]) -> None:
        """Asks for the request and returns; `arrived` gets it in the polling thread, or None when it will not come."""
        take = _server._receive_message(self.state, self.event.call, self.deserializer)

        def received(event: Any) -> Any:
            finished = take(event)
            with self.state.condition:
                request, self.state.request = self.state.request, None
                if request is None and self.state.client is _server._CLOSED:
                    self.end(cygrpc.StatusCode.unimplemented, NONE_SENT)
            arrived(request)
            return finished

        with self.state.condition:
            self.state.due.add(_server._RECEIVE_MESSAGE_TOKEN)
            self.event.call.start_server_batch((cygrpc.ReceiveMessageOperation(0),), received)

    def end(self, code: Any, details: str) -> None:
        """Ends it with a status, unless it has ended."""
        with self.state.condition:
            if self.is_active:
                _server._abort(self.state, self.event.call, code, details.encode())

    def with_request(self, request: Any) -> UnaryCall:
        """The same call as a thread runs it that need not wait: not at all when its caller gave up."""
        return self._replace(request=lambda: request if self.is_active else None)


class Arrivals:
    """The calls of a server whose requests have not arrived. Ends those that wait too long, once it is started."""

    def __init__(
        self,
        *,
        seconds_max: float = REQUEST_SECONDS_MAX,
        look_seconds: float = LOOK_SECONDS,
        expected_max: int = EXPECTED_MAX,
    ) -> None:
        self._seconds_max, self._look_seconds, self._expected_max = seconds_max, look_seconds, expected_max
        self._lock = threading.Lock()
        self._expected: dict[int, tuple[float, UnaryCall]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lakewarden-arrivals", daemon=True)

    def __len__(self) -> int:
        return len(self._expected)

    def start(self) -> None:
        """Begins to end calls that wait too long."""
        self._thread.start()

    def stop(self) -> None:
        """Waits for the thread; does nothing where there is none."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def expect(self, call: UnaryCall, arrived: Callable[[Any], None]) -> None:
        """Calls `arrived` with the request, in the polling thread, or with None when it will not come."""
        key, longest = id(call), None
        with self._lock:
            if len(self._expected) >= self._expected_max:
                longest = next(iter(self._expected.values()))[1]
            self._expected[key] = (monotonic(), call)
        if longest is not None:
            longest.end(cygrpc.StatusCode.resource_exhausted, DRIVEN_OUT)

        def end(request: Any) -> None:
            with self._lock:
                del self._expected[key]
            arrived(request)

        call.receive(end)

    def _watch(self) -> None:
        while not self._stopped.wait(self._look_seconds):
            with self._lock:
                before = monotonic() - self._seconds_max
                late = [call for since, call in self._expected.values() if since < before]
            for call in late:
                # One that cannot be ended must not keep the others.
                with suppress(Exception):
                    call.end(cygrpc.StatusCode.deadline_exceeded, LATE)


class CallPool(ThreadPoolExecutor):
    """Threads for calls whose requests have arrived."""

    def __init__(self, name: str, *, threads: int, arrivals: Arrivals) -> None:
        super().__init__(threads, thread_name_prefix=f"lakewarden-{name}")
        self._arrivals = arrivals

    def submit(self, function: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> Future[T]:
        """Runs a function when a thread is free; a call, when its request is there too. The future ends with the call."""
        call = UnaryCall.of(function, args)
        if call is None:
            return self.start(function, *args, **options)
        ended: Future[Any] = Future()

        def arrived(request: Any) -> None:
            running: Future[Any] | None = None
            # Raised here, it would end the thread that polls. A pool that was shut down takes nothing.
            with suppress(RuntimeError):
                running = None if request is None else self.admit(call.with_request(request))
            if running is None:
                ended.set_result(None)
            else:
                running.add_done_callback(lambda _: ended.set_result(None))

        self._arrivals.expect(call, arrived)
        return ended

    def admit(self, call: UnaryCall) -> Future[Any]:
        """Runs a call whose request is there when a thread is free."""
        return self.start(*call)

    def start(self, function: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
        """Runs a function when a thread is free."""
        return super().submit(function, *args, **options)
