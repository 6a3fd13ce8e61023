"""What a workspace may know of the state: enough to decide everything that can be asked from it, and no more.

The server cuts slices for the engines that watch a workspace; a snapshot built of one decides as the whole state does. Other workspaces
and groups nobody of this one is assigned through come without a name, catalogs and places isolated from the workspace not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from math import inf
from typing import Any, Final, NamedTuple

from lakewarden_policy.kinds import (
    ACCOUNT_ID,
    ACCOUNT_USERS_ID,
    BINDABLE,
    IMPLICIT_PRIVILEGES,
    workspace_group_id,
)
from lakewarden_policy.records import (
    Binding,
    ColumnMask,
    Grant,
    Location,
    Membership,
    Principal,
    Reference,
    RowFilter,
    Securable,
)
from lakewarden_policy.snapshot import Snapshot

RECORDS: Final[Mapping[str, type[Any] | None]] = {
    "principals": Principal, "memberships": Membership, "securables": Securable, "grants": Grant, "isolated": None,
    "bindings": Binding, "references": Reference, "row_filters": RowFilter, "column_masks": ColumnMask,
    "locations": Location, "read_only_credentials": None,
}  # fmt: skip
"""The lists of a slice and their records, None for plain ids. Tokens, deleted tables and texts of definitions are not among them."""
HIDDEN_NAME: Final = "?.?.?"
"""Stands for a reference into a catalog the workspace does not have; no catalog can have such a name."""
Lists = dict[str, list[Any]]


class SliceDelta(NamedTuple):
    """What a slice loses and gains; ``principals`` is None, or all of them where any may have changed."""

    removed: Lists
    added: Lists
    principals: list[Principal] | None


class WorkspaceSlice:
    """The slice of one snapshot for one workspace. Raises KeyError for a workspace that does not exist."""

    def __init__(self, snapshot: Snapshot, workspace_id: str) -> None:
        self._snapshot = snapshot
        self._workspace_id = workspace_id
        self._metastore_id = snapshot.securables[workspace_id].metastore_id
        self._hidden = frozenset(
            object_id
            for object_id, bound in snapshot.bindings.items()
            if workspace_id not in bound and self._is_bindable(snapshot.securables.get(object_id))
        )

    def lists(self) -> Lists:
        """All of it, by the names of `RECORDS`."""
        maps = self._snapshot.maps
        return {
            **self._of(self._snapshot.securables),
            "principals": self.principals(),
            "memberships": [
                Membership(group_id, member_id)
                for member_id, group_ids in maps["group_ids"].items()
                for group_id in group_ids
            ],
            "read_only_credentials": list(maps["read_only_credentials"]),
        }

    def _of(self, objects: Collection[str]) -> Lists:
        """What the slice has of some objects."""
        snapshot, held = self._snapshot, self._snapshot.securables
        shown = [found for key in objects if key in held and (found := self._shown(held[key])) is not None]
        ids = {securable.id for securable in shown}
        isolated = list(_among(snapshot.bindings, ids))
        bound = ((object_id, snapshot.bindings[object_id].get(self._workspace_id)) for object_id in isolated)
        # Two rows may say the same, and one of them may go: each is sent.
        references = [
            self._masked(found)
            for key in _among(snapshot.references, ids)
            for found in snapshot.references[key]
        ]
        places = (ACCOUNT_ID, *ids) if ACCOUNT_ID in objects else tuple(ids)
        return {
            "securables": shown,
            "grants": list(self._grants(places)),
            "isolated": isolated,
            "bindings": [
                Binding(object_id, self._workspace_id, type_) for object_id, type_ in bound if type_
            ],
            "references": sorted(references),
            "row_filters": [snapshot.row_filters[key] for key in _among(snapshot.row_filters, ids)],
            "column_masks": [
                found for key in _among(snapshot.column_masks, ids) for found in snapshot.column_masks[key]
            ],
            "locations": [_without_url(snapshot.places[key]) for key in _among(snapshot.places, ids)],
        }

    def principals(self) -> list[Principal]:
        """Who holds anything on the workspace, and the groups they are in; those without a part in it only as ids."""
        snapshot, workspace_id = self._snapshot, self._workspace_id
        holders = {workspace_group_id(workspace_id, role) for role in ("users", "admins")}
        holders.update(snapshot.held.get(workspace_id, ()))
        closures = snapshot.closures
        people = {found for found in snapshot.principals if not holders.isdisjoint(closures[found])}
        needed = people.union(*(closures[found] for found in people))
        return [
            principal
            if principal.id in people
            else principal._replace(name=principal.id, name_key=principal.id)
            for principal in map(snapshot.principals.__getitem__, sorted(needed))
            if principal.id != ACCOUNT_USERS_ID
        ]

    def delta(self, removed: Mapping[str, list[Any]], added: Mapping[str, list[Any]]) -> SliceDelta | None:
        """What a change that led to this snapshot means for the slice; None when it has to be cut anew.

        The difference of two slices in all that the change touches, so that what hangs on an object comes and goes with it, whether
        the change tells of it or not. To be cut anew when the border moved: attachment, isolation, bindings, the catalogs there are.
        """
        later, touched = self._snapshot, _touched(removed, added)
        earlier = later.changed(later.head, added, removed, now=-inf)
        if self._workspace_id not in earlier.securables:
            return None
        before = WorkspaceSlice(earlier, self._workspace_id)
        if before._border() != self._border():
            return None
        was, now = before._of(touched), self._of(touched)
        for lists, change in ((was, removed), (now, added)):
            for name in ("memberships", "read_only_credentials"):
                lists[name] = list(change.get(name, ()))
        return SliceDelta(
            _left_over(was, now),
            _left_over(now, was),
            self.principals() if _people_moved(earlier, later, removed, added) else None,
        )

    def _border(self) -> tuple[object, ...]:
        """What decides of objects that a change does not touch whether and how the slice has them."""
        catalogs = self._snapshot.child_ids(self._metastore_id or "", "CATALOG")
        return self._metastore_id, self._hidden, catalogs

    def _shown(self, securable: Securable) -> Securable | None:
        """A securable as the workspace knows it, None for what it does not know."""
        if securable.kind == "WORKSPACE":
            return securable if securable.id == self._workspace_id else _nameless(securable)
        if securable.metastore_id is None or securable.metastore_id != self._metastore_id:
            return None
        if securable.kind == "DELETED_TABLE" or self._is_hidden(securable):
            return None
        return securable

    def _is_hidden(self, securable: Securable) -> bool:
        if not self._hidden:
            return False
        catalog_id = self._snapshot.kin[securable.parent_id].get("CATALOG")
        return securable.id in self._hidden or catalog_id in self._hidden

    def _grants(self, places: Iterable[str]) -> Iterator[Any]:
        """Rows of `Grant` as plain tuples: there may be a million."""
        held, expiring = self._snapshot.held, self._snapshot.maps["expiring"]
        privileges: dict[str, str] = {}
        for object_id in places:
            for principal_id, acts in held.get(object_id, {}).items():
                for act in acts:
                    privilege = privileges.get(act) or privileges.setdefault(act, act.partition(":")[2])
                    if privilege not in IMPLICIT_PRIVILEGES:
                        ends = expiring.get((principal_id, object_id, act)) if expiring else None
                        yield object_id, principal_id, privilege, ends

    def _masked(self, reference: Reference) -> Reference:
        """A reference into a catalog the workspace does not have leads nowhere, and does not tell its name."""
        catalog = self._snapshot.resolve("CATALOG", reference.full_name.partition(".")[0], self._metastore_id)
        if catalog is None or catalog.id in self._hidden:
            return reference._replace(full_name=HIDDEN_NAME)
        return reference

    def _is_bindable(self, securable: Securable | None) -> bool:
        return (
            securable is not None
            and securable.kind in BINDABLE
            and securable.metastore_id == self._metastore_id
        )


def _among(records: Mapping[str, Any], ids: Collection[str]) -> Iterator[str]:
    """The keys that are ids, at the price of the fewer of the two."""
    if len(records) < len(ids):
        return (key for key in records if key in ids)
    return (key for key in ids if key in records)


def _touched(*changes: Mapping[str, list[Any]]) -> set[str]:
    """Ids of all objects a change tells of."""
    return {
        key(record) for lists in changes for name, key in _OBJECT_OF.items() for record in lists.get(name, ())
    }


def _left_over(lists: Lists, others: Lists) -> Lists:
    """What is in one and not in the other, as often as it is there more often."""
    left = {name: list((Counter(found) - Counter(others[name])).elements()) for name, found in lists.items()}
    return {name: found for name, found in left.items() if found}


def _people_moved(
    earlier: Snapshot, later: Snapshot, removed: Mapping[str, list[Any]], added: Mapping[str, list[Any]]
) -> bool:
    for snapshot, lists in ((earlier, removed), (later, added)):
        if lists.get("principals") or lists.get("memberships"):
            return True
        if any(record.kind == "WORKSPACE" for record in lists.get("securables", ())):
            return True
        for grant in lists.get("grants", ()):
            securable = snapshot.securables.get(grant.securable_id)
            if securable is None or securable.kind == "WORKSPACE":
                return True
    return False


def _nameless(securable: Securable) -> Securable:
    """Another workspace: who works in it counts, since groups of it may be granted something here."""
    return securable._replace(name=securable.id, name_key=securable.id, metastore_id=None, revision=0)


def _without_url(location: Location) -> Location:
    return location._replace(url=location.securable_id)


_OBJECT_OF: Final[Mapping[str, Callable[[Any], str]]] = {
    "securables": lambda record: record.id,
    "grants": lambda record: record.securable_id,
    "references": lambda record: record.object_id,
    "row_filters": lambda record: record.table_id,
    "column_masks": lambda record: record.table_id,
    "locations": lambda record: record.securable_id,
    "deleted": lambda record: record.securable.id,
    "isolated": lambda record: record,
    "bindings": lambda record: record.securable_id,
}
"""The object each record of a list is about."""
