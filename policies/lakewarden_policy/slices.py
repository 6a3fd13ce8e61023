"""What a workspace may know of the state: enough to decide everything that can be asked from it, and no more.

The server cuts slices for the engines that watch a workspace; a snapshot built of one decides as the whole state does. Other workspaces
and groups nobody of this one is assigned through come without a name, catalogs and places isolated from the workspace not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
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


class _Unclear(Exception):
    """The change cannot be told as one of the slice: it has to be cut anew."""


class WorkspaceSlice:
    """The slice of one snapshot for one workspace. Raises KeyError for a workspace that does not exist."""

    def __init__(self, snapshot: Snapshot, workspace_id: str) -> None:
        self._snapshot = snapshot
        self._workspace_id = workspace_id
        self._metastore_id = snapshot.securables[workspace_id].metastore_id
        self._hidden = frozenset(
            object_id
            for object_id, bound in snapshot.bindings.items()
            if workspace_id not in bound and _is_bindable(snapshot.securables.get(object_id))
        )

    def lists(self) -> Lists:
        """All of it, by the names of `RECORDS`."""
        snapshot, maps = self._snapshot, self._snapshot.maps
        shown = [found for found in map(self._shown, snapshot.securables.values()) if found is not None]
        ids = {securable.id for securable in shown}
        isolated = [object_id for object_id in snapshot.bindings if object_id in ids]
        bound = ((object_id, snapshot.bindings[object_id].get(self._workspace_id)) for object_id in isolated)
        # Two rows may say the same, and one of them may go: each is sent.
        references = [
            self._masked(found)
            for key, listed in snapshot.references.items()
            if key in ids
            for found in listed
        ]
        return {
            "principals": self.principals(),
            "memberships": [
                Membership(group_id, member_id)
                for member_id, group_ids in maps["group_ids"].items()
                for group_id in group_ids
            ],
            "securables": shown,
            "grants": list(self._grants(ids)),
            "isolated": isolated,
            "bindings": [
                Binding(object_id, self._workspace_id, type_) for object_id, type_ in bound if type_
            ],
            "references": sorted(references),
            "row_filters": [found for found in snapshot.row_filters.values() if found.table_id in ids],
            "column_masks": [
                found for key, listed in snapshot.column_masks.items() if key in ids for found in listed
            ],
            "locations": [
                _without_url(found) for found in snapshot.places.values() if found.securable_id in ids
            ],
            "read_only_credentials": list(maps["read_only_credentials"]),
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

        That is so when the border moved (attachment, isolation, bindings, the catalogs there are), and in every case of doubt.
        """
        gone = {securable.id: securable for securable in removed.get("securables", ())}
        try:
            self._require_same_border(gone, removed, added)
            self._require_all_told(removed, added)
            return SliceDelta(
                self._filtered(gone, removed),
                self._filtered(gone, added),
                self.principals() if self._people_moved(gone, removed, added) else None,
            )
        except _Unclear:
            return None

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

    def _grants(self, ids: Iterable[str]) -> Iterator[Any]:
        """Rows of `Grant` as plain tuples: there may be a million."""
        held, expiring = self._snapshot.held, self._snapshot.maps["expiring"]
        privileges: dict[str, str] = {}
        for object_id in (ACCOUNT_ID, *ids):
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

    def _require_same_border(
        self, gone: Mapping[str, Securable], removed: Mapping[str, list[Any]], added: Mapping[str, list[Any]]
    ) -> None:
        moved: dict[str, set[Any]] = {}
        for side, lists in (("before", removed), ("after", added)):
            moved[side] = {
                (record.id, record.kind, record.name_key if record.kind == "CATALOG" else record.metastore_id)
                for record in lists.get("securables", ())
                if record.id == self._workspace_id
                or (record.kind == "CATALOG" and record.metastore_id == self._metastore_id)
            }
            touched = [
                *lists.get("isolated", ()),
                *(
                    found.securable_id
                    for found in lists.get("bindings", ())
                    if found.workspace_id == self._workspace_id
                ),
            ]
            if any(self._metastore_of(gone, object_id) == self._metastore_id for object_id in touched):
                raise _Unclear
            for reference in lists.get("references", ()):
                if self._is_known(gone, reference.object_id) and self._masked(reference) != reference:
                    raise _Unclear
        if moved["before"] != moved["after"]:
            raise _Unclear

    def _require_all_told(self, removed: Mapping[str, list[Any]], added: Mapping[str, list[Any]]) -> None:
        """What comes or goes isolated, or with filters, masks, references or a place that the change does not tell of was, or stays, in the database.

        A dropped table keeps them and comes back with them: without them a replica would call it unguarded.
        """
        before, after = (
            {(found.id, found.kind) for found in lists.get("securables", ())} for lists in (removed, added)
        )
        moved = {object_id for object_id, _ in before ^ after}
        if any(object_id in self._snapshot.maps["isolated"] for object_id in moved):
            raise _Unclear
        for name, held in self._hanging(moved).items():
            told = Counter(_OBJECT_OF[name](record) for record in added.get(name, ()))
            for object_id, _ in after - before:
                if held.get(object_id, 0) != told[object_id]:
                    raise _Unclear
            if any(object_id in held for object_id, _ in before - after):
                raise _Unclear

    def _hanging(self, objects: Iterable[str]) -> dict[str, dict[str, int]]:
        """How many records hang on each of some objects, by the name of their list; only of those on which any do."""
        snapshot = self._snapshot
        found: dict[str, dict[str, int]] = {
            name: {} for name in ("row_filters", "column_masks", "references", "locations")
        }
        for key in objects:
            if key in snapshot.row_filters:
                found["row_filters"][key] = 1
            if key in snapshot.column_masks:
                found["column_masks"][key] = len(snapshot.column_masks[key])
            if key in snapshot.references:
                found["references"][key] = len(snapshot.references[key])
            if key in snapshot.places:
                found["locations"][key] = 1
        return found

    def _filtered(self, gone: Mapping[str, Securable], lists: Mapping[str, list[Any]]) -> Lists:
        filtered: Lists = {}
        for name, key in _OBJECT_OF.items():
            found = [record for record in lists.get(name, ()) if self._is_known(gone, key(record))]
            if name == "securables":
                found = [shown for record in found if (shown := self._shown_then(gone, record)) is not None]
            elif name == "locations":
                found = [_without_url(record) for record in found]
            filtered[name] = found
        filtered["memberships"] = list(lists.get("memberships", ()))
        filtered["read_only_credentials"] = list(lists.get("read_only_credentials", ()))
        return {name: found for name, found in filtered.items() if found}

    def _shown_then(self, gone: Mapping[str, Securable], securable: Securable) -> Securable | None:
        """As `_shown`, for one that may be gone, with containers that may be."""
        if securable.kind == "WORKSPACE":
            return self._shown(securable)
        if securable.metastore_id != self._metastore_id or self._metastore_id is None:
            return None
        current: Securable | None = securable
        while current is not None and current.kind not in {"CATALOG", "METASTORE"}:
            if current.id in self._hidden:
                return None
            parent_id = current.parent_id or ""
            current = self._snapshot.securables.get(parent_id) or gone.get(parent_id)
        if current is None:
            raise _Unclear
        return None if current.id in self._hidden else securable

    def _is_known(self, gone: Mapping[str, Securable], object_id: str) -> bool:
        """Whether the slice has the object, or had it before the change."""
        if object_id == ACCOUNT_ID:
            return True
        securable = self._snapshot.securables.get(object_id)
        if securable is None or securable.kind == "DELETED_TABLE":
            securable = gone.get(object_id)
        return securable is not None and self._shown_then(gone, securable) is not None

    def _metastore_of(self, gone: Mapping[str, Securable], object_id: str) -> str | None:
        securable = self._snapshot.securables.get(object_id) or gone.get(object_id)
        if securable is None:
            raise _Unclear
        return securable.metastore_id

    def _people_moved(
        self, gone: Mapping[str, Securable], removed: Mapping[str, list[Any]], added: Mapping[str, list[Any]]
    ) -> bool:
        for lists in (removed, added):
            if lists.get("principals") or lists.get("memberships"):
                return True
            if any(record.kind == "WORKSPACE" for record in lists.get("securables", ())):
                return True
            for grant in lists.get("grants", ()):
                securable = self._snapshot.securables.get(grant.securable_id) or gone.get(grant.securable_id)
                if securable is None or securable.kind == "WORKSPACE":
                    return True
        return False


def _is_bindable(securable: Securable | None) -> bool:
    return securable is not None and securable.kind in BINDABLE


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
}
"""The object each record of a list is about."""
