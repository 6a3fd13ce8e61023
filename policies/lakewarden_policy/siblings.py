"""One question about many objects of a kind: what siblings share is decided once, so that a list costs its caller's grants.

Lists, ListAccessible and FilterSecurables stand on it; each answers exactly what `Check` would (promise G7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from lakewarden_policy.kinds import ACCOUNT_ID, BINDABLE, FOLDERS, KINDS, name_steps
from lakewarden_policy.names import InvalidName, name_key
from lakewarden_policy.operations import Atom

if TYPE_CHECKING:
    from lakewarden_policy.decide import Decider
    from lakewarden_policy.records import Securable
    from lakewarden_policy.snapshot import Snapshot

CONTAINERS_KEPT_MAX: Final = 2_000
"""Of how many containers one question remembers what their children share."""
_NO_ALTERNATIVES: Final[tuple[tuple[Atom, ...], ...]] = ()


class Asked(NamedTuple):
    """What is asked of objects of one kind: may the subject use the privilege (stored spelling); None: may it see them."""

    subject_id: str
    workspace_id: str | None
    kind: str
    privilege: str | None


class Access:
    """Answers one question for any number of objects of its kind; gates on shared containers are decided once."""

    def __init__(self, decider: Decider, asked: Asked) -> None:
        """Nothing is decided before the first object is asked about."""
        self.decider = decider
        self.asked = asked
        policy, act = decider.policy, f"{asked.kind}:{asked.privilege}"
        if asked.privilege is None:
            self.alternatives = policy.operation(f"{asked.kind.lower()}.get").alternatives
        else:
            self.alternatives = (policy.gated[act],) if act in policy.gated else _NO_ALTERNATIVES
        # Siblings that can be isolated differ in their bindings, those read as their owner in what they reference.
        self._differ = asked.kind in BINDABLE
        # No service isolates anything else; should a row say so all the same, it is decided as Check decides it.
        securables = decider.snapshot.securables
        isolated = (securables.get(found) for found in decider.snapshot.bindings)
        self._apart = {found.parent_id for found in isolated if found and found.kind == asked.kind}
        self._as_owner = act in policy.as_owner
        self._gates: dict[tuple[str, str], bool] = {}
        self._shared: dict[str, Siblings] = {}
        self._places: dict[tuple[str | None, str], _Place | None] = {}

    def allows(self, object_id: str) -> bool:
        """The whole decision about one object, as `Check` makes it."""
        subject, workspace, _, privilege = self.asked
        if privilege is None:
            return self.decider.visible(subject, workspace, object_id)
        return self.decider.privilege(subject, workspace, object_id, privilege).allowed

    def also(self, securable: Securable) -> bool:
        """The same as `allows` at the price of its own rows: what it shares with its siblings is decided once."""
        parent_id = securable.parent_id
        if self._differ or self.asked.privilege is None or parent_id is None:
            return self.allows(securable.id)
        shared = self._shared.get(parent_id)
        if shared is None:
            if len(self._shared) >= CONTAINERS_KEPT_MAX:
                self._gates, self._shared = {}, {}
            shared = self._shared[parent_id] = self.siblings(parent_id, (securable.id,))
        return not shared.nothing and (shared.everything or shared.allows(securable.id))

    def children(self, parent_id: str) -> tuple[str, ...]:
        """Ids of the children it is yes for, by name key."""
        snapshot = self.decider.snapshot
        children = snapshot.children(parent_id, self.asked.kind)
        if not children or not self.decider.is_active(self.asked.subject_id):
            return ()
        siblings = self.siblings(parent_id, children)
        if siblings.everything:
            return children
        if siblings.nothing:
            return ()
        if siblings.may_inherit:
            candidates: Iterable[str] = children
        else:
            held = snapshot.children_held(parent_id, self.asked.kind, snapshot.closure(self.asked.subject_id))
            candidates = sorted(held, key=lambda child: snapshot.securables[child].name_key)
        return tuple(child for child in candidates if siblings.allows(child))

    def siblings(self, parent_id: str, children: tuple[str, ...]) -> Siblings:
        """What the children of one container share; ``children`` are all of the kind, at least one."""
        if self._differ or parent_id in self._apart:
            return Siblings(self, parent_id, None)
        return Siblings(self, parent_id, children[0])

    def place(self, metastore_id: str | None, prefix: str) -> _Place | None:
        """The container of that full name; None where there is none or the answer is no for everything in it."""
        try:
            return self._places[metastore_id, prefix]
        except KeyError:
            if len(self._places) >= CONTAINERS_KEPT_MAX:
                self._places = {}
            found = self._places[metastore_id, prefix] = _place(self, metastore_id, prefix)
            return found

    def gate(self, object_id: str | None, act: str) -> bool:
        """Whether the subject holds an act on a container, decided once."""
        if object_id is None:
            return False
        known = self._gates.get((object_id, act))
        if known is None:
            row = self.decider.atom(self.asked.subject_id, self.asked.workspace_id, object_id, act)
            known = self._gates[object_id, act] = row is not None
        return known

    @property
    def is_through_owner(self) -> bool:
        """Whether an object's owner is asked too, so that no two objects are alike."""
        return self._as_owner


