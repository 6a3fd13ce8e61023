"""Who can make a change that somebody needs: found among those who hold something on the object, above it or on the account."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from lakewarden_policy.decide import Decider
from lakewarden_policy.kinds import ACCOUNT_ID, ACCOUNT_USERS_ID
from lakewarden_policy.records import Row
from lakewarden_policy.remedies import Action, Remedy

GIVERS_MAX: Final = 10
"""Whoever needs a grant asks one of them, not all."""
MEMBERS_TRIED_MAX: Final = 200
"""Members of one group: where so many cannot, its other members hardly can."""
ATTEMPTS_MAX: Final = 2_000
"""Decisions one answer may cost."""


class Giver(NamedTuple):
    """A principal who can do it, the row it is for, and from which workspace; of a group, ``member_id`` is one who can."""

    principal_id: str
    row: Row
    workspace_id: str | None
    member_id: str


def givers_of(decider: Decider, workspace_id: str | None, remedy: Remedy) -> tuple[Giver, ...]:
    """Those who can do what a remedy asks for, the nearest first: its owner, its containers', the admins."""
    operation, selector, objects = operation_of(decider, remedy)
    found: dict[str, Giver] = {}
    for row, actor, workspace in islice(_attempts(decider, workspace_id, remedy), ATTEMPTS_MAX):
        if row.principal_id in found:
            continue
        if decider.operation(actor, workspace, operation, objects, selector=selector).allowed:
            found[row.principal_id] = Giver(row.principal_id, row, workspace, actor)
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


def _attempts(
    decider: Decider, workspace_id: str | None, remedy: Remedy
) -> Iterator[tuple[Row, str, str | None]]:
    """Whom to try, for which row, calling from where."""
    workspaces = _workspaces(decider, workspace_id, remedy)
    for row in _candidates(decider, remedy):
        for actor in islice(_actors(decider, row.principal_id), MEMBERS_TRIED_MAX):
            for workspace in workspaces:
                yield row, actor, workspace


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
        yield from (each.id for each in snapshot.principals.values() if each.kind != "GROUP")
        return
    yield from _members(decider, principal_id)


def _members(decider: Decider, group_id: str) -> Iterator[str]:
    snapshot = decider.snapshot
    seen, waiting = {group_id}, [group_id]
    while waiting:
        for member in snapshot.members_of(waiting.pop()):
            if member not in seen and member in snapshot.principals:
                seen.add(member)
                if snapshot.principals[member].kind == "GROUP":
                    waiting.append(member)
                else:
                    yield member


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
