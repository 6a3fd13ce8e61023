"""What somebody holds on an object and where it comes from, and who may use a privilege on it (DESIGN 5.5)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from lakewarden_policy.decide import Decider
from lakewarden_policy.kinds import ACCOUNT_USERS_ID, METASTORE_BROWSE, ancestor_kinds
from lakewarden_policy.needs import grants_alone
from lakewarden_policy.policy import Policy
from lakewarden_policy.records import Principal, Row


class Origin(Enum):
    """What a row is there for."""

    GRANT = "GRANT"
    OWNERSHIP = "OWNERSHIP"
    BEING = "BEING"
    """What somebody is without a grant: itself, or a user of an attached workspace."""


class Source(NamedTuple):
    """A row that confers something, and how the subject comes to it."""

    row: Row
    origin: Origin
    group_path: tuple[str, ...]
    """Ids of the groups from the subject's own up to the row's holder; empty where it is the subject."""
    expire_time: float | None


class Effective(NamedTuple):
    """A privilege held, every row it comes from, and whether it can be used from the workspace, gates included."""

    privilege: str
    sources: tuple[Source, ...]
    usable: bool


def effective_privileges(
    decider: Decider, subject_id: str, workspace_id: str | None, object_id: str
) -> tuple[Effective, ...]:
    """All privileges of the object's kind that the subject holds, in the order of `privileges.csv`.

    Held means by its rows; what the workspace rule or a missing gate takes away is shown as not usable.
    """
    kind = decider.snapshot.securables[object_id].kind
    held = grants_alone(decider.policy, decider.snapshot)
    found = []
    for privilege in listed_privileges(decider.policy, kind):
        sources = tuple(sources_of(held, subject_id, workspace_id, object_id, f"{kind}:{privilege}"))
        if sources:
            usable = decider.privilege(subject_id, workspace_id, object_id, privilege).allowed
            found.append(Effective(privilege, sources, usable))
    return tuple(found)


def listed_privileges(policy: Policy, kind: str) -> list[str]:
    """What can be granted on a kind, or on a container under the same name, as BROWSE of a table is."""
    above = {name for container in ancestor_kinds(kind) for name in policy.grantable(container)}
    return [
        row.name
        for row in policy.privileges.values()
        if row.kind == kind and (row.is_grantable or row.name in above)
    ]


def sources_of(
    decider: Decider, subject_id: str, workspace_id: str | None, object_id: str, act: str
) -> Iterator[Source]:
    """Every row that lets the subject do an act on the object, as sources."""
    for row in rows_for(decider, subject_id, workspace_id, object_id, act):
        yield source_of(decider, subject_id, row)


def rows_for(
    decider: Decider, subject_id: str, workspace_id: str | None, object_id: str, act: str
) -> Iterator[Row]:
    """Every row that lets the subject do an act on the object: on itself first, then on its containers."""
    snapshot = decider.snapshot
    for place in (object_id, *snapshot.ancestors(object_id)):
        holders = snapshot.held.get(place, {})
        for holder in sorted(holders.keys() & snapshot.closure(subject_id)):
            for granted in holders[holder]:
                row = Row(holder, place, granted)
                if decider.accepts(subject_id, workspace_id, object_id, act, row):
                    yield row


def source_of(decider: Decider, subject_id: str, row: Row) -> Source:
    """A row as a source: what it is there for, and the way from the subject to its holder."""
    name = row.act.partition(":")[2]
    if name == "OWNER":
        origin = Origin.OWNERSHIP
    elif name == "SELF" or row.act == METASTORE_BROWSE:
        origin = Origin.BEING
    else:
        origin = Origin.GRANT
    path = group_path(decider, subject_id, row.principal_id)
    return Source(row, origin, path, decider.snapshot.expire_time(row))


def group_path(decider: Decider, subject_id: str, holder_id: str) -> tuple[str, ...]:
    """A shortest way up from a principal to a group it belongs to; empty for itself and for what it does not belong to."""
    if subject_id == holder_id:
        return ()
    before: dict[str, str] = {subject_id: ""}
    waiting = [subject_id]
    for current in waiting:
        for group in _groups(decider, current):
            if group not in before:
                before[group] = current
                waiting.append(group)
    path: list[str] = []
    step = holder_id if holder_id in before else ""
    while step and step != subject_id:
        path.append(step)
        step = before[step]
    return tuple(reversed(path))


def _groups(decider: Decider, principal_id: str) -> tuple[str, ...]:
    principal = decider.snapshot.principals.get(principal_id)
    everybody = () if principal is None or principal.kind == "GROUP" else (ACCOUNT_USERS_ID,)
    return (*sorted(decider.snapshot.groups_above(principal_id)), *everybody)


def principals_allowed(
    decider: Decider, workspace_id: str | None, object_id: str, privilege: str, *, after: str = ""
) -> Iterator[tuple[Principal, tuple[Row, ...]]]:
    """Yield users and service principals that may use the privilege from the workspace, each with the rows that prove it.

    In the order of their name keys, from behind ``after``. Whoever holds no row that could confer it is not decided about.
    """
    snapshot, kind = decider.snapshot, decider.snapshot.securables[object_id].kind
    act = f"{kind}:{privilege}"
    sources = decider.policy.sources.get(act, frozenset())
    holders = {
        holder
        for place in (object_id, *snapshot.ancestors(object_id))
        for holder, acts in snapshot.held.get(place, {}).items()
        if not sources.isdisjoint(acts)
    }
    people = [
        principal
        for principal in snapshot.principals.values()
        if principal.kind != "GROUP" and principal.name_key > after
    ]
    for principal in sorted(people, key=lambda each: each.name_key):
        if snapshot.closure(principal.id).isdisjoint(holders):
            continue
        decision = decider.privilege(principal.id, workspace_id, object_id, privilege)
        if decision.allowed:
            yield principal, decision.proof
