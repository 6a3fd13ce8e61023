"""What of lineage is out of date: edges their jobs make no more, events and changes that nobody needs any longer."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Subquery, and_, case, delete, func, select, tuple_, update
from sqlalchemy.orm import aliased

from lakewarden_server.entities import (
    LineageChange,
    LineageContribution,
    LineageEdge,
    LineageEvent,
    LineageHead,
    LineageRun,
)

_edge: Final = LineageEdge.__table__.c
_run: Final = LineageRun.__table__.c
_event: Final = LineageEvent.__table__.c
_change: Final = LineageChange.__table__.c
_contribution: Final = LineageContribution.__table__.c
_RUNS: Final = "run:%"
"""What the keys of runs look like, and not those of what declares."""


class Unmade(NamedTuple):
    """An edge that its job made no more in several runs, the last of which ended at this time."""

    edge_id: int
    time: int


class LineageRetention:
    """Reads and deletes within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def unmade(
        self, seen_before: int, runs: int, limit: int, among: Collection[int] | None = None
    ) -> list[Unmade]:
        """Live edges last seen before a time, after which each principal who told of them told of so many completed runs of their jobs.

        Others' runs under the name of a job take nothing away. What is declared is no such edge.
        """
        told = _tellers(seen_before, among)
        is_later = and_(
            *(_run.job_id == told.c.job_id, _run.last_time > told.c.last_time),
            *(_run.principal_id == told.c.principal_id, _run.state == "LIVE", _run.key.like(_RUNS)),
        )
        last = select(_run.last_time).where(is_later).order_by(_run.last_time).limit(1).offset(runs - 1)
        # Of fewer rows one may stand for several runs that were purged.
        few = select(case((func.sum(_run.run_count) >= runs, func.max(_run.last_time)))).where(is_later)
        later = func.coalesce(*(each.correlate(told).scalar_subquery() for each in (last, few)))
        found = select(told.c.id, later.label("time")).subquery()
        statement = (
            select(found.c.id, func.max(found.c.time))
            .group_by(found.c.id)
            .having(func.count() == func.count(found.c.time))
        )
        return [Unmade(*row) for row in self._connection.execute(statement.limit(limit))]

    def newest_sequence(self, before: datetime) -> int:
        """That of the newest event received before a time; 0 where there is none."""
        statement = select(_event.sequence).where(_event.received_time < before)
        ordered = statement.order_by(_event.received_time.desc(), _event.sequence.desc()).limit(1)
        return self._connection.execute(ordered).scalar_one_or_none() or 0

    def delete_changes(self, until: int, limit: int) -> int:
        """Deletes the changes of at most so many sequences up to one; how many rows. The head must be held."""
        first = self._connection.execute(select(func.min(_change.sequence))).scalar_one()
        if first is None or first > until:
            return 0
        until = min(until, first + limit - 1)
        self._connection.execute(update(LineageHead).values(changes_from=until + 1))
        deleted: Any = self._connection.execute(delete(LineageChange).where(_change.sequence <= until))
        return int(deleted.rowcount)

    def delete_events(self, before: datetime, limit: int) -> int:
        """Deletes at most so many events received before a time; how many."""
        key = (_event.workspace_id, _event.principal_id, _event.key)
        old = select(*key).where(_event.received_time < before).order_by(_event.received_time).limit(limit)
        deleted: Any = self._connection.execute(delete(LineageEvent).where(tuple_(*key).in_(old)))
        return int(deleted.rowcount)


def _tellers(seen_before: int, among: Collection[int] | None) -> Subquery:
    """Live edges of jobs that nothing declares, last seen before a time, with each principal of whose runs they are."""
    declared = (
        select(_contribution.run_id)
        .join_from(LineageContribution, LineageRun, _run.id == _contribution.run_id)
        .where(_contribution.edge_id == _edge.id, _run.key.not_like(_RUNS))
        .correlate(LineageEdge.__table__)
        .exists()
    )
    teller = aliased(LineageRun)
    old = (
        select(_edge.id, _edge.job_id, _edge.last_time, teller.principal_id)
        .join_from(LineageEdge, LineageContribution, _contribution.edge_id == _edge.id)
        .join(teller, teller.id == _contribution.run_id)
        .where(_edge.state == "LIVE", _edge.job_id != 0, _edge.last_time < seen_before)
        .where(_contribution.live, ~declared)
        .distinct()
    )
    return (old if among is None else old.where(_edge.id.in_(among))).subquery()
