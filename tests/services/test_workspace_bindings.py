"""Isolation and bindings: an isolated catalog answers differently in two workspaces, and can always be repaired."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
BOB, CAT = "bob@example.com", "cat@example.com"


@pytest.fixture
def away(server: EmbeddedServer) -> str:
    """A second workspace of the same metastore; bob and cat work in both."""
    admin = server.client()
    if "away" not in {workspace.name for workspace in admin.workspaces.list()}:
        admin.workspaces.create("away", metastore="metastore", omit_catalog=True)
        for person in (BOB, CAT):
            server.token_of(person)
            admin.grants.grant("USER", "workspace", "away", person)
    return "away"


@pytest.fixture
def catalog(server: EmbeddedServer, fresh: Fresh, away: str) -> str:
    """A catalog of cat's with `s.t` in it, which bob may read and change."""
    admin, name = server.client(), fresh("catalog")
    admin.catalogs.create(name)
    admin.schemas.create(f"{name}.s")
    admin.tables.create(f"{name}.s.t")
    admin.grants.grant(
        ["USE CATALOG", "USE SCHEMA", "SELECT", "MODIFY", "CREATE TABLE"], "catalog", name, BOB
    )
    admin.catalogs.set_owner(name, CAT)
    return name


def bindings(client: Client, catalog: str) -> dict[str, int]:
    return {
        row.workspace: row.binding_type for row in client.workspace_bindings.get("catalog", catalog).bindings
    }


def may(client: Client, privilege: str, catalog: str) -> bool:
    return bool(client.authorization.check(privilege, "table", f"{catalog}.s.t"))


def test_isolated_catalog_is_reached_from_bound_workspaces_only(
    server: EmbeddedServer, catalog: str, away: str
) -> None:
    owner, bob, bob_away = (
        server.client_as(CAT),
        server.client_as(BOB),
        server.client_as(BOB, workspace=away),
    )
    assert may(bob, "SELECT", catalog)
    assert may(bob_away, "SELECT", catalog)
    answer = owner.workspace_bindings.update("catalog", catalog, isolated=True)
    assert [(row.workspace, row.binding_type) for row in answer.bindings] == [("workspace", 1)]
    assert owner.catalogs.get(catalog).isolation_mode == 2
    assert may(bob, "SELECT", catalog)
    assert not may(bob_away, "SELECT", catalog)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        bob_away.tables.get(f"{catalog}.s.t")
    assert catalog not in {row.name for row in bob_away.catalogs.list()}
    owner.workspace_bindings.update("catalog", catalog, add=[away])
    assert may(bob_away, "SELECT", catalog)
    owner.workspace_bindings.update("catalog", catalog, isolated=False, remove=[away, "workspace"])
    assert may(bob_away, "SELECT", catalog)
    assert may(bob, "SELECT", catalog)


def test_read_only_binding_reads_and_changes_nothing(server: EmbeddedServer, catalog: str, away: str) -> None:
    owner, bob = server.client_as(CAT), server.client_as(BOB, workspace=away)
    owner.workspace_bindings.update("catalog", catalog, isolated=True, add={away: "READ_ONLY"})
    assert may(bob, "SELECT", catalog)
    assert not may(bob, "MODIFY", catalog)
    with fails("PRIVILEGE_MISSING", saying="reading only"):
        bob.tables.create(f"{catalog}.s.u")
    owner_away = server.client_as(CAT, workspace=away)
    with fails("PRIVILEGE_MISSING"):
        owner_away.grants.grant("SELECT", "catalog", catalog, BOB)
    owner.workspace_bindings.update("catalog", catalog, add={away: "READ_WRITE"})
    assert may(bob, "MODIFY", catalog)
    assert owner_away.grants.grant("SELECT", "catalog", catalog, BOB)


@pytest.mark.parametrize("who", [CAT, "admin@example.com"])
def test_unbound_isolated_catalog_is_seen_and_repaired_by_owner_and_metastore_admin(
    server: EmbeddedServer, catalog: str, away: str, who: str
) -> None:
    repairer = server.client_as(who, workspace=away)
    server.client_as(CAT).workspace_bindings.update("catalog", catalog, isolated=True, remove=["workspace"])
    assert not may(server.client_as(BOB), "SELECT", catalog)
    assert catalog in {row.name for row in repairer.catalogs.list()}
    with fails("PRIVILEGE_MISSING"):
        repairer.catalogs.update(catalog, comment="not from here")
    assert bindings(repairer, catalog) == {}
    repairer.workspace_bindings.update("catalog", catalog, add=["workspace"])
    assert may(server.client_as(BOB), "SELECT", catalog)


def test_bindings_of_others_are_neither_shown_nor_changed(server: EmbeddedServer, catalog: str) -> None:
    bob = server.client_as(BOB)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        bob.workspace_bindings.get("catalog", catalog)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        bob.workspace_bindings.update("catalog", catalog, isolated=False)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        server.client_as("stranger").workspace_bindings.get("catalog", catalog)


def test_workspace_of_another_metastore_cannot_be_bound(
    server: EmbeddedServer, catalog: str, fresh: Fresh
) -> None:
    admin, other = server.client(), fresh("metastore")
    admin.metastores.create(other)
    admin.workspaces.create(other, metastore=other, omit_catalog=True)
    for name in (other, "nowhere", ""):
        with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="attached to this metastore"):
            admin.workspace_bindings.update("catalog", catalog, add=[name])
    with fails("FIELD_INVALID", saying="at once"):
        admin.workspace_bindings.update("catalog", catalog, add=["workspace"], remove=["workspace"])
    assert bindings(admin, catalog) == {}


def test_missing_catalog_has_no_bindings(server: EmbeddedServer) -> None:
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        server.client().workspace_bindings.get("catalog", "no_such_catalog")


def test_deleted_workspace_takes_its_bindings_along(
    server: EmbeddedServer, catalog: str, fresh: Fresh
) -> None:
    admin, place = server.client(), fresh("workspace")
    admin.workspaces.create(place, metastore="metastore", omit_catalog=True)
    admin.workspace_bindings.update("catalog", catalog, isolated=True, add=[place])
    admin.workspaces.delete(place)
    assert set(bindings(admin, catalog)) == {"workspace"}
