"""The replica in an engine's process: what a snapshot of a million grants and a local decision cost it, and what 50 of them cost the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter, perf_counter_ns, process_time
from typing import Any, NamedTuple

from bench.figures import Figure, median_of, percentile
from bench.processes import Callers, Target, bench_server, callers_of, watchers_of
from bench.worlds import Question, Size, World, ask, make_world
from lakewarden import Client
from lakewarden._replica_state import Position, read_state
from lakewarden.replica import PolicyReplica
from lakewarden_policy import Decider, load_policy

WORLD = Size(grants=1_000_000)
WATCHERS = 50
WRITES_PER_SECOND = 5
MICROSECONDS = 1e6
STALENESS_SECONDS = 600.0
"""Of the replica that is asked here: it is not refreshed while it is timed."""


class Effort(NamedTuple):
    """How much is measured."""

    snapshots: int = 3
    rounds: int = 5
    questions: int = 4_000
    """Of the replica in a round."""
    calls: int = 200
    """Of the server in a round, once with and once without watchers."""


class Received(NamedTuple):
    """A whole slice as it comes: position, bytes, and the server's time in seconds since the epoch."""

    position: str
    data: bytes
    read_time: float


def replica_figures(
    size: Size = WORLD, effort: Effort | None = None, watchers: int = WATCHERS
) -> list[Figure]:
    """All of one server on SQLite."""
    with bench_server(None, size) as target:
        return figures_of(target, effort or Effort(), watchers)


def figures_of(target: Target, effort: Effort, watchers: int) -> list[Figure]:
    """The same of a server that runs."""
    world = make_world(target.size)
    with Client(target.endpoint, token=target.token, workspace=target.workspace) as engine:
        figures = [*_snapshots(engine, effort), _checks(engine, world, effort)]
        return [*figures, _watched(target, world, effort, watchers)]


def _snapshots(engine: Client, effort: Effort) -> Iterator[Figure]:
    """First end to end, where the server has to cut the slice once; then again and again what the replica does of it."""
    started = perf_counter()
    PolicyReplica(engine).refresh()
    first = perf_counter() - started
    started = perf_counter()
    PolicyReplica(engine).refresh()
    second = perf_counter() - started
    received = _received(engine)
    cpu_seconds, seconds = [], []
    for _ in range(effort.snapshots):
        started, cpu_started = perf_counter(), process_time()
        decider = _built(received)
        cpu_seconds.append(process_time() - cpu_started)
        seconds.append(perf_counter() - started)
    grants = sum(len(holders) for holders in decider.snapshot.held.values())
    yield Figure(
        "replica_snapshot_s_1m",
        median_of(cpu_seconds),
        {"wall_seconds": median_of(seconds), "megabytes": len(received.data) / 1e6, "holders": grants},
    )
    yield Figure("replica_end_to_end_s_1m", first, {"when_the_server_has_cut_it": second})


def _received(engine: Client) -> Received:
    response = engine.authorization.watch_policy()
    position, read_time = response.position, response.read_time.ToNanoseconds() / 1e9
    pages = [response.data]
    while response.next_page_token:
        response = engine.authorization.watch_policy(position=position, page_token=response.next_page_token)
        pages.append(response.data)
    return Received(position, b"".join(pages), read_time)


def _built(received: Received) -> Decider:
    """What a replica makes of the bytes before it can decide: Arrow decoded, the state indexed, the matcher bound."""
    head = Position(received.position).head
    return Decider(load_policy(), read_state(head, received.data, received.read_time))


def _checks(engine: Client, world: World, effort: Effort) -> Figure:
    """Each question once, as `decisions` does it; by names, freshness and guards looked at."""
    replica = PolicyReplica(engine, max_staleness_seconds=STALENESS_SECONDS)
    replica.refresh()
    medians, everything, allowed = [], [], 0
    for number in range(effort.rounds):
        times = []
        for question in ask(world, effort.questions, seed=number):
            started = perf_counter_ns()
            verdict = _check(replica, question)
            times.append((perf_counter_ns() - started) / 1_000)
            allowed += verdict
        medians.append(median_of(times))
        everything += times
    replica.close()
    return Figure(
        "replica_check_us",
        median_of(medians),
        {
            "p99_us": percentile(everything, 0.99),
            "allowed_share": allowed / len(everything),
            "round_medians_us": medians,
        },
    )


def _check(replica: PolicyReplica, question: Question) -> bool:
    return replica.check("SELECT", "table", question.table, subject=question.user).allowed


def _watched(target: Target, world: World, effort: Effort, watchers: int) -> Figure:
    """The server's Check, with watchers and without in turns, both beside the same few writes.

    All hold a state before anybody writes: of one that changes with each of them, a slice of a million grants would be cut for each.
    """
    without: list[float] = []
    beside: list[float] = []
    followed: list[dict[str, Any]] = []
    with (
        callers_of(target) as asking,
        watchers_of(target, watchers) as watching,
        ExitStack() as stack,
    ):
        watching.measure("follow")
        watching.measure("rest")
        writes = stack.enter_context(_writing(target, world))
        _p50(asking, effort.calls)
        for _ in range(effort.rounds):
            without.append(_p50(asking, effort.calls))
            watching.measure("follow")
            beside.append(_p50(asking, effort.calls))
            followed.append(watching.measure("rest"))
    return Figure(
        "check_p50_with_50_watchers_vs_idle",
        median_of(beside) / median_of(without),
        {
            "watchers": watchers,
            "without_p50_us": median_of(without),
            "beside_p50_us": median_of(beside),
            "answers": sum(found["answers"] for found in followed),
            "changes_received": sum(found["changes"] for found in followed),
            "writes": len(writes),
        },
    )


def _p50(callers: Callers, calls: int) -> float:
    return median_of(callers.measure("latency", method="check", count=calls)["seconds"]) * MICROSECONDS


@contextmanager
def _writing(target: Target, world: World) -> Iterator[list[str]]:
    """Grants a few times a second until the block ends; yields the revisions made so far. Raises what a write failed with."""
    tables = [row.id for row in world.securables if row.kind == "TABLE"]
    users = [row.name for row in world.principals if row.kind == "USER"]
    stopping, revisions, failures = threading.Event(), list[str](), list[Exception]()

    def write() -> None:
        with Client(target.endpoint, token=target.admin_token, workspace=target.workspace) as admin:
            while not failures and not stopping.wait(1 / WRITES_PER_SECOND):
                number = len(revisions)
                try:
                    admin.grants.grant(
                        "MODIFY", "table", tables[-1 - number % len(tables)], users[number % len(users)]
                    )
                except Exception as error:  # noqa: BLE001 - told by the thread that waits for this one
                    failures.append(error)
                revisions.append(admin.revision)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield revisions
    finally:
        stopping.set()
        thread.join()
    if failures:
        raise failures[0]
