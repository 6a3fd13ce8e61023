"""An unmodified `casbin.Enforcer` over the shipped model and the same rows: what the decisions are compared with."""

from __future__ import annotations

import casbin
from casbin.model import Model
from casbin.rbac.default_role_manager import RoleManager

from lakewarden_policy import Decider, policy_texts

LINKS_MAX = 64


class StockEnforcer:
    """Answers one atom the way any user of pycasbin would ask it. For one thread."""

    def __init__(self, decider: Decider) -> None:
        """Loads every row and role link of the decider's snapshot."""
        model = Model()
        model.load_model_from_text(policy_texts()[0])
        self._enforcer = casbin.Enforcer(model)
        for name in ("g", "g2", "g3", "g4"):
            # The manager's default gives up after ten links, without a word.
            self._enforcer.rm_map[name] = RoleManager(LINKS_MAX)
            model.model["g"][name].rm = self._enforcer.rm_map[name]
        _load(model, decider)
        self._enforcer.build_role_links()
        # The workspace rule is ours on both sides, so that only the scan differs.
        self._enforcer.add_function("reachable", decider.reach)

    def allows(self, subject: str, workspace: str, securable: str, act: str) -> bool:
        """What stock Casbin says."""
        return bool(self._enforcer.enforce(subject, workspace, securable, act))


def _load(model: Model, decider: Decider) -> None:
    snapshot, policy = decider.snapshot, decider.policy
    for row in snapshot.rows():
        model.add_policy("p", "p", list(row))
    for principal in snapshot.principals.values():
        for group in snapshot.groups_of(principal.id):
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
