"""Records events in a database as the recorder does, and reads back what became of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lakewarden_policy import Snapshot, load_policy
from lakewarden_server.authz.follower import Follower
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import (
    LineageAsset,
    LineageChange,
    LineageEdge,
    LineageEdgeVersion,
    LineageJob,
    LineageMapping,
)
from lakewarden_server.lineage.exports import export
from lakewarden_server.lineage.facets import understand
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.recording import Origin, Received
from lakewarden_server.storage import Database
from lakewarden_server.storage.repositories.lineage import LineageStore
from lineage.corpus import NOW, microseconds, read


class Change(NamedTuple):
    """What one recording changed of the graph."""

    kind: str
    edge_id: int | None
    source_asset_id: int
    target_asset_id: int | None
    state: str


class Lineage:
    """One metastore's lineage, recorded to from one workspace."""

    def __init__(
        self, database: Database, number: int = 1, *, metastore_id: str = "", snapshot: Snapshot | None = None
    ) -> None:
        self.database = database
        self.recorder = Recorder(database)
        snapshot = snapshot or Follower(database, load_policy()).at_head().snapshot
        self.origin = Origin(metastore_id or f"metastore-{number}", f"workspace-{number}", "ada", snapshot)

    def record(self, *bodies: bytes) -> list[bool]:
        """Records events in one call; of each, whether it was new."""
        events = [read(body) for body in bodies]
        received = [Received(event, understand(event)) for event in events]
        return self.recorder.record(self.origin, received, time=NOW, deadline=monotonic() + 60)

    def record_in_batches(self, bodies: Sequence[bytes], sizes: Sequence[int]) -> None:
        """The events in order, in calls of these sizes again and again."""
        start, turn = 0, 0
        while start < len(bodies):
            self.record(*bodies[start : start + sizes[turn % len(sizes)]])
            start, turn = start + sizes[turn % len(sizes)], turn + 1

    def export(self) -> bytes:
        """The export, without the numbers that tell one `Lineage` of a test from another."""
        with self.database.reading() as connection:
            text = export(LineageStore(connection), self.origin.metastore_id)
        return text.replace(self.origin.workspace_id.encode(), b"workspace")

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.export().splitlines()) if kind in line]

    def edges(self, state: str = "LIVE") -> set[tuple[str, str]]:
        """(source, target) of the edges in a state, by the names of their assets."""
        shown = {json.dumps(line["aliases"][0]): line["name"][1] for line in self.lines("asset")}
        return {
            tuple(shown[json.dumps(end)] for end in line["edge"])
            for line in self.lines("edge")
            if line["state"] == state
        }

    def edge(self, source: str, target: str) -> dict[str, Any]:
        """The one edge between assets shown by these names."""
        shown = {json.dumps(line["aliases"][0]): line["name"][1] for line in self.lines("asset")}
        (found,) = [
            line
            for line in self.lines("edge")
            if tuple(shown[json.dumps(end)] for end in line["edge"]) == (source, target)
        ]
        return found

    def meaning(self, name: str, second: float | None = None) -> dict[str, Any]:
        """The asset a name meant at a second, or means now."""
        time = 2**61 if second is None else microseconds(second)
        (found,) = [
            line
            for line in self.lines("asset")
            for (_kind, _namespace, alias), after, until in line["aliases"]
            if alias == name and after < time and (until is None or time <= until)
        ]
        return found

    def history(self) -> dict[tuple[str, str, str], list[Any]]:
        """The versions of every edge there is or was, by source, target and job: why each began, when, and the columns."""
        with self.database.reading() as connection:
            store = LineageStore(connection)
            shown = {line["id"]: line for line in map(_asset, store.all(LineageAsset))}
            columns = {row.hash: row.columns for row in store.all(LineageMapping)}
            jobs = {row.id: row.name for row in store.all(LineageJob)}
            edges = {
                row.id: (shown[row.source_id]["key"], shown[row.target_id]["key"], jobs.get(row.job_id, ""))
                for row in store.all(LineageEdge, metastore_id=self.origin.metastore_id)
            }
            found: dict[tuple[str, str, str], list[Any]] = {}
            for row in sorted(store.all(LineageEdgeVersion), key=lambda row: (row.edge_id, row.valid_from)):
                if row.edge_id in edges:
                    told = (row.reason, row.valid_from, row.valid_to, columns.get(row.mapping_hash))
                    found.setdefault(edges[row.edge_id], []).append(told)
        return found

    def versions(self, source: str, target: str) -> list[tuple[str, float]]:
        """Why each version between assets shown by these names began, and at which second."""
        return [
            (reason, (since - microseconds(0)) / 1_000_000)
            for (one, other, _job), versions in sorted(self.history().items())
            if (one.partition("@")[0], other.partition("@")[0]) == (source, target)
            for reason, since, _until, _columns in versions
        ]

    def changes(self, after: int = 0) -> list[Change]:
        """The changes that were told after a sequence."""
        with self.database.reading() as connection:
            rows = sorted(
                LineageStore(connection).all(LineageChange), key=lambda row: (row.sequence, row.position)
            )
        return [
            Change(row.kind, row.edge_id, row.source_asset_id, row.target_asset_id, row.state)
            for row in rows
            if row.sequence > after
        ]

    def sequence(self) -> int:
        """The sequence of the newest change."""
        with self.database.reading() as connection:
            return max((row.sequence for row in LineageStore(connection).all(LineageChange)), default=0)


def is_same_in_any_order(
    told: Callable[[Sequence[bytes], Sequence[int]], Any], bodies: Sequence[bytes], order: random.Random
) -> bool:
    """Whether events told one by one, and twice each in any order and in batches of one size, give the same."""
    shuffled = [*bodies, *bodies]
    order.shuffle(shuffled)
    return bool(told(shuffled, [order.choice([1, 2, 5])]) == told(bodies, [1]))


def _asset(row: Any) -> dict[str, Any]:
    """An asset by what tells its incarnations apart, whatever ids they got."""
    return {"id": row.id, "key": f"{row.name}@{row.end_time}"}
