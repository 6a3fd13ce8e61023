"""Names that have to do with each other, by links, drops and renames: what is gone through together when one of them changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.lineage.events import Code
from lakewarden_server.lineage.identities import Asset, LinkSpan, assets
from lakewarden_server.lineage.names import AssetName
from lakewarden_server.lineage.statements import Ending
from lakewarden_server.storage.repositories.lineage import LineageStore

OWN_NAMES_MAX: Final = 5_000
"""Names that have to do with each other that one principal told of first: what one of them means is worked out of all, while recorders wait."""
OWN_CUTS_MAX: Final = 100_000
"""Drops and renames that one principal told of such names, times the links between all of them."""


class Component(NamedTuple):
    """Ids of names, with the rows of the links and endings they take part in."""

    names: list[int]
    links: list[Any]
    endings: list[Any]

    def assets(self, names: Mapping[int, AssetName]) -> list[Asset]:
        """What its names mean when, by what stands in the rows; `names` are those of ids."""
        return assets(
            [names[name_id] for name_id in self.names],
            [
                LinkSpan(names[row.one_id], names[row.other_id], row.first_time, row.last_time, row.binds)
                for row in self.links
            ],
            [
                Ending(names[row.name_id], row.time, names[row.renamed_to_id] if row.renamed_to_id else None)
                for row in self.endings
            ],
        )


def components(store: LineageStore, name_ids: Collection[int]) -> list[Component]:
    """The names with all that they are linked to or renamed from and to."""
    names = store.connected(name_ids)
    return _parts(names, store.links_of(names), store.endings_of(names))


def check_together(found: Collection[Component], grown: Collection[int], own: Collection[int]) -> None:
    """Raises EVENT_INVALID where names that were linked or ended belong together with too many that are the `own` ones of who tells.

    Only those count: what others linked to a name keeps nobody from telling of it.
    """
    for names, links, endings in found:
        if set(grown).isdisjoint(names):
            continue
        cuts = sum(row.name_id in own for row in endings) * len(links)
        if len(set(own).intersection(names)) > OWN_NAMES_MAX or cuts > OWN_CUTS_MAX:
            raise InvalidArgument(
                Reason.EVENT_INVALID,
                f"{Code.NAMES_TOO_MANY}: a dataset has too many names by symlinks, drops and renames, or as files of one table",
                code=Code.NAMES_TOO_MANY,
                retriable="false",
            )


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
