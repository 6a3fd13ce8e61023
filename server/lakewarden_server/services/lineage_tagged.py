"""What bears a tag, as what a search for leaks follows: columns that are tagged, and whole tables.

A tag on a table says something of its rows and nothing of single columns (semantics 7.2: tags are inherited from catalog to
schema to table, not by columns), so a tagged table is followed as a whole. Of what the caller does not see nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import numpy as np

from lakewarden.v1 import lineage_governance_pb2 as pb
from lakewarden_policy import RELATIONS, Securable
from lakewarden_server import entities
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import OF_THE_OBJECT
from lakewarden_server.lineage.leaks import ANY
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.lineage_findings import Assets
from lakewarden_server.services.tags import column_names
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.repositories import tags as tag_rows

TAGS_MAX: Final = 100
TABLES_CHUNK: Final = 100
"""Tables whose tags are read together."""

Values = Mapping[str, str]
"""Of tags, by their keys."""


def checked(tags: Sequence[pb.LeakTag]) -> None:
    """Raises FIELD_INVALID."""
    validation.repeated(tags, "tags", count_max=TAGS_MAX)
    if not all(tag.key for tag in tags):
        raise validation.invalid("tags.key", "it is empty")


def bearing(
    call: Call, assets: Assets, tags: Sequence[pb.LeakTag], deadline: float
) -> Iterator[tuple[Securable, str]]:
    """Tables and columns that bear one of the tags, of those that lineage knows and the caller sees, by the tables' names.

    Columns as their table spells them; ANY for the table as a whole. Raises DeadlineExceeded behind ``deadline``, in monotonic seconds.
    """
    keys = {tag.key for tag in tags}
    containers = _Containers(call, keys)
    tables = iter(_seen(call, assets))
    while chunk := list(islice(tables, TABLES_CHUNK)):
        if monotonic() > deadline:
            raise deadline_passed()
        found = tag_rows.of_keys(call.uow.session, [table.id for table in chunk], keys)
        for table in chunk:
            by_column = found.get(table.id, {})
            if matches(tags, {**containers.inherited(table), **by_column.pop(OF_THE_OBJECT, {})}):
                yield table, ANY
            yield from ((table, column) for column in _columns(call, table, by_column, tags))


def matches(tags: Sequence[pb.LeakTag], values: Values) -> bool:
    """Whether something with these tags bears one of those asked about."""
    return any(
        tag.key in values and (not tag.HasField("value") or values[tag.key] == tag.value) for tag in tags
    )


def _seen(call: Call, assets: Assets) -> list[Securable]:
    """The tables and views the caller sees, by name."""
    snapshot, known = call.snapshot, list(assets.state.by_securable.items())
    flags = assets.sight(np.array([asset for _, asset in known], dtype=np.int32)) if known else ()
    seen = (snapshot.securables.get(each) for (each, _), flag in zip(known, flags, strict=True) if flag)
    relations = [each for each in seen if each is not None and each.kind in RELATIONS]
    return sorted(relations, key=lambda each: snapshot.full_name(each.id))


def _columns(
    call: Call, table: Securable, by_column: Mapping[str, Values], tags: Sequence[pb.LeakTag]
) -> list[str]:
    keys = {column for column, values in by_column.items() if matches(tags, values)}
    if not keys:
        return []
    names = column_names(call, call.row(entities.Securable, table.id), keys)
    return [names[key] for key in sorted(keys)]


class _Containers:
    """What schemas and catalogs hand down: the nearest tag of a key counts. Of a container the caller does not see, nothing."""

    def __init__(self, call: Call, keys: set[str]) -> None:
        self._call, self._keys = call, keys
        self._known: dict[str, Values] = {}

    def inherited(self, table: Securable) -> Values:
        """The tags a table has from its schema and catalog."""
        schema_id = table.parent_id or ""
        catalog_id = self._call.snapshot.securables[schema_id].parent_id or ""
        return {**self._of(catalog_id), **self._of(schema_id)}

    def _of(self, container_id: str) -> Values:
        known = self._known.get(container_id)
        if known is None:
            call = self._call
            seen = call.decider.visible(call.caller.id, call.workspace_id, container_id)
            rows = tag_rows.of_keys(call.uow.session, [container_id], self._keys) if seen else {}
            known = self._known[container_id] = rows.get(container_id, {}).get(OF_THE_OBJECT, {})
        return known
