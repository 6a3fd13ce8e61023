"""What the history of lineage costs: a walk at a past time among intervals that have ended, and a rename of a table of many edges."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import func, insert, select, text, update

from bench.figures import Figure, median_of
from bench.server import ROWS_PER_STATEMENT, table_of
from bench.worlds import SEED
from lakewarden_policy import load_policy
from lakewarden_server import entities
from lakewarden_server.authz.follower import Follower
from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage.events import read_event
from lakewarden_server.lineage.facets import understand
from lakewarden_server.lineage.graph import Direction
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.past import PastGraph
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.recording import Origin, Received
from lakewarden_server.lineage.traversal import Walk, walk
from lakewarden_server.storage import Database, create_database
from lakewarden_server.storage.migrations import migrate
from lakewarden_server.storage.repositories.lineage_history import LineageHistoryReader

SECONDS_MAX: Final = 600.0
MILLISECONDS: Final = 1_000
FAN: Final = 4
"""Edges that lead on from an asset at each time."""
INPUTS: Final = 999
"""Of one run, the most there may be beside an output."""
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


class TimesEffort(NamedTuple):
    """How much is made and asked; past intervals are `past` for each edge."""

    edges: int = 1_000_000
    past: int = 3
    nodes: int = 5_000
    walks: int = 21
    renamed_edges: int = 10_000
    renames: int = 5


def lineage_times_figures(effort: TimesEffort | None = None) -> list[Figure]:
    """In one process on SQLite, without gRPC: what the database and the walk take."""
    effort = effort or TimesEffort()
    with tempfile.TemporaryDirectory(prefix="lakewarden-bench-") as directory:
        database = create_database(f"sqlite:///{Path(directory) / 'lakewarden.db'}")
        try:
            migrate(database)
            return [_renamed(database, effort), _walked(database, effort)]
        finally:
            database.close()


def _walked(database: Database, effort: TimesEffort) -> Figure:
    _fill(database, effort)
    rng = random.Random(SEED)
    assets = effort.edges // FAN
    milliseconds, nodes, edges = [], [], []
    for _ in range(effort.walks):
        root, time = rng.randint(1, assets), rng.randint(0, effort.past)
        started = perf_counter()
        with database.reading() as connection:
            graph = PastGraph(LineageHistoryReader(connection), time, dropped=False)
            asked = Walk((root,), (Direction.DOWNSTREAM,), 100, effort.nodes, monotonic() + SECONDS_MAX)
            levels = list(walk(graph, asked, lambda found: np.ones(len(found), dtype=bool)))
        milliseconds.append(MILLISECONDS * (perf_counter() - started))
        nodes.append(sum(len(level.visible) for level in levels))
        edges.append(sum(len(level.hops.edges) for level in levels))
    raw = {
        "nodes": median_of(nodes),
        "edges": median_of(edges),
        "edges_in_all": effort.edges,
        "past": effort.past,
    }
    return Figure("as_of_5k_nodes_ms", median_of(milliseconds), raw)


def _fill(database: Database, effort: TimesEffort) -> None:
    """Writes versions past the recorder, the indexes after them; the times are 0 and so on, the last interval has not ended."""
    versions = table_of(entities.LineageEdgeVersion)
    with database.transaction(deadline=monotonic() + SECONDS_MAX) as connection:
        connection.execute(text("DELETE FROM lineage_edge_versions"))
        for index in versions.indexes:
            index.drop(connection)
        rows = _versions(effort)
        while chunk := list(islice(rows, ROWS_PER_STATEMENT)):
            connection.execute(insert(versions), chunk)
        for index in versions.indexes:
            index.create(connection)
        counters = {"asset_id": effort.edges // FAN, "edge_id": effort.edges * (effort.past + 1)}
        connection.execute(update(table_of(entities.LineageHead)).values(**counters))
        connection.commit()


def _versions(effort: TimesEffort) -> Iterator[dict[str, Any]]:
    """At each time every asset leads to some others, at each time to different ones."""
    rng = random.Random(SEED)
    assets = effort.edges // FAN
    for number in range(effort.edges * (effort.past + 1)):
        edge, time = divmod(number, effort.past + 1)
        yield {
            "edge_id": number + 1,
            "valid_from": time,
            "valid_to": time + 1 if time < effort.past else FOREVER,
            "source_id": edge // FAN + 1,
            "target_id": rng.randint(1, assets),
            "reason": "FIRST",
            "mapping_hash": "bench",
        }


def _renamed(database: Database, effort: TimesEffort) -> Figure:
    snapshot = Follower(database, load_policy()).at_head().snapshot
    origin = Origin("metastore", "workspace", "bench", snapshot)
    recorder = Recorder(database)
    for run in range(0, effort.renamed_edges, INPUTS):
        sources = [f"source{number}" for number in range(run, min(run + INPUTS, effort.renamed_edges))]
        _record(recorder, origin, _event(run, sources, {"name": "table0"}))
    milliseconds = []
    for number in range(effort.renames):
        previous = {"namespace": "bench", "name": f"table{number}"}
        change = {"lifecycleStateChange": "RENAME", "previousIdentifier": previous}
        renamed = {"name": f"table{number + 1}", "facets": {"lifecycleStateChange": change}}
        before = _edges_told(database)
        milliseconds.append(_record(recorder, origin, _event(100_000 + number, [], renamed)))
        if before != _edges_told(database) or before < effort.renamed_edges:
            raise AssertionError("a rename wrote edges")
    return Figure(
        "rename_10k_edges_ms",
        median_of(milliseconds),
        {"edges": effort.renamed_edges, "slowest_ms": max(milliseconds), "edge_rows_written": 0},
    )


def _edges_told(database: Database) -> int:
    change = table_of(entities.LineageChange)
    with database.reading() as connection:
        statement = select(func.count()).select_from(change).where(change.c.kind == "EDGE")
        return int(connection.execute(statement).scalar_one())


def _record(recorder: Recorder, origin: Origin, body: bytes) -> float:
    """Records an event; milliseconds until it was committed."""
    event = read_event(body, now=NOW)
    received = Received(event, understand(event))
    started = perf_counter()
    recorder.record(origin, [received], time=NOW, deadline=monotonic() + SECONDS_MAX)
    return MILLISECONDS * (perf_counter() - started)


def _event(number: int, inputs: list[str], output: dict[str, Any]) -> bytes:
    seconds = number // 10
    return json.dumps(
        {
            "eventType": "COMPLETE",
            "eventTime": f"2025-01-01T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{number % 10}Z",
            "producer": "https://example.com/bench",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": {"runId": f"00000000-0000-4000-8000-{number:012}"},
            "job": {"namespace": "bench", "name": "job"},
            "inputs": [{"namespace": "bench", "name": name} for name in inputs],
            "outputs": [{"namespace": "bench", **output}],
        }
    ).encode()
