"""Decisions in a small world: traps, lists, look-ups by name."""

from __future__ import annotations

import random

import pytest

from lakewarden_policy import (
    Decider,
    Grant,
    Head,
    Policy,
    Principal,
    Row,
    Securable,
    Snapshot,
    Token,
    Unreached,
    load_policy,
)
from lakewarden_policy.needs import needs_of
from lakewarden_policy.records import Located, Reference
from policies.small import GRANTS, PRINCIPALS, SECURABLES, small_world
from policies.snapshots import snapshot_of
from policies.worlds import make_world


def decider(*extra: Grant, without: tuple[Grant, ...] = (), **changed: tuple[object, ...]) -> Decider:
    return Decider(load_policy(), small_world(*extra, without=without, **changed))


def test_allow_is_proven_by_the_rows_it_rests_on() -> None:
    decision = decider().privilege("bob", "w", "t1", "SELECT")
    assert decision.proof == (
        Row("everyone-in-sales", "t1", "TABLE:SELECT"),
        Row("analysts", "s", "SCHEMA:USE_SCHEMA"),
        Row("everyone-in-sales", "c", "CATALOG:USE_CATALOG"),
    )


@pytest.mark.parametrize("missing", GRANTS[2:5], ids=str)
def test_select_without_any_one_of_its_three_grants_is_denied(missing: Grant) -> None:
    assert not decider(without=(missing,)).privilege("bob", "w", "t1", "SELECT").allowed


@pytest.mark.parametrize(("who", "place", "obj", "act"), [
    ("", "", "", ""), ("", "w", "t1", "TABLE:SELECT"), ("bob", "w", "", "TABLE:SELECT"), ("bob", "w", "t1", ""),
    ("bob", "", "t1", "TABLE:SELECT"), ("nobody", "w", "t1", "TABLE:SELECT"), ("bob", "w", "t9", "TABLE:SELECT"),
    ("bob", "w", "t1", "SCHEMA:SELECT"), ("bob", "w", "t1", "TABLE:DANCE"), ("gone", "w", "t1", "TABLE:SELECT"),
    ("bob", "t1", "t1", "TABLE:SELECT"), ("bob", "adrift", "t1", "TABLE:SELECT"), ("bob", None, "t1", "TABLE:SELECT"),
])  # fmt: skip
def test_empty_and_unknown_ids_and_foreign_workspaces_are_denied(
    who: str, place: str | None, obj: str, act: str
) -> None:
    everybody = Grant("t1", "account-users", "SELECT")
    assert decider(everybody).atom("bob", "w", "t1", "TABLE:SELECT")
    assert decider(everybody).atom(who, place, obj, act) is None


def test_empty_world_denies_everything_even_empty_requests() -> None:
    snapshot = Snapshot.build(
        Head("e", 0, ""), principals=[], memberships=[], securables=[], grants=[], tokens=[]
    )
    policy = load_policy()
    empty = Decider(policy, snapshot)
    for act in ("", *policy.privileges):
        assert empty.atom("", "", "", act) is None
        assert empty.atom("", "", "account", act) is None
    for operation in policy.operations:
        assert not empty.operation("", "", operation, {}).allowed
        assert not empty.operation(
            "", "", operation, {"self": "", "parent": "", "subject": "", "workspace": ""}
        ).allowed


def test_asking_for_unknown_ids_keeps_nothing() -> None:
    engine = decider()
    for number in range(100):
        engine.privilege(f"nobody{number}", f"nowhere{number}", f"nothing{number}", "SELECT")
        engine.privilege("bob", f"nowhere{number}", "t1", "SELECT")
    assert len(engine.snapshot.closures) <= 1
    assert len(engine.reach._metastores) == 0


@pytest.mark.parametrize(("who", "place", "obstacle"), [
    ("bob", "w", None), ("bob", None, Unreached.NO_WORKSPACE), ("bob", "nowhere", Unreached.UNKNOWN_WORKSPACE),
    ("bob", "adrift", Unreached.NOT_ATTACHED), ("gone", "w", Unreached.INACTIVE_SUBJECT),
    ("nobody", "w", Unreached.UNKNOWN_SUBJECT), ("analysts", "w", Unreached.NOT_ASSIGNED),
])  # fmt: skip
def test_obstacle_is_named(who: str, place: str | None, obstacle: Unreached | None) -> None:
    reach = decider().reach
    # Twice, because the second answer comes from what the first remembered.
    assert [reach.obstacle(who, place, "t1", "TABLE:SELECT") for _ in range(2)] == [obstacle, obstacle]
    assert reach(who, place, "t1", "TABLE:SELECT") == (obstacle is None)


