"""What a revoke would do downstream, through a real server: held against what is so once the grant is revoked."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from lakewarden import LakewardenError, PermissionDenied
from lakewarden.cli import main
from lakewarden.v1 import lineage_governance_pb2 as pb
from lakewarden.v1.grants_pb2 import PrivilegeSource
from lakewarden_server.services import lineage_revokes
from lakewarden_server.testing import EmbeddedServer, serve
from lineage.protected import World, build, destroy, getter, peopled_lake, readings, works
from lineage.protected import kind as kind_of

ORDERS, MENU, REPORT, TOTALS = "main.raw.orders", "main.marts.menu", "main.marts.report", "main.marts.totals"
TABLES = (ORDERS, REPORT, TOTALS, "main.marts.other")
PEOPLE = ("ann", "bob", "carl", "viv", "etl", "dora")


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """Analysts read the orders, Carl also by himself; Viv owns a view of them; etl makes a report of them, and totals of that."""
    with serve() as found:
        admin = found.client()
        grants = admin.grants
        admin.catalogs.create("main")
        for schema in ("raw", "marts"):
            admin.schemas.create(f"main.{schema}")
        for table in TABLES:
            admin.tables.create(table, columns=[{"name": "id", "type_text": "BIGINT"}])
        for name in PEOPLE:
            found.client_as(name)
        admin.groups.create("analysts")
        admin.groups.update_members(
            "analysts", add=[email(name) for name in ("ann", "bob", "carl", "viv", "etl")]
        )
        grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", "main", "account users")
        grants.grant("SELECT", "table", ORDERS, "analysts")
        grants.grant("SELECT", "table", ORDERS, email("carl"))
        grants.grant("MODIFY", "schema", "main.marts", email("etl"))
        grants.grant("SELECT", "schema", "main.marts", email("etl"))
        grants.grant(["LINEAGE PRODUCER", "QUERY ENGINE"], "workspace", "workspace", email("etl"))
        grants.grant("QUERY ENGINE", "workspace", "workspace", "admin@example.com")
        admin.views.create(MENU, f"SELECT id FROM {ORDERS}")
        admin.views.create("main.marts.menus", f"SELECT id FROM {MENU}")
        admin.views.set_owner(MENU, email("viv"))
        for reader, name in ((MENU, "dora"), (MENU, "admin"), ("main.marts.menus", "dora")):
            grants.grant("SELECT", "view", reader, email(name))
        grants.grant("SELECT", "table", TOTALS, email("dora"))
        etl = found.client_as("etl")
        for target, source in ((REPORT, ORDERS), (TOTALS, REPORT)):
            etl.lineage.record_sql(
                f"INSERT INTO {target} SELECT id FROM {source}",
                job_namespace="airflow",
                job_name=f"to {target}",
            )
        admin.lineage.record_sql(f"INSERT INTO main.marts.other SELECT id FROM {ORDERS}")
        yield found


def email(name: str) -> str:
    return f"{name}@example.com"


Effect = tuple[str, int, str, tuple[str, ...], tuple[str, ...]]


def told(answer: pb.SimulateRevokeResponse) -> set[Effect]:
    """Each effect: where, how far, why, due to whom, and who reads it."""
    return {
        (
            each.name,
            each.distance,
            pb.DownstreamEffect.Cause.Name(each.cause),
            tuple(each.principals),
            tuple(f"{reader.source.principal} {reader.principal_count}" for reader in each.readers),
        )
        for each in answer.effects
    }


def test_who_loses_what_and_what_that_feeds(server: EmbeddedServer) -> None:
    answer = server.client().lineage_governance.simulate_revoke("SELECT", "table", ORDERS, "analysts")
    assert [
        (each.full_name, list(each.principals), each.lost_count, each.kept_count) for each in answer.losses
    ] == [(ORDERS, [email(name) for name in ("ann", "bob", "etl", "viv")], 4, 1)]
    admin, dora, etl = (f"{email(name)} 1" for name in ("admin", "dora", "etl"))
    assert told(answer) == {
        (MENU, 1, "OWNER", (email("viv"),), (admin, dora, etl, email("viv") + " 1")),
        (REPORT, 1, "RUNNER", (email("etl"),), (admin, etl)),
        ("main.marts.menus", 2, "UPSTREAM", (), (admin, dora, etl)),
        (TOTALS, 2, "UPSTREAM", (), (admin, dora, etl)),
    }
    assert [list(each.jobs) for each in answer.effects if each.name == REPORT] == [[f"airflow to {REPORT}"]]
    assert answer.truncated_by == ""
    # Nobody but the admin, who keeps reading, told that it made this one.
    assert "main.marts.other" not in {each.name for each in answer.effects}


def test_it_is_what_check_answers_once_the_grant_is_revoked(server: EmbeddedServer) -> None:
    admin = server.client()
    for privilege, kind, name, principal in (
        ("SELECT", "table", ORDERS, "analysts"),
        ("SELECT", "table", ORDERS, email("carl")),
        ("USE SCHEMA", "catalog", "main", "account users"),
        ("SELECT", "schema", "main.marts", email("etl")),
    ):
        objects = [("table", each) for each in TABLES] + [("view", MENU), ("view", "main.marts.menus")]

        def reading(of: list[tuple[str, str]] = objects) -> set[tuple[str, str]]:
            return {
                (each, who)
                for kind, each in of
                for who in [*map(email, PEOPLE), "admin@example.com"]
                if admin.authorization.check("SELECT", kind, each, subject=who)
            }

        answer = admin.lineage_governance.simulate_revoke(privilege, kind, name, principal)
        before = reading()
        admin.grants.revoke(privilege, kind, name, principal)
        lost = before - reading()
        admin.grants.grant(privilege, kind, name, principal)
        assert reading() == before
        simulated = {(each.full_name, who) for each in answer.losses for who in each.principals}
        scope = (ORDERS,) if kind == "table" else tuple(each for _, each in objects if each.startswith(name))
        assert simulated == {(each, who) for each, who in lost if each in scope}
        # Beyond what the grant is about only views are lost, each of which is told with those who lose it.
        broken = {each.name: each.readers for each in answer.effects if each.kind == "VIEW"}
        beyond = {each for each, _ in lost if each not in scope}
        assert beyond <= set(broken)
        for view in beyond:
            count = sum(reader.principal_count for reader in broken[view])
            assert count >= len({who for each, who in lost if each == view})
        assert lost or principal == email("carl")


def test_a_grant_on_a_schema_is_about_all_that_is_in_it(server: EmbeddedServer) -> None:
    answer = server.client().lineage_governance.simulate_revoke(
        "SELECT", "schema", "main.marts", email("etl")
    )
    names = [each.full_name for each in answer.losses]
    assert names == sorted(names)
    assert {REPORT, TOTALS, "main.marts.other"} <= set(names)
    # It reads the report to make the totals, both of which are in the schema.
    assert (TOTALS, 1, "RUNNER", (email("etl"),)) in {each[:4] for each in told(answer)}


def test_only_for_who_could_revoke_it_and_of_what_they_may_know(server: EmbeddedServer) -> None:
    ann, admin = server.client_as("ann"), server.client()
    with pytest.raises(PermissionDenied):
        ann.lineage_governance.simulate_revoke("SELECT", "table", ORDERS, "analysts")
    admin.grants.grant("MANAGE", "table", ORDERS, email("ann"))
    assert told(ann.lineage_governance.simulate_revoke("SELECT", "table", ORDERS, "analysts")) == set()
    admin.grants.grant("SELECT", "table", REPORT, email("ann"))
    hidden = ann.lineage_governance.simulate_revoke("SELECT", "table", ORDERS, "analysts")
    # Who reads the report is for its own admins.
    assert told(hidden) == {(REPORT, 1, "RUNNER", (email("etl"),), ())}
    assert [list(each.principals) for each in hidden.losses] == [
        [email(name) for name in ("ann", "bob", "etl", "viv")]
    ]
    admin.grants.revoke("SELECT", "table", REPORT, email("ann"))
    admin.grants.revoke("MANAGE", "table", ORDERS, email("ann"))


def test_what_is_not_granted_there_is_told_with_where_it_comes_from(server: EmbeddedServer) -> None:
    admin, simulate = server.client(), server.client().lineage_governance.simulate_revoke
    inherited = simulate("SELECT", "table", REPORT, email("etl"))
    assert ungranted(inherited) == {"SELECT": [("GRANT", "SELECT", "main.marts", email("etl"), ())]}
    assert (list(inherited.losses), list(inherited.effects)) == ([], [])
    of_a_group = simulate(["SELECT", "modify"], "table", ORDERS, email("ann"))
    assert ungranted(of_a_group) == {
        "SELECT": [("GRANT", "SELECT", ORDERS, "analysts", ("analysts",))],
        "MODIFY": [],
    }
    # An owner has every privilege, and none of it is a grant that a revoke takes.
    owned = ungranted(simulate("SELECT", "view", MENU, email("viv")))
    assert owned["SELECT"][0] == ("OWNERSHIP", "OWNER", MENU, email("viv"), ())
    # What is granted counts all the same, and a revoke there takes nothing of what is told apart.
    some = simulate(["SELECT", "MODIFY"], "table", ORDERS, "analysts")
    assert ungranted(some) == {"MODIFY": []}
    assert some.losses == simulate("SELECT", "table", ORDERS, "analysts").losses
    before = list(admin.grants.list("table", REPORT))
    admin.grants.revoke("SELECT", "table", REPORT, email("etl"))
    assert list(admin.grants.list("table", REPORT)) == before
    # ALL PRIVILEGES takes those it implies with it, so it is not absent where one of them is there.
    assert ungranted(simulate("ALL PRIVILEGES", "table", ORDERS, "analysts")) == {}
    assert ungranted(simulate("ALL PRIVILEGES", "table", REPORT, "analysts")) == {"ALL_PRIVILEGES": []}


def ungranted(
    answer: pb.SimulateRevokeResponse,
) -> dict[str, list[tuple[str, str, str, str, tuple[str, ...]]]]:
    """What was not granted there: from where each is held."""
    return {
        each.privilege: [
            (
                PrivilegeSource.Origin.Name(source.origin),
                source.privilege,
                source.full_name,
                source.principal,
                tuple(source.group_path),
            )
            for source in each.sources
        ]
        for each in answer.not_granted
    }


def test_the_command_says_that_a_revoke_would_change_nothing(
    server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["lineage", "impact", "--revoke", "SELECT", "--on", "table", REPORT, "--from", email("etl")]
    line += ["--endpoint", server.endpoint, "--token", server.admin_token, "--workspace", "workspace"]
    for form in ("table", "json"):
        assert main([*line, "--format", form]) == 0
        said = capsys.readouterr()
        assert said.err.endswith(
            f"SELECT is not granted on table {REPORT} to {email('etl')}: revoking it there changes nothing. "
            f"It is held through: SELECT on schema main.marts to {email('etl')}.\n"
        )
        assert ("not_granted" in said.out) == (form == "json")


def test_refusals_and_bounds(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    governance = server.client().lineage_governance
    for arguments, reason in (
        (("SELECT", "volume", "main.raw.v", "analysts"), "OBJECT_NOT_FOUND"),
        (("READ VOLUME", "table", ORDERS, "analysts"), "PRIVILEGE_NOT_APPLICABLE"),
        (("SELECT", "table", ORDERS, "nobody"), "PRINCIPAL_UNKNOWN"),
        (((), "table", ORDERS, "analysts"), "FIELD_INVALID"),
        (("USER", "workspace", "workspace", "analysts"), "FIELD_INVALID"),
    ):
        with pytest.raises(LakewardenError) as refused:
            governance.simulate_revoke(*arguments)
        assert refused.value.reason == reason
    asked = ("SELECT", "table", ORDERS, "analysts")
    near = governance.simulate_revoke(*asked, max_depth=1)
    assert (near.truncated_by, {each.distance for each in near.effects}) == ("DEPTH", {1})
    monkeypatch.setattr(lineage_revokes, "EFFECTS_MAX", 2)
    assert governance.simulate_revoke(*asked).truncated_by == "NODES"
    monkeypatch.undo()
    monkeypatch.setattr(lineage_revokes, "ANSWER_BYTES_MAX", 10)
    small = governance.simulate_revoke(*asked)
    assert (list(small.effects), small.truncated_by) == ([], "NODES")
    monkeypatch.undo()
    monkeypatch.setattr(lineage_revokes, "OBJECTS_MAX", 1)
    cut = governance.simulate_revoke("SELECT", "schema", "main.marts", email("etl"))
    assert (cut.truncated_by, len(cut.losses)) == ("OBJECTS", 1)


def test_the_command_shows_what_would_be_lost(
    server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["lineage", "impact", "--revoke", "SELECT", "--on", "table", ORDERS, "--from", "analysts"]
    line += ["--endpoint", server.endpoint, "--token", server.admin_token, "--workspace", "workspace"]
    assert main(line) == 0
    shown = capsys.readouterr().out
    assert "ann@example.com, bob@example.com, etl@example.com, viv@example.com" in shown
    assert "its owner viv@example.com loses" in shown
    assert f"airflow to {REPORT}" in shown
    assert main([*line, "--format", "json"]) == 0
    assert '"lost_count": 4' in capsys.readouterr().out


def judge(seeds: range) -> int:
    """Compares simulated revokes in random worlds with what `Check` answers after them; returns how much was lost."""
    lost = 0
    with peopled_lake() as lake:
        for seed in seeds:
            world, chance = build(lake, seed), random.Random(seed)
            # In a catalog that is closed to the workspace nothing can be revoked from there, and nothing is simulated.
            reached = {each for each in world.relations if works(getter, world, lake.admin, each)}
            open_to = sorted(each for each in world.grants if reached.intersection(within(world, each[1])))
            for principal, place in chance.sample(open_to, 4):
                simulated = lake.admin.lineage_governance.simulate_revoke(
                    "SELECT", kind_of(world, place), place, principal
                )
                before = readings(lake, world)
                lake.admin.grants.revoke("SELECT", kind_of(world, place), place, principal)
                after = readings(lake, world)
                lake.admin.grants.grant("SELECT", kind_of(world, place), place, principal)
                wanted = {each: before[each] - after[each] for each in within(world, place)}
                found = {each.full_name: set(each.principals) for each in simulated.losses}
                assert found == {each: who for each, who in wanted.items() if who}, (seed, principal, place)
                lost += sum(map(len, wanted.values()))
            destroy(lake, world)
    return lost


def within(world: World, place: str) -> list[str]:
    return [each for each in world.relations if f"{each}.".startswith(f"{place}.")]


def test_in_random_worlds_what_is_lost_is_what_check_no_longer_allows() -> None:
    assert judge(range(1)) > 0


@pytest.mark.slow
def test_in_many_random_worlds_what_is_lost_is_what_check_no_longer_allows() -> None:
    assert judge(range(6_000, 6_040)) > 40
