"""The comparison of the judges is not blind: a variant of the engine broken in one rule is caught each time."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from lakewarden_policy import (
    Decider,
    Decision,
    Policy,
    Row,
    Securable,
    load_policy,
    policy_texts,
)
from lakewarden_policy.lookups import Closures, ReadOnly
from lakewarden_policy.reach import Reach, Unreached
from policies.judging import cases
from policies.snapshots import ask, snapshot_of
from policies.worlds import World, by_name

WORLDS, QUESTIONS = 400, 600

Make = Callable[[World, int], Decider]


class ForgetsTheWorkspace(Reach):
    """A broken workspace rule: every workspace reaches everything."""

    def _blocked(self, subject_id: str, workspace_id: str | None, home: str | None) -> Unreached | None:
        return None


class ForgetsBindings(Reach):
    """A broken workspace rule: what is isolated is reached from every workspace."""

    def _unbound(self, workspace_id: str, object_id: str, act: str) -> Unreached | None:
        found = super()._unbound(workspace_id, object_id, act)
        return None if found is Unreached.NOT_BOUND else found


class ForgetsReadOnly(Reach):
    """A broken workspace rule: a binding for reading is one for writing too."""

    def _unbound(self, workspace_id: str, object_id: str, act: str) -> Unreached | None:
        found = super()._unbound(workspace_id, object_id, act)
        return None if found is Unreached.READ_ONLY else found


class ForgetsReadOnlyPlaces(Reach):
    """A broken workspace rule: files are written to what is read-only."""

    def _restricted(self, workspace_id: str, object_id: str, act: str) -> Unreached | None:
        return self._unbound(workspace_id, object_id, act)


class BrokenReach(Decider):
    """An engine with a broken workspace rule."""

    rule: type[Reach] = Reach

    def _build_reach(self) -> Reach:
        return self.rule(self.policy, self.snapshot)


def reaching(broken: type[Reach]) -> Make:
    """The engine with this workspace rule."""
    kind = type(broken.__name__, (BrokenReach,), {"rule": broken})
    return lambda world, now: kind(load_policy(), snapshot_of(world, now=now))


class DirectClosures(Closures):
    """Broken closures: only direct memberships count."""

    def __missing__(self, principal_id: str) -> frozenset[str]:
        if principal_id not in self._principals:
            return frozenset()
        direct = self._groups_above(principal_id)
        closure = self[principal_id] = frozenset({principal_id, "account-users", *direct})
        return closure


def skips_nested_groups(world: World, now: int) -> Decider:
    snapshot = snapshot_of(world, now=now)
    snapshot.closures = DirectClosures(snapshot.principals, snapshot.groups_above)
    return Decider(load_policy(), snapshot)


def skips_workspace_groups(world: World, now: int) -> Decider:
    snapshot = snapshot_of(world, now=now)
    snapshot.closures = Closures(snapshot.principals, snapshot.groups_of)
    return Decider(load_policy(), snapshot)


class IgnoresTheOwner(Decider):
    """A broken engine: the privilege on what runs as its owner is enough, whatever the owner may use."""

    kind = ""

    def _through_owner(
        self, securable: Securable, workspace_id: str | None, proof: list[Row], *more: Any
    ) -> Decision:
        if securable.kind == self.kind:
            return Decision(True, tuple(proof), ())
        return super()._through_owner(securable, workspace_id, proof, *more)


def ignoring_the_owner(kind: str) -> Make:
    """The engine that does not ask the owners of one kind."""
    broken = type(f"IgnoresTheOwnerOf{kind}", (IgnoresTheOwner,), {"kind": kind})
    return lambda world, now: broken(load_policy(), snapshot_of(world, now=now))


def asks_about_stored_rows(world: World, now: int) -> Decider:
    decider = Decider(load_policy(), snapshot_of(world, now=now))
    decider._as_owner |= {"MATERIALIZED_VIEW:SELECT", "STREAMING_TABLE:SELECT"}
    return decider


def changing_operation(before: str, after: str) -> Make:
    """The engine with one rule of operations.csv changed."""
    model, privileges, operations, levels = policy_texts()
    assert operations.count(before) == 1, "the control no longer breaks anything"
    policy = Policy(model, privileges, operations.replace(before, after), levels)
    return lambda world, now: Decider(policy, snapshot_of(world, now=now))


def forgets_credentials(world: World, now: int) -> Decider:
    snapshot = snapshot_of(world, now=now)
    snapshot.read_only = ReadOnly(snapshot.places, {})
    return Decider(load_policy(), snapshot)


def ignores_expiry(world: World, now: int) -> Decider:
    return Decider(load_policy(), snapshot_of(world, now=0))


def keys_by_name(world: World, now: int) -> Decider:
    return Decider(load_policy(), snapshot_of(by_name(world), now=now))


def changing(privilege: str, column: str, change: Callable[[str], str], *, kind: str | None = None) -> Make:
    """The engine with one column of privileges.csv changed, in the rows of a privilege on one kind or on all."""
    model, privileges, operations, levels = policy_texts()
    rows = list(csv.DictReader(io.StringIO(privileges)))
    for row in rows:
        if row["privilege"] == privilege and kind in (None, row["kind"]):
            assert change(row[column]) != row[column], "the control no longer breaks anything"
            row[column] = change(row[column])
    broken = io.StringIO()
    writer = csv.DictWriter(broken, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    policy = Policy(model, broken.getvalue(), operations, levels)
    return lambda world, now: Decider(policy, snapshot_of(world, now=now))


def operating(term: str) -> Make:
    """The engine without this term of operations.csv."""
    model, privileges, operations, levels = policy_texts()
    assert f"{term} & " in operations, "the control no longer breaks anything"
    policy = Policy(model, privileges, operations.replace(f"{term} & ", ""), levels)
    return lambda world, now: Decider(policy, snapshot_of(world, now=now))


CONTROLS: dict[str, Make] = {
    "ignores a gate": changing(
        "SELECT", "gates", lambda gates: gates.replace("schema SCHEMA:USE_SCHEMA & ", ""), kind="TABLE"
    ),
    "lets MODIFY stand alone": changing(
        "MODIFY", "gates", lambda gates: gates.partition(" & self")[0], kind="TABLE"
    ),
    "passes ownership down": changing(
        "OWNER", "inside", lambda inside: f"TABLE:ALL_PRIVILEGES {inside}", kind="CATALOG"
    ),
    "ALL PRIVILEGES includes MANAGE": changing("ALL_PRIVILEGES", "here", lambda here: f"{here} MANAGE"),
    "forgets the workspace": reaching(ForgetsTheWorkspace),
    "forgets bindings": reaching(ForgetsBindings),
    "forgets that a binding is read-only": reaching(ForgetsReadOnly),
    "forgets that a place is read-only": reaching(ForgetsReadOnlyPlaces),
    "forgets that a credential is read-only": forgets_credentials,
    "lets a read-only place become managed storage": changing(
        "CREATE_MANAGED_STORAGE", "writes", lambda _: "yes", kind="EXTERNAL_LOCATION"
    ),
    "lets a credential open a location that is out of reach": operating(
        "location reaches EXTERNAL_LOCATION:CREATE_EXTERNAL_TABLE"
    ),
    "lets what a manager manages run for it": changing_operation(
        "service_principal.run_as,self has SERVICE_PRINCIPAL:USER",
        "service_principal.run_as,self has SERVICE_PRINCIPAL:MANAGER",
    ),
    "skips nested groups": skips_nested_groups,
    "skips the groups of workspaces": skips_workspace_groups,
    "ignores the owner of a view": ignoring_the_owner("VIEW"),
    "ignores the owner of a materialized view": ignoring_the_owner("MATERIALIZED_VIEW"),
    "ignores the owner of a function": ignoring_the_owner("FUNCTION"),
    "refreshes without asking the owner": changing_operation(
        "materialized_view.refresh,self can MATERIALIZED_VIEW:REFRESH",
        "materialized_view.refresh,self has MATERIALIZED_VIEW:REFRESH"
        " & schema has SCHEMA:USE_SCHEMA & catalog has CATALOG:USE_CATALOG",
    ),
    "asks the owner about stored rows": asks_about_stored_rows,
    "ignores expiry": ignores_expiry,
    "keys by name": keys_by_name,
}


@pytest.mark.parametrize("control", CONTROLS)
def test_broken_variant_is_caught(control: str) -> None:
    for case in cases(WORLDS, questions=QUESTIONS):
        if case.differ(CONTROLS[control], ask):
            return
    pytest.fail(f"{control}: decided like a correct engine, so the comparison is blind to it")
