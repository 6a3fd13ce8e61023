"""What runs said of edges, run by run, for the system tables of lineage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, select

from lakewarden_server.entities import (
    LineageContribution,
    LineageEdge,
    LineageJob,
    LineageMapping,
    LineageRun,
)

ROWS_CHUNK: Final = 1_000

_contribution: Final = LineageContribution.__table__.c
_edge: Final = LineageEdge.__table__.c
_job: Final = LineageJob.__table__.c
_mapping: Final = LineageMapping.__table__.c
_run: Final = LineageRun.__table__.c

# Made once: it is asked for each table that lineage knows, and to make it takes longer than its answer.
_SAID: Final[Select[Any]] = (
    select(
        _contribution.edge_id,
        _contribution.last_time,
        _contribution.mapping_hash,
        _run.key,
        _run.workspace_id,
        _run.principal_id,
        _job.namespace.label("job_namespace"),
        _job.name.label("job_name"),
    )
    .join_from(LineageContribution, LineageRun, _run.id == _contribution.run_id)
    .outerjoin(LineageJob, _job.id == _run.job_id)
    .join(LineageEdge, _edge.id == _contribution.edge_id)
    .where(
        _edge.target_id == bindparam("target"),
        _contribution.live,
        _contribution.last_time >= bindparam("since"),
    )
    .order_by(_contribution.last_time)
)
_SAID_UNTIL: Final = _SAID.where(_contribution.last_time < bindparam("until"))


def said_of(connection: Connection, target_id: int, *, since: int, until: int | None) -> Iterator[Row[Any]]:
    """What runs that count said of the edges into an asset, in the order of its times, `since` (inclusive) and `until` in microseconds.

    Fetched as it is read: of an edge there can be a row for each run in years.
    """
    statement, times = _SAID, {"target": target_id, "since": since}
    if until is not None:
        statement, times = _SAID_UNTIL, {**times, "until": until}
    with connection.execute(statement, times, execution_options={"yield_per": ROWS_CHUNK}) as rows:
        yield from rows


def mapping(connection: Connection, mapping_hash: str) -> list[Any]:
    """Which columns were made of which: [target, source, subtype, masking] each; empty where nothing was said."""
    statement = select(_mapping.columns).where(_mapping.hash == mapping_hash)
    found: list[Any] | None = connection.execute(statement).scalar_one_or_none()
    return found or []
