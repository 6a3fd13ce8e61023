"""What edges of lineage were: which led from and to assets at a time, and the versions of those between two."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, case, func, select, text

from lakewarden_server.entities import (
    LineageContribution,
    LineageEdge,
    LineageEdgeVersion,
    LineageHead,
    LineageJob,
    LineageRun,
)
from lakewarden_server.storage.repositories.lineage_graph import sorted_batches

DAY: Final = timedelta(days=1) // timedelta(microseconds=1)
EPOCH: Final = date(1970, 1, 1)

# One array of ids, as a statement may have 32,766 parameters on SQLite.
_AMONG: Final = {
    "sqlite": "(SELECT value FROM json_each(:ids))",
    "postgresql": "(SELECT unnest(CAST(:ids AS bigint[])))",
}
_LED: Final = """
SELECT v.{near}_id, v.{far}_id, v.edge_id,
  CASE WHEN v.reason IN ('DROPPED', 'RETIRED') THEN :dropped ELSE 0 END
  + CASE e.evidence WHEN 'PARSED' THEN :parsed WHEN 'DECLARED' THEN :declared ELSE 0 END
FROM lineage_edge_versions v
LEFT JOIN lineage_edges e ON e.id = v.edge_id AND e.evidence <> 'OBSERVED'
WHERE v.{near}_id IN {among} AND v.valid_to > :time AND v.valid_from <= :time AND v.reason NOT IN ({without})
LIMIT :limit
"""

_edge: Final = LineageEdge.__table__.c
_version: Final = LineageEdgeVersion.__table__.c
_job: Final = LineageJob.__table__.c
_run: Final = LineageRun.__table__.c
_contribution: Final = LineageContribution.__table__.c


class LineageHistoryReader:
    """Reads within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ends(self) -> tuple[int, int]:
        """One more than the highest id of an asset, and of an edge."""
        head = LineageHead.__table__.c
        row = self._connection.execute(select(head.asset_id, head.edge_id)).one()
        return row.asset_id + 1, row.edge_id + 1

    def led(
        self,
        asset_ids: Sequence[int],
        standings: Mapping[str, int],
        *,
        upstream: bool,
        time: int,
        dropped: bool,
        limit: int,
    ) -> Sequence[Row[Any]]:
        """Edges there were at a time from assets, or to them when looking upstream: asset, the other end, id, and the sum of the standings `dropped` if it was by then, and `parsed` or `declared`."""
        near, far = ("target", "source") if upstream else ("source", "target")
        dialect = self._connection.dialect.name
        statement = _LED.format(
            near=near,
            far=far,
            among=_AMONG[dialect],
            without="'RETIRED'" if dropped else "'DROPPED', 'RETIRED'",
        )
        ids = json.dumps(asset_ids) if dialect == "sqlite" else asset_ids
        bound = {"ids": ids, "time": time, "limit": limit, **standings}
        return self._connection.execute(text(statement), bound).all()

    def edges_between(
        self, source_id: int, target_id: int, *, workspace_id: str, limit: int
    ) -> Sequence[Row[Any]]:
        """The edges from one asset to another, with their jobs: those of a workspace first. Which others there are does not follow from what they are called."""
        own = _job.workspace_id == workspace_id
        named = (case((own, column), else_="") for column in (_job.namespace, _job.name))
        statement = (
            select(LineageEdge.__table__, _job.workspace_id, _job.namespace, _job.name)
            .select_from(LineageEdge)
            .outerjoin(LineageJob, _job.id == _edge.job_id)
            .where(_edge.source_id == source_id, _edge.target_id == target_id)
            .order_by(case((own, 0), else_=1), *named, _edge.id)
        )
        return self._connection.execute(statement.limit(limit)).all()

    def versions(self, edge_id: int, limit: int) -> Sequence[Row[Any]]:
        """The versions of an edge, the newest first."""
        statement = select(LineageEdgeVersion.__table__).where(_version.edge_id == edge_id)
        return self._connection.execute(statement.order_by(_version.valid_from.desc()).limit(limit)).all()

    def mapping_hashes(self, edge_ids: Collection[int], time: int) -> dict[int, str]:
        """Of each edge the hash of what it said of columns at a time."""
        found: dict[int, str] = {}
        for batch in sorted_batches(edge_ids):
            statement = select(_version.edge_id, _version.mapping_hash).where(
                _version.edge_id.in_(batch), _version.valid_from <= time, _version.valid_to > time
            )
            for row in self._connection.execute(statement):
                found[row.edge_id] = row.mapping_hash
        return found

    def last_run(self, edge_id: int) -> str:
        """The key of the run that said an edge last; empty where none is kept."""
        statement = (
            select(_run.key)
            .join_from(LineageContribution, LineageRun, _run.id == _contribution.run_id)
            .where(_contribution.edge_id == edge_id, _contribution.live)
            .order_by(_contribution.since.desc(), _run.key.desc())
        )
        return self._connection.execute(statement.limit(1)).scalar_one_or_none() or ""

    def days(self, edge_id: int, first: date, limit: int) -> Sequence[Row[Any]]:
        """Of each day from one on, in UTC, the runs that made an edge and were last heard of on it: how many, from when to when, and the key of the last.

        A run that told of it under several names is one, runs that were purged as many as they were. `read` is how much was read of what runs said, at most `limit`, the newest first.
        """
        since = (first - EPOCH).days * DAY
        read = (
            select(_contribution.run_id, _contribution.first_time, _contribution.last_time)
            .where(_contribution.edge_id == edge_id, _contribution.live, _contribution.last_time >= since)
            .order_by(_contribution.last_time.desc(), _contribution.run_id.desc())
            .limit(limit)
            .cte("read")
        )
        day = (func.max(read.c.last_time) // DAY).label("day")
        runs = (
            select(
                read.c.run_id,
                day,
                func.min(read.c.first_time).label("first_time"),
                func.max(read.c.last_time).label("last_time"),
            )
            .group_by(read.c.run_id)
            .subquery()
        ).c
        ordered = (
            select(
                runs.day,
                func.sum(_run.run_count).over(partition_by=runs.day).label("run_count"),
                func.min(runs.first_time).over(partition_by=runs.day).label("first_time"),
                runs.last_time,
                _run.key,
                func.row_number()
                .over(partition_by=runs.day, order_by=(runs.last_time.desc(), _run.key.desc()))
                .label("place"),
            )
            .join(LineageRun, _run.id == runs.run_id)
            .subquery()
        )
        count = select(func.count()).select_from(read).scalar_subquery().label("read")
        statement = select(ordered, count).where(ordered.c.place == 1).order_by(ordered.c.day)
        return self._connection.execute(statement).all()
