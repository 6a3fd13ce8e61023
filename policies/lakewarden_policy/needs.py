"""What the use of a privilege needs, all of it: the atom, its gates, and what an owner needs on everything referenced."""

from __future__ import annotations

from typing import NamedTuple

from lakewarden_policy.decide import NESTED_MAX, Decider
from lakewarden_policy.policy import Policy
from lakewarden_policy.reach import Reach, Unreached
from lakewarden_policy.records import Row
from lakewarden_policy.snapshot import Snapshot

_ALWAYS_IN_THE_WAY = frozenset({Unreached.UNKNOWN_OBJECT, Unreached.WRONG_KIND, Unreached.UNKNOWN_SUBJECT})


class Need(NamedTuple):
    """An act that this subject must be able to do on this object."""

    subject_id: str
    object_id: str
    act: str


class Broken(NamedTuple):
    """A view or function that no grant makes work: it references what is not there or itself, or nobody owns it."""

    object_id: str
    reason: str


class Needs(NamedTuple):
    """Everything an answer depends on, whoever it must hold for."""

    needs: tuple[Need, ...]
    broken: tuple[Broken, ...]


def needs_of(decider: Decider, subject_id: str, object_id: str, privilege: str) -> Needs:
    """What must hold for the subject to use a privilege (stored spelling) on an existing object of a suitable kind."""
    needs: dict[Need, None] = {}
    broken: dict[Broken, None] = {}
    _collect(decider, subject_id, object_id, privilege, (), needs, broken, set())
    return Needs(tuple(needs), tuple(broken))


class _AnyWorkspace(Reach):
    """The workspace rule without workspaces: what is left is what grants decide."""

    def __call__(self, subject_id: str, workspace_id: str | None, object_id: str, act: str) -> bool:
        return self.obstacle(subject_id, workspace_id, object_id, act) not in _ALWAYS_IN_THE_WAY


class GrantsAlone(Decider):
    """Decides as if every object were within reach of every principal: who holds what, wherever they call from."""

    def _build_reach(self) -> Reach:
        return _AnyWorkspace(self.policy, self.snapshot)


def grants_alone(policy: Policy, snapshot: Snapshot) -> GrantsAlone:
    """The decider that tells what is held from what is out of reach."""
    return GrantsAlone(policy, snapshot)


def proof_of(decider: Decider, need: Need, workspace_id: str | None) -> Row | None:
    """The row that satisfies a need, None where it is missing."""
    return decider.atom(need.subject_id, workspace_id, need.object_id, need.act)


def _collect(
    decider: Decider, subject_id: str, object_id: str, privilege: str, entered: tuple[str, ...],
    needs: dict[Need, None], broken: dict[Broken, None], seen: set[tuple[str, str]],
) -> None:  # fmt: skip
    """Follows references as `Decider.privilege` does, but goes on where that stops at the first no."""
    snapshot, policy = decider.snapshot, decider.policy
    securable = snapshot.securables[object_id]
    act = f"{securable.kind}:{privilege}"
    for atom in policy.gated.get(act, ()):
        place = snapshot.ancestor(object_id, atom.kind) if atom.kind else object_id
        if place is not None:
            needs[Need(subject_id, place, atom.act)] = None
    references = snapshot.references.get(object_id, ()) if act in policy.as_owner else ()
    if not references or (object_id, privilege) in seen:
        return
    seen.add((object_id, privilege))
    if securable.owner_id not in snapshot.principals:
        broken[Broken(object_id, "it has no owner whose rights it could run with")] = None
        return
    for reference in references:
        target = snapshot.referenced(reference, securable.metastore_id)
        too_deep = len(entered) >= NESTED_MAX
        if target is None or too_deep or target.id in (*entered, object_id):
            why = "is not there" if target is None else "nests too deep" if too_deep else "leads back to it"
            broken[Broken(object_id, f"something it references {why}")] = None
            continue
        _collect(
            decider, securable.owner_id or "", target.id, reference.privilege, (*entered, object_id),
            needs, broken, seen,
        )  # fmt: skip