class Siblings:
    """The children of one container under one question: which acts each must still prove by rows on itself."""

    def __init__(self, access: Access, parent_id: str, example: str | None) -> None:
        """``example`` is any of the children; None where they share nothing and each is decided alone."""
        self._access = access
        self._alone = example is None
        self._left: list[tuple[str, ...]] = []
        for acts in () if example is None else self._open(parent_id, example):
            self._left.append(acts)
            if not acts:
                # Open to all of them: no other alternative says more.
                break
        inherited = any(not acts for acts in self._left)
        self.nothing = not self._alone and not self._left
        self.everything = inherited and not access.is_through_owner
        self.may_inherit = inherited or self._alone
        snapshot = access.decider.snapshot
        self._held, self._closure = snapshot.held, snapshot.closure(access.asked.subject_id)

    def allows(self, child_id: str) -> bool:
        """Whether it is yes for one of them."""
        if self._alone:
            return self._access.allows(child_id)
        # Most children of a busy schema are nobody's of the closure: they cost no proof.
        if not self.may_inherit:
            holders = self._held.get(child_id)
            if holders is None or holders.keys().isdisjoint(self._closure):
                return False
        asked, decider = self._access.asked, self._access.decider
        for acts in self._left:
            own = (child_id,)
            if all(decider.prove(asked.subject_id, asked.workspace_id, child_id, act, own) for act in acts):
                return not self._access.is_through_owner or self._access.allows(child_id)
        return False

    def _open(self, parent_id: str, example: str) -> Iterator[tuple[str, ...]]:
        """For each alternative that the containers leave open, the acts nothing passes down."""
        access = self._access
        decider, asked = access.decider, access.asked
        chain, kin = decider.snapshot.chains[parent_id], decider.snapshot.kin[parent_id]
        for alternative in access.alternatives:
            own = [atom.act for atom in alternative if atom.kind is None]
            if all(access.gate(kin.get(atom.kind), atom.act) for atom in alternative if atom.kind):
                yield tuple(
                    act
                    for act in own
                    if not decider.prove(asked.subject_id, asked.workspace_id, example, act, chain)
                )


def containers_below(snapshot: Snapshot, place_id: str) -> Iterator[str]:
    """The container itself and every folder below it, at any depth."""
    yield place_id
    for kind in sorted(FOLDERS):
        for child in snapshot.children(place_id, kind):
            yield from containers_below(snapshot, child)