def test_owner_of_a_catalog_manages_its_tables_without_reading_them() -> None:
    engine = decider()
    assert engine.operation("alice", "w", "table.delete", {"self": "t1"}).allowed
    assert engine.operation("alice", "w", "table.get", {"self": "t1"}).allowed
    assert not engine.privilege("alice", "w", "t1", "SELECT").allowed
    granted = decider(Grant("t1", "alice", "SELECT"))
    assert not granted.privilege("alice", "w", "t1", "SELECT").allowed, "USE SCHEMA is still missing for data"


def test_a_view_of_the_workspace_admins_is_read_in_their_workspace() -> None:
    """The group is nowhere assigned by name; all it needs in its own workspace are rights to what the view reads."""
    admins, users = (Principal(f"w:{role}", "GROUP", role, role, True) for role in ("admins", "users"))
    view = Securable("v", "VIEW", "s", "m", "v", "v", admins.id, 1)
    engine = decider(
        Grant("v", "bob", "SELECT"),
        *(
            Grant(place, users.id, name)
            for place, name in (("c", "USE_CATALOG"), ("s", "USE_SCHEMA"), ("t1", "SELECT"))
        ),
        principals=(*PRINCIPALS, admins, users),
        securables=(*SECURABLES, view),
        references=(Reference("v", "SELECT", "main.sales.orders"),),
    )
    assert engine.privilege("bob", "w", "v", "SELECT").allowed


def _views(*references: Reference) -> Decider:
    """Views of alice, who reads t1, in its schema; bob, who reads all of them."""
    names = dict.fromkeys(reference.object_id for reference in references)
    return decider(
        *(Grant("s", who, privilege) for who in ("alice", "bob") for privilege in ("USE_SCHEMA", "SELECT")),
        *(Grant("c", who, "USE_CATALOG") for who in ("alice", "bob")),
        securables=(
            *SECURABLES, *(Securable(name, "VIEW", "s", "m", name, name, "alice", 1) for name in names),
        ),
        references=references,
    )  # fmt: skip


def test_views_that_share_what_they_read_cost_no_more_with_each_level() -> None:
    """Two views per level over both of the level below are 2**40 ways down from the top."""
    levels = [
        Reference(f"v{level}{side}", "SELECT", f"main.sales.v{level - 1}{below}" if level else "main.sales.orders")
        for level in range(41) for side in "ab" for below in "ab"
    ]  # fmt: skip
    engine = _views(*levels)
    decision = engine.privilege("bob", "w", "v40a", "SELECT")
    assert decision.allowed
    assert Row("alice", "s", "SCHEMA:SELECT") in decision.proof
    assert len(decision.proof) < 500


def test_views_nested_deeper_than_anybody_needs_are_denied_with_a_reason() -> None:
    """A definition names what may be replaced later, so no check when it is written bounds the depth."""
    chain = [
        Reference(f"v{n}", "SELECT", f"main.sales.v{n - 1}" if n else "main.sales.orders") for n in range(900)
    ]
    engine = _views(*chain)
    assert engine.privilege("bob", "w", "v99", "SELECT").allowed
    assert not engine.privilege("bob", "w", "v101", "SELECT").allowed
    assert not engine.privilege("bob", "w", "v899", "SELECT").allowed
    assert [why for _, why in needs_of(engine, "bob", "v101", "SELECT").broken] == [
        "something it references nests too deep"
    ]
    assert not needs_of(engine, "bob", "v99", "SELECT").broken


def test_external_use_schema_is_granted_by_the_catalog_owner_only_and_not_held_by_owners() -> None:
    manager = Grant("c", "carol", "MANAGE")
    engine = decider(manager)
    arguments = ("w", "schema.grant", {"self": "s"})
    assert engine.operation("alice", *arguments, selector="EXTERNAL_USE_SCHEMA").allowed
    assert not engine.operation("carol", *arguments, selector="EXTERNAL_USE_SCHEMA").allowed
    assert not engine.privilege("alice", "w", "c", "EXTERNAL_USE_SCHEMA").allowed


def test_children_are_seen_through_grants_in_order_of_their_names() -> None:
    engine = decider()
    assert engine.visible_children("bob", "w", "s", "TABLE") == ("t1", "t3")
    assert engine.visible_children("alice", "w", "s", "TABLE") == ("t1", "t2", "t3")
    assert engine.visible_children("carol", "w", "s", "TABLE") == ()
    assert engine.visible_children("alice", "adrift", "s", "TABLE") == ()
    assert engine.visible_children("gone", "w", "s", "TABLE") == ()


