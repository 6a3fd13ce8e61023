"""Grants: what is stored, what is refused with nothing stored, and what is shown to whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakewarden import Client
from lakewarden._authorization import change
from lakewarden.v1 import grants_pb2
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
GRANT, REVOKE = grants_pb2.GrantChange.GRANT, grants_pb2.GrantChange.REVOKE
BOB = "bob@example.com"


@pytest.fixture
def catalog(server: EmbeddedServer, fresh: Fresh) -> str:
    """A catalog with `s.t` in it; bob exists."""
    server.client_as("bob")
    name = fresh("catalog")
    server.client().catalogs.create(name)
    server.client().schemas.create(f"{name}.s")
    server.client().tables.create(f"{name}.s.t")
    return name


def _held(client: Client, kind: str, name: str) -> dict[str, list[str]]:
    return {row.principal: list(row.privileges) for row in client.grants.list(kind, name)}


def test_grant_is_listed_and_revoked(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, name = both.client(), fresh("catalog")
    both.client_as("bob")
    admin.catalogs.create(name)
    (held,) = admin.grants.grant(["use catalog", "Browse"], "catalog", name, "BOB@example.com")
    assert (held.principal, list(held.privileges)) == (BOB, ["BROWSE", "USE_CATALOG"])
    assert _held(admin, "catalog", name) == {BOB: ["BROWSE", "USE_CATALOG"]}
    (held,) = admin.grants.grant("USE_CATALOG", "catalog", name, BOB)
    assert list(held.privileges) == ["BROWSE", "USE_CATALOG"]
    (held,) = admin.grants.revoke("browse", "catalog", name, BOB)
    assert list(held.privileges) == ["USE_CATALOG"]
    assert admin.grants.revoke(["BROWSE", "USE CATALOG"], "catalog", name, BOB) == []
    assert _held(admin, "catalog", name) == {}


@pytest.mark.parametrize(
    ("kind", "privilege", "reason", "saying"),
    [
        ("catalog", "FLY", "PRIVILEGE_UNKNOWN", "USE CATALOG"),
        ("catalog", "OWNER", "PRIVILEGE_UNKNOWN", "BROWSE"),
        ("catalog", "", "PRIVILEGE_UNKNOWN", "BROWSE"),
        ("catalog", "\u017felect", "PRIVILEGE_UNKNOWN", "SELECT"),
        ("table", "USE CATALOG", "PRIVILEGE_NOT_APPLICABLE", "SELECT"),
        ("table", "CREATE TABLE", "PRIVILEGE_NOT_APPLICABLE", "MODIFY"),
        ("schema", "BROWSE", "PRIVILEGE_NOT_APPLICABLE", "USE SCHEMA"),
        ("schema", "QUERY ENGINE", "PRIVILEGE_NOT_APPLICABLE", "CREATE TABLE"),
    ],
)
def test_unsuitable_privilege_is_refused_naming_those_that_suit(
    admin: Client, catalog: str, kind: str, privilege: str, reason: str, saying: str
) -> None:
    name = {"catalog": catalog, "schema": f"{catalog}.s", "table": f"{catalog}.s.t"}[kind]
    with fails(reason, "INVALID_ARGUMENT", saying=saying):
        admin.grants.grant(privilege, kind, name, BOB)
    assert _held(admin, kind, name) == {}


def test_grant_to_nobody_on_nothing_or_of_nothing_is_refused(admin: Client, catalog: str) -> None:
    with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT", saying="ghost"):
        admin.grants.grant("SELECT", "catalog", catalog, "ghost")
    with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT"):
        admin.grants.grant("SELECT", "catalog", catalog, "")
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND", saying="ghost"):
        admin.grants.grant("SELECT", "catalog", "ghost", BOB)
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        admin.grants.grant([], "catalog", catalog, BOB)
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        admin.grants.update("catalog", catalog, [])
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="GRANT or REVOKE"):
        admin.grants.update("catalog", catalog, [change(0, BOB, "SELECT")])
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        admin.grants.update("catalog", catalog, [change(GRANT, BOB, "SELECT")] * 1_001)
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        admin.grants.grant(["SELECT"] * 101, "catalog", catalog, BOB)
    assert _held(admin, "catalog", catalog) == {}


def test_one_wrong_change_stores_none(admin: Client, catalog: str) -> None:
    for wrong in (
        change(GRANT, "ghost", "SELECT"),
        change(GRANT, BOB, "FLY"),
        change(REVOKE, BOB, "CREATE CATALOG"),
    ):
        with fails(("PRINCIPAL_UNKNOWN" if wrong.principal == "ghost" else wrong.privileges[0] == "FLY"
                    and "PRIVILEGE_UNKNOWN") or "PRIVILEGE_NOT_APPLICABLE"):  # fmt: skip
            admin.grants.update("catalog", catalog, [change(GRANT, BOB, "SELECT"), wrong])
        assert _held(admin, "catalog", catalog) == {}


def test_changes_of_one_call_apply_in_order(admin: Client, catalog: str) -> None:
    admin.grants.update("catalog", catalog, [change(GRANT, BOB, "SELECT"), change(REVOKE, BOB, "SELECT")])
    assert _held(admin, "catalog", catalog) == {}
    admin.grants.grant("SELECT", "catalog", catalog, BOB)
    admin.grants.update("catalog", catalog, [change(REVOKE, BOB, "SELECT"), change(GRANT, BOB, "SELECT")])
    assert _held(admin, "catalog", catalog) == {BOB: ["SELECT"]}


def test_revoking_all_privileges_takes_what_it_implies(admin: Client, catalog: str) -> None:
    admin.grants.grant(
        ["ALL PRIVILEGES", "SELECT", "USE CATALOG", "MANAGE", "EXTERNAL USE SCHEMA"], "catalog", catalog, BOB
    )
    (left,) = admin.grants.revoke("ALL PRIVILEGES", "catalog", catalog, BOB)
    assert list(left.privileges) == ["EXTERNAL_USE_SCHEMA", "MANAGE"]


def test_revoking_an_implied_privilege_leaves_all_privileges(admin: Client, catalog: str) -> None:
    admin.grants.grant("ALL PRIVILEGES", "catalog", catalog, BOB)
    (left,) = admin.grants.revoke("SELECT", "catalog", catalog, BOB)
    assert list(left.privileges) == ["ALL_PRIVILEGES"]


def test_only_the_catalogs_owner_grants_external_use_schema(
    server: EmbeddedServer, admin: Client, catalog: str
) -> None:
    manager, owner = server.client_as("manager"), server.client_as("owner")
    admin.grants.grant(["MANAGE", "USE CATALOG", "USE SCHEMA"], "catalog", catalog, "manager@example.com")
    admin.catalogs.set_owner(catalog, "owner@example.com")
    for kind, name in (("catalog", catalog), ("schema", f"{catalog}.s")):
        manager.grants.grant("SELECT", kind, name, BOB)
        for spelling in ("EXTERNAL USE SCHEMA", "external_use_schema", " External  use_Schema"):
            with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
                manager.grants.grant(["SELECT", spelling], kind, name, BOB)
            with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
                admin.grants.grant(spelling, kind, name, BOB)
        owner.grants.grant("EXTERNAL USE SCHEMA", kind, name, BOB)
        assert _held(owner, kind, name)[BOB] == ["EXTERNAL_USE_SCHEMA", "SELECT"]


def test_who_may_not_grant_sees_own_grants_only(server: EmbeddedServer, admin: Client, catalog: str) -> None:
    bob, group = server.client_as("bob"), f"{catalog}_readers"
    admin.groups.create(group)
    admin.groups.update_members(group, add=[BOB])
    server.client_as("carol")
    for principal in (BOB, group, "carol@example.com"):
        admin.grants.grant("BROWSE", "catalog", catalog, principal)
    assert _held(bob, "catalog", catalog) == {BOB: ["BROWSE"], group: ["BROWSE"]}
    assert list(bob.grants.list("catalog", catalog, "carol@example.com")) == []
    assert [row.principal for row in admin.grants.list("catalog", catalog, "carol@example.com")] == [
        "carol@example.com"
    ]


def test_grants_of_the_unknown_are_told_to_who_may_grant_only(
    server: EmbeddedServer, admin: Client, catalog: str
) -> None:
    """Who sees only own grants must not learn from the filter which principals exist."""
    bob = server.client_as("bob")
    admin.grants.grant("BROWSE", "catalog", catalog, BOB)
    with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT"):
        list(admin.grants.list("catalog", catalog, "ghost@example.com"))
    assert list(bob.grants.list("catalog", catalog, "admin@example.com")) == []
    assert list(bob.grants.list("catalog", catalog, "ghost@example.com")) == []


def test_grants_on_metastore_and_account(server: EmbeddedServer, admin: Client, fresh: Fresh) -> None:
    maker, name = server.client_as("maker"), fresh("catalog")
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying="CREATE CATALOG"):
        maker.catalogs.create(name)
    admin.grants.grant("CREATE CATALOG", "metastore", "metastore", "maker@example.com")
    assert maker.catalogs.create(name).owner == "maker@example.com"
    admin.grants.grant("ADMIN", "account", "account", "maker@example.com")
    assert maker.users.get("admin@example.com").name == "admin@example.com"
    admin.grants.revoke("ADMIN", "account", "account", "maker@example.com")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        maker.users.get("admin@example.com")
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        list(maker.grants.list("account", "account"))


def test_denial_of_the_visible_names_the_grant_that_helps(
    server: EmbeddedServer, admin: Client, catalog: str
) -> None:
    bob = server.client_as("bob")
    admin.grants.grant("BROWSE", "catalog", catalog, BOB)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying="GRANT") as failure:
        bob.schemas.create(f"{catalog}.mine")
    assert "CREATE SCHEMA" in failure.error.message
    assert failure.error.metadata["fixes"]


def test_everybody_may_use_the_marketplace_of_a_new_metastore_until_that_is_revoked(
    server: EmbeddedServer, admin: Client, fresh: Fresh
) -> None:
    name = fresh("metastore")
    admin.metastores.create(name)
    admin.workspaces.create(name, metastore=name, omit_catalog=True)
    server.token_of("shopper@example.com")
    admin.grants.grant("USER", "workspace", name, "shopper@example.com")
    assert [(row.principal, list(row.privileges)) for row in admin.grants.list("metastore", name)] == [
        ("account users", ["USE_MARKETPLACE_ASSETS"])
    ]
    shopper = server.client_as("shopper", workspace=name)
    asked = ("USE MARKETPLACE ASSETS", "metastore", name)
    assert shopper.authorization.check(*asked)
    admin.grants.revoke("USE MARKETPLACE ASSETS", "metastore", name, "account users")
    assert not shopper.authorization.check(*asked)
