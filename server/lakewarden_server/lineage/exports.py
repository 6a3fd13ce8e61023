"""The whole lineage of a metastore as one text that says nothing of the order in which it came to be: equal states, equal bytes."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from lakewarden_server.entities import (
    LineageAlias,
    LineageAsset,
    LineageEdge,
    LineageEvent,
    LineageJob,
    LineageMapping,
    LineageName,
    LineageRun,
)
from lakewarden_server.lineage.graph import RETRACTED
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.storage.repositories.lineage import LineageStore

Line = dict[str, Any]


def export(store: LineageStore, metastore_id: str) -> bytes:
    """JSON, a line for each asset, edge, run and event, in order. Ids that the order of arrival gave are left out."""
    names = {
        row.id: [row.kind, row.namespace, row.name]
        for row in store.all(LineageName, metastore_id=metastore_id)
    }
    assets = _assets(store, names, metastore_id)
    jobs = {
        row.id: [row.workspace_id, row.namespace, row.name]
        for row in store.all(LineageJob, metastore_id=metastore_id)
    }
    runs = list(store.all(LineageRun, metastore_id=metastore_id))
    lines = [
        *(line for _asset_id, line in assets.items()),
        *_edges(
            store, {asset_id: line["aliases"][0] for asset_id, line in assets.items()}, jobs, metastore_id
        ),
        *(_run(row, jobs) for row in runs),
        *_events(store, {row.id for row in runs}),
    ]
    texts = sorted(json.dumps(line, sort_keys=True, ensure_ascii=False) for line in lines)
    return "".join(f"{text}\n" for text in texts).encode()


def _assets(store: LineageStore, names: dict[int, list[str]], metastore_id: str) -> dict[int, Line]:
    aliases: dict[int, list[Any]] = defaultdict(list)
    for row in store.all(LineageAlias):
        if row.asset_id is not None and row.name_id in names:
            aliases[row.asset_id].append([names[row.name_id], row.after, _until(row.until)])
    return {
        row.id: {
            "asset": row.kind,
            "state": row.state,
            "end": _until(row.end_time),
            "securable": row.securable_id,
            "file": row.file_path,
            "name": [row.namespace, row.name],
            "aliases": sorted(aliases[row.id], key=lambda alias: (alias[0], alias[1])),
        }
        for row in store.all(LineageAsset, metastore_id=metastore_id)
        if row.state != "MERGED"
    }


def _edges(
    store: LineageStore, assets: dict[int, Any], jobs: dict[int, list[str]], metastore_id: str
) -> list[Line]:
    columns = {row.hash: row.columns for row in store.all(LineageMapping)}
    return [
        {
            "edge": [assets[row.source_id], assets[row.target_id]],
            "job": jobs.get(row.job_id),
            "evidence": row.evidence,
            "state": row.state,
            "first": row.first_time,
            "last": row.last_time,
            "end": _until(row.end_time),
            "runs": row.run_count,
            "columns": columns[row.mapping_hash],
        }
        for row in store.all(LineageEdge, metastore_id=metastore_id)
        if row.state != RETRACTED
    ]


def _run(row: Any, jobs: dict[int, list[str]]) -> Line:
    return {
        "run": row.key,
        "workspace": row.workspace_id,
        "principal": row.principal_id,
        "job": jobs.get(row.job_id),
        "state": row.state,
        "first": row.first_time,
        "last": row.last_time,
        "flags": row.flags,
    }


def _events(store: LineageStore, run_ids: set[int]) -> list[Line]:
    return [
        {
            "event": row.key,
            "workspace": row.workspace_id,
            "principal": row.principal_id,
            "time": row.time,
        }
        for row in store.all(LineageEvent)
        if row.run_id in run_ids
    ]


def _until(time: int) -> int | None:
    return None if time == FOREVER else time
