"""One immutable state of the governed world: who exists, what exists, who holds what.

The follower builds it from the database and brings it forward change by change, tests build it from lists; Decider reads it without
locks. Nothing here is changed once made but caches, whose entries any thread may compute again to the same value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Self

from lakewarden_policy.draft import LISTS, Draft
from lakewarden_policy.kinds import ACCOUNT_ID, ID_PREFIX, IN_WORKSPACE, KINDS, RELATIONS, name_steps
from lakewarden_policy.lookups import Chains, Closures, Containers, Groups, Kin, ReadOnly, Upward
from lakewarden_policy.names import name_key, principal_key, split_full_name
from lakewarden_policy.networks import Admissions
from lakewarden_policy.records import (
    Binding,
    ColumnMask,
    Deleted,
    FederationPolicy,
    Grant,
    Head,
    IpAccessList,
    Located,
    Location,
    Membership,
    Principal,
    Reference,
    Row,
    RowFilter,
    Securable,
    SqlFunction,
    Token,
    ViewDefinition,
)

_NO_NAMES: Final[Mapping[str, str]] = {}
# The kinds a full name walks through, one for each of its parts, and the namespaces of those with several.
_STEPS: Final = {name: name_steps(name) for name in KINDS}
_PATHS: Final = {
    name: tuple(KINDS[step].namespace for step in steps) for name, steps in _STEPS.items() if len(steps) > 1
}


class Snapshot:
    """The state at one head, with the look-ups a decision needs."""

    def __init__(self, head: Head, draft: Draft, before: Snapshot | None = None) -> None:
        """The state a draft was brought to; what is worked out of ``before`` is kept where nothing it rests on changed."""
        self.head = head
        self.maps: Mapping[str, Any] = draft.close()
        maps = self.maps
        self.principals: Mapping[str, Principal] = maps["principals"]
        self.securables: Mapping[str, Securable] = maps["securables"]
        self.tokens: Mapping[str, Token] = maps["tokens"]
        self.federation_policies: Mapping[str, FederationPolicy] = maps["federation_policies"]
        self.client_certificates: Mapping[str, FederationPolicy] = maps["client_certificates"]
        self.ip_admissions = _admissions(maps, before)
        self.held: Mapping[str, Mapping[str, tuple[str, ...]]] = maps["held"]
        self.bindings: Mapping[str, Mapping[str, str]] = maps["bindings"]
        self.references: Mapping[str, Sequence[Reference]] = maps["references"]
        self.row_filters: Mapping[str, RowFilter] = maps["row_filters"]
        self.column_masks: Mapping[str, Sequence[ColumnMask]] = maps["column_masks"]
        self.functions: Mapping[str, SqlFunction] = maps["functions"]
        self.views: Mapping[str, ViewDefinition] = maps["views"]
        self.locations: Mapping[str, str] = maps["locations"]
        self.places: Mapping[str, Location] = maps["places"]
        self.read_only = ReadOnly(self.places, maps["read_only_credentials"])
        self.next_expiry = draft.next_expiry
        self._principal_ids: Mapping[str, str] = maps["principal_ids"]
        self._group_ids: Mapping[str, tuple[str, ...]] = maps["group_ids"]
        self._workspace_objects: Mapping[tuple[str | None, str, str], str] = maps["workspace_objects"]
        self.groups_above = Groups(self._group_ids, maps["assigned"])
        self._changes: Mapping[str | None, object] = maps["changes"]
        self._names: dict[str, Mapping[str | None, Mapping[str, str]]] = {
            kind.namespace: maps[f"names of {kind.namespace}"] for kind in KINDS.values()
        }
        if before is None or draft.people_changed:
            self.closures: dict[str, frozenset[str]] = Closures(self.principals, self.groups_above)
            self._members_of: dict[str, list[str]] = {}
        else:
            self.closures, self._members_of = before.closures, before._members_of
        if before is None or draft.containers_changed:
            self.chains: dict[str | None, tuple[str, ...]] = Chains(self.securables)
            self.kin: dict[str | None, dict[str, str]] = Kin(self.securables, self.chains)
            self.upward: dict[str | None, dict[str | None, tuple[str, ...]]] = Upward(self.kin, self.chains)
        else:
            self.chains, self.kin, self.upward = before.chains, before.kin, before.upward
        self.containers = Containers(self.securables, self.chains)
        self._children: dict[tuple[str, str], tuple[object, tuple[str, ...]]] = (
            {} if before is None else before._children
        )
        self._holders: dict[tuple[str, str], tuple[object, object, dict[str, list[str]]]] = (
            {} if before is None else before._holders
        )

        for kind in KINDS if draft.gone else ():
            for place in draft.gone:
                self._children.pop((place, kind), None)
                self._holders.pop((place, kind), None)

    @classmethod
    def build(
        cls,
        head: Head,
        *,
        principals: Iterable[Principal],
        memberships: Iterable[Membership],
        securables: Iterable[Securable],
        grants: Iterable[Grant],
        tokens: Iterable[Token],
        deleted: Iterable[Deleted] = (),
        isolated: Iterable[str] = (),
        bindings: Iterable[Binding] = (),
        references: Iterable[Reference] = (),
        row_filters: Iterable[RowFilter] = (),
        column_masks: Iterable[ColumnMask] = (),
        functions: Iterable[SqlFunction] = (),
        views: Iterable[ViewDefinition] = (),
        locations: Iterable[Location] = (),
        read_only_credentials: Iterable[str] = (),
        federation_policies: Iterable[FederationPolicy] = (),
        ip_access_lists: Iterable[IpAccessList] = (),
        ip_access_enforced: Iterable[str] = (),
        now: float = 0.0,
    ) -> Self:
        """A complete snapshot at the time ``now``; the account and the system group are added where the lists lack them.

        Grants on what does not exist are dropped, so that a recreated name starts without rights, and so are grants that
        expired; what is held by a principal that does not exist is nobody's. Bindings count on what is ``isolated`` only.
        """
        draft = Draft()
        lists = {
            "principals": principals, "memberships": memberships, "deleted": deleted, "grants": grants, "tokens": tokens,
            "securables": (securable for securable in securables if securable.id != ACCOUNT_ID),
            "isolated": isolated, "bindings": bindings, "references": references, "row_filters": row_filters,
            "column_masks": column_masks, "functions": functions, "views": views, "locations": locations,
            "read_only_credentials": read_only_credentials, "federation_policies": federation_policies,
            "ip_access_lists": ip_access_lists, "ip_access_enforced": ip_access_enforced,
        }  # fmt: skip
        for name in LISTS:
            draft.add(name, lists[name])
        return cls(head, draft).at(now)

    def changed(
        self,
        head: Head,
        removed: Mapping[str, list[Any]],
        added: Mapping[str, list[Any]],
        *,
        now: float,
    ) -> Self:
        """The state after records were taken out of its lists and others put in, at the head and the time they made."""
        draft = Draft(self)
        draft.change(removed, added)
        return self.redrafted(draft, head).at(now)

    def at(self, now: float) -> Self:
        """This state at a later time: without what ended since; itself when nothing did.

        Looks at all that ends, so it is for the moment an expiry passes, not for every question.
        """
        if now < self.next_expiry:
            return self
        draft = Draft(self)
        draft.expire(self, now)
        return self.redrafted(draft, self.head)

    def redrafted(self, draft: Draft, head: Head) -> Self:
        """The state a draft of this one was brought to."""
        return type(self)(head, draft, self)

    def expire_time(self, row: Row) -> float | None:
        """When a row ends, in seconds since the epoch; None for one that does not."""
        found: float | None = self.maps["expiring"].get(row)
        return found

    def principal_named(self, name: str) -> Principal | None:
        """The principal with this email, group name or application id; or, of `id/` and an id, the one with that."""
        if name.startswith(ID_PREFIX):
            return self.principals.get(name.removeprefix(ID_PREFIX))
        return self.principals.get(self._principal_ids.get(principal_key(name), ""))

    def child(self, parent_id: str | None, kind: str, key: str) -> Securable | None:
        """The child of ``parent_id`` that has the name key ``key`` in the namespace of ``kind``, of whatever kind it is."""
        found = self._names[KINDS[kind].namespace].get(parent_id, {}).get(key)
        return None if found is None else self.securables[found]

    def child_ids(self, parent_id: str, kind: str) -> Mapping[str, str]:
        """Ids of everything in the namespace of ``kind``, of whatever kind it is, by name key."""
        return self._names[KINDS[kind].namespace].get(parent_id, _NO_NAMES)

    def children(self, parent_id: str, kind: str) -> tuple[str, ...]:
        """Ids of all children of ``kind``, by name key; computed once per container."""
        names = self._names[KINDS[kind].namespace].get(parent_id, _NO_NAMES)
        cached = self._children.get((parent_id, kind))
        # Names are replaced when they change, never altered: the same ones have the same children.
        if cached is None or cached[0] is not names:
            found = sorted(
                (key, child) for key, child in names.items() if self.securables[child].kind == kind
            )
            cached = self._children[parent_id, kind] = (names, tuple(child for _, child in found))
        return cached[1]

    def children_held(self, parent_id: str, kind: str, holders: frozenset[str]) -> set[str]:
        """Ids of the children on which one of ``holders`` has a row of its own; worked out once per change in the container."""
        children, change = self.children(parent_id, kind), self._changes.get(parent_id)
        cached = self._holders.get((parent_id, kind))
        if cached is None or cached[0] is not children or cached[1] is not change:
            held: dict[str, list[str]] = {}
            for child in children:
                for principal_id in self.held.get(child, ()):
                    held.setdefault(principal_id, []).append(child)
            cached = self._holders[parent_id, kind] = (children, change, held)
        found = cached[2]
        return set().union(*(found[holder] for holder in found.keys() & holders))

    def ancestors(self, object_id: str) -> tuple[str, ...]:
        """The object's containers from its parent up to the account."""
        securable = self.securables.get(object_id)
        return () if securable is None else self.chains[securable.parent_id]

    def ancestor(self, object_id: str, kind: str) -> str | None:
        """The object itself or its container of ``kind``, None where there is none."""
        securable = self.securables.get(object_id)
        if securable is None:
            return None
        return object_id if securable.kind == kind else self.kin[securable.parent_id].get(kind)

    def closure(self, principal_id: str) -> frozenset[str]:
        """The principal, its groups through any nesting, and `account users`; nobody for an unknown id."""
        return self.closures[principal_id]

    def groups_of(self, principal_id: str) -> tuple[str, ...]:
        """Ids of the groups the principal belongs to directly, by stored membership."""
        return self._group_ids.get(principal_id, ())

    def members_of(self, group_id: str) -> tuple[str, ...]:
        """Ids of the direct members of a group; computed for all groups at the first question."""
        if not self._members_of:
            members: dict[str, list[str]] = {}
            for member_id, group_ids in self._group_ids.items():
                for containing in group_ids:
                    members.setdefault(containing, []).append(member_id)
            self._members_of = members
        return tuple(self._members_of.get(group_id, ()))

    def locate(
        self, kind: str, full_name: str, metastore_id: str | None, workspace_id: str | None = None
    ) -> Located:
        """Follow a full name from the metastore, the workspace or the account. Raises InvalidName on a malformed one."""
        parts = split_full_name(kind, full_name)
        if kind in IN_WORKSPACE:
            named = self.object_named(workspace_id, kind, full_name)
            return Located(named, self.securables.get(workspace_id or ""), None if named else kind)
        if kind == "ACCOUNT":
            return Located(self.securables[ACCOUNT_ID] if full_name == ACCOUNT_ID else None, None, None)
        if KINDS[kind].is_principal:
            principal = self.principal_named(full_name)
            found = self.securables.get(principal.id) if principal and principal.kind == kind else None
            return Located(found, self.securables[ACCOUNT_ID], None if found else kind)
        path = _STEPS[kind]
        container_id = metastore_id if KINDS[path[0]].parents == ("METASTORE",) else ACCOUNT_ID
        container = self.securables.get(container_id or "")
        for step, part in zip(path, parts, strict=True):
            found = self.child(container.id, step, name_key(part)) if container else None
            if found is None or found.kind != step:
                return Located(None, container, step)
            container = found
        return Located(container, self.securables.get(container.parent_id or "") if container else None, None)

    def object_named(self, workspace_id: str | None, kind: str, name: str) -> Securable | None:
        """The object of a workspace that has this id in its engine, whatever folder it lies in."""
        key = (workspace_id, KINDS[kind].namespace, name)
        securable = self.securables.get(self._workspace_objects.get(key, ""))
        return securable if securable is not None and securable.kind == kind else None

    def resolve(
        self, kind: str, full_name: str, metastore_id: str | None, workspace_id: str | None = None
    ) -> Securable | None:
        """The object with this full name, None where there is none. Raises InvalidName on a malformed name.

        `locate` in the few look-ups a hot path can afford: most decisions begin with a table's name.
        """
        if KINDS[kind].name_parts == 1:
            return self.locate(kind, full_name, metastore_id, workspace_id).securable
        found: str | None = metastore_id
        path = _PATHS[kind]
        # One call for all parts where it gives the same keys: beyond ASCII, folding first could make new dots.
        keys = full_name.lower().split(".") if full_name.isascii() else None
        if keys is None or len(keys) != len(path) or "" in keys:
            keys = [name_key(part) for part in split_full_name(kind, full_name)]
        for namespace, key in zip(path, keys, strict=True):
            # Names are unique per namespace, so at most the last step can find an object of another kind.
            found = self._names[namespace].get(found, _NO_NAMES).get(key) if found else None
        securable = self.securables[found] if found else None
        return securable if securable is not None and securable.kind == kind else None

    def referenced(self, reference: Reference, metastore_id: str | None) -> Securable | None:
        """What a reference means in this state: whatever relation or function has that name now, None where nothing has."""
        kind = "TABLE" if reference.privilege == "SELECT" else "FUNCTION"
        found: str | None = metastore_id
        for namespace, part in zip(_PATHS[kind], split_full_name(kind, reference.full_name), strict=True):
            found = self._names[namespace].get(found, _NO_NAMES).get(name_key(part)) if found else None
        securable = self.securables.get(found or "")
        suitable = RELATIONS if kind == "TABLE" else {kind}
        return securable if securable is not None and securable.kind in suitable else None

    def reached_with(self, location_id: str) -> str | None:
        """Id of the storage credential an external location is reached with, None where there is none any more."""
        place = self.places.get(location_id)
        return place.credential_id if place is not None and place.credential_id in self.securables else None

    def full_name(self, object_id: str) -> str:
        """The dotted name of an object as displayed. Raises KeyError for an unknown id."""
        securable = self.securables[object_id]
        parts = [securable.name]
        while KINDS[securable.kind].name_parts > 1 and securable.parent_id:
            securable = self.securables[securable.parent_id]
            parts.append(securable.name)
        return ".".join(reversed(parts))

    def rows(self) -> Iterator[Row]:
        """Every policy row, stored, owned or implicit."""
        for object_id, holders in self.held.items():
            for principal_id, acts in holders.items():
                for act in acts:
                    yield Row(principal_id, object_id, act)

    def facts(self) -> dict[str, dict[Any, Any]]:
        """Everything the state says, as plain dicts: equal for equal states, however each came about."""
        return {name: dict(map_.items()) for name, map_ in self.maps.items() if name != "changes"}

    def digest(self) -> str:
        """One SHA-256 over the facts, in hexadecimal: the same on every replica at the same revision and time. Walks the whole state."""
        found = hashlib.sha256()
        for name, facts in sorted(self.facts().items()):
            entries = sorted(
                repr((key, sorted(value.items()) if isinstance(value, dict) else value))
                for key, value in facts.items()
            )
            found.update(repr((name, entries)).encode())
        return found.hexdigest()


def _admissions(maps: Mapping[str, Any], before: Snapshot | None) -> Admissions:
    """Those of ``before`` while they rest on the same."""
    lists, enforced = maps["ip_access_lists"], maps["ip_access_enforced"]
    if before is not None and (
        before.maps["ip_access_lists"] == lists and before.maps["ip_access_enforced"] == enforced
    ):
        return before.ip_admissions
    return Admissions(lists, enforced)
