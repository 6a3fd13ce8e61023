"""Who can make a change that somebody needs: found among those who hold something on the object, above it or on the account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from lakewarden_policy.decide import Decider
from lakewarden_policy.kinds import ACCOUNT_ID, ACCOUNT_USERS_ID
from lakewarden_policy.records import Row
from lakewarden_policy.remedies import Action, Remedy

GIVERS_MAX: Final = 10
"""Whoever needs a grant asks one of them, not all."""
MEMBERS_TRIED_MAX: Final = 1_000


class Giver(NamedTuple):
    """A principal who can do it, the row it is for, and from which workspace; of a group, ``member_id`` is one who can."""

    principal_id: str
    row: Row
    workspace_id: str | None
    member_id: str


def givers_of(decider: Decider, workspace_id: str | None, remedy: Remedy) -> tuple[Giver, ...]:
    """Those who can do what a remedy asks for, the nearest first: its owner, its containers', the admins."""
    found: dict[str, Giver] = {}
    workspaces = _workspaces(decider, workspace_id, remedy)
    for row in _candidates(decider, remedy):
        if row.principal_id not in found and (giver := _giver(decider, workspaces, remedy, row)):
            found[row.principal_id] = giver
            if len(found) == GIVERS_MAX:
                break
    return tuple(found.values())


def operation_of(decider: Decider, remedy: Remedy) -> tuple[str, str | None, dict[str, str]]:
    """The operation a remedy is, its selector and its objects."""
    kind = decider.snapshot.securables[remedy.object_id].kind.lower()
    objects = {"self": remedy.object_id}
    if remedy.action is Action.GRANT:
        return f"{kind}.grant", remedy.privilege, objects
    if remedy.action is Action.BIND:
        return f"{kind}.bind", None, objects
    if remedy.action is Action.ATTACH:
        return "workspace.update", "metastore", {"self": remedy.workspace_id or ""}
    return f"{kind}.update", None, objects


def _giver(decider: Decider, workspaces: tuple[str | None, ...], remedy: Remedy, row: Row) -> Giver | None:
    operation, selector, objects = operation_of(decider, remedy)
    for actor in _actors(decider, row.principal_id):
        for workspace in workspaces:
            if decider.operation(actor, workspace, operation, objects, selector=selector).allowed:
                return Giver(row.principal_id, row, workspace, actor)
    return None


def _candidates(decider: Decider, remedy: Remedy) -> Iterator[Row]:
    """Rows that could let their holder do it, on the object first, owners before others, in a stable order."""
    operation, selector, objects = operation_of(decider, remedy)
    wanted = {
        atom.act for each in decider.policy.operation(operation, selector).alternatives for atom in each
    }
    snapshot, policy = decider.snapshot, decider.policy
    start = objects["self"]
    for place in dict.fromkeys((start, *snapshot.ancestors(start), ACCOUNT_ID)):
        rows = [
            Row(holder, place, act) for holder, acts in snapshot.held.get(place, {}).items() for act in acts
        ]
        for row in sorted(rows, key=lambda row: (not row.act.endswith(":OWNER"), row)):
            if not wanted.isdisjoint(policy.here[row.act] | policy.inside[row.act]):
                yield row


def _actors(decider: Decider, principal_id: str) -> Iterator[str]:
    """The principal, or of a group the users and service principals in it, through any nesting."""
    snapshot = decider.snapshot
    principal = snapshot.principals.get(principal_id)
    if principal is None:
        return
    if principal.kind != "GROUP":
        yield principal_id
        return
    if principal_id == ACCOUNT_USERS_ID:
        members = [each.id for each in snapshot.principals.values() if each.kind != "GROUP"]
        yield from members[:MEMBERS_TRIED_MAX]
        return
    yield from _members(decider, principal_id)


def _members(decider: Decider, group_id: str) -> Iterator[str]:
    snapshot = decider.snapshot
    found, waiting = {group_id: None}, [group_id]
    while waiting and len(found) < MEMBERS_TRIED_MAX:
        for member in snapshot.members_of(waiting.pop()):
            if member not in found and member in snapshot.principals:
                found[member] = None
                waiting.append(member)
    yield from (each for each in found if snapshot.principals[each].kind != "GROUP")


def _workspaces(decider: Decider, workspace_id: str | None, remedy: Remedy) -> tuple[str | None, ...]:
    """Where somebody could call from: the workspace in question, then the others of the object's metastore.

    Work on the account, a workspace or a metastore itself is done from anywhere.
    """
    snapshot = decider.snapshot
    target = snapshot.securables[remedy.object_id]
    if target.metastore_id is None or target.kind in ("WORKSPACE", "METASTORE"):
        return (None,)
    others = sorted(
        (each.name_key, each.id)
        for each in map(snapshot.securables.__getitem__, snapshot.children(ACCOUNT_ID, "WORKSPACE"))
        if each.metastore_id == target.metastore_id and each.id != workspace_id
    )
    return (workspace_id, *(other for _, other in others))
