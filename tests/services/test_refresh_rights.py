"""What runs with its owner's rights asks about the owner whatever privilege it is run by."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
EVE = "eve@example.com"


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


def test_stored_rows_stay_readable(server: EmbeddedServer, schema: str) -> None:
    """A materialized view was computed when it might be: reading what is stored asks about nobody else."""
    admin, eve = server.client(), server.client_as(EVE)
    eve.materialized_views.create(f"{schema}.stored", f"SELECT id FROM {schema}.base")
    admin.grants.revoke("SELECT", "table", f"{schema}.base", EVE)
    assert eve.authorization.check("SELECT", "materialized_view", f"{schema}.stored")


def test_model_is_not_created_for_somebody_else(server: EmbeddedServer, schema: str) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="first owner"):
        server.client_as(EVE).models._create({"name": "model", "owner": "admin@example.com"}, parent=schema)
