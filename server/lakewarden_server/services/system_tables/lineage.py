"""`system.access.table_lineage` and `column_lineage` (semantics 8.3): what each run made of what, as far as the caller may see it.

The masking rule is that of answers about lineage (lineage reference 6.4): a row has at least one end the caller sees. Of a hidden one
nothing is told but that it is there: one row for each, without name, time, run or columns.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np

from lakewarden_policy import Decider
from lakewarden_policy.kinds import KINDS
from lakewarden_server.core.clock import microseconds_of, time_at
from lakewarden_server.lineage.folding import run_id_of
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.lineage.graph import Direction, Ints, State
from lakewarden_server.lineage.names import AssetName, storage_url
from lakewarden_server.lineage.nodes import LineageState, Node
from lakewarden_server.lineage.roster import PATH, Roster
from lakewarden_server.services.call import Call
from lakewarden_server.services.system_tables.reading import Key, Part, Reading, Row, Source
from lakewarden_server.storage.repositories import lineage_rows

SHOWN_KEPT: Final = 2
"""Of how many callers it is remembered what they see, so that the next batch need not work it out."""
ASSETS_CHUNK: Final = 200
"""Assets whose edges are looked up together."""
JOB: Final = "JOB"


class Asset(NamedTuple):
    """An asset the caller sees, as a row names it."""

    id: int
    full_name: str | None
    path: str | None
    type: str
    identity: str
    """What it is, whatever it is called."""

    def columns(self, end: str) -> Row:
        """The columns of one end, `source` or `target`."""
        parts = (self.full_name or "").split(".")
        catalog, schema, name = parts if len(parts) == 3 else (None, None, None)
        return {
            f"{end}_table_full_name": self.full_name,
            f"{end}_table_catalog": catalog,
            f"{end}_table_schema": schema,
            f"{end}_table_name": name,
            f"{end}_path": self.path,
            f"{end}_type": self.type,
        }


class Shown(NamedTuple):
    """What one caller sees in one state, in the order of names."""

    decider: Decider
    state: LineageState
    caller: tuple[str, str | None]
    keys: Sequence[Key]
    assets: Sequence[Asset]
    by_id: Mapping[int, Asset]


class LineageTables:
    """Reads both tables; safe to share between threads."""

    def __init__(self, follower: LineageFollower) -> None:
        self._follower = follower
        self._kept: tuple[Shown, ...] = ()

    def sources(self) -> Mapping[str, Source]:
        """The tables by name."""
        return {"table_lineage": self._tables, "column_lineage": self._columns}

    def _tables(self, reading: Reading) -> Iterator[Part]:
        return self._read(reading, _table_rows, masked=True)

    def _columns(self, reading: Reading) -> Iterator[Part]:
        """Of a hidden asset no column is told, so it is in no row; nor is what says nothing of columns."""
        columns: dict[str, list[Any]] = {}

        def rows(said: Said) -> list[Row]:
            known = columns.get(said.mapping_hash)
            if known is None:
                known = lineage_rows.mapping(reading.call.uow.connection, said.mapping_hash)
                columns[said.mapping_hash] = known
            return list(_column_rows(said, known))

        return self._read(reading, rows, masked=False)

    def _read(self, reading: Reading, rows: Callable[[Said], list[Row]], *, masked: bool) -> Iterator[Part]:
        shown = self._shown(reading.call)
        begin, end = bisect_left(shown.keys, reading.after[:3]), len(shown.keys)
        target = reading.equal_to.get("target_table_full_name")
        if target is not None:
            begin, end = (
                max(begin, bisect_left(shown.keys, (target,))),
                bisect_left(shown.keys, (f"{target}\0",)),
            )
        for first in range(begin, end, ASSETS_CHUNK):
            places = range(first, min(first + ASSETS_CHUNK, end))
            near = np.array([shown.assets[place].id for place in places], dtype=np.int32)
            upstream, downstream = (
                _met(shown, near, way) for way in (Direction.UPSTREAM, Direction.DOWNSTREAM)
            )
            for key, asset in ((shown.keys[place], shown.assets[place]) for place in places):
                if target is not None and asset.full_name != target:
                    continue
                after = reading.after[3:] if key == reading.after[:3] else ()
                into, out_of = upstream.get(asset.id, ()), downstream.get(asset.id, ())
                if not after:
                    # Also where there is nothing to tell: between parts it is seen how long the batch takes already.
                    yield Part((*key, ""), list(_masked(shown, asset, into, out_of)) if masked else [])
                sources = {edge: shown.by_id[far] for far, edge in into if far in shown.by_id}
                if sources:
                    yield from _events(reading, (key, after), asset, sources, rows)

    def _shown(self, call: Call) -> Shown:
        state, caller = self._follower.at_head(call.uow), (call.caller.id, call.workspace_id)
        for known in self._kept:
            same = known.state.nodes is state.nodes and known.state.end == state.end
            if known.decider is call.decider and same and known.caller == caller:
                # What changed is between the same assets, if anything did.
                return known._replace(state=state)
        sights = self._follower.sights(state, call.decider)
        sight = sights.of(state, *caller, call.metastore_id)
        nodes = np.fromiter(state.nodes, dtype=np.int32, count=len(state.nodes))
        assets = [_asset(state.nodes[node], sights.roster) for node in nodes[sight(nodes)].tolist()]
        # Of several of one name, as of a table that was made anew, the number says which; it counts what is seen alone.
        assets.sort(key=lambda asset: (*_name(asset), asset.id))
        keys: list[Key] = []
        for name, alike in groupby(assets, key=_name):
            keys += [(*name, f"{number:09}") for number, _ in enumerate(alike)]
        found = Shown(call.decider, state, caller, keys, assets, {asset.id: asset for asset in assets})
        self._kept = (found, *self._kept)[:SHOWN_KEPT]
        return found


class Said(NamedTuple):
    """What one run said of two assets the caller sees."""

    key: tuple[str, str]
    row: Row
    mapping_hash: str


def _met(shown: Shown, near: Ints, way: Direction) -> dict[int, list[tuple[int, int]]]:
    """Of each asset what its edges that way lead to, as (asset, edge), but for those no run has completed."""
    hops = shown.state.graph.hops(near, way)
    found: dict[int, list[tuple[int, int]]] = {}
    for asset, far, edge, _ in zip(
        *(part.tolist() for part in hops.where(hops.states != State.PROVISIONAL)), strict=True
    ):
        found.setdefault(asset, []).append((far, edge))
    return found


def _masked(
    shown: Shown, asset: Asset, into: Collection[tuple[int, int]], out_of: Collection[tuple[int, int]]
) -> Iterator[Row]:
    """A row for each hidden asset on either side."""
    for met, end in ((into, "target"), (out_of, "source")):
        yield from (asset.columns(end) for _ in {far for far, _ in met if far not in shown.by_id})


def _events(
    reading: Reading, place: tuple[Key, Key], target: Asset, sources: Mapping[int, Asset], rows: Callable[[Said], list[Row]]
) -> Iterator[Part]:  # fmt: skip
    """What runs said of the edges into one asset, in the order of time; `place` is its key, and where in it to go on."""
    key, after = place
    last = (int(after[0]), after[1]) if len(after) == 2 else (0, "")
    since = max(last[0], _microseconds(reading.start_time) or 0)
    of_target = lineage_rows.said_of(
        reading.call.uow.connection, target.id, since=since, until=_microseconds(reading.end_time)
    )
    found = (row for row in of_target if row.edge_id in sources)
    for time, at_once in groupby(found, key=lambda row: row.last_time):
        told = {
            said.key[1]: said
            for said in (_said(reading.call, row, sources[row.edge_id], target) for row in at_once)
        }
        for record_id in sorted(told):
            if (time, record_id) > last:
                yield Part((*key, *told[record_id].key), rows(told[record_id]))


def _said(call: Call, row: Any, source: Asset, target: Asset) -> Said:
    """A run of the calling workspace is told; of another's only that there was a job, if there was one."""
    time = time_at(row.last_time)
    run = (row.workspace_id, row.principal_id, row.key)
    record_id = _digest(*run, source.identity, target.identity)
    about: Row = {
        "metastore_id": call.metastore_id,
        "entity_type": JOB if row.job_name else None,
        "event_time": time,
        "event_date": time.date(),
        "record_id": record_id,
    }
    if row.workspace_id == call.workspace_id:
        run_id = run_id_of(row.key) or None
        about |= {
            "workspace_id": row.workspace_id,
            "entity_run_id": run_id,
            "created_by": call.principal_name(row.principal_id),
        }
        if row.job_name:
            job_id = f"{row.job_namespace}/{row.job_name}"
            job = {"job_id": job_id, "job_run_id": run_id}
            about |= {"entity_id": job_id, "entity_metadata": {"job_info": job}}
    return Said(
        (str(row.last_time), record_id),
        source.columns("source") | target.columns("target") | about,
        row.mapping_hash,
    )


