"""What the graph of lineage in memory is made of, read whole or what changed of it; and what a name means today."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, case, not_, or_, select

from lakewarden_server.entities import (
    LineageAlias,
    LineageAsset,
    LineageChange,
    LineageEdge,
    LineageHead,
    LineageJob,
    LineageMapping,
    LineageName,
    Securable,
)
from lakewarden_server.storage.repositories.prepared import stream

CHUNK: Final = 50_000
BATCH: Final = 400
MAPPINGS_CHUNK: Final = 10

EdgeRow = tuple[int, int, int, str, str, str]
"""Id, source, target, state, evidence, and the hash of what it says of columns."""

_alias: Final = LineageAlias.__table__.c
_asset: Final = LineageAsset.__table__.c
_change: Final = LineageChange.__table__.c
_edge: Final = LineageEdge.__table__.c
_job: Final = LineageJob.__table__.c
_mapping: Final = LineageMapping.__table__.c
_name: Final = LineageName.__table__.c


class LineageGraphReader:
    """Reads within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def sequence(self) -> int:
        """The newest sequence number committed."""
        found: int = self._connection.execute(_SEQUENCE).scalar_one()
        return found

    def changes_from(self) -> int:
        """The sequence number from which on all changes are kept."""
        found: int = self._connection.execute(select(LineageHead.__table__.c.changes_from)).scalar_one()
        return found

    def edges(self, states: Mapping[str, int], evidence: Mapping[str, int]) -> Iterator[Sequence[Any]]:
        """Every edge in one of the states, in chunks of rows: id, source, target, the sum of the numbers of state and evidence, and the hash of what it says of columns."""
        statement = _edges(tuple(states.items()), tuple(evidence.items()))
        yield from stream(self._connection, statement, CHUNK)

    def nodes(self, asset_ids: Collection[int] | None) -> Iterator[Any]:
        """Assets with their securable's container and who recorded them first; all for None."""
        if asset_ids is None:
            yield from chain.from_iterable(stream(self._connection, _ALL_NODES, CHUNK))
            return
        for batch in sorted_batches(asset_ids):
            yield from self._connection.execute(_nodes(batch))

    def other_names(self, asset_ids: Collection[int] | None) -> Iterator[Any]:
        """Of assets in no catalog the names beside the one that is shown, as asset and where that lies; of all assets for None."""
        if asset_ids is None:
            yield from chain.from_iterable(stream(self._connection, _ALL_OTHER_NAMES, CHUNK))
            return
        for batch in sorted_batches(asset_ids):
            yield from self._connection.execute(_other_names().where(_asset.id.in_(batch)))

    def changes(self, after: int) -> tuple[list[EdgeRow], set[int]]:
        """What changed after a sequence number: edges as they are now, and the ids of assets."""
        statement = (
            select(
                _change.kind,
                _change.edge_id,
                _change.source_asset_id,
                _change.target_asset_id,
                _change.state,
                _edge.evidence,
                _edge.mapping_hash,
            )
            .select_from(LineageChange)
            .outerjoin(LineageEdge, _edge.id == _change.edge_id)
            .where(_change.sequence > after)
            .order_by(_change.sequence, _change.position)
        )
        edges: dict[int, EdgeRow] = {}
        assets: set[int] = set()
        for kind, edge_id, source, target, state, *said in self._connection.execute(statement):
            if kind == "EDGE":
                edges[edge_id] = (edge_id, source, target, state, *said)
            else:
                assets.add(source)
        return list(edges.values()), assets

    def last_times(self, edge_ids: Collection[int], workspace_id: str) -> dict[int, int]:
        """Of each edge that a job of a workspace made when it last did, in microseconds since 1970."""
        found: dict[int, int] = {}
        for batch in sorted_batches(edge_ids):
            statement = (
                select(_edge.id, _edge.last_time)
                .join_from(LineageEdge, LineageJob, _job.id == _edge.job_id)
                .where(_edge.id.in_(batch), _job.workspace_id == workspace_id)
            )
            for row in self._connection.execute(statement):
                found[row.id] = row.last_time
        return found

    def mappings(self, hashes: Collection[str]) -> Iterator[Row[Any, Any]]:
        """What the hashes stand for: [target, source, subtype, masking] of each pair of columns."""
        for batch in sorted_batches(hashes):
            statement = select(_mapping.hash, _mapping.columns).where(_mapping.hash.in_(batch))
            # Few at a time, so that who takes no more holds no more: one may be megabytes.
            yield from self._connection.execute(statement, execution_options={"yield_per": MAPPINGS_CHUNK})

    def asset_named(self, metastore_id: str, digest: str, time: int) -> int | None:
        """The asset that the name of this digest meant at a time; None where nobody spoke of it."""
        statement = (
            select(_alias.asset_id)
            .join_from(LineageName, LineageAlias, _alias.name_id == _name.id)
            .where(_name.metastore_id == metastore_id, _name.digest == digest)
            .where(_alias.after < time, _alias.until >= time)
        )
        found: int | None = self._connection.execute(statement).scalar_one_or_none()
        return found


def sorted_batches(keys: Collection[Any]) -> Iterator[list[Any]]:
    """Keys in order, as many at a time as one statement takes."""
    listed = sorted(keys)
    for start in range(0, len(listed), BATCH):
        yield listed[start : start + BATCH]


@cache
def _edges(states: tuple[tuple[str, int], ...], evidence: tuple[tuple[str, int], ...]) -> Select[Any]:
    number = case(dict(states), value=_edge.state) + case(dict(evidence), value=_edge.evidence)
    return select(
        _edge.id, _edge.source_id, _edge.target_id, number.label("number"), _edge.mapping_hash
    ).where(or_(*(_edge.state == state for state, _number in states)))


def _nodes(asset_ids: Sequence[int] | None = None) -> Select[Any]:
    securable = Securable.__table__.c
    statement = (
        select(
            _asset.id,
            _asset.metastore_id,
            _asset.kind,
            _asset.namespace,
            _asset.name,
            _asset.state,
            _asset.securable_id,
            securable.parent_id,
            _asset.principal_id.label("recorder_id"),
            _asset.file_path,
            (securable.kind == "VOLUME").label("of_volume"),
        )
        .select_from(LineageAsset)
        .outerjoin(Securable, securable.id == _asset.securable_id)
    )
    return statement if asset_ids is None else statement.where(_asset.id.in_(asset_ids))


def _other_names() -> Select[Any]:
    is_shown = and_(_name.kind == _asset.kind, _name.namespace == _asset.namespace, _name.name == _asset.name)
    return (
        select(_asset.id, _name.location)
        .join_from(LineageAsset, LineageAlias, _alias.asset_id == _asset.id)
        .join(LineageName, _name.id == _alias.name_id)
        .where(_asset.securable_id.is_(None), not_(is_shown))
    )


_ALL_NODES: Final = _nodes()
_ALL_OTHER_NAMES: Final = _other_names()
# Made once: it is asked before each question.
_SEQUENCE: Final = select(LineageHead.__table__.c.sequence)
