"""What runs with its owner's rights asks about the owner whatever privilege it is run by."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
EVE = "eve@example.com"
BOB = "bob@example.com"


@pytest.fixture
def schema(server: EmbeddedServer, fresh: Fresh) -> str:
    """A schema in which eve may create what she likes, with a table she may read."""
    admin, catalog = server.client(), fresh("catalog")
    server.token_of(EVE)
    admin.catalogs.create(catalog)
    admin.tables.create(f"{catalog}.default.base", [{"name": "id", "type_text": "INTEGER"}])
    admin.grants.grant(
        ["USE CATALOG", "USE SCHEMA", "CREATE TABLE", "CREATE MATERIALIZED VIEW", "BROWSE", "CREATE MODEL"],
        "catalog",
        catalog,
        EVE,
    )
    admin.grants.grant("SELECT", "table", f"{catalog}.default.base", EVE)
    return f"{catalog}.default"


@pytest.mark.parametrize(
    ("kind", "privilege"),
    [
        ("materialized_view", "REFRESH"),
        ("materialized_view", "ALL PRIVILEGES"),
        ("view", "ALL PRIVILEGES"),
        ("view", "SELECT"),
    ],
)
def test_owner_who_lost_the_base_runs_nothing_any_more(
    server: EmbeddedServer, schema: str, kind: str, privilege: str
) -> None:
    admin, eve = server.client(), server.client_as(EVE)
    resource = eve.views if kind == "view" else eve.materialized_views
    resource.create(f"{schema}.seen", f"SELECT id FROM {schema}.base")
    assert eve.authorization.check(privilege, kind, f"{schema}.seen")
    admin.grants.revoke("SELECT", "table", f"{schema}.base", EVE)
    assert not eve.authorization.check(privilege, kind, f"{schema}.seen")
    admin.grants.grant("SELECT", "table", f"{schema}.base", EVE)
    assert eve.authorization.check(privilege, kind, f"{schema}.seen")


def test_refresh_and_check_answer_alike(server: EmbeddedServer, schema: str) -> None:
    """The call that refreshes asks all that Check asks, and tells nobody what they may not see."""
    admin, eve, bob = server.client(), server.client_as(EVE), server.client_as(BOB)
    catalog, base, name = schema.partition(".")[0], f"{schema}.base", f"{schema}.stored"
    eve.materialized_views.create(name, f"SELECT id FROM {base}")
    admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", catalog, BOB)
    admin.grants.grant("REFRESH", "materialized_view", name, BOB)
    assert bob.authorization.check("REFRESH", "materialized_view", name)
    refreshed = bob.materialized_views.refresh(name).refresh_time
    admin.grants.revoke("SELECT", "table", base, EVE)
    for client in (eve, bob):
        assert not client.authorization.check("REFRESH", "materialized_view", name)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying=f"{EVE}, with whose rights it runs") as told:
        bob.materialized_views.refresh(name)
    assert base not in told.error.message
    assert not told.error.metadata.get("fixes")
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying=f"GRANT SELECT ON TABLE {base} TO `{EVE}`"):
        eve.materialized_views.refresh(name)
    # Whoever may not run it still sees that it is there, and when it last ran.
    assert bob.materialized_views.get(name).refresh_time == refreshed
    admin.grants.grant("SELECT", "table", base, EVE)
    assert bob.materialized_views.refresh(name).refresh_time.ToDatetime() > refreshed.ToDatetime()


def test_what_another_owner_lacks_is_not_asked_of_the_caller(server: EmbeddedServer, schema: str) -> None:
    """A view over a view whose owner lost the base: the caller is told of the owner, not of the hidden base."""
    admin, bob = server.client(), server.client_as(BOB)
    catalog, base = schema.partition(".")[0], f"{schema}.base"
    server.client_as(EVE).views.create(f"{schema}.seen", f"SELECT id FROM {base}")
    admin.grants.grant(["USE CATALOG", "USE SCHEMA", "CREATE TABLE"], "catalog", catalog, BOB)
    admin.grants.grant("SELECT", "view", f"{schema}.seen", BOB)
    admin.grants.revoke("SELECT", "table", base, EVE)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying=f"{EVE}, with whose rights it runs") as told:
        bob.views.create(f"{schema}.over", f"SELECT id FROM {schema}.seen")
    assert base not in told.error.message
    assert not told.error.metadata.get("fixes")


def test_stored_rows_stay_readable(server: EmbeddedServer, schema: str) -> None:
    """A materialized view was computed when it might be: reading what is stored asks about nobody else."""
    admin, eve = server.client(), server.client_as(EVE)
    eve.materialized_views.create(f"{schema}.stored", f"SELECT id FROM {schema}.base")
    admin.grants.revoke("SELECT", "table", f"{schema}.base", EVE)
    assert eve.authorization.check("SELECT", "materialized_view", f"{schema}.stored")


def test_model_is_not_created_for_somebody_else(server: EmbeddedServer, schema: str) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="first owner"):
        server.client_as(EVE).models._create({"name": "model", "owner": "admin@example.com"}, parent=schema)
