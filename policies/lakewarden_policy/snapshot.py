"""One immutable state of the governed world: who exists, what exists, who holds what.

The follower builds it from the database, tests build it from lists; Decider reads it without locks. Nothing here is
changed after `build` but caches, whose entries any thread may compute again to the same value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from lakewarden_policy.kinds import (
    ACCOUNT_ID,
    ACCOUNT_USERS_ID,
    ACCOUNT_USERS_NAME,
    KINDS,
    METASTORE_BROWSE,
    name_steps,
)
from lakewarden_policy.names import name_key, principal_key, split_full_name

_NOBODY: Final[frozenset[str]] = frozenset()
_NO_CHAIN: Final[tuple[str, ...]] = ()
_NO_NAMES: Final[dict[str, str]] = {}
# The kinds a full name walks through, one for each of its parts, and the namespaces of those with several.
_STEPS: Final = {name: name_steps(name) for name in KINDS}
_PATHS: Final = {
    name: tuple(KINDS[step].namespace for step in steps) for name, steps in _STEPS.items() if len(steps) > 1
}
_DEPTH_MAX: Final = 16
# The kinds whose objects every user and service principal belongs to `account users` with.
_ACCOUNT_USER_KINDS: Final = frozenset({"USER", "SERVICE_PRINCIPAL"})


class Head(NamedTuple):
    """Which state of which history a snapshot shows (DESIGN 5.4)."""

    epoch: str
    revision: int
    nonce: str


class Principal(NamedTuple):
    """A user, group or service principal; ``name`` is email, group name or application id."""

    id: str
    kind: str
    name: str
    name_key: str
    active: bool


class Membership(NamedTuple):
    """``member_id`` belongs directly to ``group_id``."""

    group_id: str
    member_id: str


class Securable(NamedTuple):
    """A governed object; for a WORKSPACE ``metastore_id`` is the attached metastore or None."""

    id: str
    kind: str
    parent_id: str | None
    metastore_id: str | None
    name: str
    name_key: str
    owner_id: str | None
    revision: int


class Grant(NamedTuple):
    """A stored grant; ``privilege`` in its stored spelling, such as USE_CATALOG."""

    securable_id: str
    principal_id: str
    privilege: str


class Token(NamedTuple):
    """A credential: kind PAT or BOOTSTRAP, ``expire_time`` in seconds since the epoch."""

    id: str
    principal_id: str
    digest: bytes
    kind: str
    expire_time: float
    workspace_id: str | None


class Row(NamedTuple):
    """One policy row as Casbin sees it: this principal holds this act on this object."""

    principal_id: str
    object_id: str
    act: str


class Located(NamedTuple):
    """How far a full name could be followed: the object, or the deepest container found and the kind missing in it."""

    securable: Securable | None
    container: Securable | None
    missing_kind: str | None


class _Closures(dict[str, frozenset[str]]):
    """Closures by principal id, computed at the first look-up; a dict, because every decision starts here."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._snapshot = snapshot

    def __missing__(self, principal_id: str) -> frozenset[str]:
        found = self._snapshot._close(principal_id)
        # Unknown ids are not kept: asking for them must not fill memory.
        if found:
            self[principal_id] = found
        return found


class _Chains(dict[str | None, tuple[str, ...]]):
    """Containers from ``parent_id`` upwards; kept per container, since siblings share them."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__({None: _NO_CHAIN})
        self._snapshot = snapshot

    def __missing__(self, parent_id: str | None) -> tuple[str, ...]:
        chain = self[parent_id] = self._snapshot._chain(parent_id)
        return chain


class _Kin(dict[str | None, dict[str, str]]):
    """The chain of ``parent_id`` by kind."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._snapshot = snapshot

    def __missing__(self, parent_id: str | None) -> dict[str, str]:
        securables, chain = self._snapshot.securables, self._snapshot.chains[parent_id]
        # Reversed, so that the nearest container of a kind wins.
        kin = self[parent_id] = {securables[container].kind: container for container in reversed(chain)}
        return kin


