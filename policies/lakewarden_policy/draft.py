"""A state while it is being made or changed: the one place that knows how a stored fact lies in a snapshot's maps.

Made from nothing, the maps are plain dicts; made from a snapshot, they are persistent maps that share whatever stays as it was, so that
a change costs what it changes and not what there is. What a map holds (a table's holders, a schema's names) is copied before it changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from lakewarden_policy.granting import ActsByKind, GrantPlaces
from lakewarden_policy.kinds import (
    ACCOUNT_ID,
    ACCOUNT_USERS_ID,
    ACCOUNT_USERS_NAME,
    CONTAINER_KINDS,
    KINDS,
    METASTORE_BROWSE,
    WORKSPACE_GROUPS,
    workspace_group_id,
)
from lakewarden_policy.lookups import place_of
from lakewarden_policy.maps import OpenMaps, put
from lakewarden_policy.records import (
    CLIENT_CERTIFICATES,
    Binding,
    Deleted,
    FederationPolicy,
    Grant,
    Location,
    Membership,
    Principal,
    Row,
    Securable,
)

if TYPE_CHECKING:
    from lakewarden_policy.snapshot import Snapshot

_NAMES_OF: Final = {name: f"names of {kind.namespace}" for name, kind in KINDS.items()}
MAPS: Final = (
    "principals", "securables", "tokens", "held", "bindings", "references", "row_filters", "column_masks", "functions", "views", "locations", "places", "read_only_credentials",
    "federation_policies", "client_certificates", "ip_access_lists", "ip_access_enforced", "bound", "isolated", "expiring", "purging", "assigned", "changes", "group_ids", "principal_ids",
    "workspace_objects", *dict.fromkeys(_NAMES_OF.values()),
)  # fmt: skip
"""Every map of a snapshot."""


class Draft(OpenMaps):
    """The maps of one state, open for change by one thread; `close` gives them to a new snapshot."""

    def __init__(self, base: Snapshot | None = None) -> None:
        """Begins with the facts of ``base``, or with the account and the system group alone."""
        super().__init__(MAPS, None if base is None else base.maps, watched=("securables",))
        maps = self._maps
        self._principals: MutableMapping[str, Principal] = maps["principals"]
        self._securables: MutableMapping[str, Securable] = maps["securables"]
        self._held: MutableMapping[str, dict[str, tuple[str, ...]]] = maps["held"]
        self._expiring: MutableMapping[Row, float] = maps["expiring"]
        self._acts = ActsByKind()
        self._parents: set[str | None] = set()
        self._assignees: set[tuple[str, str]] = set()
        self.people_changed = self.containers_changed = self._is_new
        self.gone: list[str] = []
        """Ids of what is there no more."""
        self.next_expiry: float = math.inf if base is None else base.next_expiry
        if base is None:
            self.add(
                "securables", [Securable(ACCOUNT_ID, "ACCOUNT", None, None, "account", "account", None, 0)]
            )
            everybody = Principal(ACCOUNT_USERS_ID, "GROUP", ACCOUNT_USERS_NAME, ACCOUNT_USERS_NAME, True)
            self.add("principals", [everybody])

    def add(self, name: str, records: Iterable[Any]) -> None:
        """Adds records to the list of that name (`LISTS`); they may be there already."""
        if name == "grants":
            self._add_grants(records)
            return
        add, _ = _STEPS[name]
        for record in records:
            add(self, record)

    def change(self, removed: Mapping[str, list[Any]], added: Mapping[str, list[Any]]) -> None:
        """Takes records out of the lists and puts others in; an object in both is changed and keeps what hangs on it."""
        for name, (_, remove) in _STEPS.items():
            if remove is not None:
                for record in removed.get(name, ()):
                    remove(self, record)
        for name, take in (("principals", self._remove_principal), ("securables", self._remove_securable)):
            # What changed its kind is another object: nobody's rights on the one are rights on the other.
            staying = {(record.id, record.kind) for record in added.get(name, ())}
            for record in removed.get(name, ()):
                take(record, gone=(record.id, record.kind) not in staying)
        for name in LISTS:
            self.add(name, added.get(name, ()))

    def hold(self, object_id: str, principal_id: str, act: str) -> None:
        """Adds a row."""
        holders = self.own("held", object_id)
        known = holders.get(principal_id, ())
        if act not in known:
            # Sorted, so that a state is the same however it came about.
            holders[principal_id] = tuple(sorted((*known, act))) if known else self._alone(act)
            self._changed(object_id, principal_id, act)

    def release(self, object_id: str, principal_id: str, act: str) -> None:
        """Takes a row out; does nothing when it is not there."""
        if act not in self._held.get(object_id, {}).get(principal_id, ()):
            return
        holders = self.own("held", object_id)
        left = tuple(known for known in holders.pop(principal_id) if known != act)
        if left:
            holders[principal_id] = left
        elif not holders:
            del self._held[object_id]
        self._expiring.pop(Row(principal_id, object_id, act), None)
        self._changed(object_id, principal_id, act)

    def expire(self, base: Snapshot, now: float) -> None:
        """Takes out what ``base``, which the draft began with, holds until ``now`` or less; all that ends is looked at."""
        self.next_expiry = math.inf
        for row, end in base.maps["expiring"].items():
            if end <= now:
                self.release(row.object_id, row.principal_id, row.act)
            else:
                self.next_expiry = min(self.next_expiry, end)
        for table_id, end in base.maps["purging"].items():
            if end <= now:
                self._remove_securable(self._securables[table_id], gone=True)
            else:
                self.next_expiry = min(self.next_expiry, end)

    def close(self) -> dict[str, Any]:
        """The persistent maps by name; the draft must not be used after."""
        stamp = object()
        for parent_id in self._parents:
            self.put("changes", parent_id, stamp if parent_id in self._securables else None)
        for workspace_id, holder in self._assignees:
            self._assign(workspace_id, holder)
        return super().close()

    def _add_principal(self, principal: Principal) -> None:
        self._principals[principal.id] = principal
        self._maps["principal_ids"][principal.name_key] = principal.id
        self.people_changed = True
        who = principal.id, principal.kind, ACCOUNT_ID, None, principal.name, principal.name_key, None, 0
        self._add_securable(Securable(*who))
        self.hold(principal.id, principal.id, f"{principal.kind}:SELF")

    def _remove_principal(self, principal: Principal, *, gone: bool) -> None:
        ids = self._maps["principal_ids"]
        if ids.get(principal.name_key) == principal.id:
            del ids[principal.name_key]
        self.people_changed = True
        self._principals.pop(principal.id, None)
        if (known := self._securables.get(principal.id)) is not None:
            self._remove_securable(known, gone=gone)

    def _add_membership(self, membership: Membership) -> None:
        self.gather("group_ids", membership.member_id, membership.group_id)
        self.people_changed = True

    def _remove_membership(self, membership: Membership) -> None:
        self.scatter("group_ids", membership.member_id, membership.group_id)
        self.people_changed = True

    def _add_securable(self, securable: Securable) -> None:
        # A metastore or workspace hangs under the account whether or not the store says so.
        if securable.parent_id is None and KINDS[securable.kind].parents == ("ACCOUNT",):
            securable = securable._replace(parent_id=ACCOUNT_ID)
        if securable.kind == "METASTORE":
            securable = securable._replace(metastore_id=securable.id)
        self.touch("securables")[securable.id] = securable
        self.own(_NAMES_OF[securable.kind], securable.parent_id)[securable.name_key] = securable.id
        if securable.workspace_id is not None:
            self._maps["workspace_objects"][place_of(securable)] = securable.id
        self._noticed(securable)
        if securable.owner_id is not None:
            owner = self._principals.get(securable.owner_id)
            # As in `_add_grants`: one string for one id.
            self.hold(securable.id, owner.id if owner else securable.owner_id, f"{securable.kind}:OWNER")
        if securable.kind == "METASTORE":
            self.hold(securable.id, ACCOUNT_USERS_ID, METASTORE_BROWSE)
        if securable.kind == "WORKSPACE":
            self._assignees.add((securable.id, workspace_group_id(securable.id, "admins")))

    def _remove_securable(self, securable: Securable, *, gone: bool) -> None:
        """``gone`` takes along what hangs on it; without, it is about to come back changed."""
        known = self._securables.get(securable.id)
        if known is None:
            return
        namespace = _NAMES_OF[known.kind]
        if self._maps[namespace].get(known.parent_id, {}).get(known.name_key) == known.id:
            names = self.own(namespace, known.parent_id)
            del names[known.name_key]
            if not names:
                self.put(namespace, known.parent_id, None)
        if self._maps["workspace_objects"].get(place_of(known)) == known.id:
            self.put("workspace_objects", place_of(known), None)
        if known.owner_id is not None:
            self.release(known.id, known.owner_id, f"{known.kind}:OWNER")
        self._noticed(known)
        if gone:
            for holder, acts in list(self._held.get(known.id, {}).items()):
                for act in acts:
                    self.release(known.id, holder, act)
            self.put("functions", known.id, None)
            self.put("views", known.id, None)
            self.put("purging", known.id, None)
            self.gone.append(known.id)
            self.put("changes", known.id, None)
            for deleted in list(self._maps["names of deleted table"].get(known.id, ())):
                self._remove_securable(self._securables[deleted], gone=True)
            if known.kind == "WORKSPACE":
                self._assignees.add((known.id, workspace_group_id(known.id, "admins")))
        # Last: what is released above is noted by the parent.
        del self.touch("securables")[known.id]

    def _add_deleted(self, deleted: Deleted) -> None:
        """A table that can be restored, as long as its schema lives."""
        securable, expire_time = deleted
        if securable.parent_id in self._securables:
            self._add_securable(securable)
            self._maps["purging"][securable.id] = expire_time
            self.next_expiry = min(self.next_expiry, expire_time)

    def _add_grants(self, grants: Iterable[Grant]) -> None:
        """One pass over what may be a million rows. Acts and ids are shared strings: a row costs a tuple slot, and a decision finds
        ids by identity, without reading them.

        Grants on what does not exist are left out, so that a recreated name starts without rights.
        """
        places = GrantPlaces(self._securables, self._acts, self._held if self._is_new else None)
        ids = {found: found for found in self._principals} if self._is_new else {}
        for object_id, principal_id, privilege, expire_time in grants:
            place = places[object_id]
            if place is None:
                continue
            shared_id, acts, holders = place
            act = acts[privilege]
            holder = ids.get(principal_id, principal_id)
            if expire_time is not None:
                self._expiring[Row(holder, shared_id, act[0])] = expire_time
                self.next_expiry = min(self.next_expiry, expire_time)
            if holders is None or holder in holders:
                self.hold(shared_id, holder, act[0])
            else:
                holders[holder] = act

    def _remove_grant(self, grant: Grant) -> None:
        securable = self._securables.get(grant.securable_id)
        if securable is not None:
            self.release(grant.securable_id, grant.principal_id, f"{securable.kind}:{grant.privilege}")

    def _add_binding(self, binding: Binding) -> None:
        self.own("bound", binding.securable_id)[binding.workspace_id] = binding.type
        self._bind(binding.securable_id)

    def _remove_binding(self, binding: Binding) -> None:
        types = self.own("bound", binding.securable_id)
        types.pop(binding.workspace_id, None)
        if not types:
            self.put("bound", binding.securable_id, None)
        self._bind(binding.securable_id)

    def _add_isolated(self, securable_id: str) -> None:
        self._maps["isolated"][securable_id] = True
        self._bind(securable_id)

    def _remove_isolated(self, securable_id: str) -> None:
        self._maps["isolated"].pop(securable_id, None)
        self._bind(securable_id)

    def _bind(self, securable_id: str) -> None:
        """Bindings count on what is isolated only."""
        if self._maps["isolated"].get(securable_id):
            self._maps["bindings"][securable_id] = dict(self._maps["bound"].get(securable_id, {}))
        else:
            self._maps["bindings"].pop(securable_id, None)

    def _alone(self, act: str) -> tuple[str, ...]:
        kind, _, privilege = act.partition(":")
        return self._acts[kind][privilege]

    def _changed(self, object_id: str, principal_id: str, act: str) -> None:
        """Notes which cached look-ups a row is part of."""
        if act.startswith("WORKSPACE:"):
            self._assignees.add((object_id, principal_id))
            self.people_changed = True
        if not self._is_new and (securable := self._securables.get(object_id)) is not None:
            self._parents.add(securable.parent_id)

    def _noticed(self, securable: Securable) -> None:
        if securable.kind in CONTAINER_KINDS:
            self.containers_changed = True
            self.people_changed |= securable.kind == "WORKSPACE"

    def _assign(self, workspace_id: str, holder: str) -> None:
        """Which system groups of a workspace a holder belongs to: assignment is a grant, membership follows it."""
        acts = self._held.get(workspace_id, {}).get(holder, ())
        groups = [
            workspace_group_id(workspace_id, role)
            for role, assigning in WORKSPACE_GROUPS.items()
            if not assigning.isdisjoint(acts)
        ]
        users, admins = (workspace_group_id(workspace_id, role) for role in ("users", "admins"))
        # Every admin of a workspace is a user of it.
        if holder == admins and workspace_id in self._securables and users not in groups:
            groups.append(users)
        assigned = self.own("assigned", holder)
        put(assigned, workspace_id, tuple(groups))
        if not assigned:
            self.put("assigned", holder, None)

    def _add_location(self, location: Location) -> None:
        if location.securable_id in self._securables:
            self._maps["locations"][location.url] = location.securable_id
            self._maps["places"][location.securable_id] = location

    def _remove_location(self, location: Location) -> None:
        self.put("places", location.securable_id, None)
        if self._maps["locations"].get(location.url) == location.securable_id:
            del self._maps["locations"][location.url]

    def _add_federation_policy(self, policy: FederationPolicy) -> None:
        self.put("federation_policies", policy.id, policy)
        if policy.issuer == CLIENT_CERTIFICATES:
            self.put("client_certificates", policy.subject, policy)

    def _remove_federation_policy(self, policy: FederationPolicy) -> None:
        self.put("federation_policies", policy.id, None)
        if policy.issuer == CLIENT_CERTIFICATES:
            self.put("client_certificates", policy.subject, None)


def _kept(name: str, key: str) -> _Pair:
    """A list whose records lie in the map of its name, one for each ``key``."""
    return (
        lambda draft, record: draft.put(name, getattr(record, key), record),
        lambda draft, record: draft.put(name, getattr(record, key), None),
    )


def _gathered(name: str, key: str) -> _Pair:
    """A list of which several records belong to one ``key``."""
    return (
        lambda draft, record: draft.gather(name, getattr(record, key), record),
        lambda draft, record: draft.scatter(name, getattr(record, key), record),
    )


def _marked(name: str) -> _Pair:
    """A list of plain ids."""
    return lambda draft, found: draft.put(name, found, True), lambda draft, found: draft.put(
        name, found, None
    )


def _part(name: str) -> _Pair:
    """A list of what belongs to a securable and means nothing without it."""

    def add(draft: Draft, part: Any) -> None:
        if part.id in draft._securables:
            draft.put(name, part.id, part)

    return add, lambda draft, part: draft.put(name, part.id, None)


_Step = Callable[[Draft, Any], None]
_Pair = tuple[_Step, _Step]
_STEPS: Final[dict[str, tuple[_Step, _Step | None]]] = {
    # How these two go depends on whether they come back: `change` takes them out itself.
    "principals": (Draft._add_principal, None),
    "memberships": (Draft._add_membership, Draft._remove_membership),
    "securables": (Draft._add_securable, None),
    "deleted": (
        Draft._add_deleted,
        lambda draft, deleted: draft._remove_securable(deleted.securable, gone=True),
    ),
    "grants": (lambda draft, grant: draft._add_grants([grant]), Draft._remove_grant),
    "tokens": _kept("tokens", "id"),
    "federation_policies": (Draft._add_federation_policy, Draft._remove_federation_policy),
    "ip_access_lists": _gathered("ip_access_lists", "scope_id"),
    "ip_access_enforced": _marked("ip_access_enforced"),
    "isolated": (Draft._add_isolated, Draft._remove_isolated),
    "bindings": (Draft._add_binding, Draft._remove_binding),
    "references": _gathered("references", "object_id"),
    "row_filters": _kept("row_filters", "table_id"),
    "column_masks": _gathered("column_masks", "table_id"),
    "functions": _part("functions"),
    "views": _part("views"),
    "locations": (Draft._add_location, Draft._remove_location),
    "read_only_credentials": _marked("read_only_credentials"),
}
"""How a record of each list is added and taken out, in the order they are added."""
LISTS: Final = tuple(_STEPS)
"""The names of the lists a state is made of."""
