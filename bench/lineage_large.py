"""What large answers about lineage cost over gRPC, in a graph of a million edges between a quarter of a million tables, to who sees them all.

Each table is made of some of those before it by one run, which says of which columns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select, update

from bench.figures import Figure, median_of
from bench.lineage import FILL_SECONDS, MILLISECONDS, Effort, fill, put
from bench.processes import served
from bench.server import filled, table_of
from bench.worlds import Size
from lakewarden import Client
from lakewarden_server import entities
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import create_database

WORLD = Size(grants=1_000, tables_per_schema=125)
STEPS = 100
NODES_MAX = 250_000
MAPPING: Final = "bench"
COLUMNS: Final = ("id", "amount")
SECOND: Final = 1_000_000
READ_SECONDS: Final = 60.0
"""After which the reading of a table ends."""

TABLES = (
    ("table_lineage", "table_lineage_first_batch_ms", "table_lineage_rows_per_s"),
    ("column_lineage", "column_lineage_first_batch_ms", "column_lineage_rows_per_s"),
)
"""System tables of lineage, and the figures of each."""


class LargeEffort(NamedTuple):
    """How much is made and asked: each table feeds others among so many after it."""

    edges: int = 1_000_000
    reach: int = 20_000
    after: int = 249_000
    """Tables after the root."""
    answers: int = 11


class Timed(NamedTuple):
    """One answer: milliseconds until its first level, and until its ending, was there, and how much it told."""

    first: float
    whole: float
    nodes: int
    edges: int


def lineage_large_figures(size: Size = WORLD, effort: LargeEffort | None = None) -> list[Figure]:
    """One caller beside nothing else, who goes through no row of an answer."""
    effort = effort or LargeEffort()
    with tempfile.TemporaryDirectory(prefix="lakewarden-bench-") as name:
        directory = Path(name)
        target = filled(size, directory)
        tables = fill(directory, Effort(edges=effort.edges, near=effort.reach, far=effort.reach))
        fill_runs(directory)
        with (
            served(directory) as server,
            Client(
                server.endpoint, token=target.admin_token, workspace=target.workspace, timeout_seconds=30
            ) as admin,
        ):
            root = tables[max(0, len(tables) - effort.after)]
            admin.lineage.traverse(root, max_depth=1)
            return [*_streamed(admin, root, effort), *_leaks(admin, root), *_read(admin)]


def fill_runs(directory: Path) -> None:
    """Writes for each table a run that made it of its sources; what it says of columns is the same of every edge."""
    database = create_database(f"sqlite:///{directory / 'lakewarden.db'}")
    try:
        with database.transaction(deadline=monotonic() + FILL_SECONDS) as connection:
            edge, asset = table_of(entities.LineageEdge), table_of(entities.LineageAsset)
            metastore = connection.execute(select(asset.c.metastore_id).limit(1)).scalar_one()
            workspace = connection.execute(
                select(table_of(entities.Securable).c.id)
                .where(table_of(entities.Securable).c.kind == "WORKSPACE")
                .limit(1)
            ).scalar_one()
            columns = [[column, column, "IDENTITY", False] for column in COLUMNS]
            put(connection, entities.LineageMapping, iter([{"hash": MAPPING, "columns": columns}]))
            connection.execute(update(edge).values(mapping_hash=MAPPING))
            assets = list(connection.execute(select(asset.c.id)).scalars())
            put(connection, entities.Table, _tables(connection))
            put(connection, entities.Column, _columns(connection))
            put(connection, entities.LineageJob, _jobs(assets, metastore, workspace))
            put(connection, entities.LineageRun, _runs(assets, metastore, workspace))
            put(connection, entities.LineageContribution, _contributions(connection))
            connection.commit()
    finally:
        database.close()


def _tables(connection: Connection) -> Iterator[dict[str, Any]]:
    for table in _table_ids(connection):
        yield {
            "id": table,
            "table_type": "MANAGED",
            "data_source_format": "",
            "storage_location": "",
            "column_count": len(COLUMNS),
        }


def _columns(connection: Connection) -> Iterator[dict[str, Any]]:
    for table in _table_ids(connection):
        for position, name in enumerate(COLUMNS):
            named = {"table_id": table, "position": position, "name": name, "name_key": name}
            yield {
                **named,
                "type_text": "BIGINT",
                "type_name": "BIGINT",
                "nullable": True,
                "comment": "",
                "revision": 0,
            }


def _table_ids(connection: Connection) -> list[str]:
    securable = table_of(entities.Securable).c
    return list(connection.execute(select(securable.id).where(securable.kind == "TABLE")).scalars())


def _jobs(assets: list[int], metastore: str, workspace: str) -> Iterator[dict[str, Any]]:
    for asset in assets:
        yield {
            "id": asset,
            "metastore_id": metastore,
            "workspace_id": workspace,
            "digest": f"{asset}",
            "namespace": "airflow://bench",
            "name": f"load_{asset}",
        }


def _runs(assets: list[int], metastore: str, workspace: str) -> Iterator[dict[str, Any]]:
    for asset in assets:
        yield {
            "id": asset,
            "metastore_id": metastore,
            "workspace_id": workspace,
            "key": f"{asset}",
            "job_id": asset,
            "principal_id": "bench",
            "state": "LIVE",
            "first_time": asset * SECOND,
            "last_time": asset * SECOND,
            "flags": [],
            "weight": 1,
            "fold": b"",
        }


def _contributions(connection: Connection) -> Iterator[dict[str, Any]]:
    """What the run of each table says of each edge to it. Of two edges between the same tables it speaks of one."""
    edge = table_of(entities.LineageEdge).c
    rows = connection.execute(
        select(edge.id, edge.source_id, edge.target_id).order_by(edge.target_id, edge.source_id)
    ).all()
    for before, (edge_id, source, target) in pairwise([(0, 0, 0), *rows]):
        if before[1:] != (source, target):
            yield {
                "run_id": target,
                "source_name_id": source,
                "target_name_id": target,
                "source_time": target * SECOND,
                "target_time": target * SECOND,
                "edge_id": edge_id,
                "live": True,
                "since": target * SECOND,
                "first_time": target * SECOND,
                "last_time": target * SECOND,
                "mapping_hash": MAPPING,
            }


def _streamed(admin: Client, root: str, effort: LargeEffort) -> Iterator[Figure]:
    """The first answer of all works out what every table is called."""
    cold, *answers = (_timed(admin, root) for _ in range(effort.answers))
    raw = {
        "nodes": median_of([answer.nodes for answer in answers]),
        "edges_told": median_of([answer.edges for answer in answers]),
        "edges": effort.edges,
    }
    first = median_of([answer.first for answer in answers])
    yield Figure("lineage_200k_first_level_ms", first, {**raw, "of_the_first_answer_ms": cold.first})
    whole = [answer.whole for answer in answers]
    yield Figure(
        "lineage_200k_ms",
        median_of(whole),
        {**raw, "slowest_ms": max(whole), "of_the_first_answer_ms": cold.whole},
    )


def _leaks(admin: Client, root: str) -> Iterator[Figure]:
    """Copies of one column of the root, followed as far as an answer goes."""
    milliseconds = []
    for _ in range(3):
        started = perf_counter()
        found = admin.lineage_governance.leaks(columns=[(root, COLUMNS[0])])
        milliseconds.append(MILLISECONDS * (perf_counter() - started))
    raw = {"leaks": len(found.leaks), "slowest_ms": max(milliseconds)}
    yield Figure("lineage_leaks_ms", median_of(milliseconds), raw)


def _read(admin: Client) -> Iterator[Figure]:
    for table, first_batch, rows_per_second in TABLES:
        started = perf_counter()
        _schema, batches = admin.system_table_batches(f"system.access.{table}")
        rows = next(batches).num_rows
        first = MILLISECONDS * (perf_counter() - started)
        started = perf_counter()
        next(batches, None)
        second = MILLISECONDS * (perf_counter() - started)
        yield Figure(first_batch, first, {"rows": rows, "second_batch_ms": second})
        rows, seconds, started = 0, 0.0, perf_counter()
        for batch in admin.system_table_batches(f"system.access.{table}")[1]:
            rows, seconds = rows + batch.num_rows, perf_counter() - started
            if seconds > READ_SECONDS:
                break
        yield Figure(rows_per_second, rows / seconds, {"rows": rows, "seconds": seconds})


def _timed(client: Client, root: str) -> Timed:
    started = perf_counter()
    first = 0.0
    with client.lineage.stream(root, direction="downstream", max_depth=STEPS, max_nodes=NODES_MAX) as levels:
        for level in levels:
            if level.distance and not first:
                first = perf_counter() - started
    whole = perf_counter() - started
    if levels.ending is None or levels.ending.truncated_by == "TIME":
        raise AssertionError(f"{root} was not answered whole")
    return Timed(MILLISECONDS * first, MILLISECONDS * whole, levels.ending.nodes, levels.ending.edges)
