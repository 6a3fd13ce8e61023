"""A list shows what its caller may see, and only that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from access.roles import ROLES, WORKSPACE_OF, cast, email
from lakewarden import Client
from lakewarden_server.testing import serve


# What each role is shown besides nothing; a role that is not named sees an empty list.
def _shown(**by_names: str) -> dict[str, set[str]]:
    """Role -> names, from names joined by `_and_` -> roles."""
    return {role: set(names.split("_and_")) for names, roles in by_names.items() for role in roles.split()}


_ASSIGNED = "met cat sch tab man mug use sel mod bro grp wsa"
CATALOGS = _shown(main="met cat sch tab man mug use sel mod bro grp")
SCHEMAS = _shown(default_and_sales="met cat mug use bro", sales="sch tab sel mod grp")
DELETED = _shown(gone="met cat sch tab")
VOLUMES = _shown(receipts="met cat sch tab mug bro")
MODELS = _shown(churn="met cat sch tab mug bro")
TABLES = _shown(orders="met cat sch tab mug sel mod bro grp")
BESIDE = "met cat sch tab mug bro"
METASTORES = _shown(metastore=_ASSIGNED, metastore_and_elsewhere="acc", elsewhere="oth")
WORKSPACES = _shown(workspace=_ASSIGNED, workspace_and_remote="acc", remote="oth")
GROUPS = {
    role: {"account users", *({"workspace users"} if role in _ASSIGNED.split() else ())} for role in ROLES
}
GROUPS["oth"] |= {"remote users"}
GROUPS["wsa"] |= {"workspace admins"}
GROUPS["grp"] |= {"analysts", "readers"}
GROUPS["acc"] = set().union(*GROUPS.values(), {"remote admins"})

LISTS: dict[str, tuple[Callable[[Client], Iterator[Any]], dict[str, set[str]]]] = {
    "catalogs": (lambda client: client.catalogs.list(), CATALOGS),
    "schemas": (lambda client: client.schemas.list("main"), SCHEMAS),
    "tables": (lambda client: client.tables.list("main.sales"), TABLES),
    "deleted tables": (lambda client: client.tables.list_deleted("main.sales"), DELETED),
    "volumes": (lambda client: client.volumes.list("main.sales"), VOLUMES),
    "models": (lambda client: client.models.list("main.sales"), MODELS),
    "views": (lambda client: client.views.list("main.sales"), _shown(big=BESIDE)),
    "materialized views": (
        lambda client: client.materialized_views.list("main.sales"),
        _shown(daily=BESIDE),
    ),
    "streaming tables": (lambda client: client.streaming_tables.list("main.sales"), _shown(clicks=BESIDE)),
    "functions": (lambda client: client.functions.list("main.sales"), _shown(masked=BESIDE)),
    "metastores": (lambda client: client.metastores.list(), METASTORES),
    "workspaces": (lambda client: client.workspaces.list(), WORKSPACES),
    "groups": (lambda client: client.groups.list(), GROUPS),
}


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Client]]:
    with serve() as server:
        tokens = cast(server)
        yield {
            role: server.client(tokens[role], workspace=WORKSPACE_OF.get(role, "workspace")) for role in ROLES
        }


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("noun", LISTS)
def test_list_shows_what_the_role_may_see(clients: dict[str, Client], noun: str, role: str) -> None:
    listing, expected = LISTS[noun]
    assert {row.name for row in listing(clients[role])} == expected.get(role, set())


@pytest.mark.parametrize("role", ROLES)
def test_users_see_themselves_and_admins_see_all(clients: dict[str, Client], role: str) -> None:
    everybody = {"admin@example.com", *map(email, ROLES)}
    assert {user.name for user in clients[role].users.list()} == (
        everybody if role == "acc" else {email(role)}
    )


@pytest.mark.parametrize("role", ROLES)
def test_only_an_account_admin_sees_service_principals(clients: dict[str, Client], role: str) -> None:
    clients["acc"].service_principals.create("engine")
    assert bool(list(clients[role].service_principals.list())) is (role == "acc")


@pytest.mark.parametrize("role", ["cat", "sch", "bro", "sel"])
def test_what_a_list_shows_can_be_got(clients: dict[str, Client], role: str) -> None:
    client = clients[role]
    for table in client.tables.list("main.sales"):
        assert client.tables.get(table.full_name).id == table.id
    for schema in client.schemas.list("main"):
        assert client.schemas.get(schema.full_name).id == schema.id


def test_list_of_an_invisible_catalog_is_empty_even_for_what_one_owns(clients: dict[str, Client]) -> None:
    """Owning a table without the gates above it shows no path to it."""
    clients["cat"].grants.revoke("USE SCHEMA", "schema", "main.sales", "tab@example.com")
    clients["cat"].grants.revoke("USE CATALOG", "catalog", "main", "tab@example.com")
    assert list(clients["tab"].catalogs.list()) == []
    assert list(clients["tab"].tables.list("main.sales")) == []
