"""Why, who, what, which of these and what if: each answers what Check would, and tells nobody more than they may see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from lakewarden import Client
from lakewarden._questions import grant_if, member_if
from lakewarden.v1 import grants_pb2
from lakewarden.v1.authorization_pb2 import Fix
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

ADMIN, BOB, CAROL, OWEN = (f"{name}@example.com" for name in ("admin", "bob", "carol", "owen"))
TABLE = "main.sales.orders"


@pytest.fixture(scope="module")
def world() -> Iterator[EmbeddedServer]:
    """Owen owns the catalog; analysts read one of two tables, bob is one of them; carol may browse."""
    with serve() as server:
        admin = server.client()
        for name in ("bob", "carol", "owen"):
            server.client_as(name)
        admin.catalogs.create("main")
        admin.catalogs.create("hidden")
        admin.schemas.create("main.sales")
        for table in ("orders", "parts"):
            admin.tables.create(f"main.sales.{table}")
        admin.groups.create("staff")
        admin.groups.create("analysts")
        admin.groups.update_members("staff", add=["analysts"])
        admin.groups.update_members("analysts", add=[BOB])
        admin.grants.grant("USE CATALOG", "catalog", "main", "staff")
        admin.grants.grant("BROWSE", "catalog", "main", CAROL)
        admin.grants.grant(["USE SCHEMA"], "schema", "main.sales", "analysts")
        admin.grants.grant("SELECT", "table", TABLE, "analysts")
        admin.catalogs.set_owner("main", OWEN)
        yield server


@pytest.fixture
def admin(world: EmbeddedServer) -> Client:
    return world.client()


@pytest.fixture
def bob(world: EmbeddedServer) -> Client:
    return world.client_as("bob")


@pytest.fixture
def carol(world: EmbeddedServer) -> Client:
    return world.client_as("carol")


def test_explain_proves_a_yes_with_rows_and_group_paths(bob: Client) -> None:
    answer = bob.authorization.explain("SELECT", "table", TABLE)
    assert (answer.allowed, list(answer.problems), list(answer.fixes)) == (True, [], [])
    steps = {(step.privilege, step.full_name): step.source for step in answer.proof}
    assert steps["SELECT", TABLE].principal == "analysts"
    assert list(steps["USE_CATALOG", "main"].group_path) == ["analysts", "staff"]
    assert answer.revision == bob.revision


def test_explain_lists_everything_missing_the_fixes_and_who_can_make_them(admin: Client) -> None:
    answer = admin.authorization.explain("MODIFY", "table", TABLE, subject=CAROL)
    assert list(answer.problems) == [
        "carol@example.com has no MODIFY on table main.sales.orders",
        "carol@example.com has no USE SCHEMA on schema main.sales",
        "carol@example.com has no USE CATALOG on catalog main",
        "carol@example.com has no SELECT on table main.sales.orders",
    ]
    assert [fix.statement for fix in answer.fixes] == [
        "GRANT MODIFY ON TABLE main.sales.orders TO `carol@example.com`",
        "GRANT USE SCHEMA ON SCHEMA main.sales TO `carol@example.com`",
        "GRANT USE CATALOG ON CATALOG main TO `carol@example.com`",
        "GRANT SELECT ON TABLE main.sales.orders TO `carol@example.com`",
    ]
    givers = {(giver.principal, giver.because) for giver in answer.fixes[2].givers}
    assert givers == {(OWEN, "owner of catalog main"), (ADMIN, "metastore admin")}


def test_a_limited_token_explains_nothing_of_another_workspace(world: EmbeddedServer, bob: Client) -> None:
    admin = world.client()
    admin.workspaces.create("beside", metastore="metastore", omit_catalog=True)
    admin.grants.grant("USER", "workspace", "beside", BOB)
    assert bob.authorization.explain("SELECT", "table", TABLE, workspace="beside").allowed
    limited = world.client(bob.tokens.create(workspace="workspace").token_value)
    assert limited.authorization.explain("SELECT", "table", TABLE, workspace="workspace").allowed
    for name in ("beside", "nowhere"):
        with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="or you may not ask about it"):
            limited.authorization.explain("SELECT", "table", TABLE, workspace=name)


def test_explain_names_the_workspace_in_the_way_and_how_to_get_past_it(admin: Client) -> None:
    admin.workspaces.create("lab", metastore="metastore")
    answer = admin.authorization.explain("SELECT", "table", TABLE, subject=BOB, workspace="lab")
    assert list(answer.problems) == ["bob@example.com is not assigned to workspace lab"]
    (fix,) = answer.fixes
    assert (fix.action, fix.statement) == (Fix.GRANT, f"GRANT USER ON WORKSPACE lab TO `{BOB}`")
    admin.grants.grant("USER", "workspace", "lab", BOB)
    assert admin.authorization.explain("SELECT", "table", TABLE, subject=BOB, workspace="lab").allowed
    with fails("FIELD_INVALID", saying="no workspace nowhere"):
        admin.authorization.explain("SELECT", "table", TABLE, subject=BOB, workspace="nowhere")


def test_explain_says_that_somebody_is_disabled(admin: Client, world: EmbeddedServer) -> None:
    world.client_as("gone")
    admin.users.disable("gone@example.com")
    answer = admin.authorization.explain("USE CATALOG", "catalog", "main", subject="gone@example.com")
    assert answer.problems[0] == "gone@example.com is disabled"
    assert [fix.action for fix in answer.fixes] == [Fix.ENABLE, Fix.GRANT]


def test_explain_names_owners_and_keeps_admins_to_who_sees_grants(admin: Client, carol: Client) -> None:
    admin.users.create("second@example.com")
    admin.grants.grant("ADMIN", "account", "account", "second@example.com")
    told = carol.authorization.explain("SELECT", "table", TABLE)
    assert {giver.principal for giver in told.fixes[2].givers} == {OWEN, ADMIN}
    for asking, name in ((carol, ""), (admin, "second@example.com")):
        answer = asking.authorization.explain("ADMIN", "workspace", "workspace", subject=CAROL)
        givers = [(giver.principal, giver.because) for giver in answer.fixes[0].givers]
        assert givers == [(ADMIN, "owner of workspace workspace"), (name, "account admin")]


def test_explain_about_what_nobody_asking_sees_is_refused_like_what_is_absent(bob: Client) -> None:
    texts = []
    for name in ("hidden", "absent"):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED") as failure:
            bob.authorization.explain("USE CATALOG", "catalog", name)
        texts.append(failure.error.message.replace(name, "it"))
    assert len(set(texts)) == 1


def test_explain_refuses_what_is_no_privilege_and_nobody(admin: Client) -> None:
    with fails("PRIVILEGE_NOT_APPLICABLE"):
        admin.authorization.explain("USE CATALOG", "table", TABLE)
    with fails("PRINCIPAL_UNKNOWN"):
        admin.authorization.explain("SELECT", "table", TABLE, subject="nobody@example.com")


def test_explain_tells_what_a_view_owner_lacks_to_who_sees_what_the_view_reads(
    world: EmbeddedServer, admin: Client, bob: Client
) -> None:
    admin.grants.grant("ALL PRIVILEGES", "catalog", "main", ADMIN)
    admin.views.create("main.sales.shared", "SELECT 1 AS one FROM main.sales.parts")
    admin.views.set_owner("main.sales.shared", OWEN)
    admin.grants.grant("SELECT", "view", "main.sales.shared", BOB)
    told = admin.authorization.explain("SELECT", "view", "main.sales.shared", subject=BOB)
    assert [fix.statement for fix in told.fixes] == [
        f"GRANT SELECT ON TABLE main.sales.parts TO `{OWEN}`",
        f"GRANT USE SCHEMA ON SCHEMA main.sales TO `{OWEN}`",
    ]
    hidden = bob.authorization.explain("SELECT", "view", "main.sales.shared")
    assert not hidden.fixes
    assert "parts" not in str(hidden)
    assert f"{OWEN}, with whose rights it runs, may not use something it reads" in hidden.problems
    for fix in told.fixes:
        kind = "table" if fix.privilege == "SELECT" else "schema"
        world.client_as("owen").grants.grant(fix.privilege, kind, fix.full_name, OWEN)
    proof = bob.authorization.explain("SELECT", "view", "main.sales.shared")
    assert proof.allowed
    assert "parts" not in str(proof)
    (how,) = (
        each.how
        for each in admin.authorization.list_principals("SELECT", "view", "main.sales.shared")
        if each.principal == BOB
    )
    assert {source.full_name for source in how} == {"main.sales.shared", "main.sales", "main"}
    admin.views.delete("main.sales.shared")
    admin.grants.revoke("ALL PRIVILEGES", "catalog", "main", ADMIN)


def test_engine_explains_for_assigned_subjects_only(world: EmbeddedServer, admin: Client) -> None:
    name = admin.service_principals.create("asking").name
    admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", name)
    admin.users.create("outside@example.com")
    engine = world.client(world.issue_token(name))
    assert engine.authorization.explain("SELECT", "table", TABLE, subject=BOB).allowed
    with fails("ACCESS_DENIED"):
        engine.authorization.explain("USE CATALOG", "catalog", "hidden", subject=BOB)
    for subject in ("outside@example.com", "nobody@example.com"):
        with fails("PRINCIPAL_UNKNOWN", saying="or it is not assigned"):
            engine.authorization.explain("SELECT", "table", TABLE, subject=subject)
    with fails("FIELD_INVALID"):
        engine.authorization.explain("SELECT", "table", TABLE, subject=BOB, workspace="workspace")


def test_effective_privileges_show_where_each_comes_from(bob: Client, admin: Client) -> None:
    held = {each.privilege: each for each in bob.grants.effective("schema", "main.sales")}
    assert set(held) == {"USE_SCHEMA"}
    assert held["USE_SCHEMA"].usable
    assert [source.principal for source in held["USE_SCHEMA"].sources] == ["analysts"]
    owned = {each.privilege: each for each in admin.grants.effective("table", TABLE, OWEN)}
    assert set(owned) == {"MANAGE", "BROWSE"}
    (source,) = owned["MANAGE"].sources
    assert (source.origin, source.full_name) == (grants_pb2.PrivilegeSource.OWNERSHIP, "main")


def test_effective_privileges_expand_all_privileges_and_tell_what_cannot_be_used(admin: Client) -> None:
    admin.users.create("held@example.com")
    admin.grants.grant("ALL PRIVILEGES", "table", TABLE, "held@example.com")
    held = {each.privilege: each for each in admin.grants.effective("table", TABLE, "held@example.com")}
    assert set(held) == {"SELECT", "MODIFY", "APPLY_TAG", "ALL_PRIVILEGES"}
    assert {source.privilege for source in held["SELECT"].sources} == {"ALL_PRIVILEGES"}
    assert not any(each.usable for each in held.values())


def test_effective_privileges_show_when_a_grant_ends(admin: Client) -> None:
    admin.users.create("guest@example.com")
    end = datetime(2099, 1, 1, tzinfo=UTC)
    admin.grants.grant("SELECT", "table", TABLE, "guest@example.com", expire_time=end)
    (held,) = admin.grants.effective("table", TABLE, "guest@example.com")
    assert held.sources[0].expire_time.ToDatetime(UTC) == end


def test_effective_privileges_of_others_are_for_who_may_grant(bob: Client, admin: Client) -> None:
    with fails("PRIVILEGE_MISSING"):
        bob.grants.effective("table", TABLE, CAROL)
    with fails("ACCESS_DENIED"):
        bob.grants.effective("catalog", "hidden")
    with fails("PRINCIPAL_UNKNOWN"):
        admin.grants.effective("table", TABLE, "nobody@example.com")


def test_list_principals_shows_who_can_and_how(admin: Client, bob: Client) -> None:
    found = list(admin.authorization.list_principals("SELECT", "table", TABLE))
    assert [each.principal for each in found] == [BOB]
    assert [source.privilege for source in found[0].how] == ["SELECT", "USE_SCHEMA", "USE_CATALOG"]
    managers = admin.authorization.list_principals("MANAGE", "table", TABLE, page_size=1)
    assert [each.principal for each in managers] == [ADMIN, OWEN]
    with fails("PRIVILEGE_MISSING"):
        list(bob.authorization.list_principals("SELECT", "table", TABLE))
    with fails("ACCESS_DENIED"):
        list(bob.authorization.list_principals("USE CATALOG", "catalog", "absent"))
    with fails("PRIVILEGE_UNKNOWN"):
        list(admin.authorization.list_principals("FLY", "table", TABLE))


def test_list_accessible_pages_in_the_order_of_names(bob: Client, carol: Client) -> None:
    assert list(bob.authorization.list_accessible("table", "SELECT")) == [TABLE]
    assert list(bob.authorization.list_accessible("table", "SELECT", parent="main.sales")) == [TABLE]
    seen = ["main.sales.orders", "main.sales.parts"]
    assert list(carol.authorization.list_accessible("table", page_size=1)) == seen
    assert list(carol.authorization.list_accessible("schema")) == ["main.default", "main.sales"]
    for parent in ("hidden", "absent", "absent.too"):
        assert list(bob.authorization.list_accessible("table", parent=parent)) == []
    with fails("FIELD_INVALID"):
        list(bob.authorization.list_accessible("table", parent=TABLE))
    with fails("ACCESS_DENIED"):
        list(bob.authorization.list_accessible("table", subject=CAROL))


def test_filter_returns_those_names_check_allows(bob: Client) -> None:
    names = [TABLE, "MAIN.Sales.ORDERS", "main.sales.parts", "main.sales.absent", "no name", "", "hidden.a.b"]
    assert bob.authorization.filter_securables("table", names, "select") == names[:2]
    assert bob.authorization.filter_securables("table", names) == names[:2]
    assert bob.authorization.filter_securables("catalog", ["main", "hidden"]) == ["main"]
    with fails("FIELD_INVALID"):
        bob.authorization.filter_securables("table", [])
    with fails("ACCESS_DENIED"):
        bob.authorization.filter_securables("table", names, subject=CAROL)
    with fails("PRIVILEGE_NOT_APPLICABLE"):
        bob.authorization.filter_securables("table", names, "USE CATALOG")


def test_filter_takes_a_hundred_thousand_names_and_other_calls_no_more_than_before(bob: Client) -> None:
    names = [f"main.sales.some_table_with_a_long_name_{number:040}" for number in range(100_000)]
    names[99_999] = TABLE
    assert bob.authorization.filter_securables("table", names, "SELECT") == [TABLE]
    with fails("FIELD_INVALID"):
        bob.authorization.filter_securables("table", [*(["a.b.c"] * 100_001)])
    with fails("MESSAGE_TOO_LARGE", saying="8388608"):
        bob.authorization.filter_securables("table", [name + "x" * 8 for name in names])
    with fails("MESSAGE_TOO_LARGE", saying="1048576"):
        bob.authorization.check("SELECT", "table", "x" * (1 << 20))


def test_simulate_answers_without_storing(admin: Client, bob: Client) -> None:
    asked = {"subject": CAROL, "grants": [grant_if("USE SCHEMA", "schema", "main.sales", CAROL)]}
    half = admin.authorization.simulate("SELECT", "table", TABLE, **asked)  # type: ignore[arg-type]
    assert not half
    assert "no SELECT on main.sales.orders" in half.verdict.reason
    joined = [member_if("analysts", CAROL)]
    whole = admin.authorization.simulate("SELECT", "table", TABLE, subject=CAROL, memberships=joined)
    assert (whole.verdict.allowed, whole.allowed_now) == (True, False)
    revoked = [grant_if("SELECT", "table", TABLE, "analysts", revoke=True)]
    gone = admin.authorization.simulate("SELECT", "table", TABLE, subject=BOB, grants=revoked)
    assert (gone.verdict.allowed, gone.allowed_now) == (False, True)
    assert bob.authorization.check("SELECT", "table", TABLE)


def test_simulate_is_about_changes_one_could_make(world: EmbeddedServer, bob: Client) -> None:
    mine = [grant_if("SELECT", "table", TABLE, BOB)]
    with fails("PRIVILEGE_MISSING"):
        bob.authorization.simulate("SELECT", "table", TABLE, grants=mine)
    with fails("ACCESS_DENIED"):
        bob.authorization.simulate(
            "SELECT", "table", TABLE, grants=[grant_if("USE CATALOG", "catalog", "hidden", BOB)]
        )
    owen = world.client_as("owen")
    assert owen.authorization.simulate("SELECT", "table", TABLE, subject=BOB, grants=mine)
    with fails("ACCESS_DENIED"):
        owen.authorization.simulate("SELECT", "table", TABLE, memberships=[member_if("staff", OWEN)])
    with fails("ACCESS_DENIED"):
        bob.authorization.simulate("USE CATALOG", "catalog", "absent")