class _Containers:
    """Containers by object id: the relation g2 of the model."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def __getitem__(self, object_id: str, /) -> tuple[str, ...]:
        return self._snapshot.ancestors(object_id)


class Snapshot:
    """The state at one head, with the look-ups a decision needs."""

    def __init__(self, head: Head) -> None:
        """An empty world with only the account in it; `build` fills it."""
        self.head = head
        self.principals: dict[str, Principal] = {}
        self.securables: dict[str, Securable] = {}
        self.tokens: dict[str, Token] = {}
        self.held: dict[str, dict[str, tuple[str, ...]]] = {}
        self._groups_of: dict[str, list[str]] = {}
        self._members_of: dict[str, list[str]] | None = None
        self._principal_ids: dict[str, str] = {}
        self._child_ids: dict[str, dict[str | None, dict[str, str]]] = {
            kind.namespace: {} for kind in KINDS.values()
        }
        self.closures: dict[str, frozenset[str]] = _Closures(self)
        self.chains: dict[str | None, tuple[str, ...]] = _Chains(self)
        self.containers = _Containers(self)
        self.kin: dict[str | None, dict[str, str]] = _Kin(self)
        self._children: dict[tuple[str, str], tuple[str, ...]] = {}
        self._holders: dict[tuple[str, str], dict[str, list[str]]] = {}

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
    ) -> Snapshot:
        """A complete snapshot; the account and the system group are added where the lists lack them.

        Grants and owners that name nothing existing are dropped, so that a recreated name starts without rights.
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
        snapshot._add_grants(grants)
        snapshot.tokens = {token.id: token for token in tokens}
        return snapshot

    def principal_named(self, name: str) -> Principal | None:
        """The principal with this email, group name or application id."""
        return self.principals.get(self._principal_ids.get(principal_key(name), ""))

    def child(self, parent_id: str | None, kind: str, key: str) -> Securable | None:
        """The child of ``parent_id`` that has the name key ``key`` in the namespace of ``kind``, of whatever kind it is."""
        found = self._child_ids[KINDS[kind].namespace].get(parent_id, {}).get(key)
        return None if found is None else self.securables[found]

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
        return _NO_CHAIN if securable is None else self.chains[securable.parent_id]

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

    def _add_grants(self, grants: Iterable[Grant]) -> None:
        """One pass over what may be a million rows; acts are shared strings, so a row costs a tuple slot."""
        acts: dict[tuple[str, str], tuple[str, ...]] = {}
        securables, held = self.securables, self.held
        for object_id, principal_id, privilege in grants:
            securable = securables.get(object_id)
            if securable is None:
                continue
            act = acts.get((securable.kind, privilege))
            if act is None:
                act = acts[securable.kind, privilege] = (f"{securable.kind}:{privilege}",)
            holders = held.get(object_id)
            if holders is None:
                held[object_id] = {principal_id: act}
                continue
            known = holders.get(principal_id)
            if known is None:
                holders[principal_id] = act
            elif act[0] not in known:
                holders[principal_id] = known + act

    def _hold(self, object_id: str, principal_id: str, act: str) -> None:
        holders = self.held.setdefault(object_id, {})
        holders[principal_id] = (*holders.get(principal_id, ()), act)

    def _chain(self, parent_id: str | None) -> tuple[str, ...]:
        chain: list[str] = []
        current = parent_id
        while current is not None and current in self.securables and len(chain) < _DEPTH_MAX:
            chain.append(current)
            current = self.securables[current].parent_id
        return tuple(chain)

    def _close(self, principal_id: str) -> frozenset[str]:
        principal = self.principals.get(principal_id)
        if principal is None:
            return _NOBODY
        found = {principal_id}
        if principal.kind in _ACCOUNT_USER_KINDS:
            found.add(ACCOUNT_USERS_ID)
        waiting = list(found)
        while waiting:
            for group_id in self._groups_of.get(waiting.pop(), ()):
                if group_id not in found:
                    found.add(group_id)
                    waiting.append(group_id)
        return frozenset(found)
