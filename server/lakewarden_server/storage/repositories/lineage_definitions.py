"""Reads what runs define; what follows from that is `lineage/definitions.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import func, select

from lakewarden_server.entities import LineageContribution, LineageEdge, LineageRun
from lakewarden_server.storage.repositories.lineage import BATCH, LineageStore, batches

_said: Final = LineageContribution.__table__.c
_edge: Final = LineageEdge.__table__.c
_run: Final = LineageRun.__table__.c


def defined_since(store: LineageStore, since: Mapping[int, int]) -> Iterator[Any]:
    """The sources that live definitions of targets state, some from a time of each on and some before: target, source, since when, whose the run is."""
    for batch in batches(sorted(since), BATCH):
        yield from store.rows(
            select(
                _edge.target_id,
                _edge.source_id,
                _said.since,
                _said.first_since,
                _run.workspace_id,
                _run.principal_id,
            )
            .join_from(LineageEdge, LineageContribution, _said.edge_id == _edge.id)
            .join(LineageRun, _run.id == _said.run_id)
            .where(_edge.target_id.in_(batch), _said.live, _said.defines)
            .where(_said.since >= min(since[target_id] for target_id in batch))
            .distinct()
        )


def last_said(store: LineageStore, edge_ids: Collection[int]) -> Iterator[Any]:
    """When live runs last said each edge, by whose they are: edge, workspace, principal, last."""
    for batch in batches(sorted(edge_ids), BATCH):
        yield from store.rows(
            select(_said.edge_id, _run.workspace_id, _run.principal_id, func.max(_said.since).label("last"))
            .join_from(LineageContribution, LineageRun, _run.id == _said.run_id)
            .where(_said.edge_id.in_(batch), _said.live)
            .group_by(_said.edge_id, _run.workspace_id, _run.principal_id)
        )
