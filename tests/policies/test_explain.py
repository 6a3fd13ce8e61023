"""Explanations: the nearest miss in words, and grants that, once made, turn the answer around."""

from __future__ import annotations

import random
import re

from lakewarden_policy import (
    Decider,
    Grant,
    Missing,
    explain_operation,
    explain_privilege,
    load_policy,
)
from policies.questions import make_question
from policies.small import GRANTS, small_world
from policies.snapshots import snapshot_of
from policies.worlds import make_world

USE_SCHEMA = GRANTS[3]


def test_missing_gate_is_named_with_the_grant_that_supplies_it() -> None:
    decider = Decider(load_policy(), small_world(without=(USE_SCHEMA,)))
    explanation = explain_privilege(decider, "bob", "w", "t1", "SELECT")
    assert explanation.message == (
        "SELECT denied on table main.sales.orders: no USE SCHEMA on main.sales. "
        "Ask its owner for: GRANT USE SCHEMA ON SCHEMA main.sales TO `bob@x.io`"
    )
    assert explanation.missing == (Missing("s", "SCHEMA:USE_SCHEMA"),)


def test_management_gate_asks_for_the_grantable_privilege_behind_it() -> None:
    decider = Decider(load_policy(), small_world(Grant("t1", "carol", "MANAGE")))
    explanation = explain_operation(decider, "carol", "w", "table.delete", {"self": "t1"})
    assert explanation.statements == (
        "GRANT USE SCHEMA ON SCHEMA main.sales TO `carol@x.io`",
        "GRANT USE CATALOG ON CATALOG main TO `carol@x.io`",
    )


def test_browse_is_asked_for_where_it_can_be_granted() -> None:
    explanation = explain_operation(
        Decider(load_policy(), small_world()), "carol", "w", "table.get", {"self": "t1"}
    )
    assert explanation.statements == ("GRANT BROWSE ON CATALOG main TO `carol@x.io`",)


def test_workspace_comes_before_grants() -> None:
    decider = Decider(load_policy(), small_world(without=GRANTS[:1]))
    explanation = explain_privilege(decider, "bob", "w", "t1", "SELECT")
    assert explanation.message == (
        "SELECT denied on table main.sales.orders: bob@x.io is not assigned to workspace work. "
        "Ask a workspace admin for: GRANT USER ON WORKSPACE work TO `bob@x.io`"
    )
    assert "names no workspace" in explain_privilege(decider, "bob", None, "t1", "SELECT").message


def test_what_cannot_be_granted_is_not_offered() -> None:
    decider = Decider(load_policy(), small_world(Grant("c", "carol", "MANAGE")))
    explanation = explain_operation(
        decider, "carol", "w", "catalog.grant", {"self": "c"}, selector="EXTERNAL_USE_SCHEMA"
    )
    assert explanation.statements == ()
    assert (
        explanation.message == "catalog.grant.EXTERNAL_USE_SCHEMA denied on catalog main: no OWNER on main."
    )


def test_allow_is_explained_by_its_proof() -> None:
    explanation = explain_privilege(Decider(load_policy(), small_world()), "bob", "w", "t1", "SELECT")
    assert (explanation.allowed, len(explanation.proof), explanation.statements) == (True, 3, ())


def test_grants_an_explanation_asks_for_turn_the_answer_around() -> None:
    """The property behind every explanation, over random worlds and operations."""
    policy, helped = load_policy(), 0
    for seed in range(12):
        rng = random.Random(seed)
        world = make_world(rng)
        snapshot = snapshot_of(world)
        names = {
            (o.kind, snapshot.full_name(o.id), o.metastore_id): o.id for o in snapshot.securables.values()
        }
        for question in (make_question(rng, world) for _ in range(150)):
            if question.operation.endswith(".use"):
                continue
            arguments = (question.who, question.workspace, question.operation, question.objects)
            found = explain_operation(
                Decider(policy, snapshot), *arguments, selector=question.selector or None
            )
            if found.allowed or not found.statements or "ON WORKSPACE" in found.statements[0]:
                continue
            target = snapshot.securables.get(
                question.objects.get("self") or question.objects.get("parent") or ""
            )
            grants = []
            for statement in found.statements:
                match = re.fullmatch(r"GRANT ([A-Z ]+) ON ([A-Z ]+) (\S+) TO `([^`]+)`", statement)
                assert match, statement
                privilege, kind, name, to = (text.replace(" ", "_") for text in match.groups())
                grantee = snapshot.principal_named(to)
                assert grantee
                home = target.metastore_id if target and kind not in ("ACCOUNT", "WORKSPACE") else None
                grants.append(
                    (names[kind, name, home], grantee.id, policy.parse_privilege(kind, privilege), None)
                )
            after = Decider(policy, snapshot_of({**world, "grants": [*world["grants"], *grants]}))
            answer = after.operation(*arguments, selector=question.selector or None)
            # Of what an owner lacks only the first is told, as the rest may be hidden from the asker.
            helps = found.missing[0] not in answer.missing if found.missing[0].subject_id else answer.allowed
            assert helps, (seed, question, found)
            helped += 1
    assert helped >= 50
