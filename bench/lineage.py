"""What questions about lineage cost over gRPC: a million edges between a hundred thousand tables, asked by who sees them all.

Half of the tables feed some of the hundred after them, so that ten steps lead to a thousand tables at most; the other half
some of the two thousand after them.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, update

from bench.figures import Figure, median_of, percentile
from bench.lineage_columns import column_figures, mappings
from bench.processes import served
from bench.server import ROWS_PER_STATEMENT, filled, table_of
from bench.worlds import SEED, Size
from lakewarden import Client, PermissionDenied
from lakewarden_policy import Snapshot, load_policy
from lakewarden_server import entities
from lakewarden_server.authz.follower import Follower
from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.storage import create_database

WORLD = Size(grants=1_000)
FILL_SECONDS = 600.0
DEPTH = 10
MILLISECONDS = 1_000


class Effort(NamedTuple):
    """How much is made and asked."""

    edges: int = 1_000_000
    near: int = 100
    far: int = 2_000
    small_calls: int = 400
    large_calls: int = 21
    refused_calls: int = 200


class Timed(NamedTuple):
    """One question: milliseconds until its answer was there, how much that told, and milliseconds to go through all of it."""

    milliseconds: float
    nodes: int
    edges: int
    reading: float


class Names(NamedTuple):
    """Roots to ask about, full names of tables."""

    small: list[str]
    large: list[str]


def lineage_figures(size: Size = WORLD, effort: Effort | None = None) -> list[Figure]:
    """One caller beside nothing else. The graph is read at the first question."""
    effort = effort or Effort()
    with tempfile.TemporaryDirectory(prefix="lakewarden-bench-") as directory:
        target = filled(size, Path(directory))
        names = _roots(fill(Path(directory), effort), effort)
        with (
            served(Path(directory)) as server,
            Client(server.endpoint, token=target.admin_token, workspace=target.workspace) as admin,
        ):
            started = perf_counter()
            admin.lineage.traverse(names.small[0], max_depth=1)
            first = perf_counter() - started
            return [
                Figure("lineage_first_question_s", first, {"edges": effort.edges, "tables": size_of(size)}),
                *column_figures(admin, names.small),
                *_asked(admin, names, effort),
            ]


def size_of(size: Size) -> int:
    """How many tables a world has."""
    return size.catalogs * size.schemas_per_catalog * size.tables_per_schema


def _asked(admin: Client, names: Names, effort: Effort) -> Iterator[Figure]:
    rng = random.Random(SEED)
    small = [_timed(admin, rng.choice(names.small), nodes=1_000) for _ in range(effort.small_calls)]
    milliseconds = [call.milliseconds for call in small]
    yield Figure(
        "lineage_depth10_1k_nodes_p99_ms",
        percentile(milliseconds, 0.99),
        {"p50_ms": median_of(milliseconds), **_told(small)},
    )
    large = [_timed(admin, rng.choice(names.large), nodes=20_000) for _ in range(effort.large_calls)]
    yield Figure("lineage_20k_nodes_ms", median_of([call.milliseconds for call in large]), _told(large))
    unknown = [_refused(admin, f"{rng.choice(names.small)}_x") for _ in range(effort.refused_calls)]
    yield Figure(
        "lineage_unknown_root_ms",
        median_of([seconds * MILLISECONDS for seconds in unknown]),
        {"p99_ms": percentile([seconds * MILLISECONDS for seconds in unknown], 0.99)},
    )


def _told(calls: list[Timed]) -> dict[str, float]:
    return {
        "nodes": median_of([call.nodes for call in calls]),
        "edges_told": median_of([call.edges for call in calls]),
        "to_go_through_it_ms": median_of([call.reading for call in calls]),
    }


def _timed(client: Client, name: str, *, nodes: int) -> Timed:
    started = perf_counter()
    found = client.lineage.traverse(name, direction="downstream", max_depth=DEPTH, max_nodes=nodes)
    there = perf_counter()
    told = len(list(found.nodes)), len(list(found.edges))
    return Timed(MILLISECONDS * (there - started), *told, MILLISECONDS * (perf_counter() - there))


def _refused(client: Client, name: str) -> float:
    started = perf_counter()
    try:
        client.lineage.traverse(name)
    except PermissionDenied:
        return perf_counter() - started
    raise AssertionError(f"{name} was answered")


def fill(directory: Path, effort: Effort) -> list[str]:
    """Writes assets and edges past the recorder: a million events would take long; returns the tables, each of which feeds some after it."""
    database = create_database(f"sqlite:///{directory / 'lakewarden.db'}")
    try:
        snapshot = Follower(database, load_policy()).at_head().snapshot
        tables = sorted(s.id for s in snapshot.securables.values() if s.kind == "TABLE")
        with database.transaction(deadline=monotonic() + FILL_SECONDS) as connection:
            put(connection, entities.LineageAsset, _assets(snapshot, tables))
            told = list(mappings())
            put(connection, entities.LineageMapping, iter(told))
            hashes = [mapping["hash"] for mapping in told]
            put(connection, entities.LineageEdge, _edges(len(tables), effort, hashes))
            counters = {"sequence": 1, "asset_id": len(tables), "edge_id": effort.edges}
            connection.execute(update(table_of(entities.LineageHead)).values(**counters))
            connection.commit()
    finally:
        database.close()
    return tables


def _roots(tables: list[str], effort: Effort) -> Names:
    """Those with ten steps before the end."""
    half = len(tables) // 2
    return Names(
        tables[: half - DEPTH * effort.near], tables[half : max(half + 1, len(tables) - DEPTH * effort.far)]
    )


def put(connection: Connection, entity: type[entities.Base], rows: Iterator[dict[str, Any]]) -> None:
    while chunk := list(islice(rows, ROWS_PER_STATEMENT)):
        connection.execute(insert(table_of(entity)), chunk)


def _assets(snapshot: Snapshot, tables: list[str]) -> Iterator[dict[str, Any]]:
    for number, table in enumerate(tables):
        yield {
            "id": number + 1,
            "metastore_id": snapshot.securables[table].metastore_id,
            "kind": "DATASET",
            "securable_id": table,
            "state": "LIVE",
            "end_time": FOREVER,
            "merged_into_id": None,
            "namespace": "unitycatalog://bench",
            "name": table,
        }


def _edges(tables: int, effort: Effort, hashes: list[str]) -> Iterator[dict[str, Any]]:
    """Each table feeds as many others, of those after it; ids of assets begin with 1."""
    rng = random.Random(SEED)
    for number in range(effort.edges):
        source = number * tables // effort.edges
        reach = effort.near if source < tables // 2 else effort.far
        target = min(tables - 1, source + rng.randint(1, reach))
        yield {
            "id": number + 1,
            "metastore_id": "",
            "source_id": source + 1,
            "target_id": target + 1,
            # Several jobs may have made one of the other.
            "job_id": number + 1,
            "state": "LIVE",
            "first_time": 0,
            "last_time": 0,
            "end_time": FOREVER,
            "run_count": 1,
            "mapping_hash": rng.choice(hashes),
        }
