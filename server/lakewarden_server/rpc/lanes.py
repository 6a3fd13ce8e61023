"""Lanes: the threads of one kind of call and the calls that may wait for them. What finds its lane full is refused at once.

The lane of a call follows from its rule (`write`, `urgent`, `own_pool`), so that reads, writes and revokes never wait for each other's threads.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, ParamSpec, TypeVar

import grpc

from lakewarden_server.pipeline.rules import Rule
from lakewarden_server.rpc.arrivals import Arrivals, CallPool, UnaryCall

WRITE_THREADS = 8
URGENT_THREADS = 4
WATCH_THREADS = 2
"""Answer the replicas of engines: however many ask, and however much they are sent, they take no more of a process."""
PROMPT_THREADS = 2
REFLECTION_THREADS = 2
READS_WAITING_MAX = 100
WRITES_WAITING_MAX = 50
URGENT_WAITING_MAX = 50
WATCHES_WAITING_MAX = 100

P = ParamSpec("P")
T = TypeVar("T")


class Lane(CallPool):
    """A pool that knows how many calls it has, running and waiting, and hands what is too much to another one to be refused."""

    def __init__(
        self, name: str, *, threads: int, waiting_max: int, arrivals: Arrivals, refusals: Refusals
    ) -> None:
        super().__init__(name, threads=threads, arrivals=arrivals)
        self._refusals = refusals
        self._calls_max = threads + waiting_max
        self._calls = 0
        self._counting = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether one call more would be too many."""
        return self._calls >= self._calls_max

    def admit(self, call: UnaryCall) -> Future[Any]:
        """Runs a call when a thread is free, or refuses it. Only the polling thread admits."""
        return self._refusals.refuse(call) if self.is_full else super().admit(call)

    def start(self, function: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
        """Runs a function when a thread is free; it counts until it has ended."""
        with self._counting:
            self._calls += 1
        future = super().start(function, *args, **options)
        future.add_done_callback(self._end)
        return future

    def _end(self, _future: Future[Any]) -> None:
        with self._counting:
            self._calls -= 1


class Refusals(NamedTuple):
    """How a call is refused, and the threads for it."""

    behaviour: Callable[[Any, grpc.ServicerContext], Any]
    pool: CallPool

    def refuse(self, call: UnaryCall) -> Future[Any]:
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
    watches: Lane
    prompt: CallPool
    """For what asks nothing of the database: refusals and health."""
    reflection: ThreadPoolExecutor
    """Its streams hold a thread for as long as their callers like."""
    refusals: Refusals
    arrivals: Arrivals

    @classmethod
    def of(cls, *, read_threads: int, refuse: Callable[[Any, grpc.ServicerContext], Any]) -> Lanes:
        """The lanes of one server; `refuse` is the behaviour of a method whose lane is full."""
        arrivals = Arrivals()
        prompt = CallPool("prompt", threads=PROMPT_THREADS, arrivals=arrivals)
        refusals = Refusals(refuse, prompt)

        def lane(name: str, threads: int, waiting_max: int) -> Lane:
            return Lane(name, threads=threads, waiting_max=waiting_max, arrivals=arrivals, refusals=refusals)

        return cls(
            lane("read", read_threads, READS_WAITING_MAX),
            lane("write", WRITE_THREADS, WRITES_WAITING_MAX),
            lane("urgent", URGENT_THREADS, URGENT_WAITING_MAX),
            lane("watch", WATCH_THREADS, WATCHES_WAITING_MAX),
            prompt,
            ThreadPoolExecutor(REFLECTION_THREADS, thread_name_prefix="lakewarden-reflection"),
            refusals,
            arrivals,
        )

    def lane(self, rule: Rule) -> Lane:
        """Where a method of this rule runs."""
        if rule.urgent:
            return self.urgent
        if rule.own_pool:
            return self.watches
        return self.writes if rule.write else self.reads

    def shutdown(self) -> None:
        """Waits for every thread."""
        self.arrivals.stop()
        for pool in (self.reads, self.writes, self.urgent, self.watches, self.prompt, self.reflection):
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
