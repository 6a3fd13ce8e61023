"""Views are read with their owner's rights on what they reference, through any nesting, as the names mean now."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

BASE, LOW, HIGH = "main.raw.people", "main.mid.adults", "main.top.names"
AUTHORS = {"ada": ("raw", "mid"), "bob": ("mid", "top"), "eve": ("top",)}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """ada reads the base and owns the low view, bob reads that and owns the high view, eve reads only the high view."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with serve(database_url=url) as server:
        admin = server.client()
        admin.catalogs.create("main")
        for schema in ("raw", "mid", "top"):
            admin.schemas.create(f"main.{schema}")
        for name, schemas in AUTHORS.items():
            server.client_as(name)
            admin.grants.grant("USE CATALOG", "catalog", "main", f"{name}@example.com")
            for schema in schemas:
                admin.grants.grant(
                    ["USE SCHEMA", "CREATE TABLE"], "schema", f"main.{schema}", f"{name}@example.com"
                )
        yield server


@pytest.fixture
def chain(world: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The base and the two views over it, anew for each test."""
    admin, ada, bob = world.client(), world.client_as("ada"), world.client_as("bob")
    admin.tables.create(BASE, [{"name": "id", "type_text": "INT"}])
    admin.grants.grant("SELECT", "table", BASE, "ada@example.com")
    ada.views.create(LOW, "SELECT id FROM main.raw.people")
    ada.grants.grant("SELECT", "view", LOW, "bob@example.com")
    bob.views.create(HIGH, "SELECT id FROM mid.adults")
    bob.grants.grant("SELECT", "view", HIGH, "eve@example.com")
    yield world
    for views in (HIGH, LOW):
        admin.views.delete(views)
    if BASE in [table.full_name for table in admin.tables.list("main.raw")]:
        admin.tables.delete(BASE)


def _reads(client: Client, name: str = HIGH, kind: str = "VIEW") -> bool:
    """The one answer of check, batch check and plan."""
    access = SimpleNamespace(full_name=name, privilege="SELECT", securable_type=kind)
    answers = {
        client.authorization.check("SELECT", kind, name).allowed,
        client.authorization.batch_check([access])[0].allowed,
        client.authorize_plan([access]).allowed,
        client.authorize_plan([access], capabilities=["VIEW_EXPANSION"]).allowed,
    }
    assert len(answers) == 1
    return answers.pop()


def test_chain_of_views_needs_each_owner_and_not_the_reader(chain: EmbeddedServer) -> None:
    eve = chain.client_as("eve")
    assert _reads(eve)
    assert not _reads(eve, BASE, "TABLE")
    assert not _reads(eve, LOW)
    assert not _reads(chain.client_as("bob"), BASE, "TABLE")


def test_owner_who_loses_the_base_takes_every_reader_along(chain: EmbeddedServer) -> None:
    admin, eve = chain.client(), chain.client_as("eve")
    admin.grants.revoke("SELECT", "table", BASE, "ada@example.com")
    assert not _reads(eve)
    answer = eve.authorization.check("SELECT", "view", HIGH)
    assert "may not use all that it references" in answer.reason
    assert "people" not in answer.reason
    admin.grants.grant("SELECT", "table", BASE, "ada@example.com")
    assert _reads(eve)


def test_gate_of_the_middle_owner_counts(chain: EmbeddedServer) -> None:
    admin, eve = chain.client(), chain.client_as("eve")
    admin.grants.revoke("USE SCHEMA", "schema", "main.mid", "bob@example.com")
    assert not _reads(eve)
    admin.grants.grant("USE SCHEMA", "schema", "main.mid", "bob@example.com")
    assert _reads(eve)


def test_view_changes_with_its_owner(chain: EmbeddedServer) -> None:
    admin, eve = chain.client(), chain.client_as("eve")
    admin.views.set_owner(LOW, "eve@example.com")
    assert not _reads(eve), "eve may not read the base herself"
    admin.views.set_owner(LOW, "ada@example.com")
    assert _reads(eve)


def test_base_that_is_deleted_and_made_again_inherits_nothing(chain: EmbeddedServer) -> None:
    admin, eve = chain.client(), chain.client_as("eve")
    admin.tables.delete(BASE)
    assert not _reads(eve)
    admin.tables.create(BASE)
    assert not _reads(eve), "ada's grant was on the table that is gone"
    admin.grants.grant("SELECT", "table", BASE, "ada@example.com")
    assert _reads(eve)


def test_view_over_itself_is_denied_to_everybody(chain: EmbeddedServer) -> None:
    admin, ada, bob = chain.client(), chain.client_as("ada"), chain.client_as("bob")
    bob.grants.grant("SELECT", "view", HIGH, "ada@example.com")
    admin.grants.grant("USE SCHEMA", "schema", "main.top", "ada@example.com")
    ada.views.redefine(LOW, "SELECT id FROM main.top.names")
    for client in (admin, ada, bob, chain.client_as("eve")):
        assert not _reads(client)
        assert not _reads(client, LOW)
    admin.grants.revoke("USE SCHEMA", "schema", "main.top", "ada@example.com")


def test_creator_must_be_able_to_read_all_of_it(chain: EmbeddedServer) -> None:
    eve, bob = chain.client_as("eve"), chain.client_as("bob")
    for name in ("main.raw.people", "main.mid.adults", "main.mid.no_such_view"):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED") as hidden:
            eve.views.create("main.top.mine", f"SELECT * FROM {name}")
        assert hidden.error.message.startswith(f"table {name} does not exist")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        bob.views.create("main.top.mine", "SELECT * FROM main.top.names n, main.raw.people p")


def test_manager_may_drop_but_not_redefine(chain: EmbeddedServer) -> None:
    admin, bob, eve = chain.client(), chain.client_as("bob"), chain.client_as("eve")
    bob.grants.grant("MANAGE", "view", HIGH, "eve@example.com")
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        eve.views.redefine(HIGH, "SELECT 1 AS id")
    assert eve.views.update(HIGH, comment="eve was here").comment == "eve was here"
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        admin.views.redefine(HIGH, "SELECT 1 AS id")


def test_owner_redefines_only_with_what_the_owner_can_read(chain: EmbeddedServer) -> None:
    bob = chain.client_as("bob")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        bob.views.redefine(HIGH, "SELECT id FROM main.raw.people")
    changed = bob.views.redefine(HIGH, "SELECT id AS number FROM mid.adults WHERE id > 1")
    assert [column.name for column in changed.columns] == ["number"]
    assert [found.full_name for found in changed.references] == [LOW]


def test_function_in_a_view_runs_with_its_own_owners_rights(chain: EmbeddedServer) -> None:
    admin, bob, eve = chain.client(), chain.client_as("bob"), chain.client_as("eve")
    admin.functions.create("main.raw.f", ["x INT"], "INT", "x + (SELECT max(id) FROM main.raw.people)")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        bob.views.redefine(HIGH, "SELECT main.raw.f(id) AS id FROM mid.adults")
    admin.grants.grant("USE SCHEMA", "schema", "main.raw", "bob@example.com")
    admin.grants.grant("EXECUTE", "function", "main.raw.f", "bob@example.com")
    bob.views.redefine(HIGH, "SELECT main.raw.f(id) AS id FROM mid.adults")
    assert eve.authorization.check("SELECT", "view", HIGH).allowed
    admin.functions.set_owner("main.raw.f", "eve@example.com")
    assert not eve.authorization.check("SELECT", "view", HIGH).allowed, "eve may not read what f reads"
    admin.functions.set_owner("main.raw.f", "admin@example.com")
    admin.grants.revoke("EXECUTE", "function", "main.raw.f", "bob@example.com")
    assert not eve.authorization.check("SELECT", "view", HIGH).allowed
    admin.grants.revoke("USE SCHEMA", "schema", "main.raw", "bob@example.com")
    admin.functions.delete("main.raw.f")


def test_view_with_named_columns_must_have_as_many_as_its_query(chain: EmbeddedServer) -> None:
    admin = chain.client()
    with fails("DEFINITION_INVALID", saying="yields 1"):
        admin.views.create("main.top.two", "SELECT 1 AS a", columns=["a", "b"])
    made = admin.views.create(
        "main.top.two", "SELECT * FROM raw.people", columns=[{"name": "n", "comment": "c"}]
    )
    assert [(column.name, column.comment) for column in made.columns] == [("n", "c")]
    admin.views.delete(made.full_name)


def test_engine_that_expands_views_is_told_the_whole_chain(chain: EmbeddedServer) -> None:
    eve = chain.client_as("eve")
    access = SimpleNamespace(full_name=HIGH, privilege="SELECT", securable_type="VIEW")
    assert eve.authorize_plan([access]).relations == {}
    relations = eve.authorize_plan([access], capabilities=["VIEW_EXPANSION"]).relations
    assert set(relations) == {HIGH, LOW, BASE}
    assert relations[HIGH].definition.replace('"', "") == "SELECT id FROM main.mid.adults AS adults"
    assert (relations[BASE].kind, relations[BASE].definition) == ("TABLE", "")
