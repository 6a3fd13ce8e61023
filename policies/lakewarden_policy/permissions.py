"""Who has which level on an object of a workspace, and where from: the object itself, a folder above, the workspace (semantics 6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lakewarden_policy.decide import Decider
from lakewarden_policy.kinds import WORKSPACE_GROUPS, workspace_group_id
from lakewarden_policy.needs import grants_alone
from lakewarden_policy.policy import Policy
from lakewarden_policy.records import Row


class Permission(NamedTuple):
    """A level a principal has; ``source_id`` is the object itself or what it is inherited from."""

    principal_id: str
    level: str
    source_id: str
    expire_time: float | None


def permissions_on(decider: Decider, object_id: str) -> tuple[Permission, ...]:
    """Every level somebody has on the object, as far as a row says so: the highest that each row confers, nearest places first.

    Whether somebody can use it from a workspace is not asked. Levels of all who have a role in the workspace are told once, as their group's.
    """
    found: dict[Permission, None] = {}
    held = grants_alone(decider.policy, decider.snapshot)
    for place in (object_id, *decider.snapshot.ancestors(object_id)):
        for holder, acts in sorted(decider.snapshot.held.get(place, {}).items()):
            for act in acts:
                found.update(dict.fromkeys(_of_row(held, object_id, Row(holder, place, act))))
    return tuple(found)


def _of_row(held: Decider, object_id: str, row: Row) -> Iterator[Permission]:
    kind = held.snapshot.securables[object_id].kind
    levels = [
        level.name
        for level in held.policy.levels.listed(kind)
        if held.accepts(row.principal_id, None, object_id, f"{kind}:{level.name}", row)
    ]
    roles = [role for role, acts in WORKSPACE_GROUPS.items() if row.act in acts]
    for level in highest(held.policy, kind, levels):
        if roles:
            # The narrowest role that has it: admins are users too.
            yield Permission(workspace_group_id(row.object_id, roles[-1]), level, row.object_id, None)
        else:
            yield Permission(row.principal_id, level, row.object_id, held.snapshot.expire_time(row))


def highest(policy: Policy, kind: str, levels: Iterable[str]) -> list[str]:
    """The levels that no other one of them includes."""
    acts = {level: f"{kind}:{level}" for level in levels}
    return [
        level
        for level, act in acts.items()
        if not any(act in policy.here[other] for other in acts.values() if other != act)
    ]
