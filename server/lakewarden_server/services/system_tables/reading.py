"""One reading of a system table: for whom, of what, and where the last batch of rows ended."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final, NamedTuple

from lakewarden_policy.records import Securable
from lakewarden_policy.siblings import Access, Asked, accessible, steps_below
from lakewarden_server.services.call import Call

OBJECTS_CHUNK: Final = 100
"""Objects whose rows are fetched together."""

Key = tuple[str, ...]
"""Where something stands in the order of a table; it holds nothing but what the caller is shown."""
Row = dict[str, Any]


class Part(NamedTuple):
    """The rows about one object or event, in order, and where it stands."""

    key: Key
    rows: Iterable[Row]


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of a system table: about everything in the metastore, or in one catalog alone."""

    call: Call
    catalog: Securable | None
    """None for the whole metastore."""
    after: Key = ()
    """Begin behind the part of this key."""
    start_time: datetime | None = None
    end_time: datetime | None = None
    equal_to: Mapping[str, str] = field(default_factory=dict)
    """Values that columns must have; a source may leave out what cannot have them."""

    def visible(self, *kinds: str) -> Iterator[list[tuple[Key, Securable]]]:
        """All objects of these kinds that the caller may see, by their names and in chunks.

        The same answer as the lists' (`<kind>.get`): some privilege on the object, in a catalog within the workspace's reach;
        what containers share is decided once.
        """
        merged = heapq.merge(*(self._of(kind) for kind in kinds))
        securables = self.call.snapshot.securables
        while chunk := [(key, securables[found]) for key, found in islice(merged, OBJECTS_CHUNK)]:
            yield chunk

    def access(self, kind: str, privilege: str | None) -> Access:
        """The question whether the caller may use a privilege on objects of a kind; None: whether it may see them."""
        call = self.call
        return Access(call.decider, Asked(call.caller.id, call.workspace_id, kind, privilege))

    def _of(self, kind: str) -> Iterator[tuple[Key, str]]:
        metastore_id = self.call.metastore_id
        if metastore_id is None or not self.call.decider.is_active(self.call.caller.id):
            return
        access = self.access(kind, None)
        if self.catalog is None:
            yield from accessible(access, metastore_id, steps_below(kind, None), after=self.after)
        elif kind != "CATALOG":
            steps = steps_below(kind, "CATALOG")
            yield from accessible(access, self.catalog.id, steps, after=self.after)
        elif not self.after and access.allows(self.catalog.id):
            yield (self.catalog.name_key,), self.catalog.id


Source = Callable[[Reading], Iterator[Part]]
"""Where the rows of a table come from."""


def each(*kinds: str) -> Callable[[Callable[[Reading, Mapping[Key, Securable]], Iterator[Part]]], Source]:
    """Makes a source of a function that gives the parts of a chunk of objects."""

    def of(parts: Callable[[Reading, Mapping[Key, Securable]], Iterator[Part]]) -> Source:
        def source(reading: Reading) -> Iterator[Part]:
            for chunk in reading.visible(*kinds):
                yield from parts(reading, dict(chunk))

        return source

    return of
