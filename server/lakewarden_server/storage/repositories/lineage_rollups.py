"""Runs of lineage that are out of date, and what hangs on them; what becomes of them is `lineage/rollups.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update

from lakewarden_server.entities import (
    LineageContribution,
    LineageEdge,
    LineageJob,
    LineageMention,
    LineageRun,
)
from lakewarden_server.storage.repositories.lineage import BATCH, batches

_RUNS: Final[Any] = LineageRun.__table__
_JOBS: Final[Any] = LineageJob.__table__
_run: Final = LineageRun.__table__.c
_said: Final = LineageContribution.__table__.c
_edge: Final = LineageEdge.__table__.c
_job: Final = LineageJob.__table__.c
_COLUMNS: Final = [column for column in _run if column.name != "fold"]

# Made once: they are asked for each job and day.
_OF_JOB: Final = select(*_COLUMNS).where(_run.job_id == bindparam("job")).limit(bindparam("limit"))
_IS_AT: Final = _run.last_time == bindparam("time")
_EARLIER: Final = _OF_JOB.where(
    _run.last_time >= bindparam("first"),
    _run.last_time <= bindparam("time"),
    ~(_IS_AT & (_run.id > bindparam("id"))),
).order_by(_run.last_time.desc(), _run.id.desc())
_LATER: Final = _OF_JOB.where(
    _run.last_time >= bindparam("time"),
    _run.last_time < bindparam("until"),
    ~(_IS_AT & (_run.id <= bindparam("id"))),
).order_by(_run.last_time, _run.id)
_PURGED_UNTIL: Final = (
    update(_JOBS)
    .where(_job.id == bindparam("of"), _job.purged_until < bindparam("until"))
    .values(purged_until=bindparam("until"))
)


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
        near = {"job": run.job_id, "time": run.last_time, "id": run.id, "first": first, "until": until}
        return [
            *self._connection.execute(_EARLIER, near | {"limit": limit + 1}),
            *self._connection.execute(_LATER, near | {"limit": limit}),
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
        """Writes the same columns of runs."""
        if runs:
            names = next(iter(runs.values()))
            statement = update(_RUNS).where(_run.id == bindparam("of"))
            statement = statement.values({name: bindparam(f"to_{name}") for name in names})
            self._connection.execute(
                statement,
                [
                    {"of": run_id, **{f"to_{name}": value for name, value in values.items()}}
                    for run_id, values in runs.items()
                ],
            )

    def purged(self, jobs: Mapping[int, int]) -> None:
        """Writes of jobs that runs up to a time were purged."""
        if jobs:
            told = [{"of": job_id, "until": time} for job_id, time in jobs.items()]
            self._connection.execute(_PURGED_UNTIL, told)

    def delete(self, run_ids: Collection[int]) -> None:
        """Deletes runs with what they say and speak of."""
        for entity, column in (
            (LineageContribution, _said.run_id),
            (LineageMention, LineageMention.__table__.c.run_id),
            (LineageRun, _run.id),
        ):
            for batch in batches(run_ids, BATCH):
                self._connection.execute(delete(entity).where(column.in_(batch)))
