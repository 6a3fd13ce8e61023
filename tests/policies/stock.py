"""The first judge: an unmodified `casbin.Enforcer` on the shipped model and the snapshot's rows. One thread only."""

from __future__ import annotations

import casbin
from casbin.model import Model
from casbin.rbac.default_role_manager import RoleManager

from lakewarden_policy import Policy, Snapshot, policy_texts

LINKS_MAX = 64


class StockJudge:
    """Answers atoms; the workspace rule is written out again here, from the rows."""

    def __init__(self, policy: Policy, snapshot: Snapshot) -> None:
        model = Model()
        model.load_model_from_text(policy_texts()[0])
        self._snapshot = snapshot
        self._privileges = policy.privileges
        self._enforcer = casbin.Enforcer(model)
        # The default manager silently stops after nine links.
        for name in ("g", "g2", "g3", "g4"):
            self._enforcer.rm_map[name] = RoleManager(LINKS_MAX)
            model.model["g"][name].rm = self._enforcer.rm_map[name]
        self._load(policy, snapshot)
        self._enforcer.build_role_links()
        self._enforcer.add_function("reachable", self._reachable)

    def allows(self, who: str, workspace: str | None, obj: str, act: str) -> bool:
        """What stock Casbin says."""
        return bool(self._enforcer.enforce(who, workspace or "", obj, act))

    def _load(self, policy: Policy, snapshot: Snapshot) -> None:
        model = self._enforcer.get_model()
        for row in snapshot.rows():
            model.add_policy("p", "p", list(row))
        for principal in snapshot.principals.values():
            for group in snapshot.groups_above(principal.id):
                model.add_policy("g", "g", [principal.id, group])
            if principal.kind != "GROUP":
                model.add_policy("g", "g", [principal.id, "account-users"])
        for securable in snapshot.securables.values():
            if securable.parent_id:
                model.add_policy("g", "g2", [securable.id, securable.parent_id])
        for name, conferred in (("g3", policy.here), ("g4", policy.inside)):
            for act, others in conferred.items():
                for other in others - {act}:
                    model.add_policy("g", name, [act, other])

    def _reachable(self, who: str, workspace: str, obj: str, act: str) -> bool:
        snapshot = self._snapshot
        if not snapshot.principals[who].active:
            return False
        scope = self._privileges[act].scope
        if scope == "ACCOUNT":
            return True
        if not workspace:
            return False
        if scope == "OWN_WORKSPACE":
            return workspace == snapshot.securables[obj].workspace_id and self._is_assigned(who, workspace)
        chain = [obj, *snapshot.ancestors(obj)]
        attached = snapshot.securables[workspace].metastore_id
        bound = scope == "METASTORE" or self._is_bound(workspace, chain, act)
        shut = self._privileges[act].writes_files and obj in snapshot.read_only
        return attached in chain and self._is_assigned(who, workspace) and bound and not shut

    def _is_assigned(self, who: str, workspace: str) -> bool:
        rows = self._snapshot.held.get(workspace, {})
        return self._is_group_of(who, f"{workspace}:users") or any(
            self._is_group_of(who, holder)
            and {"WORKSPACE:USER", "WORKSPACE:ADMIN", "WORKSPACE:OWNER"} & set(acts)
            for holder, acts in rows.items()
        )

    def _is_bound(self, workspace: str, chain: list[str], act: str) -> bool:
        """Does every isolated object of the chain let the workspace in, for writing where the act writes?"""
        wanted = {"READ_WRITE"} if self._privileges[act].writes else {"READ_WRITE", "READ_ONLY"}
        isolated = [self._snapshot.bindings[place] for place in chain if place in self._snapshot.bindings]
        return all(bindings.get(workspace) in wanted for bindings in isolated)

    def _is_group_of(self, who: str, holder: str) -> bool:
        return bool(self._enforcer.rm_map["g"].has_link(who, holder))