def _table_rows(said: Said) -> list[Row]:
    return [said.row]


def _column_rows(said: Said, columns: list[Any]) -> Iterator[Row]:
    """One for each column of the target made of one of the source; what only chose the rows was read and has no target column."""
    for target, source in sorted({(target, source) for target, source, *_ in columns}):
        record_id = _digest(said.row["record_id"], source, target)
        yield said.row | {
            "record_id": record_id,
            "source_column_name": source,
            "target_column_name": target or None,
        }


def _name(asset: Asset) -> tuple[str, str]:
    return asset.full_name or asset.path or "", asset.type


def _asset(node: Node, roster: Roster) -> Asset:
    """An asset by the name it has today; one that is gone by the last it had."""
    if node.securable_id is not None:
        name = str(roster.names[node.id])
        if node.of_volume:
            return Asset(node.id, None, name, PATH, f"{node.securable_id}/{node.file_path}")
        kind = "TABLE" if roster.dropped[node.id] else str(roster.kinds[node.id])
        is_table = KINDS[kind].name_parts == 3
        return Asset(node.id, name if is_table else None, None if is_table else name, kind, node.securable_id)
    url = storage_url(AssetName(node.kind, node.namespace, node.name))
    kind = PATH if url else node.kind.value
    path = url or f"{node.namespace.rstrip('/')}/{node.name}"
    return Asset(node.id, None, path, kind, f"{kind} {node.namespace} {node.name}")


def _microseconds(time: datetime | None) -> int | None:
    return None if time is None else microseconds_of(time)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
