"""Runs of lineage that are out of date, and what hangs on them; what becomes of them is `lineage/rollups.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, delete, func, or_, select, update

from lakewarden_server.entities import (
    LineageContribution,
    LineageEdge,
    LineageJob,
    LineageMention,
    LineageRun,
)
from lakewarden_server.storage.repositories.lineage import BATCH, batches

_run: Final = LineageRun.__table__.c
_said: Final = LineageContribution.__table__.c
_edge: Final = LineageEdge.__table__.c
_job: Final = LineageJob.__table__.c
_COLUMNS: Final = [column for column in _run if column.name != "fold"]


class LineageRollups:
    """Reads and writes within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def due(self, rollup: str, before: int, limit: int) -> list[Row[Any]]:
        """Ids, jobs and times of runs of a kind that neither were heard of nor happened since, those first that were silent for longest."""
        statement = select(_run.id, _run.job_id, _run.last_time).where(
            _run.rollup == rollup, _run.heard_time < before, _run.last_time < before
        )
        return list(self._connection.execute(statement.order_by(_run.heard_time, _run.id).limit(limit)))

    def around(self, run: Row[Any], first: int, until: int, limit: int) -> list[Row[Any]]:
        """A run and those of its job right before and after it, from a time until another, without their folds; at most so many on each side."""
        of_job = select(*_COLUMNS).where(_run.job_id == run.job_id)
        earlier = of_job.where(_run.last_time >= first, _at(run, earlier=True))
        later = of_job.where(_run.last_time < until, _at(run, earlier=False))
        order = (_run.last_time, _run.id)
        return [
            *self._connection.execute(
                earlier.order_by(*(column.desc() for column in order)).limit(limit + 1)
            ),
            *self._connection.execute(later.order_by(*order).limit(limit)),
        ]

    def definitions(
        self, target_ids: Collection[int], first: int, last: int
    ) -> Iterator[tuple[int, str, str, int]]:
        """Between two times, when live definitions of targets are from: target, workspace, principal, time."""
        since = func.coalesce(_said.first_since, _said.since)
        for batch in batches(target_ids, BATCH):
            statement = (
                select(
                    _edge.target_id, _run.workspace_id, _run.principal_id, _said.since, since.label("first")
                )
                .join_from(LineageEdge, LineageContribution, _said.edge_id == _edge.id)
                .join(LineageRun, _run.id == _said.run_id)
                .where(_edge.target_id.in_(batch), _said.live, _said.defines)
                .where(_said.since >= first, since <= last)
                .distinct()
            )
            for row in self._connection.execute(statement):
                yield row.target_id, row.workspace_id, row.principal_id, row.since
                yield row.target_id, row.workspace_id, row.principal_id, row.first

    def mark(self, run_ids: Collection[int], rollup: str) -> None:
        """Writes what runs are kept as, and nothing else of them."""
        for batch in batches(run_ids, BATCH):
            self._connection.execute(update(LineageRun).where(_run.id.in_(batch)).values(rollup=rollup))

    def update(self, runs: Mapping[int, Mapping[str, Any]]) -> None:
        """Writes columns of runs."""
        for run_id, values in runs.items():
            self._connection.execute(update(LineageRun).where(_run.id == run_id).values(**values))

    def purged(self, jobs: Mapping[int, int]) -> None:
        """Writes of jobs that runs up to a time were purged."""
        for job_id, time in jobs.items():
            of_job = update(LineageJob).where(_job.id == job_id, _job.purged_until < time)
            self._connection.execute(of_job.values(purged_until=time))

    def delete(self, run_ids: Collection[int]) -> None:
        """Deletes runs with what they say and speak of."""
        for entity, column in (
            (LineageContribution, _said.run_id),
            (LineageMention, LineageMention.__table__.c.run_id),
            (LineageRun, _run.id),
        ):
            for batch in batches(run_ids, BATCH):
                self._connection.execute(delete(entity).where(column.in_(batch)))


def _at(run: Row[Any], *, earlier: bool) -> Any:
    """Where a run of the same job lies from one: not later, or later."""
    if earlier:
        return or_(_run.last_time < run.last_time, and_(_run.last_time == run.last_time, _run.id <= run.id))
    return or_(_run.last_time > run.last_time, and_(_run.last_time == run.last_time, _run.id > run.id))
