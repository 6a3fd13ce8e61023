"""What the answers that join lineage with grants are made of: names of assets, who reads what, limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Final

import numpy as np

from lakewarden.v1 import lineage_governance_pb2 as pb
from lakewarden_policy import RELATIONS, Alike, Audience, Row, Securable, name_key, source_of
from lakewarden_server.lineage.nodes import LineageState
from lakewarden_server.lineage.roster import Described
from lakewarden_server.lineage.visibility import Sights
from lakewarden_server.services.call import Call, SnapshotBehind
from lakewarden_server.services.grants import sees_all
from lakewarden_server.services.lineage_graph import DEPTH_MAX, limit_of
from lakewarden_server.services.sources import source_message
from lakewarden_server.storage.repositories import columns as column_rows
from lakewarden_server.storage.repositories.lineage_graph import sorted_batches

READERS_MAX: Final = 100
JOBS_MAX: Final = 20
PRINCIPALS_MAX: Final = 20
STEPS_DEFAULT: Final = 20
READ: Final = "SELECT"


class Assets:
    """What there is of a lineage for the caller: what it sees, what assets are today, and whose grants it is told."""

    def __init__(self, call: Call, state: LineageState, sights: Sights) -> None:
        self.state = state
        self.sight = sights.of(state, call.caller.id, call.workspace_id, call.metastore_id)
        self._call, self._roster = call, sights.roster
        self._grants_told: dict[str, bool] = {}
        self._labels: dict[int, str] = {}

    def relation(self, asset_id: int) -> Securable | None:
        """The table or view an asset is, None where it is something else or gone."""
        node = self.state.nodes.get(asset_id)
        found = self._call.snapshot.securables.get((node.securable_id if node else None) or "")
        return found if found is not None and found.kind in RELATIONS else None

    def label(self, asset_id: int) -> str:
        """The full name, path or dataset name it has today; of what is gone the last it had."""
        known = self._labels.get(asset_id)
        if known is None:
            shown = self._shown(asset_id)
            known = f"{shown.namespace} {shown.name}" if shown.namespace else shown.name
            self._labels[asset_id] = known
        return known

    def kind(self, asset_id: int) -> str:
        """TABLE, VIEW, …, PATH or DATASET."""
        return self._shown(asset_id).kind

    def _shown(self, asset_id: int) -> Described:
        roster = self._roster
        roster.groups_of(np.array([asset_id], dtype=np.int32), self._call.snapshot)
        columns = (roster.names, roster.kinds, roster.namespaces, roster.dropped)
        return Described(*(column[asset_id] for column in columns))

    def tells_grants(self, object_id: str) -> bool:
        """Whether the caller is told who reads an object: who lists all grants of it."""
        known = self._grants_told.get(object_id)
        if known is None:
            known = self._grants_told[object_id] = sees_all(self._call, object_id)
        return known


def readers(
    call: Call, audience: Audience, object_id: str, who: Iterable[Alike]
) -> tuple[list[pb.LineageReader], bool]:
    """Through which grants some of the audience read an object, and whether there are more than are told."""
    counts: Counter[Row] = Counter()
    for alike in who:
        for row in audience.rows(alike, object_id, READ):
            counts[row] += len(alike.members)
    order = partial(_row_order, call)
    return [
        pb.LineageReader(
            source=source_message(source_of(call.decider, row.principal_id, row), call),
            principal_count=counts[row],
        )
        for row in sorted(counts, key=order)[:READERS_MAX]
    ], len(counts) > READERS_MAX


def _row_order(call: Call, row: Row) -> tuple[str, str, str]:
    return name_key(call.principal_name(row.principal_id)), call.snapshot.full_name(row.object_id), row.act


def columns_of(call: Call, table_ids: Iterable[str]) -> dict[str, dict[str, str]]:
    """The names of the columns of tables by their keys, by the ids of the tables. Raises SnapshotBehind for one that is newer than the decision."""
    found: dict[str, dict[str, str]] = {}
    for batch in sorted_batches(set(table_ids)):
        for table_id, key, name, revision in column_rows.names_of(call.uow.session, batch):
            if revision > call.snapshot.head.revision:
                raise SnapshotBehind
            found.setdefault(table_id, {})[key] = name
    return found


def jobs_told(jobs: Iterable[tuple[str, str]]) -> list[str]:
    """Jobs as they are told, in order, each once."""
    return sorted({f"{namespace} {name}" for namespace, name in jobs})[:JOBS_MAX]


def steps(asked: int) -> int:
    """How far to look. Raises FIELD_INVALID."""
    return limit_of(asked, "max_depth", STEPS_DEFAULT, DEPTH_MAX)
