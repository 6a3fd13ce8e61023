"""Assets that are in no catalog go once nobody has told of them for long, with their names, and edges that are there no more.

Names that have to do with each other, by links, drops and renames, stay or go together: what one of them means follows from them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from lakewarden_server.core.clock import microseconds_of, monotonic
from lakewarden_server.entities import LineageAlias, LineageName
from lakewarden_server.lineage.components import components
from lakewarden_server.lineage.graph import RETRACTED
from lakewarden_server.lineage.names import AssetKind
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.repositories.lineage import LineageStore, values_of
from lakewarden_server.storage.repositories.lineage_forgetting import LineageForgetting

UNRESOLVED_KEPT: Final = timedelta(days=90)
"""Assets in no catalog since a run that spoke of them was heard of last (reference/lineage.md 5), if they have no edge."""
ASSETS_LOOKED_AT_MAX: Final = 200
"""Of one step …"""
ROWS_FORGOTTEN_MAX: Final = 2_000
"""… and names and edges deleted by it, while recorders wait; those of names that have to do with each other may be more."""
NAMES_TOGETHER_MAX: Final = 2_000
"""Names that have to do with each other; of more none is forgotten."""
STEP_SECONDS_MAX: Final = 10.0
FORGOTTEN: Final = "FORGOTTEN"


class Step(NamedTuple):
    """How many assets were forgotten, and the last that was looked at: None at the end."""

    assets: int
    after: int | None


class _Forgettable(NamedTuple):
    asset_ids: set[int]
    name_ids: set[int]


def forget_unresolved(database: Database, now: datetime, after: int) -> Step:
    """Forgets some of the assets with ids after one that nobody has told of for long."""
    before = microseconds_of(now - UNRESOLVED_KEPT)
    with database.reading() as connection:
        looked_at = LineageForgetting(connection, before).quiet(after, ASSETS_LOOKED_AT_MAX)
        if not looked_at:
            return Step(0, None)
        found = _forgettable(LineageStore(connection), LineageForgetting(connection, before), looked_at)
    if not found:
        return Step(0, looked_at[-1])
    deadline = monotonic() + STEP_SECONDS_MAX
    with database.transaction(deadline=deadline) as connection:
        store, forgetting = LineageStore(connection, deadline=deadline), LineageForgetting(connection, before)
        store.take()
        # Somebody may have told of them since.
        sure = _forgettable(store, forgetting, {asset_id for each in found for asset_id in each.asset_ids})
        done = _forget(store, forgetting, sure)
        connection.commit()
    return Step(done, after if done else looked_at[-1])


def _forget(store: LineageStore, forgetting: LineageForgetting, found: Collection[_Forgettable]) -> int:
    asset_ids: set[int] = set()
    name_ids: set[int] = set()
    edges: dict[int, dict[str, Any]] = {}
    for each in found:
        at = {row.id: values_of(row) for row in store.edges_at(each.asset_ids)}
        if asset_ids and len(name_ids) + len(edges) + len(each.name_ids) + len(at) > ROWS_FORGOTTEN_MAX:
            break
        asset_ids |= each.asset_ids
        name_ids |= each.name_ids
        edges |= at
    forgetting.delete(asset_ids, name_ids, edges.keys())
    store.tell(
        assets=[{"id": asset_id, "state": FORGOTTEN} for asset_id in sorted(asset_ids)],
        edges=[edge | {"state": RETRACTED} for _edge_id, edge in sorted(edges.items())],
    )
    return len(asset_ids)


def _forgettable(
    store: LineageStore, forgetting: LineageForgetting, asset_ids: Collection[int]
) -> list[_Forgettable]:
    """The quiet ones among some assets, with those they have to do with, where all of these are quiet too."""
    quiet = forgetting.quiet_among(asset_ids)
    names: dict[int, set[int]] = defaultdict(set)
    for row in store.find(LineageAlias, "asset_id", quiet):
        names[row.asset_id].add(row.name_id)
    found = [_Forgettable({asset_id}, set()) for asset_id in sorted(quiet - names.keys())]
    together = [
        set(component.names)
        for component in components(store, {name_id for of_asset in names.values() for name_id in of_asset})
        if len(component.names) <= NAMES_TOGETHER_MAX
    ]
    every = {name_id for name_ids in together for name_id in name_ids}
    own = {
        row.id
        for row in store.find(LineageName, "id", every, only=("id", "kind"))
        if row.kind == AssetKind.SECURABLE.value
    }
    meant: dict[int, set[int]] = defaultdict(set)
    for row in store.find(LineageAlias, "name_id", every):
        if row.asset_id is not None:
            meant[row.name_id].add(row.asset_id)
    quiet |= forgetting.quiet_among({each for of_name in meant.values() for each in of_name} - quiet)
    for name_ids in together:
        of_names = {asset_id for name_id in name_ids for asset_id in meant[name_id]}
        if own.isdisjoint(name_ids) and of_names <= quiet:
            found.append(_Forgettable(of_names, name_ids))
    return found
