"""Who may work in a workspace, what moves when it is attached elsewhere, and what its deletion ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakewarden import LakewardenError, PermissionDenied
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]


@pytest.fixture
def place(both: EmbeddedServer, fresh: Fresh) -> str:
    """A workspace of this test's own, with a metastore of its own."""
    name, metastore = fresh("lab"), fresh("lake")
    admin = both.client()
    admin.metastores.create(metastore)
    admin.workspaces.create(name, metastore=metastore)
    return name


@pytest.mark.parametrize("by", ["user", "service principal", "group", "nested group"])
def test_principal_works_where_it_is_assigned_and_nowhere_else(
    both: EmbeddedServer, fresh: Fresh, place: str, by: str
) -> None:
    admin = both.client()
    inside = both.client(workspace=place)
    inside.grants.grant(["USE CATALOG", "BROWSE"], "catalog", place, "account users")
    name = (
        admin.service_principals.create("p").name
        if by == "service principal"
        else f"{fresh('u')}@example.com"
    )
    if by != "service principal":
        admin.users.create(name)
    worker = both.client(both.issue_token(name), workspace=place)
    assigned = name
    if "group" in by:
        assigned, inner = fresh("group"), fresh("group")
        admin.groups.create(assigned)
        admin.groups.create(inner)
        admin.groups.update_members(inner, add=[name])
        admin.groups.update_members(assigned, add=[inner if by == "nested group" else name])
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        worker.catalogs.get(place)
    assert worker.session.get().workspace == ""
    for role in ("USER", "ADMIN"):
        admin.grants.grant(role, "workspace", place, assigned)
        assert worker.catalogs.get(place).name == place
        assert worker.session.get().workspace == place
        with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
            worker.with_workspace("workspace").catalogs.get(place)
        admin.grants.revoke(role, "workspace", place, assigned)
        with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
            worker.catalogs.get(place)


def test_admin_of_a_workspace_assigns_and_appoints_there_and_nowhere_else(
    both: EmbeddedServer, fresh: Fresh, place: str
) -> None:
    admin, runner, other = both.client(), fresh("runner"), fresh("other")
    head = both.client_as(runner, workspace=place)
    both.client_as(other)
    admin.grants.grant("ADMIN", "workspace", place, f"{runner}@example.com")
    head.grants.grant(["USER"], "workspace", place, f"{other}@example.com")
    head.grants.grant(["ADMIN"], "workspace", place, f"{other}@example.com")
    for refused in (
        lambda: head.grants.grant("QUERY ENGINE", "workspace", place, f"{runner}@example.com"),
        lambda: head.grants.grant("USER", "workspace", "workspace", f"{other}@example.com"),
        lambda: head.workspaces.rename(place, "mine"),
        lambda: head.workspaces.delete(place),
        lambda: head.workspaces.detach(place),
    ):
        with pytest.raises(PermissionDenied):
            refused()


def test_workspace_attached_elsewhere_leaves_everything_behind_and_finds_it_again(
    both: EmbeddedServer, fresh: Fresh, place: str
) -> None:
    admin, second = both.client(), fresh("lake")
    first = admin.workspaces.get(place).metastore
    inside = both.client(workspace=place)
    inside.catalogs.create("sales")
    worker = both.client_as(fresh("worker"), workspace=place)
    name = worker.session.get().principal
    admin.grants.grant("USER", "workspace", place, name)
    inside.grants.grant(["BROWSE"], "catalog", "sales", name)
    assert worker.catalogs.get("sales").name == "sales"
    admin.metastores.create(second)
    admin.workspaces.attach(place, second)
    assert worker.session.get().metastore == second
    # One name, another metastore: neither the catalog nor the right to it came along, for its owner either.
    for client in (worker, inside):
        with pytest.raises(LakewardenError):
            client.catalogs.get("sales")
    assert list(inside.catalogs.list()) == []
    inside.catalogs.create("sales")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        worker.catalogs.get("sales")
    admin.workspaces.detach(place)
    assert list(inside.catalogs.list()) == []
    admin.workspaces.attach(place, first)
    assert worker.catalogs.get("sales").name == "sales"
    assert {catalog.name for catalog in inside.catalogs.list()} == {"sales", place}


def test_deletion_ends_assignments_entitlements_tokens_and_groups(
    both: EmbeddedServer, fresh: Fresh, place: str
) -> None:
    admin = both.client()
    inside = both.client(workspace=place)
    name = f"{fresh('worker')}@example.com"
    worker = both.client_as(name)
    admin.grants.grant(["USER", "ALLOW CLUSTER CREATE"], "workspace", place, name)
    token = worker.tokens.create(workspace=place)
    inside.grants.grant(["USE CATALOG"], "catalog", place, name)
    group = admin.groups.get(f"{place} users").id
    metastore = admin.workspaces.get(place).metastore
    admin.workspaces.delete(place)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        both.client(token.token_value, workspace=place).session.get()
    # Made again under the name it is another one: nobody is assigned, nobody entitled, no group remembers.
    admin.workspaces.create(place, metastore=metastore, omit_catalog=True)
    again = both.client(both.issue_token(name), workspace=place)
    assert again.session.get().workspace == ""
    assert [row.principal for row in admin.grants.list("workspace", place)] == [f"{place} users"]
    assert admin.groups.get(f"{place} users").id != group
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        again.catalogs.get(place)
    # Its catalog stayed, shut: nobody is bound to it any more until its metastore's admin says so.
    owner = both.client(workspace=place)
    with pytest.raises(LakewardenError):
        owner.schemas.create(f"{place}.late")
    owner.workspace_bindings.update("catalog", place, add=[place])
    owner.catalogs.set_owner(place, "admin@example.com")
    assert owner.schemas.create(f"{place}.late").name == "late"
