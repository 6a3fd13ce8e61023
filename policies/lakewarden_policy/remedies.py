"""The smallest set of changes that turns a no into a yes: grants, and what the workspace rule demands.

Smallest in what it gives: each missing act is supplied by the narrowest privilege on the object itself, else on the nearest
container that can be granted it; ALL PRIVILEGES on a catalog would be one grant and everything. What is proposed is tried on a
state that is not so, and whatever turns out not to be needed is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from lakewarden_policy.decide import Decider
from lakewarden_policy.kinds import BINDABLE
from lakewarden_policy.needs import Need, Needs, grants_alone, proof_of
from lakewarden_policy.policy import Policy
from lakewarden_policy.reach import Unreached
from lakewarden_policy.records import READ_WRITE, Binding, Row
from lakewarden_policy.snapshot import Snapshot
from lakewarden_policy.whatif import Changes, changed_snapshot

ROUNDS_MAX: Final = 8
"""Obstacles may hide others: disabled, then not assigned, then not bound. There are not more kinds of them than this."""


class Action(Enum):
    """What somebody has to do."""

    ENABLE = "ENABLE"
    ATTACH = "ATTACH"
    BIND = "BIND"
    GRANT = "GRANT"


class Remedy(NamedTuple):
    """One change: ``object_id`` is granted on, bound, attached to or enabled.

    ``principal_id`` and ``privilege`` (stored spelling) are those of a GRANT; ``workspace_id`` that of BIND and ATTACH.
    """

    action: Action
    object_id: str
    principal_id: str | None = None
    privilege: str | None = None
    workspace_id: str | None = None


class Obstacle(NamedTuple):
    """A workspace rule in the way; ``remedy`` is None where nothing but another workspace helps."""

    reason: Unreached
    subject_id: str
    object_id: str
    remedy: Remedy | None


class Plan(NamedTuple):
    """What stands in the way, what is missing beside it, and what to do; ``fixes`` is empty where nothing suffices."""

    obstacles: tuple[Obstacle, ...]
    missing: tuple[Need, ...]
    fixes: tuple[Remedy, ...]


def plan_remedies(decider: Decider, workspace_id: str | None, needed: Needs) -> Plan:
    """Everything that is missing, and the changes that together supply it all."""
    obstacles, removed = _remove_obstacles(decider, workspace_id, needed.needs)
    reachable = _tried(decider, removed)
    held = grants_alone(decider.policy, reachable.snapshot)
    missing = [need for need in needed.needs if proof_of(held, need, workspace_id) is None]
    grants = [grant_for(reachable, need) for need in missing]
    hopeless = needed.broken or not all(grants) or any(obstacle.remedy is None for obstacle in obstacles)
    if hopeless:
        return Plan(tuple(obstacles), tuple(missing), ())
    chosen = _needed_grants(reachable, missing, [grant for grant in grants if grant])
    if not _suffices(decider, workspace_id, needed.needs, [*removed, *chosen]):
        return Plan(tuple(obstacles), tuple(missing), ())
    kept = _needed_removals(decider, workspace_id, needed.needs, removed, chosen)
    return Plan(tuple(obstacles), tuple(missing), (*kept, *chosen))


def grant_for(decider: Decider, need: Need) -> Remedy | None:
    """The narrowest grant, on the object itself or else on the nearest container, that supplies a need."""
    policy, snapshot = decider.policy, decider.snapshot
    for place in (need.object_id, *snapshot.ancestors(need.object_id)):
        kind = snapshot.securables[place].kind
        conferred = policy.here if place == need.object_id else policy.inside
        fitting = [name for name in policy.grantable(kind) if need.act in conferred[f"{kind}:{name}"]]
        if fitting:
            narrowest = min(fitting, key=lambda name: breadth(policy, f"{kind}:{name}"))
            return Remedy(Action.GRANT, place, need.subject_id, narrowest)
    return None


def breadth(policy: Policy, act: str) -> int:
    """How much an act gives: the number of acts it confers, here and inside."""
    return len(policy.here[act]) + len(policy.inside[act])


def with_remedies(snapshot: Snapshot, remedies: Iterable[Remedy]) -> Snapshot:
    """The state as it would be after the remedies."""
    granted, bound, attached, enabled = [], [], [], []
    for action, object_id, principal_id, privilege, workspace_id in remedies:
        if action is Action.GRANT:
            act = f"{snapshot.securables[object_id].kind}:{privilege}"
            granted.append(Row(principal_id or "", object_id, act))
        elif action is Action.BIND:
            bound.append(Binding(object_id, workspace_id or "", READ_WRITE))
        elif action is Action.ATTACH:
            attached.append((workspace_id or "", object_id))
        else:
            enabled.append(object_id)
    changes = Changes(
        granted=tuple(granted), bound=tuple(bound), attached=tuple(attached), enabled=tuple(enabled)
    )
    return changed_snapshot(snapshot, changes)


def _tried(decider: Decider, remedies: Sequence[Remedy]) -> Decider:
    return Decider(decider.policy, with_remedies(decider.snapshot, remedies)) if remedies else decider


def _suffices(
    decider: Decider, workspace_id: str | None, needs: Sequence[Need], remedies: Sequence[Remedy]
) -> bool:
    after = _tried(decider, remedies)
    return all(proof_of(after, need, workspace_id) for need in needs)


def _needed_grants(decider: Decider, missing: Sequence[Need], grants: Iterable[Remedy]) -> list[Remedy]:
    """Leaves out, the widest first, each grant whose needs the others supply too."""
    policy, snapshot = decider.policy, decider.snapshot

    def act(grant: Remedy) -> str:
        return f"{snapshot.securables[grant.object_id].kind}:{grant.privilege}"

    def supplies(grant: Remedy, need: Need) -> bool:
        # A view's owner may be a group that the subject is in.
        if grant.principal_id not in snapshot.closure(need.subject_id):
            return False
        if grant.object_id == need.object_id:
            return need.act in policy.here[act(grant)]
        return grant.object_id in snapshot.ancestors(need.object_id) and need.act in policy.inside[act(grant)]

    kept = list(dict.fromkeys(grants))
    for grant in sorted(kept, key=lambda grant: breadth(policy, act(grant)), reverse=True):
        others = [other for other in kept if other != grant]
        if all(any(supplies(other, need) for other in others) for need in missing):
            kept = others
    return kept


def _needed_removals(
    decider: Decider, workspace_id: str | None, needs: Sequence[Need], removed: Sequence[Remedy],
    grants: Sequence[Remedy],
) -> list[Remedy]:  # fmt: skip
    """Leaves out what turned out not to be in the way; tried, since being assigned may make somebody a member of more."""
    kept = list(removed)
    for remedy in removed:
        others = [other for other in kept if other != remedy]
        if _suffices(decider, workspace_id, needs, [*others, *grants]):
            kept = others
    return kept


def _remove_obstacles(
    decider: Decider, workspace_id: str | None, needs: Sequence[Need]
) -> tuple[list[Obstacle], list[Remedy]]:
    """All obstacles of the workspace rule, each found behind the one before it, and what removes them."""
    found: dict[Obstacle, None] = {}
    remedies: dict[Remedy, None] = {}
    for _ in range(ROUNDS_MAX):
        trial, new = _tried(decider, list(remedies)), dict[Obstacle, None]()
        for need in needs:
            reason = trial.reach.obstacle(need.subject_id, workspace_id, need.object_id, need.act)
            if reason is not None:
                new[_obstacle(trial, workspace_id, need, reason)] = None
        new = {obstacle: None for obstacle in new if obstacle not in found}
        found.update(new)
        removable = [obstacle.remedy for obstacle in new if obstacle.remedy]
        if not removable:
            break
        remedies.update(dict.fromkeys(removable))
    return list(found), list(remedies)


def _obstacle(decider: Decider, workspace_id: str | None, need: Need, reason: Unreached) -> Obstacle:
    """The obstacle as it is told once, for whatever number of acts it stands before."""
    snapshot = decider.snapshot
    subject, object_id = need.subject_id, need.object_id
    remedy: Remedy | None = None
    if reason is Unreached.INACTIVE_SUBJECT:
        return Obstacle(reason, subject, subject, Remedy(Action.ENABLE, subject))
    if reason is Unreached.NOT_ASSIGNED and workspace_id:
        return Obstacle(
            reason, subject, workspace_id, Remedy(Action.GRANT, workspace_id, subject, privilege="USER")
        )
    if reason is Unreached.NOT_ATTACHED and workspace_id:
        home = snapshot.securables[object_id].metastore_id
        # A workspace has one metastore: taking it from another would take that away from everybody in it.
        if home and snapshot.securables[workspace_id].metastore_id is None:
            remedy = Remedy(Action.ATTACH, home, workspace_id=workspace_id)
        return Obstacle(reason, subject, workspace_id, remedy)
    if reason in (Unreached.NOT_BOUND, Unreached.READ_ONLY) and workspace_id:
        place = _isolated_place(snapshot, object_id, workspace_id, reason)
        return Obstacle(reason, subject, place, Remedy(Action.BIND, place, workspace_id=workspace_id))
    if reason is Unreached.READ_ONLY_PLACE:
        # Nobody's grant helps; to make a place writable is for whoever knows why it is not.
        return Obstacle(reason, subject, snapshot.read_only[object_id], None)
    return Obstacle(reason, subject, object_id, None)


def _isolated_place(snapshot: Snapshot, object_id: str, workspace_id: str, reason: Unreached) -> str:
    """The object whose bindings say no: itself or its catalog."""
    for place in (object_id, *snapshot.ancestors(object_id)):
        bound = snapshot.bindings.get(place)
        if bound is None or snapshot.securables[place].kind not in BINDABLE:
            continue
        if reason is Unreached.READ_ONLY or workspace_id not in bound:
            return place
    return object_id
