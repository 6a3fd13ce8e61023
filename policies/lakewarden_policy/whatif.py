"""A state that is not so: the snapshot as it would be after some changes. Nothing is stored and nothing shared is touched."""

from __future__ import annotations

from typing import NamedTuple

from lakewarden_policy.records import Binding, Membership, Row
from lakewarden_policy.snapshot import Snapshot


class Changes(NamedTuple):
    """What would be changed; rows carry acts (`TABLE:SELECT`). Revoking what is absent changes nothing."""

    granted: tuple[Row, ...] = ()
    revoked: tuple[Row, ...] = ()
    joined: tuple[Membership, ...] = ()
    left: tuple[Membership, ...] = ()
    bound: tuple[Binding, ...] = ()
    attached: tuple[tuple[str, str], ...] = ()
    """(workspace id, metastore id)."""
    enabled: tuple[str, ...] = ()
    """Ids of principals that would be active again."""


def changed_snapshot(snapshot: Snapshot, changes: Changes) -> Snapshot:
    """The snapshot with the changes made. Copies what holds them by reference, so it costs no walk over the state."""
    securables, principals = snapshot.securables, snapshot.principals
    if changes.attached:
        securables = dict(securables)
        for workspace_id, metastore_id in changes.attached:
            securables[workspace_id] = securables[workspace_id]._replace(metastore_id=metastore_id)
    if changes.enabled:
        principals = dict(principals)
        for principal_id in changes.enabled:
            principals[principal_id] = principals[principal_id]._replace(active=True)
    bindings = snapshot.bindings
    if changes.bound:
        bindings = dict(bindings)
        for binding in changes.bound:
            bindings[binding.securable_id] = {
                **bindings.get(binding.securable_id, {}),
                binding.workspace_id: binding.type,
            }
    return snapshot.with_parts(
        held=_held(snapshot, changes),
        groups_of=_groups_of(snapshot, changes),
        bindings=bindings,
        securables=securables,
        principals=principals,
    )


def _held(snapshot: Snapshot, changes: Changes) -> dict[str, dict[str, tuple[str, ...]]]:
    if not changes.granted and not changes.revoked:
        return snapshot.held
    held = dict(snapshot.held)
    for principal_id, object_id, act in changes.granted:
        holders = dict(held.get(object_id, {}))
        acts = holders.get(principal_id, ())
        holders[principal_id] = acts if act in acts else (*acts, act)
        held[object_id] = holders
    for principal_id, object_id, act in changes.revoked:
        holders = dict(held.get(object_id, {}))
        left = tuple(known for known in holders.pop(principal_id, ()) if known != act)
        if left:
            holders[principal_id] = left
        held[object_id] = holders
    return held


def _groups_of(snapshot: Snapshot, changes: Changes) -> dict[str, list[str]]:
    if not changes.joined and not changes.left:
        return snapshot.memberships()
    groups_of = dict(snapshot.memberships())
    for group_id, member_id in changes.joined:
        known = groups_of.get(member_id, [])
        groups_of[member_id] = known if group_id in known else [*known, group_id]
    for group_id, member_id in changes.left:
        groups_of[member_id] = [known for known in groups_of.get(member_id, ()) if known != group_id]
    return groups_of
