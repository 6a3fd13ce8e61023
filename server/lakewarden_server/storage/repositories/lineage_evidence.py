"""What the recorded edges say beside that they are there: of which columns, by which jobs, told by whom."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select

from lakewarden_server.entities import (
    LineageContribution,
    LineageEdge,
    LineageJob,
    LineageRun,
)
from lakewarden_server.storage.repositories.lineage_graph import sorted_batches

_contribution: Final = LineageContribution.__table__.c
_edge: Final = LineageEdge.__table__.c
_job: Final = LineageJob.__table__.c
_run: Final = LineageRun.__table__.c


class LineageEvidenceReader:
    """Reads within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def jobs(self, edge_ids: Collection[int], workspace_id: str) -> dict[int, tuple[str, str]]:
        """Namespace and name of the job of each edge, where it is one of the workspace."""
        statement = (
            select(_edge.id, _job.namespace, _job.name)
            .join_from(LineageEdge, LineageJob, _job.id == _edge.job_id)
            .where(_job.workspace_id == workspace_id)
        )
        return {row.id: (row.namespace, row.name) for row in self._of(statement, edge_ids)}

    def tellers(self, edge_ids: Collection[int], workspace_id: str) -> dict[int, set[str]]:
        """Of each edge the principals that told of its runs from the workspace; of runs that count."""
        statement = (
            select(_contribution.edge_id.label("id"), _run.principal_id)
            .join_from(LineageContribution, LineageRun, _run.id == _contribution.run_id)
            .where(_contribution.live.is_(True), _run.workspace_id == workspace_id)
            .distinct()
        )
        found: dict[int, set[str]] = {}
        for row in self._of(statement, edge_ids, of=_contribution.edge_id):
            found.setdefault(row.id, set()).add(row.principal_id)
        return found

    def _of(
        self, statement: Select[Any], edge_ids: Collection[int], of: Any = _edge.id
    ) -> Iterator[Row[Any]]:
        for batch in sorted_batches(edge_ids):
            yield from self._connection.execute(statement.where(of.in_(batch)))
