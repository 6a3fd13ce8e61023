"""The workspace rule: may this act be asked of this object from this workspace at all (DESIGN 5.1, `reachable`)?

The scope of an act says how much of it applies: ACCOUNT nothing, METASTORE assignment and attachment, WORKSPACE the
bindings of isolated objects too (semantics 4). Objects of a workspace are reached from it alone (OWN_WORKSPACE). What is read-only lets no files be written, from whatever workspace.
"""

from __future__ import annotations

import copy
from enum import Enum
from typing import Final

from lakewarden_policy.kinds import workspace_group_id
from lakewarden_policy.policy import Policy
from lakewarden_policy.privileges import OWN_WORKSPACE
from lakewarden_policy.records import READ_ONLY
from lakewarden_policy.snapshot import Snapshot

ASSIGNED: Final = "WORKSPACE:USER"


class Unreached(Enum):
    """Why an act is out of reach, whatever grants there are."""

    UNKNOWN_OBJECT = "the object does not exist"
    WRONG_KIND = "the act is not one of this kind of object"
    UNKNOWN_SUBJECT = "the principal does not exist"
    INACTIVE_SUBJECT = "the principal is deactivated"
    NO_WORKSPACE = "the call names no workspace"
    UNKNOWN_WORKSPACE = "the workspace does not exist"
    NOT_ASSIGNED = "the principal is not assigned to the workspace"
    NOT_ATTACHED = "the workspace is not attached to the object's metastore"
    NOT_BOUND = "the object is isolated and not bound to the workspace"
    READ_ONLY = "the object is bound to the workspace for reading only"
    OTHER_WORKSPACE = "the object belongs to another workspace"
    READ_ONLY_PLACE = "the object itself, or the storage credential it is reached with, is read-only"


class Reach:
    """The rule over one snapshot; an instance is the matcher's `reachable`."""

    def __init__(self, policy: Policy, snapshot: Snapshot) -> None:
        """Nothing is computed before the first question."""
        self._scopes, self._writes = policy.scopes, policy.writes
        self._assigning = frozenset(act for act, conferred in policy.here.items() if ASSIGNED in conferred)
        self._kinds = {act: privilege.kind for act, privilege in policy.privileges.items()}
        self._workspace_kinds = {
            act: kind for act, kind in self._kinds.items() if policy.scopes[act] == "WORKSPACE"
        }
        self._snapshot = snapshot
        self._writes_files = policy.writes_files
        self._isolated, self._read_only = snapshot.bindings, snapshot.read_only
        self._metastores: dict[tuple[str, str], str | None] = {}

    def moved(self, snapshot: Snapshot) -> Reach:
        """The rule over a later snapshot; what was found out about people is kept where it still is so."""
        later = copy.copy(self)
        later._snapshot, later._isolated, later._read_only = snapshot, snapshot.bindings, snapshot.read_only
        if snapshot.closures is not self._snapshot.closures:
            later._metastores = {}
        return later

    def __call__(self, subject_id: str, workspace_id: str | None, object_id: str, act: str) -> bool:
        """True when nothing but a grant is needed."""
        securable = self._snapshot.securables.get(object_id)
        # The common case first: found assigned and attached before, and an act of the workspace's.
        if (
            securable is not None
            and self._workspace_kinds.get(act) == securable.kind
            and workspace_id
            and securable.metastore_id
            and self._metastores.get((subject_id, workspace_id)) == securable.metastore_id
        ):
            if not self._isolated and act not in self._writes_files:
                return True
            return self._restricted(workspace_id, object_id, act) is None
        return self.obstacle(subject_id, workspace_id, object_id, act) is None

    def obstacle(
        self, subject_id: str, workspace_id: str | None, object_id: str, act: str
    ) -> Unreached | None:
        """What stands in the way, None when nothing does."""
        securable = self._snapshot.securables.get(object_id)
        if securable is None:
            return Unreached.UNKNOWN_OBJECT
        if self._kinds.get(act) != securable.kind:
            return Unreached.WRONG_KIND
        subject = self._snapshot.principals.get(subject_id)
        if subject is None:
            return Unreached.UNKNOWN_SUBJECT
        if not subject.active:
            return Unreached.INACTIVE_SUBJECT
        scope = self._scopes[act]
        if scope == "ACCOUNT":
            return None
        if scope == OWN_WORKSPACE:
            return self._away(subject_id, workspace_id, securable.workspace_id)
        blocked = self._blocked(subject_id, workspace_id, securable.metastore_id)
        if blocked is not None or scope == "METASTORE" or not workspace_id:
            return blocked
        return self._restricted(workspace_id, object_id, act)

    def is_assigned(self, subject_id: str, workspace_id: str) -> bool:
        """Does the principal hold the workspace's USER permission, itself or through a group?"""
        if (subject_id, workspace_id) in self._metastores:
            return True
        workspace = self._snapshot.securables.get(workspace_id)
        if workspace is None or workspace.kind != "WORKSPACE":
            return False
        holders = self._snapshot.held.get(workspace_id, {})
        closure = self._snapshot.closure(subject_id)
        # The workspace's own groups work there without being assigned: a view may belong to its admins.
        if workspace_group_id(workspace_id, "users") in closure:
            return True
        return any(not self._assigning.isdisjoint(holders[holder]) for holder in holders.keys() & closure)

    def _blocked(self, subject_id: str, workspace_id: str | None, home: str | None) -> Unreached | None:
        if not workspace_id:
            return Unreached.NO_WORKSPACE
        workspace = self._snapshot.securables.get(workspace_id)
        if workspace is None or workspace.kind != "WORKSPACE":
            return Unreached.UNKNOWN_WORKSPACE
        if not self.is_assigned(subject_id, workspace_id):
            return Unreached.NOT_ASSIGNED
        # Remembered only for active, assigned subjects: foreign ids cannot fill memory, and a hit proves both.
        self._metastores[subject_id, workspace_id] = workspace.metastore_id
        if home is None or workspace.metastore_id != home:
            return Unreached.NOT_ATTACHED
        return None

    def _away(self, subject_id: str, workspace_id: str | None, home: str | None) -> Unreached | None:
        """What stands between the workspace and an object that belongs to ``home``."""
        if not workspace_id:
            return Unreached.NO_WORKSPACE
        if workspace_id != home:
            return Unreached.OTHER_WORKSPACE
        return None if self.is_assigned(subject_id, workspace_id) else Unreached.NOT_ASSIGNED

    def _restricted(self, workspace_id: str, object_id: str, act: str) -> Unreached | None:
        """What the bindings say, and whether files may be written there at all."""
        unbound = self._unbound(workspace_id, object_id, act)
        if unbound is None and act in self._writes_files and object_id in self._read_only:
            return Unreached.READ_ONLY_PLACE
        return unbound

    def _unbound(self, workspace_id: str, object_id: str, act: str) -> Unreached | None:
        """What the bindings of the object and of its catalog say; an object that is not isolated has none."""
        for place in (object_id, self._snapshot.ancestor(object_id, "CATALOG")):
            bound = self._isolated.get(place or "")
            if bound is None:
                continue
            binding = bound.get(workspace_id)
            if binding is None:
                return Unreached.NOT_BOUND
            if binding == READ_ONLY and act in self._writes:
                return Unreached.READ_ONLY
        return None
