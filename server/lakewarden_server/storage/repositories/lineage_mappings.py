"""Mappings of columns that no edge, no version of one and no run says; when they go is `lineage/unused_mappings.py`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, except_, select, update

from lakewarden_server.entities import (
    LineageContribution,
    LineageEdge,
    LineageEdgeVersion,
    LineageHead,
    LineageMapping,
)

_head: Final = LineageHead.__table__.c
_mapping: Final = LineageMapping.__table__.c
_SAYING: Final[tuple[Any, ...]] = tuple(
    entity.__table__.c.mapping_hash for entity in (LineageEdge, LineageEdgeVersion, LineageContribution)
)


class Unused(NamedTuple):
    """The hashes of mappings that nothing says."""

    marked: list[str]
    """Those that nothing said before either, and no run since."""
    unmarked: list[str]


class LineageMappings:
    """Reads and writes within one transaction; what writes needs the head."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def looked_time(self) -> int:
        """When it was looked last for what nothing says, in microseconds since 1970."""
        return int(self._connection.execute(select(_head.mappings_time)).scalar_one())

    def look(self, now: int, before: int) -> bool:
        """Whether it was looked before a time, which then is now: one server of several."""
        statement = update(LineageHead).where(_head.mappings_time < before).values(mappings_time=now)
        updated: Any = self._connection.execute(statement)
        return bool(updated.rowcount)

    def unused(self, limit: int) -> Unused:
        """Mappings that nothing says. Reads through all that could, once, as no index is by what it says: that would cost every event."""
        every = select(_mapping.hash)
        unsaid = except_(every, *map(select, _SAYING)).subquery()
        marks = select(_mapping.hash, _mapping.unused_time).join(unsaid, unsaid.c.hash == _mapping.hash)
        found = self._connection.execute(marks.order_by(_mapping.hash).limit(limit)).all()
        return Unused(
            [row.hash for row in found if row.unused_time is not None],
            [row.hash for row in found if row.unused_time is None],
        )

    def mark(self, hashes: Collection[str], now: int) -> None:
        """Notes of mappings that nothing says them. Recording takes the mark away from one that it finds."""
        self._connection.execute(
            update(LineageMapping).where(_mapping.hash.in_(hashes)).values(unused_time=now)
        )

    def delete(self, hashes: Collection[str]) -> int:
        """Deletes those of the mappings that still have the mark; how many."""
        statement = delete(LineageMapping).where(_mapping.hash.in_(hashes), _mapping.unused_time.is_not(None))
        deleted: Any = self._connection.execute(statement)
        return int(deleted.rowcount)
