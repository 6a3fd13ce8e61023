"""Who may see which asset, decided by the same Casbin decisions as everything else, and once per container instead of per node."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lakewarden_policy import Decider, Snapshot
from lakewarden_policy.records import Securable
from lakewarden_policy.siblings import CONTAINERS_KEPT_MAX, Access, Asked, Siblings
from lakewarden_server.core.urls import InvalidUrl, ancestors, canonical_url
from lakewarden_server.lineage.graph import Flags, Ints
from lakewarden_server.lineage.names import AssetName, storage_url
from lakewarden_server.lineage.nodes import LineageState, Node
from lakewarden_server.lineage.roster import Roster
from lakewarden_server.storage.locks import FairLock

SIGHTS_MAX: Final = 32
"""Callers of whom is remembered what they see: of each, a byte for every asset, and what the containers it met last have in common."""
DECIDED_TOGETHER: Final = 2_000
"""Assets about which is decided before another question of the same caller has its turn."""
_UNKNOWN: Final = 0
_VISIBLE: Final = 1
_HIDDEN: Final = 2
_OPEN: Final = 3
"""Of a group: each of it is decided about by itself."""


class Sight:
    """What one subject sees from one workspace in one state: a bitmap over the assets, filled in as they are met.

    An asset is seen by whoever sees what it stands for (BROWSE or more, the catalog bound to the workspace); a path by who
    sees the external location over it, of several paths every one; what stands for nothing of ours by who recorded it and by the
    metastore's admin; what was dropped by who may browse all of the schema it was dropped from, too.
    Threads share it: one of them decides at a time, and nobody finds what is decided only in part.
    """

    def __init__(
        self,
        decider: Decider,
        subject_id: str,
        workspace_id: str | None,
        metastore_id: str | None,
        state: LineageState,
        roster: Roster,
        locations: Callable[[], ExternalLocations],
    ) -> None:
        """``metastore_id`` is that of the workspace; what is in another one is hidden, and ``locations`` are its own. ``roster`` is of the state and
        of the decider's snapshot.
        """
        self._decider, self._nodes, self._roster = decider, state.nodes, roster
        self._subject_id, self._workspace_id, self._metastore_id = subject_id, workspace_id, metastore_id
        self._known: NDArray[np.int8] = np.zeros(state.end + 1, dtype=np.int8)
        self._verdicts: NDArray[np.int8] = np.zeros(0, dtype=np.int8)
        self._access: dict[str, Access] = {}
        self._siblings: dict[tuple[str, str], Siblings] = {}
        self._decided: dict[tuple[str, str], bool] = {}
        self._dropped: dict[str | None, bool] = {}
        self._locations = locations
        self._turns = FairLock()

    def __call__(self, assets: Ints) -> Flags:
        """Which of them may be seen."""
        unknown = assets[self._known[assets] == _UNKNOWN]
        for start in range(0, len(unknown), DECIDED_TOGETHER):
            with self._deciding():
                self._decide(unknown[start : start + DECIDED_TOGETHER])
        seen: Flags = self._known[assets] == _VISIBLE
        return seen

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        self._turns.acquire(math.inf)
        try:
            yield
        finally:
            self._turns.release()

    def _decide(self, assets: Ints) -> None:
        """Decides about each group once, and about each asset where its group leaves that open."""
        groups = self._roster.groups_of(assets, self._decider.snapshot)
        verdicts = self._verdicts_of(int(groups.max()) + 1)
        for group in set(groups[verdicts[groups] == _UNKNOWN].tolist()):
            verdicts[group] = self._verdict(group)
        decided = verdicts[groups]
        for place in np.flatnonzero(decided == _OPEN).tolist():
            decided[place] = _VISIBLE if self._sees(int(assets[place])) else _HIDDEN
        self._known[assets] = decided

    def _verdicts_of(self, count: int) -> NDArray[np.int8]:
        """The verdicts on that many groups at least, as far as they were decided about."""
        more = count - len(self._verdicts)
        if more > 0:
            # The roster finds more groups as it meets more assets.
            self._verdicts = np.concatenate([self._verdicts, np.zeros(more + count, dtype=np.int8)])
        return self._verdicts

    def _verdict(self, number: int) -> int:
        group = self._roster.groups[number]
        if group is None:
            return _OPEN
        if group.metastore_id != self._metastore_id:
            return _HIDDEN
        siblings = self._siblings_of(group.parent_id, group.kind, group.example_id)
        if siblings.everything:
            return _VISIBLE
        return _HIDDEN if siblings.nothing else _OPEN

    def sees(self, asset_id: int) -> bool:
        """Whether one may be seen."""
        with self._deciding():
            return self._sees(asset_id)

    def _sees(self, asset_id: int) -> bool:
        node = self._nodes.get(asset_id)
        if node is None or node.metastore_id != self._metastore_id:
            return False
        securable = self._decider.snapshot.securables.get(node.securable_id or "")
        if securable is not None and self._sees_securable(securable):
            return True
        if node.securable_id is not None:
            was_in = node.parent_id if securable is None else securable.parent_id
            is_gone = securable is None or securable.kind == "DELETED_TABLE"
            return is_gone and self._may_browse(was_in)
        return self._sees_named(node)

    def _sees_named(self, node: Node) -> bool:
        """Of what is in no catalog, by all of its names: a symlink of one of them to another is anybody's word."""
        urls = (storage_url(AssetName(node.kind, node.namespace, node.name)), *node.other_paths)
        over = [self._location_over(url) for url in urls]
        locations = [location for location in over if location is not None]
        if not all(map(self._sees_securable, locations)):
            return False
        are_all = len(locations) == len(urls) and not node.other_names
        # What one principal told of first, under whichever names, is what that calls the path.
        if locations and (are_all or node.recorder_id is not None):
            return True
        return node.recorder_id == self._subject_id or self._is_admin()

    def _sees_securable(self, securable: Securable) -> bool:
        parent_id = securable.parent_id
        if parent_id is None:
            return False
        siblings = self._siblings_of(parent_id, securable.kind, securable.id)
        return not siblings.nothing and (siblings.everything or siblings.allows(securable.id))

    def _siblings_of(self, parent_id: str, kind: str, child_id: str) -> Siblings:
        siblings = self._siblings.get((parent_id, kind))
        if siblings is None:
            if len(self._siblings) >= CONTAINERS_KEPT_MAX:
                self._siblings, self._access = {}, {}
            siblings = self._access_to(kind).siblings(parent_id, (child_id,))
            self._siblings[parent_id, kind] = siblings
        return siblings

    def _access_to(self, kind: str) -> Access:
        access = self._access.get(kind)
        if access is None:
            asked = Asked(self._subject_id, self._workspace_id, kind, None)
            access = self._access[kind] = Access(self._decider, asked)
        return access

    def _is_admin(self) -> bool:
        return self._has(self._metastore_id, "METASTORE:MANAGE")

    def _may_browse(self, was_in: str | None) -> bool:
        known = self._dropped.get(was_in)
        if known is None:
            asked = (self._subject_id, self._workspace_id, was_in, "SCHEMA:BROWSE")
            known = self._dropped[was_in] = holds_on_dropped(self._decider, self._metastore_id, *asked)
        return known

    def _has(self, object_id: str | None, act: str) -> bool:
        if object_id is None:
            return False
        known = self._decided.get((object_id, act))
        if known is None:
            row = self._decider.atom(self._subject_id, self._workspace_id, object_id, act)
            known = self._decided[object_id, act] = row is not None
        return known

    def _location_over(self, url: str) -> Securable | None:
        """The external location with the longest URL that a path lies in; None for no path."""
        return self._locations().over(url) if url else None


