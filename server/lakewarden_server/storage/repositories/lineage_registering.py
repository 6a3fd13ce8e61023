"""What was registered in the catalog since lineage last looked, and which of its names lineage speaks of already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from lakewarden_server.entities import (
    ChangeLog,
    LineageAlias,
    LineageAsset,
    LineageHead,
    LineageName,
    StoragePath,
)
from lakewarden_server.storage.repositories.lineage_graph import batches

_head: Final = LineageHead.__table__.c
_change: Final = ChangeLog.__table__.c
_name: Final = LineageName.__table__.c
_alias: Final = LineageAlias.__table__.c
_asset: Final = LineageAsset.__table__.c
_path: Final = StoragePath.__table__.c


class Registered(NamedTuple):
    """Something that was made at a time."""

    id: str
    time: datetime


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

    def paths(self, securable_ids: Collection[str]) -> dict[str, list[str]]:
        """The URLs at which their data is, by id."""
        found: dict[str, list[str]] = defaultdict(list)
        for batch in batches(securable_ids):
            statement = select(_path.securable_id, _path.url).where(
                _path.securable_id.in_(batch), _path.use == "DATA"
            )
            for row in self._connection.execute(statement):
                found[row.securable_id].append(row.url)
        return found

    def unbound(
        self, column: str, digests: Collection[str], metastore_ids: Collection[str], forever: int
    ) -> Iterator[Any]:
        """The names of metastores with these digests that mean an asset now, that is `forever`, and no securable."""
        for batch in batches(digests):
            statement = (
                select(
                    _name[column].label("key"), _name.metastore_id, _name.kind, _name.namespace, _name.name
                )
                .join_from(LineageName, LineageAlias, _alias.name_id == _name.id)
                .join(LineageAsset, _asset.id == _alias.asset_id)
                .where(_name.metastore_id.in_(sorted(metastore_ids)), _name[column].in_(batch))
                .where(_alias.until == forever, _asset.securable_id.is_(None))
            )
            yield from self._connection.execute(statement)
