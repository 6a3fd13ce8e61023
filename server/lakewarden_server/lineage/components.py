"""Names that have to do with each other, by links, drops and renames: what is gone through together when one of them changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from lakewarden_server.storage.repositories.lineage import LineageStore


class Component(NamedTuple):
    """Ids of names, with the rows of the links and endings they take part in."""

    names: list[int]
    links: list[Any]
    endings: list[Any]


def components(store: LineageStore, name_ids: Collection[int]) -> list[Component]:
    """The names with all that they are linked to or renamed from and to."""
    names = store.connected(name_ids)
    return _parts(names, store.links_of(names), store.endings_of(names))


def _parts(names: set[int], links: list[Any], endings: list[Any]) -> list[Component]:
    root = {name_id: name_id for name_id in names}

    def find(name_id: int) -> int:
        while root[name_id] != name_id:
            root[name_id] = root[root[name_id]]
            name_id = root[name_id]
        return name_id

    for row in links:
        root[find(row.one_id)] = find(row.other_id)
    for row in endings:
        if row.renamed_to_id:
            root[find(row.name_id)] = find(row.renamed_to_id)
    parts: dict[int, Component] = defaultdict(lambda: Component([], [], []))
    for name_id in sorted(names):
        parts[find(name_id)].names.append(name_id)
    for row in links:
        parts[find(row.one_id)].links.append(row)
    for row in endings:
        parts[find(row.name_id)].endings.append(row)
    return [parts[key] for key in sorted(parts)]
