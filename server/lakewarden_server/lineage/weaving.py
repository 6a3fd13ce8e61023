"""Keeps the edges: each is what the runs that state it say together, between the assets their names meant at their times."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from lakewarden_server.entities import (
    LineageAsset,
    LineageContribution,
    LineageEdge,
    LineageJob,
    LineageMapping,
    LineageRun,
)
from lakewarden_server.lineage.definitions import Changed, Span, affected, left_out
from lakewarden_server.lineage.events import EventKind
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.folding import Run, RunState
from lakewarden_server.lineage.graph import RETRACTED
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.mapping import mapping_hash
from lakewarden_server.lineage.names import AssetName
from lakewarden_server.lineage.placing import Places
from lakewarden_server.lineage.statements import Edge, defined
from lakewarden_server.lineage.tallies import Said, tallied
from lakewarden_server.lineage.versions import History
from lakewarden_server.storage.repositories.lineage import LineageStore, Summary, values_of

Row = dict[str, Any]
EMPTY: Final = "[]"
TOLD: Final = ("state", "mapping_hash")
"""What of an edge whoever keeps the graph in memory follows."""


class Weaver:
    """The edges of one metastore in one transaction."""

    def __init__(self, store: LineageStore, places: Places, metastore_id: str) -> None:
        self._store = store
        self._places = places
        self._metastore_id = metastore_id
        self._mappings: dict[str, Sequence[Any]] = {}
        self._jobs: dict[int, int] = {}
        self._touched: set[int] = set()
        self._edges: dict[int, Row] = {}
        self._new: set[int] = set()
        self._said: dict[int, list[Said]] = {}
        """What runs say of each edge that is not what they said before."""
        self._counted: dict[int, set[int]] = {}
        """Of the runs that say anything now, those that each edge counts already."""
        self._unsure: set[int] = set()
        self._known_mappings: set[str] = set()
        self._history = History(store, self._united)
        self._changed = Changed()
        self._left_out: Mapping[int, int] = {}
        """Since when definitions leave out an edge that nothing else says."""

    def weave(
        self,
        runs: Mapping[int, Run],
        edges: Mapping[int, Collection[Edge]],
        times: Mapping[int, Mapping[AssetName, int]],
        jobs: Mapping[int, int],
        stored: Collection[int],
    ) -> None:
        """Writes what runs state now, and states anew every edge that this or a moved name changes.

        `edges` are what the runs state, `times` those at which they mean the names in it and `jobs` the ids of their jobs, by the ids of the
        runs; `stored` those that stated something before.
        """
        self._jobs |= jobs
        before = {
            _key(row): row for row in map(values_of, self._store.find(LineageContribution, "run_id", stored))
        }
        now = {
            _key(row): row
            for run_id, run in runs.items()
            for row in self._stated(run_id, run, edges[run_id], times[run_id])
        }
        for found in map(values_of, self._store.contributions_in(self._places.moved)):
            if found["run_id"] not in runs:
                before[_key(found)] = found
                now[_key(found)] = dict(found)
        self._places.recall({name_id for _run_id, *name_ids in now for name_id in name_ids})
        self._know_jobs({run_id for run_id, *_names in now} - set(self._jobs))
        self._find_edges(now.values())
        gone = [key for key in now.keys() ^ before.keys() if key in before]
        changed = [row for key, row in now.items() if row != before.get(key)]
        for row in (
            *(before[key] for key in gone),
            *(before[_key(row)] for row in changed if _key(row) in before),
        ):
            self._touched.add(row["edge_id"])
        self._touched |= {row["edge_id"] for row in changed}
        replaced = {run_id: run.since for run_id, run in runs.items() if run.kind is not EventKind.RUN}
        for key in (*gone, *map(_key, changed)):
            said = Said(before.get(key), now.get(key))
            self._history.note(*said, replaced.get(key[0]))
            self._changed.note(*said)
            for edge_id in {row["edge_id"] for row in said if row}:
                self._said.setdefault(edge_id, []).append(said)
                if key[0] not in runs:
                    # What else that run says of the edge was not read.
                    self._unsure.add(edge_id)
        for row in before.values():
            if row["live"]:
                self._counted.setdefault(row["edge_id"], set()).add(row["run_id"])
        self._store.remove(LineageContribution, gone)
        self._store.put(LineageContribution, changed)
        # What defines a target is asked for by its edges.
        self._store.put(
            LineageEdge, [self._edges[edge_id] for edge_id in sorted(self._new & self._changed.edge_ids)]
        )
        self._write_mappings()
        self._restate()

    def _stated(
        self, run_id: int, run: Run, edges: Collection[Edge], times: Mapping[AssetName, int]
    ) -> Iterable[Row]:
        state, since = run.state, run.since
        if state is RunState.DROPPED:
            return
        definitions = defined(run)
        for edge in edges:
            self._mappings[edge.mapping_hash] = edge.columns
            yield {
                "run_id": run_id,
                "source_name_id": self._places.id_of(edge.source),
                "target_name_id": self._places.id_of(edge.target),
                "source_time": times[edge.source],
                "target_time": times[edge.target],
                "edge_id": 0,
                "live": state is RunState.LIVE,
                "since": since,
                "first_time": run.first_time,
                "last_time": run.last_time,
                "mapping_hash": edge.mapping_hash,
                "defines": edge.target in definitions,
                "first_since": None,
            }

    def _write_mappings(self) -> None:
        unknown = self._mappings.keys() - self._known_mappings
        rows = self._store.find(LineageMapping, "hash", unknown, only=("hash", "unused_time"))
        # One that nothing said until now is written anew, so that it is not deleted as such.
        known = {row.hash for row in rows if row.unused_time is None}
        new = [
            {"hash": hashed, "columns": self._mappings[hashed], "unused_time": None}
            for hashed in sorted(unknown - known)
        ]
        self._store.put(LineageMapping, new)
        self._known_mappings |= unknown

    def _know_jobs(self, run_ids: Collection[int]) -> None:
        for row in self._store.find(LineageRun, "id", run_ids, only=("id", "job_id")):
            self._jobs[row.id] = row.job_id

    def _find_edges(self, rows: Iterable[Row]) -> None:
        """Puts into each row the id of the edge it speaks of now, making the edges there are not yet."""
        wanted: dict[tuple[int, int, int], list[Row]] = {}
        for row in rows:
            source = self._places.asset_at(row["source_name_id"], row["source_time"])
            target = self._places.asset_at(row["target_name_id"], row["target_time"])
            wanted.setdefault((source, target, self._jobs[row["run_id"]]), []).append(row)
        for edge in self._store.edges_between(wanted):
            self._edges[edge.id] = values_of(edge)
            for row in wanted.pop((edge.source_id, edge.target_id, edge.job_id)):
                row["edge_id"] = edge.id
        jobs = {job for _source, _target, job in wanted}
        evidence = {row.id: row.evidence for row in self._store.find(LineageJob, "id", jobs)}
        for (source, target, job), of_edge in sorted(wanted.items(), key=lambda item: item[0]):
            edge_id = self._store.new_id("edge_id")
            self._new.add(edge_id)
            self._edges[edge_id] = {
                "id": edge_id,
                "metastore_id": self._metastore_id,
                "source_id": source,
                "target_id": target,
                "job_id": job,
                "evidence": evidence.get(job, Evidence.OBSERVED.name),
                "state": RETRACTED,
                "first_time": 0,
                "last_time": 0,
                "end_time": FOREVER,
                "run_count": 0,
                "mapping_hash": EMPTY,
                "changed_time": 0,
                "kept_until": 0,
            }
            for row in of_edge:
                row["edge_id"] = edge_id

    def _restate(self) -> None:
        """Writes every edge that is not what its contributions and its assets make of it, and tells the change."""
        ended = {row.id for row in self._store.edges_at(self._places.ended)}
        self._touched |= ended
        unknown = self._touched - set(self._edges)
        self._edges |= {row.id: values_of(row) for row in self._store.find(LineageEdge, "id", unknown)}
        self._redefine()
        rows = {
            edge_id: row
            for edge_id in sorted(self._touched - ended - self._new - self._unsure)
            if (row := self._tallied(edge_id)) is not None
        }
        rest = self._touched - rows.keys()
        summaries, mappings = self._store.summaries(rest), self._newest_mappings(rest)
        self._left_out = self._cut(summaries)
        ends = self._ends(
            {self._edges[edge_id][end] for edge_id in rest for end in ("source_id", "target_id")}
        )
        for edge_id in sorted(rest):
            rows[edge_id] = self._restated(edge_id, ends, summaries.get(edge_id), mappings)
        self._history.write(self._edges, rows, self._new)
        self._write_mappings()
        changed = [
            row for edge_id, row in rows.items() if row != self._edges[edge_id] or edge_id in self._new
        ]
        self._store.put(LineageEdge, changed)
        self._store.tell(
            assets=[row for _asset_id, row in sorted(self._places.changed.items())],
            edges=[row for row in changed if any(row[key] != self._edges[row["id"]][key] for key in TOLD)],
        )

    def _redefine(self) -> None:
        """Has every edge stated anew that definitions cut now or cut no longer."""
        for edge, time in affected(self._store, self._changed.times(self._edges)):
            if edge["id"] not in self._new:
                self._edges.setdefault(edge["id"], edge)
                self._touched.add(edge["id"])
                self._unsure.add(edge["id"])
                self._history.change(edge["id"], time)

    def _cut(self, summaries: Mapping[int, Summary]) -> dict[int, int]:
        """Of edges that only definitions say, since when later ones leave them out."""
        wanted = {
            edge_id: Span(
                self._edges[edge_id]["source_id"], self._edges[edge_id]["target_id"], summary.since + 1
            )
            for edge_id, summary in summaries.items()
            if summary.live and summary.defines
        }
        return left_out(self._store, wanted)

    def _tallied(self, edge_id: int) -> Row | None:
        counted = self._counted.get(edge_id, ())
        return tallied(self._edges[edge_id], self._said.get(edge_id, ()), counted)

    def _restated(
        self, edge_id: int, ends: Mapping[int, int], summary: Summary | None, mappings: Mapping[int, str]
    ) -> Row:
        row = dict(self._edges[edge_id])
        row["end_time"] = min(ends[row["source_id"]], ends[row["target_id"]])
        if summary is None:
            return row | {"state": RETRACTED, "run_count": 0}
        if not summary.live:
            state = "PROVISIONAL"
        elif row["state"] == RETRACTED and summary.since < row["kept_until"]:
            # It was retired, and no run has said it since.
            state = RETRACTED
        elif self._left_out.get(row["id"], FOREVER) < row["end_time"]:
            state = RETRACTED
        else:
            state = "LIVE" if row["end_time"] == FOREVER else "DROPPED"
        return row | {
            "state": state,
            "first_time": summary.first_time,
            "last_time": summary.last_time,
            "run_count": summary.run_count,
            "mapping_hash": mappings[edge_id],
        }

    def _newest_mappings(self, edge_ids: Collection[int]) -> dict[int, str]:
        """Of each edge the mapping of its newest run, united where that says it of several names of one asset."""
        newest = {
            edge_id: self._united(hashes) for edge_id, hashes in self._store.newest_mappings(edge_ids).items()
        }
        self._write_mappings()
        return newest

    def _united(self, hashes: Collection[str]) -> str:
        """The hash of what several mappings say together; it is written with the others."""
        if len(hashes) == 1:
            return next(iter(hashes))
        stored = {row.hash: row.columns for row in self._store.find(LineageMapping, "hash", hashes)}
        united = {
            tuple(column)
            for hashed in hashes
            for column in self._mappings.get(hashed, stored.get(hashed, ()))
        }
        columns = sorted(united)
        hashed = mapping_hash(columns)
        self._mappings[hashed] = columns
        return hashed

    def _ends(self, asset_ids: set[int]) -> dict[int, int]:
        """When assets ended, FOREVER for those that did not."""
        changed = self._places.changed
        ends = {
            row.id: row.end_time
            for row in self._store.find(LineageAsset, "id", asset_ids - set(changed), only=("id", "end_time"))
        }
        return ends | {asset_id: row["end_time"] for asset_id, row in changed.items()}


def _key(row: Row) -> tuple[int, int, int]:
    return row["run_id"], row["source_name_id"], row["target_name_id"]