def accessible(
    access: Access, root_id: str, steps: tuple[str, ...], *, after: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (name keys from below ``root_id``, id) of every object it is yes for, in the order of the keys.

    ``steps`` are the kinds to walk through, the asked one last; ``after`` is the path to go on behind.
    """
    snapshot = access.decider.snapshot
    if len(steps) == 1:
        last = after[0] if after else None
        for child in access.children(root_id):
            key = snapshot.securables[child].name_key
            if last is None or key > last:
                yield (key,), child
        return
    for container in snapshot.children(root_id, steps[0]):
        key = snapshot.securables[container].name_key
        if after and key < after[0]:
            continue
        rest = after[1:] if after and key == after[0] else ()
        for path, child in accessible(access, container, steps[1:], after=rest):
            yield (key, *path), child


def steps_below(kind: str, parent_kind: str | None) -> tuple[str, ...]:
    """The kinds from below a container down to ``kind``. Raises ValueError where such a container holds none."""
    steps = name_steps(kind)
    if parent_kind is None:
        return steps
    if parent_kind not in steps[:-1]:
        raise ValueError(f"a {KINDS[parent_kind].label} holds no {KINDS[kind].label}")
    return steps[steps.index(parent_kind) + 1 :]


def root_of(kind: str, metastore_id: str | None) -> str | None:
    """What full names of a kind start below: the metastore, or the account."""
    return metastore_id if KINDS[name_steps(kind)[0]].parents == ("METASTORE",) else ACCOUNT_ID


def filter_names(access: Access, metastore_id: str | None, names: Iterable[str]) -> list[int]:
    """The positions of the full names it is yes for; names of nothing and malformed ones are not among them.

    One pass: a name costs a split and two look-ups, a container one decision, and only what the caller has rows on a proof.
    """
    if not access.decider.is_active(access.asked.subject_id):
        return []
    if KINDS[access.asked.kind].name_parts == 1:
        return _filter_one_by_one(access, metastore_id, names)
    places: dict[str, _Place | None] = {}
    """Of this call alone, so that a name costs one look-up by one string."""
    held, closure = access.decider.snapshot.held, access.decider.snapshot.closure(access.asked.subject_id)
    found = []
    for index, name in enumerate(names):
        prefix, _, leaf = name.rpartition(".")
        if prefix in places:
            place = places[prefix]
        else:
            place = places[prefix] = access.place(metastore_id, prefix)
        if place is None:
            continue
        child = place.children.get(leaf.lower() if leaf.isascii() else name_key(leaf))
        if child is None:
            continue
        # Here and not in a method: most names of a busy schema end here, and a call for each would cost more than the rest.
        if place.needs_rows:
            holders = held.get(child)
            if holders is None or holders.keys().isdisjoint(closure):
                continue
        if place.allows(child):
            found.append(index)
    return found


class _Place:
    """A container names point into, and what is in it by name key."""

    def __init__(self, access: Access, container_id: str, siblings: Siblings, alike: tuple[str, ...]) -> None:
        kind = access.asked.kind
        self.children = access.decider.snapshot.child_ids(container_id, kind)
        self.needs_rows = not siblings.may_inherit
        self._kind, self._securables = kind, access.decider.snapshot.securables
        self._siblings = siblings
        self._alike = frozenset(alike) if siblings.everything else None

    def allows(self, child: str) -> bool:
        """A namespace is shared with other kinds: a view is not an answer about tables."""
        if self._alike is not None:
            return child in self._alike
        return self._securables[child].kind == self._kind and self._siblings.allows(child)


def _place(access: Access, metastore_id: str | None, prefix: str) -> _Place | None:
    snapshot, kind = access.decider.snapshot, access.asked.kind
    try:
        container = snapshot.resolve(name_steps(kind)[-2], prefix, metastore_id)
    except InvalidName:
        return None
    children = snapshot.children(container.id, kind) if container else ()
    if container is None or not children:
        return None
    siblings = access.siblings(container.id, children)
    return None if siblings.nothing else _Place(access, container.id, siblings, children)


def _filter_one_by_one(access: Access, metastore_id: str | None, names: Iterable[str]) -> list[int]:
    snapshot, known = access.decider.snapshot, dict[str, bool]()
    found = []
    for index, name in enumerate(names):
        if name not in known:
            try:
                securable = snapshot.resolve(access.asked.kind, name, metastore_id, access.asked.workspace_id)
            except InvalidName:
                securable = None
            known[name] = securable is not None and access.allows(securable.id)
        if known[name]:
            found.append(index)
    return found
