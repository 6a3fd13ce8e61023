"""A state that is not so: the snapshot as it would be after some changes. Nothing is stored and nothing shared is touched."""

from __future__ import annotations

from typing import NamedTuple

from lakewarden_policy.draft import Draft
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
    """The snapshot with the changes made; it costs what is changed, not what there is."""
    draft = Draft(snapshot)
    attached = dict(changes.attached)
    workspaces = [snapshot.securables[workspace_id] for workspace_id in attached]
    principals = [snapshot.principals[principal_id] for principal_id in changes.enabled]
    draft.change(
        {"securables": workspaces, "principals": principals, "memberships": list(changes.left)},
        {
            "securables": [
                workspace._replace(metastore_id=attached[workspace.id]) for workspace in workspaces
            ],
            "principals": [principal._replace(active=True) for principal in principals],
            "memberships": list(changes.joined),
            "isolated": [binding.securable_id for binding in changes.bound],
            "bindings": list(changes.bound),
        },
    )
    for principal_id, object_id, act in changes.granted:
        draft.hold(object_id, principal_id, act)
    for principal_id, object_id, act in changes.revoked:
        draft.release(object_id, principal_id, act)
    return snapshot.redrafted(draft, snapshot.head)
