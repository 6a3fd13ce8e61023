"""Who may use a privilege on each of many objects: decided once for all principals of whom it must be decided alike.

A decision about somebody rests on the holders of rows on an object, its containers and the workspace that they are or belong to
(DESIGN 5.1). Those who share all of these are one `Alike`, and the decider is asked about one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lakewarden_policy.decide import Decider
from lakewarden_policy.effective import rows_for
from lakewarden_policy.kinds import WORKSPACE_GROUPS, workspace_group_id
from lakewarden_policy.records import Row
from lakewarden_policy.snapshot import Snapshot


class Alike(NamedTuple):
    """Active users and service principals of whom every question about an audience's objects has one answer."""

    example: str
    members: tuple[str, ...]
    """Ids, in the order of names."""
    holders: frozenset[str]
    """Of all that matters to an answer: what the members are, or belong to."""


class Audience:
    """Everybody, before some objects, as seen from one workspace."""

    def __init__(
        self,
        decider: Decider,
        workspace_id: str | None,
        object_ids: Iterable[str],
        *,
        groups: Iterable[str] = (),
        apart: bool = False,
    ) -> None:
        """``groups`` tell people apart beside the holders of rows; ``apart`` tells everybody from everybody."""
        self._decider, self._workspace_id = decider, workspace_id
        self._answers: dict[tuple[str, str], tuple[Alike, ...]] = {}
        holders = _holders(decider.snapshot, workspace_id, object_ids) | frozenset(groups)
        self.everybody = tuple(_alike(decider.snapshot, holders, apart=apart))
        self._places = _places(self.everybody)

    def under(self, decider: Decider) -> Audience:
        """The same people by another decider, whose state has no row that this one's had not."""
        later = object.__new__(Audience)
        later._decider, later._workspace_id = decider, self._workspace_id
        later._answers, later.everybody, later._places = {}, self.everybody, self._places
        return later

    def allowed(self, object_id: str, privilege: str) -> tuple[Alike, ...]:
        """Those who may use the privilege on one of the objects; answers what `Check` would of each member."""
        known = self._answers.get((object_id, privilege))
        if known is None:
            known = self._answers[object_id, privilege] = tuple(self._allowed(object_id, privilege))
        return known

    def rows(self, alike: Alike, object_id: str, privilege: str) -> tuple[Row, ...]:
        """Every row that confers the privilege itself on them: what would have to go for them not to have it."""
        act = f"{self._decider.snapshot.securables[object_id].kind}:{privilege}"
        return tuple(rows_for(self._decider, alike.example, self._workspace_id, object_id, act))

    def _allowed(self, object_id: str, privilege: str) -> Iterable[Alike]:
        decider, workspace_id = self._decider, self._workspace_id
        snapshot = decider.snapshot
        sources = decider.policy.sources.get(
            f"{snapshot.securables[object_id].kind}:{privilege}", frozenset()
        )
        conferring = {
            holder
            for place in (object_id, *snapshot.ancestors(object_id))
            for holder, acts in snapshot.held.get(place, {}).items()
            if not sources.isdisjoint(acts)
        }
        # Whoever holds nothing that could confer it is not decided about, nor looked at: objects and people may be many.
        places = sorted({place for holder in conferring for place in self._places.get(holder, ())})
        for alike in map(self.everybody.__getitem__, places):
            if decider.privilege(alike.example, workspace_id, object_id, privilege).allowed:
                yield alike


def _places(everybody: Iterable[Alike]) -> dict[str, list[int]]:
    """Where among everybody those are who are or belong to a holder."""
    found: dict[str, list[int]] = {}
    for place, alike in enumerate(everybody):
        for holder in alike.holders:
            found.setdefault(holder, []).append(place)
    return found


def _holders(snapshot: Snapshot, workspace_id: str | None, object_ids: Iterable[str]) -> frozenset[str]:
    """Whoever holds something that a decision about one of the objects could rest on."""
    places = {place for object_id in object_ids for place in (object_id, *snapshot.ancestors(object_id))}
    if workspace_id is None:
        return frozenset().union(*(snapshot.held.get(place, {}) for place in places))
    places |= {workspace_id, *snapshot.ancestors(workspace_id)}
    own = {workspace_group_id(workspace_id, role) for role in WORKSPACE_GROUPS}
    return frozenset(own).union(*(snapshot.held.get(place, {}) for place in places))


def _alike(snapshot: Snapshot, holders: frozenset[str], *, apart: bool) -> Iterable[Alike]:
    found: dict[frozenset[str], list[str]] = {}
    people = (each for each in snapshot.principals.values() if each.kind != "GROUP" and each.active)
    for principal in sorted(people, key=lambda each: (each.name_key, each.id)):
        held = snapshot.closure(principal.id) & holders
        found.setdefault(held | {principal.id} if apart else held, []).append(principal.id)
    for held, members in found.items():
        yield Alike(members[0], tuple(members), held)
