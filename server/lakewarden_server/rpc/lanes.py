"""Lanes: the threads of one kind of call and the calls that may wait for them. What finds its lane full is refused at once.

The lane of a call follows from its rule (`write`, `urgent`, `pool`), so that reads, writes, revokes and what is recorded never
wait for each other's threads.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

import grpc

from lakewarden_server.pipeline.headers import MESSAGE_BYTES_MAX
from lakewarden_server.pipeline.rules import Method
from lakewarden_server.rpc.arrivals import Arrivals, CallPool
from lakewarden_server.rpc.gate import Gate
from lakewarden_server.rpc.open_calls import OpenCalls
from lakewarden_server.rpc.pooled_calls import PooledCall
from lakewarden_server.rpc.streams import StreamPool

WRITE_THREADS = 8
URGENT_THREADS = 4
WATCH_THREADS = 2
"""Answer the replicas of engines: however many ask, and however much they are sent, they take no more of a process."""
RECORD_THREADS = 8
"""Wait for the commit that their events are in, so as many as should share one."""
PROMPT_THREADS = 2
READS_WAITING_MAX = 100
WRITES_WAITING_MAX = 50
URGENT_WAITING_MAX = 50
URGENT_CALLER_MAX = (URGENT_THREADS + URGENT_WAITING_MAX) // 2
"""Urgent calls of one principal: whoever changes grants without end leaves room for the revokes of others."""
WATCHES_WAITING_MAX = 100
RECORDS_WAITING_MAX = 100
LINEAGE_THREADS = 2
LINEAGE_WAITING_MAX = 50
STREAM_THREADS = 4
"""Answer in streams: whoever reads slowly holds one of these, and none that answers anything else."""
STREAMS_WAITING_MAX = 8
STREAM_CALLER_MAX = 2
"""Streams of one principal, half of the threads."""
STREAM_SECONDS_MAX = 30.0
"""How long a stream is open, the time it waited for a thread among it: the longest deadline there is. Nobody else ends what is not read."""
STREAM_OVER = f"a stream ends after {STREAM_SECONDS_MAX:g} seconds: read faster, or ask for less"
APART: Final = {
    "watch": (WATCH_THREADS, WATCHES_WAITING_MAX),
    "record": (RECORD_THREADS, RECORDS_WAITING_MAX),
    "lineage": (LINEAGE_THREADS, LINEAGE_WAITING_MAX),
}
"""Threads and waiting calls of the pools that rules name."""
STREAMED: Final = {"lineage_stream": (STREAM_THREADS, STREAMS_WAITING_MAX)}
"""The same of the pools of what is answered in streams."""
LARGE_REQUESTS_MAX = 4
"""Requests over `MESSAGE_BYTES_MAX` that a lane has at once, running and waiting."""

P = ParamSpec("P")
T = TypeVar("T")


class Lane(CallPool):
    """A pool that knows how many calls it has, running and waiting, and hands what is too much to another one to be refused.

    Of a caller whom the gate does not know it looks at the credential before it asks for the request.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        waiting_max: int,
        arrivals: Arrivals,
        open_calls: OpenCalls,
        refusals: Refusals,
        gate: Gate,
        caller_max: int | None = None,
        seconds_max: float | None = None,
    ) -> None:
        """Of one principal at most ``caller_max`` calls are in it at once; any number for None. After ``seconds_max`` a call is cut off."""
        super().__init__(name, threads=threads, arrivals=arrivals, open_calls=open_calls)
        self._refusals = refusals
        self._gate = gate
        self._calls_max = threads + waiting_max
        self._caller_max = caller_max
        self._seconds_max = seconds_max
        self._of_callers: Counter[str] = Counter()
        self._calls = self._large = 0
        self._counting = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether one call more would be too many."""
        return self._calls >= self._calls_max

    def enter(self, call: PooledCall, ended: Future[Any]) -> None:
        """Asks for the request of who is known, and has a thread look at the credential of everybody else."""
        caller_id = self._gate.remembered(call)
        if caller_id is not None:
            self.expect(call, caller_id, ended)
            return
        found: list[str] = []

        def looked(_: object) -> None:
            if found:
                self.expect(call, found[0], ended)
            else:
                ended.set_result(None)

        try:
            if self.is_full:
                looking = self._refusals.refuse(call.with_request(b""))
            else:
                looking = self.admit(self._gate.checked(call, found.append))
        except RuntimeError:
            # Raised further, it would end the thread that polls. A pool that was shut down takes nothing.
            ended.set_result(None)
        else:
            looking.add_done_callback(looked)

    def expect(self, call: PooledCall, caller: str, ended: Future[Any]) -> None:
        """Runs a call once its request has arrived, or refuses it where its caller has enough of the lane already."""
        if self._caller_max is not None:
            with self._counting:
                refused = self._of_callers[caller] >= self._caller_max
                self._of_callers[caller] += not refused
            if refused:
                refusing = self._refusals.refuse(call.with_request(b""))
                refusing.add_done_callback(lambda _: ended.set_result(None))
                return
            ended.add_done_callback(lambda _: self._end_of(caller))
        super().expect(call, caller, ended)

    def received(self, call: PooledCall, request: Any) -> Future[Any]:
        """Runs a call whose request is there, unless that is too large, or too many large ones are there."""
        size = len(request)
        if size <= MESSAGE_BYTES_MAX:
            return super().received(call, request)
        refused = self._gate.too_large(call, size)
        if refused is not None:
            return self._refusals.pool.admit(refused)
        if self._large >= LARGE_REQUESTS_MAX:
            return self._refusals.refuse(call.with_request(b""))
        running = super().received(call, request)
        with self._counting:
            self._large += 1
        running.add_done_callback(self._end_large)
        return running

    def admit(self, call: PooledCall) -> Future[Any]:
        """Runs a call when a thread is free, or refuses it. Only the polling thread admits."""
        if self.is_full:
            return self._refusals.refuse(call)
        running = super().admit(call)
        if self._seconds_max is not None:
            timer = threading.Timer(self._seconds_max, call.cut_off, (STREAM_OVER,))
            timer.daemon = True
            timer.start()
            running.add_done_callback(lambda _: timer.cancel())
        return running

    def start(self, function: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
        """Runs a function when a thread is free; it counts until it has ended."""
        future = super().start(function, *args, **options)
        # Counted only once it is taken: a pool that was shut down takes nothing.
        with self._counting:
            self._calls += 1
        future.add_done_callback(self._end)
        return future

    def _end(self, _future: Future[Any]) -> None:
        with self._counting:
            self._calls -= 1

    def _end_of(self, caller: str) -> None:
        with self._counting:
            self._of_callers[caller] -= 1
            if not self._of_callers[caller]:
                del self._of_callers[caller]

    def _end_large(self, _future: Future[Any]) -> None:
        with self._counting:
            self._large -= 1


class Refusals(NamedTuple):
    """How a call is refused, and the threads for it."""

    behaviour: Callable[[Any, grpc.ServicerContext], Any]
    pool: CallPool

    def refuse(self, call: PooledCall) -> Future[Any]:
        """Refuses a call whose request has arrived."""
        return self.pool.admit(call._replace(behaviour=self.behaviour))

    @property
    def handler(self) -> grpc.RpcMethodHandler[Any, Any]:
        """Refuses a call when its headers arrive: as a stream of requests it need not wait for one."""
        return grpc.stream_unary_rpc_method_handler(in_pool(self.behaviour, self.pool))


@dataclass(frozen=True)
class Lanes:
    """Every pool of a server."""

    reads: Lane
    writes: Lane
    urgent: Lane
    apart: Mapping[str, Lane]
    """Those that rules name."""
    streamed: Mapping[str, Lane]
    """Those of what is answered in streams."""
    prompt: CallPool
    """For what asks nothing of the database: refusals and health."""
    reflection: StreamPool
    refusals: Refusals
    arrivals: Arrivals
    open_calls: OpenCalls

    @classmethod
    def of(
        cls, *, read_threads: int, refuse: Callable[[Any, grpc.ServicerContext], Any], gate: Gate
    ) -> Lanes:
        """The lanes of one server; `refuse` is the behaviour of a method whose lane is full."""
        arrivals, open_calls = Arrivals(), OpenCalls()
        prompt = CallPool("prompt", threads=PROMPT_THREADS, arrivals=arrivals, open_calls=open_calls)
        refusals = Refusals(refuse, prompt)

        def lane(
            name: str,
            threads: int,
            waiting_max: int,
            caller_max: int | None = None,
            seconds_max: float | None = None,
        ) -> Lane:
            return Lane(
                name,
                threads=threads,
                waiting_max=waiting_max,
                arrivals=arrivals,
                open_calls=open_calls,
                refusals=refusals,
                gate=gate,
                caller_max=caller_max,
                seconds_max=seconds_max,
            )

        return cls(
            lane("read", read_threads, READS_WAITING_MAX),
            lane("write", WRITE_THREADS, WRITES_WAITING_MAX),
            lane("urgent", URGENT_THREADS, URGENT_WAITING_MAX, URGENT_CALLER_MAX),
            {name: lane(name, *sizes) for name, sizes in APART.items()},
            {
                name: lane(name, *sizes, STREAM_CALLER_MAX, STREAM_SECONDS_MAX)
                for name, sizes in STREAMED.items()
            },
            prompt,
            StreamPool("reflection", open_calls=open_calls),
            refusals,
            arrivals,
            open_calls,
        )

    def lane(self, method: Method) -> Lane:
        """Where a method runs. Raises KeyError for a pool there is none of, before the server starts: a stream has one for streams."""
        rule = method.rule
        if method.streams:
            return self.streamed[rule.pool]
        if rule.urgent:
            return self.urgent
        if rule.pool:
            return self.apart[rule.pool]
        return self.writes if rule.write else self.reads

    def shutdown(self) -> None:
        """Waits for every thread."""
        self.arrivals.stop()
        lanes = (self.reads, self.writes, self.urgent, *self.apart.values(), *self.streamed.values())
        for pool in (*lanes, self.prompt, self.reflection):
            pool.shutdown(wait=True)


def in_pool(behaviour: Callable[P, T], pool: ThreadPoolExecutor) -> Callable[P, T]:
    """The same behaviour, run by threads of `pool`."""

    @functools.wraps(behaviour)
    def pooled(*args: P.args, **options: P.kwargs) -> T:
        return behaviour(*args, **options)

    # grpcio reads this attribute to choose the pool a handler runs in; tests pin that it still does.
    pooled.experimental_thread_pool = pool  # type: ignore[attr-defined]
    return pooled


class Admission(grpc.GenericRpcHandler):
    """Chooses for each call, when its headers arrive, between its method and the refusal of a full lane.

    A lane that fills up until the request arrives refuses it then.
    """

    def __init__(
        self,
        handlers: Mapping[str, tuple[grpc.RpcMethodHandler[Any, Any], Lane]],
        refusal: grpc.RpcMethodHandler[Any, Any],
    ) -> None:
        self._handlers = handlers
        self._refusal = refusal

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The handler of a call; None for a method that is not ours."""
        found = self._handlers.get(handler_call_details.method)
        if found is None:
            return None
        handler, lane = found
        return self._refusal if lane.is_full else handler
