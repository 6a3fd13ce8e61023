"""Check, BatchCheck and AuthorizePlan: the subject's rights alone, from the calling workspace, reasons only for the visible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from lakewarden import Client, InvalidArgument
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

BOB = "bob@example.com"
TABLE = "main.sales.orders"
GATES = (("USE CATALOG", "catalog", "main"), ("USE SCHEMA", "schema", "main.sales"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with serve(database_url=url) as server:
        admin = server.client()
        admin.catalogs.create("main")
        admin.schemas.create("main.sales")
        admin.tables.create(TABLE)
        yield server


@pytest.fixture
def bob(world: EmbeddedServer) -> Iterator[Client]:
    """A reader of the table, and no more, for one test."""
    reader, admin = world.client_as("bob"), world.client()
    for privilege, kind, name in (*GATES, ("SELECT", "table", TABLE)):
        admin.grants.grant(privilege, kind, name, BOB)
    yield reader
    for kind, name in (("catalog", "main"), ("schema", "main.sales"), ("table", TABLE)):
        admin.grants.revoke("ALL PRIVILEGES", kind, name, BOB)


def _access(privilege: str, name: str = TABLE, kind: str = "TABLE") -> SimpleNamespace:
    return SimpleNamespace(full_name=name, privilege=privilege, securable_type=kind)


@pytest.fixture(scope="module")
def engine(world: EmbeddedServer) -> Client:
    admin = world.client()
    name = admin.service_principals.create("engine").name
    admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", name)
    return world.client(world.issue_token(name))


def test_check_answers_with_reason_fix_and_revision(bob: Client) -> None:
    yes = bob.authorization.check("select", "table", TABLE)
    assert (yes.allowed, yes.reason, yes.fixes) == (True, "", ())
    assert yes.revision == bob.revision
    no = bob.authorization.check("MODIFY", "table", TABLE)
    assert not no.allowed
    assert TABLE in no.reason
    assert any("MODIFY" in fix and "GRANT" in fix and BOB in fix for fix in no.fixes)


@pytest.mark.parametrize(("privilege", "kind", "name"), GATES)
def test_every_gate_is_needed(
    world: EmbeddedServer, bob: Client, privilege: str, kind: str, name: str
) -> None:
    world.client().grants.revoke(privilege, kind, name, BOB)
    assert not bob.authorization.check("SELECT", "table", TABLE)
    world.client().grants.grant(privilege, kind, name, BOB)
    assert bob.authorization.check("SELECT", "table", TABLE)


def test_fix_of_a_denial_is_enough(world: EmbeddedServer, bob: Client) -> None:
    """What a denial says would help does help: the statements are made into grants, and the answer is yes."""
    admin = world.client()
    for privilege, kind, name in GATES:
        admin.grants.revoke(privilege, kind, name, BOB)
    admin.grants.grant("BROWSE", "catalog", "main", BOB)
    no = bob.authorization.check("SELECT", "table", TABLE)
    assert len(no.fixes) == 2
    for fix in no.fixes:
        words = fix.removeprefix("GRANT ").split(" ON ")
        kind, name = words[1].split(" TO ")[0].split()
        admin.grants.grant(words[0], kind.lower(), name.replace("`", ""), BOB)
    assert bob.authorization.check("SELECT", "table", TABLE)


def test_absent_and_invisible_are_the_same_plain_no(world: EmbeddedServer, bob: Client) -> None:
    world.client().tables.create("main.sales.hidden")
    hidden = bob.authorization.check("SELECT", "table", "main.sales.hidden")
    absent = bob.authorization.check("SELECT", "table", "main.sales.absent")
    malformed = bob.authorization.check("SELECT", "table", "no such thing")
    assert not hidden
    assert hidden.reason.replace("hidden", "absent") == absent.reason
    assert (hidden.fixes, absent.fixes, malformed.allowed, malformed.fixes) == ((), (), False, ())


def test_owner_of_a_container_reads_no_data(world: EmbeddedServer) -> None:
    admin = world.client()
    world.client_as("maker")
    admin.grants.grant("USE CATALOG", "catalog", "main", "maker@example.com")
    admin.grants.grant("ALL PRIVILEGES", "schema", "main.sales", "maker@example.com")
    world.client_as("maker").tables.create("main.sales.theirs")
    assert not admin.authorization.check("SELECT", "table", "main.sales.theirs")
    assert admin.authorization.check("SELECT", "table", TABLE)


def test_unknown_privilege_kind_and_empty_questions_are_errors(bob: Client) -> None:
    with fails("PRIVILEGE_UNKNOWN", "INVALID_ARGUMENT"):
        bob.authorization.check("FLY", "table", TABLE)
    with fails("PRIVILEGE_NOT_APPLICABLE", "INVALID_ARGUMENT"):
        bob.authorization.check("USE CATALOG", "table", TABLE)
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        bob.authorization.check("SELECT", "table", "")
    for ask in (bob.authorization.batch_check, bob.authorize_plan):
        with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
            ask([])
        with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="1000"):
            ask([_access("SELECT")] * 1_001)


def test_batch_answers_in_order_at_one_revision(bob: Client) -> None:
    asked = [
        _access("SELECT"),
        _access("MODIFY"),
        _access("SELECT", "main.sales.x"),
        _access("USE CATALOG", "main", "CATALOG"),
    ]
    verdicts = bob.authorization.batch_check(asked * 250)
    assert [verdict.allowed for verdict in verdicts] == [True, False, False, True] * 250
    assert len({verdict.revision for verdict in verdicts}) == 1


def test_a_batch_without_reasons_says_and_refuses_what_one_with_them_does(bob: Client) -> None:
    """The two are answered on two paths."""
    asked = [
        _access("SELECT"),
        _access("SELECT", TABLE.upper()),
        _access("MODIFY"),
        _access("SELECT", "main.sales"),
        _access("SELECT", "main..orders"),
        _access("SELECT", f"{TABLE}.more"),
        _access("SELECT", TABLE, "VIEW"),
        _access("USE CATALOG", "main", "CATALOG"),
        _access("USE SCHEMA", "main.sales", "SCHEMA"),
        _access("USE SCHEMA", "nope.sales", "SCHEMA"),
        _access("USER", "workspace", "WORKSPACE"),
        _access("CAN VIEW", "30", "JOB"),
        _access("SELECT"),
    ]
    with_reasons = [bool(each) for each in bob.authorization.batch_check(asked)]
    assert [bool(each) for each in bob.authorization.batch_check(asked, explain=False)] == with_reasons
    assert set(with_reasons) == {True, False}
    for wrong in (
        [_access("SELECT", "")],
        [_access("FLY")],
        [_access("USE CATALOG")],
        [_access("FLY"), _access("SELECT", "")],
        [_access("SELECT", ""), _access("FLY")],
    ):
        errors = []
        for explain in (True, False):
            with pytest.raises(InvalidArgument) as refused:
                bob.authorization.batch_check([*asked, *wrong], explain=explain)
            errors.append((refused.value.reason, refused.value.message))
        assert errors[0] == errors[1]


def test_plan_is_allowed_only_as_a_whole(bob: Client) -> None:
    assert bob.authorize_plan([_access("SELECT"), _access("USE SCHEMA", "main.sales", "SCHEMA")])
    answer = bob.authorize_plan([_access("SELECT"), _access("MODIFY")])
    assert not answer
    assert [(denial.full_name, denial.privilege) for denial in answer.denials] == [(TABLE, "MODIFY")]


def test_asking_about_another_needs_the_entitlement(
    world: EmbeddedServer, bob: Client, engine: Client
) -> None:
    assert engine.authorization.check("SELECT", "table", TABLE, subject=BOB)
    assert not engine.authorization.check("SELECT", "table", TABLE)
    for asker in (world.client_as("carol"), world.client()):
        for ask in (
            lambda asker=asker: asker.authorization.check("SELECT", "table", TABLE, subject=BOB),
            lambda asker=asker: asker.authorization.batch_check([_access("SELECT")], subject=BOB),
            lambda asker=asker: asker.authorize_plan([_access("SELECT")], subject=BOB),
        ):
            with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
                ask()
    assert bob.authorization.check("SELECT", "table", TABLE, subject=BOB.upper())


def test_entitlement_holds_in_its_workspace_only(world: EmbeddedServer, bob: Client, engine: Client) -> None:
    admin = world.client()
    admin.workspaces.create("annex", metastore="metastore")
    admin.grants.grant("USER", "workspace", "annex", engine.session.get().principal)
    admin.grants.grant("USER", "workspace", "annex", BOB)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        engine.with_workspace("annex").authorization.check("SELECT", "table", TABLE, subject=BOB)
    assert bob.with_workspace("annex").authorization.check("SELECT", "table", TABLE)


def test_engine_is_told_no_about_the_unknown_and_the_unassigned(
    world: EmbeddedServer, engine: Client
) -> None:
    admin = world.client()
    admin.users.create("away@example.com")
    admin.grants.grant(["USE CATALOG", "USE SCHEMA", "SELECT"], "catalog", "main", "away@example.com")
    for subject in ("away@example.com", "ghost@example.com", "account users"):
        assert not engine.authorization.check("SELECT", "table", TABLE, subject=subject)
    admin.grants.grant("USER", "workspace", "workspace", "away@example.com")
    assert engine.authorization.check("SELECT", "table", TABLE, subject="away@example.com")


def test_acknowledged_revoke_is_never_followed_by_an_allow(world: EmbeddedServer, bob: Client) -> None:
    admin: Client = world.client()
    ask: Callable[[], bool] = lambda: bool(bob.authorization.check("SELECT", "table", TABLE))  # noqa: E731
    for _ in range(10):
        admin.grants.revoke("SELECT", "table", TABLE, BOB)
        assert not ask()
        admin.grants.grant("SELECT", "table", TABLE, BOB)
        assert ask()


@pytest.mark.parametrize(("privilege", "kind", "name"), GATES)
def test_batch_after_a_revoke_on_a_container_rests_on_nothing_of_the_one_before(
    world: EmbeddedServer, bob: Client, privilege: str, kind: str, name: str
) -> None:
    admin = world.client()

    def answers() -> list[bool]:
        asked = [_access("SELECT"), _access("USE CATALOG", "main", "CATALOG")]
        return [bool(verdict) for verdict in bob.authorization.batch_check(asked)]

    for _ in range(3):
        assert answers() == [True, True]
        admin.grants.revoke(privilege, kind, name, BOB)
        assert answers() == [False, kind != "catalog"]
        admin.grants.grant(privilege, kind, name, BOB)
