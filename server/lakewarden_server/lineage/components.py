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
    links: dict[tuple[int, ...], Any] = {}
    endings: dict[tuple[int, ...], Any] = {}
    seen, frontier = set(name_ids), set(name_ids)
    while frontier:
        found = store.links_of(frontier)
        links |= {(row.one_id, row.other_id, row.binds): row for row in found}
        ends = {end for row in found for end in (row.one_id, row.other_id)}
        ended = store.endings_of(frontier)
        endings |= {(row.run_id, row.name_id, row.renamed_to_id): row for row in ended}
        ends |= {end for row in ended for end in (row.name_id, row.renamed_to_id) if end}
        frontier = ends - seen
        seen |= frontier
    return _parts(seen, list(links.values()), list(endings.values()))


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
