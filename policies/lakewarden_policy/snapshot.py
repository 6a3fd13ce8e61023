"""One immutable state of the governed world: who exists, what exists, who holds what.

The follower builds it from the database, tests build it from lists; Decider reads it without locks. Nothing here is
changed after `build` but caches, whose entries any thread may compute again to the same value.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Self

from lakewarden_policy.kinds import (
    ACCOUNT_ID,
    ACCOUNT_USERS_ID,
    ACCOUNT_USERS_NAME,
    KINDS,
    METASTORE_BROWSE,
    RELATIONS,
    WORKSPACE_GROUPS,
    name_steps,
    workspace_group_id,
)
from lakewarden_policy.lookups import Chains, Closures, Containers, Kin, located
from lakewarden_policy.names import name_key, principal_key, split_full_name
from lakewarden_policy.records import (
    Binding,
    ColumnMask,
    Grant,
    Head,
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

_NO_NAMES: Final[dict[str, str]] = {}
# The kinds a full name walks through, one for each of its parts, and the namespaces of those with several.
_STEPS: Final = {name: name_steps(name) for name in KINDS}
_PATHS: Final = {
    name: tuple(KINDS[step].namespace for step in steps) for name, steps in _STEPS.items() if len(steps) > 1
}


class Snapshot:
    """The state at one head, with the look-ups a decision needs."""

    def __init__(self, head: Head) -> None:
        """An empty world with only the account in it; `build` fills it."""
        self.head = head
        self.principals: dict[str, Principal] = {}
        self.securables: dict[str, Securable] = {}
        self.tokens: dict[str, Token] = {}
        self.held: dict[str, dict[str, tuple[str, ...]]] = {}
        self.bindings: dict[str, dict[str, str]] = {}
        self.references: dict[str, list[Reference]] = {}
        self.row_filters: dict[str, RowFilter] = {}
        self.column_masks: dict[str, list[ColumnMask]] = {}
        self.functions: dict[str, SqlFunction] = {}
        self.views: dict[str, ViewDefinition] = {}
        self.locations: dict[str, str] = {}
        self.read_only: dict[str, str] = {}
        self.reached_with: dict[str, str] = {}
        self.next_expiry = math.inf
        self._expiring: dict[Row, float] = {}
        self._groups_of: dict[str, list[str]] = {}
        self._members_of: dict[str, list[str]] | None = None
        self._principal_ids: dict[str, str] = {}
        self._child_ids: dict[str, dict[str | None, dict[str, str]]] = {
            kind.namespace: {} for kind in KINDS.values()
        }
        self.chains: dict[str | None, tuple[str, ...]] = Chains(self)
        self.kin: dict[str | None, dict[str, str]] = Kin(self)
        self._children: dict[tuple[str, str], tuple[str, ...]] = {}
        self._forget_holders()

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
        isolated: Iterable[str] = (),
        bindings: Iterable[Binding] = (),
        references: Iterable[Reference] = (),
        row_filters: Iterable[RowFilter] = (),
        column_masks: Iterable[ColumnMask] = (),
        functions: Iterable[SqlFunction] = (),
        views: Iterable[ViewDefinition] = (),
        locations: Iterable[Location] = (),
        read_only_credentials: Iterable[str] = (),
        now: float = 0.0,
    ) -> Self:
        """A complete snapshot at the time ``now``; the account and the system group are added where the lists lack them.

        Grants and owners that name nothing existing are dropped, so that a recreated name starts without rights, and
        so are grants that expired. Bindings count on what is ``isolated`` only.
        """
        snapshot = cls(head)
        snapshot._add_securable(Securable(ACCOUNT_ID, "ACCOUNT", None, None, "account", "account", None, 0))
        everybody = Principal(ACCOUNT_USERS_ID, "GROUP", ACCOUNT_USERS_NAME, ACCOUNT_USERS_NAME, True)
        for principal in (everybody, *principals):
            snapshot._add_principal(principal)
        for group_id, member_id in memberships:
            snapshot._groups_of.setdefault(member_id, []).append(group_id)
        for securable in securables:
            if securable.id != ACCOUNT_ID:
                snapshot._add_securable(securable)
        snapshot._add_grants(grants, now)
        snapshot.tokens = {token.id: token for token in tokens}
        snapshot.bindings = {securable_id: {} for securable_id in isolated}
        for binding in bindings:
            if binding.securable_id in snapshot.bindings:
                snapshot.bindings[binding.securable_id][binding.workspace_id] = binding.type
        for reference in references:
            snapshot.references.setdefault(reference.object_id, []).append(reference)
        snapshot.row_filters = {row_filter.table_id: row_filter for row_filter in row_filters}
        for mask in column_masks:
            snapshot.column_masks.setdefault(mask.table_id, []).append(mask)
        snapshot.functions = {function.id: function for function in functions}
        snapshot.views = {view.id: view for view in views}
        located(snapshot, locations, read_only_credentials)
        return snapshot

    def at(self, now: float) -> Self:
        """This state at a later time: without the grants that expired since; itself when none did.

        Costs a shallow copy of what is held, so it is for the moment an expiry passes, not for every question.
        """
        if now < self.next_expiry:
            return self
        later = copy.copy(self)
        later.held = dict(self.held)
        later._expiring = dict(self._expiring)
        for row, expire_time in self._expiring.items():
            if expire_time <= now:
                del later._expiring[row]
                later._drop(row)
        later.next_expiry = min(later._expiring.values(), default=math.inf)
        later._forget_holders()
        return later

    def with_parts(
        self,
        *,
        held: dict[str, dict[str, tuple[str, ...]]],
        groups_of: dict[str, list[str]],
        bindings: dict[str, dict[str, str]],
        securables: dict[str, Securable],
        principals: dict[str, Principal],
    ) -> Self:
        """A copy that shares all but these parts, for a question about what is not so; the tree keeps its shape."""
        changed = copy.copy(self)
        changed.held, changed.bindings, changed._groups_of = held, bindings, groups_of
        changed.securables, changed.principals = securables, principals
        changed._members_of = None
        changed._forget_holders()
        return changed

    def memberships(self) -> dict[str, list[str]]:
        """Member id -> ids of the groups it belongs to directly; to be read or copied, never changed."""
        return self._groups_of

    def expire_time(self, row: Row) -> float | None:
        """When a row ends, in seconds since the epoch; None for one that does not."""
        return self._expiring.get(row)

    def principal_named(self, name: str) -> Principal | None:
        """The principal with this email, group name or application id."""
        return self.principals.get(self._principal_ids.get(principal_key(name), ""))

    def child(self, parent_id: str | None, kind: str, key: str) -> Securable | None:
        """The child of ``parent_id`` that has the name key ``key`` in the namespace of ``kind``, of whatever kind it is."""
        found = self._child_ids[KINDS[kind].namespace].get(parent_id, {}).get(key)
        return None if found is None else self.securables[found]

    def child_ids(self, parent_id: str, kind: str) -> Mapping[str, str]:
        """Ids of everything in the namespace of ``kind``, of whatever kind it is, by name key."""
        return self._child_ids[KINDS[kind].namespace].get(parent_id, _NO_NAMES)

    def children(self, parent_id: str, kind: str) -> tuple[str, ...]:
        """Ids of all children of ``kind``, by name key; computed once per container."""
        cached = self._children.get((parent_id, kind))
        if cached is None:
            names = self._child_ids[KINDS[kind].namespace].get(parent_id, {})
            found = sorted(
                (key, child) for key, child in names.items() if self.securables[child].kind == kind
            )
            cached = self._children[parent_id, kind] = tuple(child for _, child in found)
        return cached

    def children_held(self, parent_id: str, kind: str, holders: frozenset[str]) -> set[str]:
        """Ids of the children on which one of ``holders`` has a row of its own."""
        cached = self._holders.get((parent_id, kind))
        if cached is None:
            cached = {}
            for child in self.children(parent_id, kind):
                for principal_id in self.held.get(child, ()):
                    cached.setdefault(principal_id, []).append(child)
            self._holders[parent_id, kind] = cached
        return set().union(*(cached[holder] for holder in cached.keys() & holders))

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
        return tuple(self._groups_of.get(principal_id, ()))

    def groups_above(self, principal_id: str) -> tuple[str, ...]:
        """The same with the system groups of the workspaces it is assigned to by name."""
        return (*self._groups_of.get(principal_id, ()), *self._system_groups().get(principal_id, ()))

    def members_of(self, group_id: str) -> tuple[str, ...]:
        """Ids of the direct members of a group; computed for all groups at the first question."""
        if self._members_of is None:
            members: dict[str, list[str]] = {}
            for member_id, group_ids in self._groups_of.items():
                for containing in group_ids:
                    members.setdefault(containing, []).append(member_id)
            self._members_of = members
        return tuple(self._members_of.get(group_id, ()))

    def locate(self, kind: str, full_name: str, metastore_id: str | None) -> Located:
        """Follow a full name from the metastore (or the account). Raises InvalidName on a malformed one."""
        parts = split_full_name(kind, full_name)
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

    def resolve(self, kind: str, full_name: str, metastore_id: str | None) -> Securable | None:
        """The object with this full name, None where there is none. Raises InvalidName on a malformed name.

        `locate` in the few look-ups a hot path can afford: most decisions begin with a table's name.
        """
        if KINDS[kind].name_parts == 1:
            return self.locate(kind, full_name, metastore_id).securable
        found: str | None = metastore_id
        parts = split_full_name(kind, full_name)
        # One call for all parts where it gives the same keys: beyond ASCII, folding first could make new dots.
        keys = full_name.lower().split(".") if full_name.isascii() else map(name_key, parts)
        for namespace, key in zip(_PATHS[kind], keys, strict=True):
            # Names are unique per namespace, so at most the last step can find an object of another kind.
            found = self._child_ids[namespace].get(found, _NO_NAMES).get(key) if found else None
        securable = self.securables[found] if found else None
        return securable if securable is not None and securable.kind == kind else None

    def referenced(self, reference: Reference, metastore_id: str | None) -> Securable | None:
        """What a reference means in this state: whatever relation or function has that name now, None where nothing has."""
        kind = "TABLE" if reference.privilege == "SELECT" else "FUNCTION"
        found: str | None = metastore_id
        for namespace, part in zip(_PATHS[kind], split_full_name(kind, reference.full_name), strict=True):
            found = self._child_ids[namespace].get(found, _NO_NAMES).get(name_key(part)) if found else None
        securable = self.securables.get(found or "")
        suitable = RELATIONS if kind == "TABLE" else {kind}
        return securable if securable is not None and securable.kind in suitable else None

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

    def _add_principal(self, principal: Principal) -> None:
        self.principals[principal.id] = principal
        self._principal_ids[principal.name_key] = principal.id
        self._add_securable(
            Securable(
                principal.id, principal.kind, ACCOUNT_ID, None, principal.name, principal.name_key, None, 0
            )
        )
        self._hold(principal.id, principal.id, f"{principal.kind}:SELF")

    def _add_securable(self, securable: Securable) -> None:
        # A metastore or workspace hangs under the account whether or not the store says so.
        if securable.parent_id is None and KINDS[securable.kind].parents == ("ACCOUNT",):
            securable = securable._replace(parent_id=ACCOUNT_ID)
        if securable.kind == "METASTORE":
            securable = securable._replace(metastore_id=securable.id)
        self.securables[securable.id] = securable
        names = self._child_ids[KINDS[securable.kind].namespace]
        names.setdefault(securable.parent_id, {})[securable.name_key] = securable.id
        if securable.owner_id is not None:
            self._hold(securable.id, securable.owner_id, f"{securable.kind}:OWNER")
        if securable.kind == "METASTORE":
            self._hold(securable.id, ACCOUNT_USERS_ID, METASTORE_BROWSE)

    def _add_grants(self, grants: Iterable[Grant], now: float) -> None:
        """One pass over what may be a million rows; acts are shared strings, so a row costs a tuple slot."""
        acts: dict[tuple[str, str], tuple[str, ...]] = {}
        securables, held = self.securables, self.held
        for object_id, principal_id, privilege, expire_time in grants:
            securable = securables.get(object_id)
            if securable is None or securable.kind == "DELETED_TABLE":
                continue
            act = acts.get((securable.kind, privilege))
            if act is None:
                act = acts[securable.kind, privilege] = (f"{securable.kind}:{privilege}",)
            if expire_time is not None and not self._expires(
                Row(principal_id, object_id, act[0]), expire_time, now
            ):
                continue
            holders = held.get(object_id)
            if holders is None:
                held[object_id] = {principal_id: act}
                continue
            known = holders.get(principal_id)
            if known is None:
                holders[principal_id] = act
            elif act[0] not in known:
                holders[principal_id] = known + act

    def _expires(self, row: Row, expire_time: float, now: float) -> bool:
        """Notes when a row will go; False for one that is gone already."""
        if expire_time <= now:
            return False
        self._expiring[row] = expire_time
        self.next_expiry = min(self.next_expiry, expire_time)
        return True

    def _drop(self, row: Row) -> None:
        """Takes a row out of a copied `held`; what other snapshots share is replaced, never changed."""
        holders = dict(self.held[row.object_id])
        left = tuple(act for act in holders.pop(row.principal_id) if act != row.act)
        if left:
            holders[row.principal_id] = left
        self.held[row.object_id] = holders

    def _forget_holders(self) -> None:
        """Begins anew whatever is worked out from `held` as it is asked for."""
        self.closures: dict[str, frozenset[str]] = Closures(self)
        self.containers = Containers(self)
        self._holders: dict[tuple[str, str], dict[str, list[str]]] = {}
        self._workspace_groups: dict[str, list[str]] | None = None

    def _system_groups(self) -> dict[str, list[str]]:
        """The groups of workspace users and admins by what is assigned: assignment is a grant, membership follows it."""
        if self._workspace_groups is None:
            found: dict[str, list[str]] = {}
            for workspace_id in self.children(ACCOUNT_ID, "WORKSPACE"):
                # Every admin of a workspace is a user of it.
                users, admins = (workspace_group_id(workspace_id, role) for role in ("users", "admins"))
                found.setdefault(admins, []).append(users)
                for holder, acts in self.held.get(workspace_id, {}).items():
                    for role, assigning in WORKSPACE_GROUPS.items():
                        if not assigning.isdisjoint(acts):
                            found.setdefault(holder, []).append(workspace_group_id(workspace_id, role))
            self._workspace_groups = found
        return self._workspace_groups

    def _hold(self, object_id: str, principal_id: str, act: str) -> None:
        holders = self.held.setdefault(object_id, {})
        holders[principal_id] = (*holders.get(principal_id, ()), act)