def test_visible_children_are_those_visible_one_by_one() -> None:
    policy: Policy = load_policy()
    partial = 0
    for seed in range(6):
        snapshot = snapshot_of(make_world(random.Random(seed)))
        engine = Decider(policy, snapshot)
        kinds = {(o.parent_id, o.kind) for o in snapshot.securables.values() if o.parent_id}
        for parent, kind in sorted(kinds):
            for who in snapshot.principals:
                for place in ("w0", "w1", None):
                    shown = engine.visible_children(who, place, parent, kind)
                    children = snapshot.children(parent, kind)
                    assert shown == tuple(child for child in children if engine.visible(who, place, child))
                    partial += 0 < len(shown) < len(children)
    assert partial > 100


def test_whoever_may_be_told_of_a_missing_child_sees_every_child() -> None:
    """`<kind>.miss` answers NOT_FOUND only to somebody whose list would have shown the name."""
    policy: Policy = load_policy()
    told = 0
    for seed in range(8):
        snapshot = snapshot_of(make_world(random.Random(seed)))
        engine = Decider(policy, snapshot)
        for child in snapshot.securables.values():
            noun = child.kind.lower()
            if f"{noun}.miss" not in policy.operations or not child.parent_id:
                continue
            for who in snapshot.principals:
                for place in ("w0", "w1", None):
                    if engine.operation(who, place, f"{noun}.miss", {"parent": child.parent_id}).allowed:
                        told += 1
                        assert engine.visible(who, place, child.id), (seed, who, place, child)
    assert told > 200


def test_names_are_resolved_without_regard_to_case() -> None:
    snapshot = small_world()
    by_id = {securable.id: securable for securable in snapshot.securables.values()}
    assert snapshot.resolve("TABLE", "MAIN.Sales.parts", "m") == by_id["t2"]
    assert snapshot.resolve("TABLE", "main.sales.parts", "other") is None
    assert snapshot.resolve("TABLE", "main.sales.parts", None) is None
    assert snapshot.resolve("USER", "Bob@X.io", None) == by_id["bob"]
    assert snapshot.resolve("GROUP", "bob@x.io", None) is None
    assert snapshot.resolve("WORKSPACE", "Work", None) == by_id["w"]
    assert snapshot.full_name("t2") == "main.sales.Parts"


def test_locate_names_the_deepest_container_and_the_kind_missing_in_it() -> None:
    snapshot = small_world()
    by_id = {securable.id: securable for securable in snapshot.securables.values()}
    assert snapshot.locate("TABLE", "main.nope.orders", "m") == Located(None, by_id["c"], "SCHEMA")
    assert snapshot.locate("TABLE", "main.sales.nope", "m") == Located(None, by_id["s"], "TABLE")
    assert snapshot.locate("TABLE", "main.sales.orders", "m") == Located(by_id["t1"], by_id["s"], None)
    assert snapshot.locate("CATALOG", "main", None) == Located(None, None, "CATALOG")


def test_grant_on_a_deleted_object_is_dropped_and_a_doubled_one_is_one_row() -> None:
    doubled = (
        Grant("t1", "carol", "SELECT"),
        Grant("t1", "carol", "SELECT"),
        Grant("deleted", "carol", "SELECT"),
    )
    snapshot = small_world(*doubled)
    assert [row for row in snapshot.rows() if row.principal_id == "carol" and row.act != "USER:SELF"] == [
        Row("carol", "t1", "TABLE:SELECT")
    ]


def test_cycle_of_groups_or_containers_ends() -> None:
    from lakewarden_policy import Membership

    loop = (
        Membership("analysts", "everyone-in-sales"),
        Membership("everyone-in-sales", "analysts"),
        Membership("analysts", "bob"),
    )
    knot = (
        *SECURABLES,
        Securable("x", "SCHEMA", "y", "m", "x", "x", None, 1),
        Securable("y", "SCHEMA", "x", "m", "y", "y", None, 1),
    )
    snapshot = small_world(memberships=loop, securables=knot)
    assert {"analysts", "everyone-in-sales"} < snapshot.closure("bob")
    assert not Decider(load_policy(), snapshot).privilege("bob", "w", "x", "SELECT").allowed


def test_token_is_found_by_id() -> None:
    token = Token("k1", "bob", b"digest", "PAT", 1.0, None)
    snapshot = Snapshot.build(
        Head("e", 1, "n"), principals=[], memberships=[], securables=[], grants=[], tokens=[token]
    )
    assert dict(snapshot.tokens) == {"k1": token}
