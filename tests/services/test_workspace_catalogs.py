"""The catalog and the system groups that come with a workspace."""

from __future__ import annotations

from collections.abc import Callable

from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
BOB, ADA = "bob@example.com", "ada@example.com"


def test_workspace_gets_an_isolated_catalog_in_which_its_users_may_work(
    both: EmbeddedServer, fresh: Fresh
) -> None:
    admin, place = both.client(), fresh("lab")
    both.token_of(BOB)
    made = admin.workspaces.create(place, metastore="metastore")
    assert made.default_catalog == place
    bob = both.client_as(BOB, workspace=place)
    assert list(bob.catalogs.list()) == []
    admin.grants.grant("USER", "workspace", place, BOB)
    assert [catalog.name for catalog in bob.catalogs.list()] == [place]
    assert bob.tables.create(f"{place}.default.mine").owner == BOB
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        bob.schemas.create(f"{place}.other")
    assert place not in {catalog.name for catalog in both.client_as(BOB).catalogs.list()}
    admin.grants.revoke("USER", "workspace", place, BOB)
    assert list(bob.catalogs.list()) == []


def test_admins_of_the_workspace_own_its_catalog(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, place = server.client(), fresh("lab")
    server.token_of(ADA)
    admin.workspaces.create(place, metastore="metastore")
    admin.grants.grant("ADMIN", "workspace", place, ADA)
    ada = server.client_as(ADA, workspace=place)
    assert ada.catalogs.get(place).owner == f"{place} admins"
    assert ada.schemas.create(f"{place}.made").owner == ADA
    assert {f"{place} users", f"{place} admins"} <= set(ada.session.get().groups)
    admin.grants.revoke("ADMIN", "workspace", place, ADA)
    admin.grants.grant("USER", "workspace", place, ADA)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        ada.schemas.create(f"{place}.more")


def test_workspace_without_metastore_or_wish_gets_no_catalog(server: EmbeddedServer, fresh: Fresh) -> None:
    admin = server.client()
    for place, metastore, omitted in ((fresh("lab"), "", False), (fresh("lab"), "metastore", True)):
        made = admin.workspaces.create(place, metastore=metastore, omit_catalog=omitted)
        assert made.default_catalog == ""
        assert place not in {catalog.name for catalog in admin.catalogs.list()}


def test_taken_catalog_name_creates_no_workspace(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, place = server.client(), fresh("lab")
    admin.catalogs.create(place)
    with fails("NAME_TAKEN", "ALREADY_EXISTS"):
        admin.workspaces.create(place, metastore="metastore")
    assert place not in {workspace.name for workspace in admin.workspaces.list()}
    assert f"{place} users" not in {group.name for group in admin.groups.list()}


def test_taken_group_name_creates_no_workspace(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, place = server.client(), fresh("lab")
    admin.groups.create(f"{place} users")
    with fails("NAME_TAKEN", "ALREADY_EXISTS", saying="group of the workspace"):
        admin.workspaces.create(place)
    assert place not in {workspace.name for workspace in admin.workspaces.list()}


def test_groups_follow_the_workspace_and_nobody_else_changes_them(
    server: EmbeddedServer, fresh: Fresh
) -> None:
    admin, place, other = server.client(), fresh("lab"), fresh("lab")
    admin.workspaces.create(place)
    with fails("SYSTEM_OBJECT", "FAILED_PRECONDITION"):
        admin.groups.update_members(f"{place} users", add=["admin@example.com"])
    with fails("SYSTEM_OBJECT", "FAILED_PRECONDITION"):
        admin.groups.delete(f"{place} admins")
    admin.workspaces.rename(place, other)
    names = {group.name for group in admin.groups.list()}
    assert {f"{other} users", f"{other} admins"} <= names
    assert f"{place} users" not in names
    admin.workspaces.delete(other)
    assert not {f"{other} users", f"{other} admins"} & {group.name for group in admin.groups.list()}


def test_catalog_outlives_its_workspace_until_the_metastore_admin_hands_it_on(
    server: EmbeddedServer, fresh: Fresh
) -> None:
    admin, place = server.client(), fresh("lab")
    admin.workspaces.create(place, metastore="metastore")
    group = admin.groups.get(f"{place} admins").id
    admin.workspaces.delete(place)
    assert place in {catalog.name for catalog in admin.catalogs.list()}
    assert admin.catalogs.get(place).owner == group
    # Isolated and bound to nothing any more: its metastore's admin binds it again, and then hands it on.
    admin.workspace_bindings.update("catalog", place, add=["workspace"])
    assert admin.catalogs.set_owner(place, "admin@example.com").owner == "admin@example.com"


def test_default_catalog_is_set_by_who_runs_the_workspace(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, place = server.client(), fresh("lab")
    server.token_of(ADA)
    admin.workspaces.create(place, metastore="metastore", omit_catalog=True)
    admin.grants.grant("ADMIN", "workspace", place, ADA)
    ada = server.client_as(ADA, workspace=place)
    assert ada.workspaces.set_default_catalog(place, "main").default_catalog == "main"
    assert ada.workspaces.get(place).default_catalog == "main"
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        ada.workspaces.set_default_catalog(place, "no.catalog")
    assert ada.workspaces.set_default_catalog(place, "").default_catalog == ""
