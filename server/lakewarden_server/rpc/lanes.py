"""Lanes: the threads of one kind of call and the calls that may wait for them. What finds its lane full is refused at once.

The lane of a call follows from its rule (`write`, `urgent`, `own_pool`), so that reads, writes and revokes never wait for each other's threads.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import grpc

from lakewarden_server.pipeline.rules import Rule

WRITE_THREADS = 8
URGENT_THREADS = 4
WATCH_THREADS = 2
"""Answer the replicas of engines: however many ask, and however much they are sent, they take no more of a process."""
PROMPT_THREADS = 2
READS_WAITING_MAX = 100
WRITES_WAITING_MAX = 50
URGENT_WAITING_MAX = 50
WATCHES_WAITING_MAX = 100

P = ParamSpec("P")
T = TypeVar("T")


class Lane(ThreadPoolExecutor):
    """A pool that knows how many calls it has, running and waiting."""

    def __init__(self, name: str, *, threads: int, waiting_max: int) -> None:
        super().__init__(threads, thread_name_prefix=f"lakewarden-{name}")
        self._calls_max = threads + waiting_max
        self._calls = 0
        self._counting = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether one call more would be too many. grpcio asks and submits in one thread, so the answer holds until then."""
        return self._calls >= self._calls_max

    def submit(self, function: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> Future[T]:
        """Runs a call when a thread is free; it counts until it has ended, or was dropped because its caller gave up."""
        with self._counting:
            self._calls += 1
        future = super().submit(function, *args, **options)
        future.add_done_callback(self._end)
        return future

    def _end(self, _future: Future[Any]) -> None:
        with self._counting:
            self._calls -= 1


@dataclass(frozen=True)
class Lanes:
    """Every pool of a server."""

    reads: Lane
    writes: Lane
    urgent: Lane
    watches: Lane
    prompt: ThreadPoolExecutor
    """For what asks nothing of the database: refusals and health."""

    @classmethod
    def of(cls, *, read_threads: int) -> Lanes:
        """The lanes of one server."""
        return cls(
            Lane("read", threads=read_threads, waiting_max=READS_WAITING_MAX),
            Lane("write", threads=WRITE_THREADS, waiting_max=WRITES_WAITING_MAX),
            Lane("urgent", threads=URGENT_THREADS, waiting_max=URGENT_WAITING_MAX),
            Lane("watch", threads=WATCH_THREADS, waiting_max=WATCHES_WAITING_MAX),
            ThreadPoolExecutor(PROMPT_THREADS, thread_name_prefix="lakewarden-prompt"),
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
        for pool in (self.reads, self.writes, self.urgent, self.watches, self.prompt):
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
    """Chooses for each call, when its headers arrive, between its method and the refusal of a full lane."""

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
