"""What recording lineage costs: OpenLineage events over HTTP into a server on SQLite, and Check beside them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import func, select

from bench.figures import Figure, median_of, percentile
from bench.processes import Callers, Target, callers_of, producers_of, served, worker_cores
from bench.server import filled, table_of
from bench.worlds import Size
from bench.writers import asked, asked_while
from lakewarden_server import entities
from lakewarden_server.storage import create_database

WORLD = Size()
LOAD_SHARE_MIN = 0.95
"""Of the events a second that Check is asked beside: with fewer it says nothing of them."""
MILLISECONDS = 1_000
MICROSECONDS = 1e6


class Effort(NamedTuple):
    """How much is sent and asked; a round is as many events as fast as they are answered, or some seconds of load."""

    http_workers: int = 1
    """Processes that take the events, beside the one that answers Check."""
    jobs: int = 300
    clients: int = 8
    batch: int = 100
    rounds: int = 3
    events: int = 4_000
    singles: int = 1_000
    singles_per_second: float = 100
    load_per_second: float = 1_000
    load_seconds: float = 6
    """Long beside the time until the last batch is answered, which counts too."""
    calls: int = 50
    """Asked between two looks at whether events are still sent."""


def recording_figures(size: Size = WORLD, effort: Effort | None = None) -> list[Figure]:
    """All of one server. Every job has run once before anything counts. Raises AssertionError where an acknowledged event is not there."""
    effort = effort or Effort()
    with (
        recording_server(size, effort.http_workers) as target,
        producers_of(target, effort.jobs) as producers,
    ):
        first = 2 * effort.jobs
        _sent(producers, effort, first)
        figures = [_rate(producers, effort), _acknowledged(producers, effort)]
        with callers_of(target) as asking:
            figures.append(_beside(asking, producers, effort))
        loads = effort.rounds * (effort.events + _load(effort))
        require_recorded(target, first + loads + effort.singles)
    return figures


@contextmanager
def recording_server(size: Size, http_workers: int) -> Iterator[Target]:
    """A filled server as an operator starts it where lineage is sent over HTTP."""
    with tempfile.TemporaryDirectory(prefix="lakewarden-bench-") as name:
        directory = Path(name)
        target = filled(size, directory)
        with served(directory, http_workers=http_workers) as server:
            grpc_cores, http_cores = worker_cores(server.process_id, http_workers)
            yield replace(
                target,
                grpc_cores=grpc_cores,
                http_cores=http_cores,
                endpoint=server.endpoint,
                process_id=server.process_id,
                http_url=server.http_url,
                pinned=False,
            )


def require_recorded(target: Target, count: int) -> None:
    """Raises AssertionError unless the database holds so many events."""
    database = create_database(f"sqlite:///{target.directory / 'lakewarden.db'}")
    try:
        with database.reading() as connection:
            found = connection.scalar(select(func.count()).select_from(table_of(entities.LineageEvent)))
    finally:
        database.close()
    if found != count:
        raise AssertionError(f"{count} events were acknowledged, {found} are recorded")


def _sent(producers: Callers, effort: Effort, count: int, per_second: float = 0.0) -> dict[str, Any]:
    prepared = producers.measure("prepare", count=count, batch=effort.batch)
    return {**prepared, **producers.measure("send", clients=effort.clients, per_second=per_second)}


def _rate(producers: Callers, effort: Effort) -> Figure:
    rounds = [_sent(producers, effort, effort.events) for _ in range(effort.rounds)]
    raw: dict[str, Any] = {
        "http_workers": effort.http_workers,
        "clients": effort.clients,
        "batch": effort.batch,
        "jobs": effort.jobs,
        "event_bytes": rounds[0]["event_bytes"],
        "sent_bytes": rounds[0]["sent_bytes"],
        "batch_p50_ms": MILLISECONDS * median_of([each for sent in rounds for each in sent["seconds"]]),
        "round_per_second": [sent["per_second"] for sent in rounds],
    }
    used = [sent["server_cpu_seconds"] for sent in rounds if sent["server_cpu_seconds"] is not None]
    if used:
        raw["server_cpu_us"] = MICROSECONDS * median_of(used) / effort.events
    return Figure("ol_events_per_s", median_of(raw["round_per_second"]), raw)


def _acknowledged(producers: Callers, effort: Effort) -> Figure:
    producers.measure("prepare", count=effort.singles, batch=1)
    sent = producers.measure("send", clients=effort.clients, per_second=effort.singles_per_second)
    return Figure(
        "ol_ack_p99_ms",
        MILLISECONDS * percentile(sent["seconds"], 0.99),
        {
            "p50_ms": MILLISECONDS * median_of(sent["seconds"]),
            "max_ms": MILLISECONDS * max(sent["seconds"]),
            "events": effort.singles,
            "per_second": sent["per_second"],
        },
    )


def _load(effort: Effort) -> int:
    """Events of one round beside Check."""
    return int(effort.load_per_second * effort.load_seconds)


def _beside(asking: Callers, producers: Callers, effort: Effort) -> Figure:
    idle: list[float] = []
    loaded: list[float] = []
    all_loaded: list[float] = []
    per_second: list[float] = []
    asked(asking, effort.calls)
    for _ in range(effort.rounds):
        producers.measure("prepare", count=_load(effort), batch=effort.batch)
        idle.append(median_of(asked(asking, effort.calls * 4)))
        send = partial(producers.measure, "send", clients=effort.clients, per_second=effort.load_per_second)
        during, sent = asked_while(asking, send, effort.calls)
        loaded.append(median_of(during))
        all_loaded += during
        per_second.append(sent["per_second"])
    return Figure(
        "check_p50_under_lineage_load_vs_idle",
        median_of(loaded) / median_of(idle),
        {
            "idle_p50_us": median_of(idle),
            "loaded_p50_us": median_of(loaded),
            "loaded_p99_us": percentile(all_loaded, 0.99),
            "loaded_calls": len(all_loaded),
            "events_per_second": median_of(per_second),
            "batch": effort.batch,
            "rounds": effort.rounds,
        },
        has_load=median_of(per_second) >= effort.load_per_second * LOAD_SHARE_MIN,
    )
