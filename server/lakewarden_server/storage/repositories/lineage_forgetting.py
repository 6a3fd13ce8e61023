"""Assets that are in no catalog and that nobody tells of any longer; which of them may go is `lineage/forgetting.py`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, or_, select
from sqlalchemy.orm import aliased

from lakewarden_server.entities import (
    Base,
    LineageAlias,
    LineageAsset,
    LineageContribution,
    LineageEdge,
    LineageEdgeVersion,
    LineageEnding,
    LineageLink,
    LineageMention,
    LineageName,
    LineageRun,
)
from lakewarden_server.storage.repositories.lineage import BATCH, batches

_asset: Final = LineageAsset.__table__.c
_alias: Final = LineageAlias.__table__.c
_edge: Final = LineageEdge.__table__.c
_ending: Final = LineageEnding.__table__.c
_link: Final = LineageLink.__table__.c
_mention: Final = LineageMention.__table__.c
_name: Final = LineageName.__table__.c
_run: Final = LineageRun.__table__.c
_said: Final = LineageContribution.__table__.c
_version: Final = LineageEdgeVersion.__table__.c
_LIVE: Final = ("LIVE", "PROVISIONAL")
_PURGED: Final = ("DAY", "VERSION")


class LineageForgetting:
    """Reads and deletes within one transaction."""

    def __init__(self, connection: Connection, before: int) -> None:
        """`before` is when whoever still counts must have been heard of, in microseconds since 1970."""
        self._connection = connection
        self._before = before

    def quiet(self, after: int, limit: int) -> list[int]:
        """Assets with ids after one, in order, that are in no catalog, have no edge that is there, and are told of by no run that counts."""
        statement = self._quiet().where(_asset.id > after).order_by(_asset.id).limit(limit)
        return list(self._connection.execute(statement).scalars())

    def quiet_among(self, asset_ids: Collection[int]) -> set[int]:
        """Those of some assets that are."""
        found: set[int] = set()
        for batch in batches(asset_ids, BATCH):
            found |= set(self._connection.execute(self._quiet().where(_asset.id.in_(batch))).scalars())
        return found

    def _quiet(self) -> Select[Any]:
        heard_before = and_(_run.heard_time < self._before, _run.last_time < self._before)
        # What dataset events told is replaced or an ending, and kept as it is.
        of_dataset = or_(_run.key.like("dataset:%"), _run.key.like("event:%"))
        is_silent = or_(_run.rollup.in_(_PURGED), and_(heard_before, of_dataset))
        told = (
            select(_mention.run_id)
            .join_from(LineageAlias, LineageMention, _mention.name_id == _alias.name_id)
            .join(LineageRun, _run.id == _mention.run_id)
            .where(_alias.asset_id == _asset.id, ~is_silent)
            .exists()
        )
        heir = aliased(LineageAsset)
        # An asset that became another one goes after it.
        has_heir = select(heir.id).where(heir.id == _asset.merged_into_id).exists()
        return select(_asset.id).where(
            _asset.securable_id.is_(None),
            or_(_asset.state != "MERGED", ~has_heir),
            *(
                ~select(_edge.id).where(end == _asset.id, _edge.state.in_(_LIVE)).exists()
                for end in (_edge.source_id, _edge.target_id)
            ),
            ~told,
        )

    def delete(
        self, asset_ids: Collection[int], name_ids: Collection[int], edge_ids: Collection[int]
    ) -> None:
        """Deletes these with all that hangs on them, and purged runs that speak of nothing else."""
        runs = self._speakers(name_ids)
        wanted: list[tuple[type[Base], ColumnElement[Any], Collection[int]]] = [
            (LineageEdgeVersion, _version.edge_id, edge_ids),
            (LineageContribution, _said.edge_id, edge_ids),
            (LineageEdge, _edge.id, edge_ids),
            (LineageMention, _mention.name_id, name_ids),
            (LineageEnding, _ending.name_id, name_ids),
            (LineageEnding, _ending.renamed_to_id, name_ids),
            (LineageLink, _link.one_id, name_ids),
            (LineageLink, _link.other_id, name_ids),
            (LineageAlias, _alias.name_id, name_ids),
            (LineageName, _name.id, name_ids),
            (LineageAsset, _asset.id, asset_ids),
        ]
        for entity, column, ids in wanted:
            for batch in batches(ids, BATCH):
                self._connection.execute(delete(entity).where(column.in_(batch)))
        self._delete_mute(runs)

    def _speakers(self, name_ids: Collection[int]) -> Sequence[int]:
        found: set[int] = set()
        for batch in batches(name_ids, BATCH):
            statement = select(_mention.run_id).where(_mention.name_id.in_(batch)).distinct()
            found |= set(self._connection.execute(statement).scalars())
        return sorted(found)

    def _delete_mute(self, run_ids: Sequence[int]) -> None:
        spoken = select(_mention.run_id).where(_mention.run_id == _run.id).exists()
        ended = select(_ending.run_id).where(_ending.run_id == _run.id).exists()
        for batch in batches(run_ids, BATCH):
            self._connection.execute(delete(LineageRun).where(_run.id.in_(batch), ~spoken, ~ended))