class Sights:
    """What callers see of the assets of one roster as one decider decides, each caller's kept for the questions that follow. Threads share it."""

    def __init__(self, decider: Decider, roster: Roster) -> None:
        self._decider = decider
        self.roster = roster
        self._kept: dict[tuple[str, str | None, str | None], Sight] = {}
        self._locations: dict[str | None, ExternalLocations] = {}
        self._keeping = threading.Lock()

    def is_of(self, decider: Decider, roster: Roster) -> bool:
        """Whether it is decided by this decider, a new one after each change of a grant and when one expires, about what is in this roster."""
        return self._decider is decider and self.roster is roster

    def of(
        self, state: LineageState, subject_id: str, workspace_id: str | None, metastore_id: str | None
    ) -> Sight:
        """What a subject sees from a workspace of a metastore of a state that the roster is of. Who came first of too many is forgotten."""
        asked = subject_id, workspace_id, metastore_id
        with self._keeping:
            found = self._kept.get(asked)
            if found is None:
                if len(self._kept) >= SIGHTS_MAX:
                    del self._kept[next(iter(self._kept))]
                locations = partial(self._locations_of, metastore_id)
                found = self._kept[asked] = Sight(self._decider, *asked, state, self.roster, locations)
        return found

    def _locations_of(self, metastore_id: str | None) -> ExternalLocations:
        found = self._locations.get(metastore_id)
        if found is None:
            found = ExternalLocations(self._decider.snapshot, metastore_id)
            self._locations[metastore_id] = found
        return found


def holds_on_dropped(
    decider: Decider,
    metastore_id: str | None,
    subject_id: str,
    workspace_id: str | None,
    was_in: str | None,
    act: str,
) -> bool:
    """Whether a subject may do with what was dropped from a schema what it may with all of that schema (reference/lineage.md 6.4).

    So may the admins of the metastore, and they alone where no schema is known any more, which is out of no workspace's reach.
    """
    known = was_in is not None and was_in in decider.snapshot.securables
    if known and was_in and decider.atom(subject_id, workspace_id, was_in, act) is not None:
        return True
    if not metastore_id or decider.atom(subject_id, workspace_id, metastore_id, "METASTORE:MANAGE") is None:
        return False
    return not known or decider.reach(subject_id, workspace_id, was_in or "", act)


class ExternalLocations:
    """The external locations of a metastore in one state, by their URLs."""

    def __init__(self, snapshot: Snapshot, metastore_id: str | None) -> None:
        self._securables = snapshot.securables
        self._metastore_id = metastore_id
        self._at = {place.url: place.securable_id for place in snapshot.places.values()}

    def over(self, url: str) -> Securable | None:
        """The external location with the longest URL that a path lies in; None for a path in none, and for what is no storage URL."""
        try:
            above = ancestors(canonical_url(url))
        except InvalidUrl:
            return None
        for place in above:
            found = self._securables.get(self._at.get(place, ""))
            if found is not None and found.metastore_id == self._metastore_id:
                return found
        return None
