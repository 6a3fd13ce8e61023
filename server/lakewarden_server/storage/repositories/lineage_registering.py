"""What was registered or renamed in the catalog since lineage last looked, and which of its names lineage speaks of already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, and_, literal, or_, select

from lakewarden_server.entities import (
    ChangeLog,
    LineageAlias,
    LineageAsset,
    LineageHead,
    LineageName,
    StoragePath,
)
from lakewarden_server.storage.repositories.lineage_graph import sorted_batches

_head: Final = LineageHead.__table__.c
_change: Final = ChangeLog.__table__.c
_name: Final = LineageName.__table__.c
_alias: Final = LineageAlias.__table__.c
_asset: Final = LineageAsset.__table__.c
_path: Final = StoragePath.__table__.c


class Registered(NamedTuple):
    """Something that was made at a time, or got another name."""

    id: str
    time: datetime
    is_renamed: bool = False


class Stretch(NamedTuple):
    """Locations of paths of a metastore from one on, up to another, as code points order them."""

    metastore_id: str
    start: str
    end: str


class Spot(NamedTuple):
    """A name among those of a metastore, in the order of their locations."""

    metastore_id: str
    location: str
    name_id: int


class RegisteringReader:
    """Reads within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def bound_revision(self) -> int:
        """The revision of the catalog up to which names were bound."""
        return int(self._connection.execute(select(_head.bound_revision)).scalar_one())

    def registered(self, after: int, until: int, kinds: Collection[str]) -> Sequence[Registered]:
        """What of some kinds was made after one revision, up to another, in order."""
        statement = (
            select(_change.object_id, _change.time)
            .where(_change.revision > after, _change.revision <= until)
            .where(_change.kind.in_(sorted(kinds)), _change.operation == "CREATE")
            .order_by(_change.revision, _change.position)
        )
        return [Registered(*row) for row in self._connection.execute(statement)]

    def renamed(self, after: int, until: int, kinds: Collection[str]) -> Sequence[Registered]:
        """What of some kinds got another name after one revision, up to another, in order."""
        before, now = _change.before["name"].as_string(), _change.after["name"].as_string()
        statement = (
            select(_change.object_id, _change.time, literal(value=True))
            .where(_change.revision > after, _change.revision <= until)
            .where(_change.kind.in_(sorted(kinds)), _change.operation == "UPDATE", before != now)
            .order_by(_change.revision, _change.position)
        )
        return [Registered(*row) for row in self._connection.execute(statement)]

    def paths(self, securable_ids: Collection[str]) -> dict[str, list[str]]:
        """The URLs at which their data is, by id."""
        found: dict[str, list[str]] = defaultdict(list)
        for batch in sorted_batches(securable_ids):
            statement = select(_path.securable_id, _path.url).where(
                _path.securable_id.in_(batch), _path.use == "DATA"
            )
            for row in self._connection.execute(statement):
                found[row.securable_id].append(row.url)
        return found

    def unbound(
        self, digests: Collection[str], metastore_ids: Collection[str], forever: int
    ) -> Iterator[Any]:
        """The names in Unity Catalogs of metastores with these digests that mean an asset now, that is `forever`, and no securable."""
        for batch in sorted_batches(digests):
            statement = _unbound(forever).where(
                _name.metastore_id.in_(sorted(metastore_ids)), _name.catalog_digest.in_(batch)
            )
            yield from self._connection.execute(statement)

    def unbound_at(self, at: Stretch, after: Spot, forever: int, *, limit: int) -> Sequence[Any]:
        """The names of a metastore's paths in a stretch, behind a spot and in order, that mean an asset now and no securable."""
        behind = or_(
            _name.location > after.location, and_(_name.location == after.location, _name.id > after.name_id)
        )
        statement = (
            _unbound(forever)
            .where(_name.metastore_id == at.metastore_id, behind)
            .where(_name.location >= max(at.start, after.location), _name.location < at.end)
            .order_by(_name.location, _name.id)
            .limit(limit)
        )
        return self._connection.execute(statement).all()


def _unbound(forever: int) -> Select[Any]:
    return (
        select(
            _name.id,
            _name.catalog_digest,
            _name.location,
            _name.metastore_id,
            _name.kind,
            _name.namespace,
            _name.name,
        )
        .join_from(LineageName, LineageAlias, _alias.name_id == _name.id)
        .join(LineageAsset, _asset.id == _alias.asset_id)
        .where(_alias.until == forever, _asset.securable_id.is_(None))
    )
