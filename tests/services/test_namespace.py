"""What containers do to their content: the default schema, renames, deletion with and without force, and names used again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
IN_A_SCHEMA: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "tables": ("table", "SELECT", ()),
    "views": ("view", "SELECT", ("SELECT 1 AS one",)),
    "materialized_views": ("materialized_view", "REFRESH", ("SELECT 1 AS one",)),
    "streaming_tables": ("streaming_table", "SELECT", ("SELECT 1 AS one",)),
    "volumes": ("volume", "READ VOLUME", ()),
    "functions": ("function", "EXECUTE", ((), "INTEGER", "1")),
    "models": ("registered_model", "EXECUTE", ()),
}
"""The client's resource for each kind that lives in a schema: its name, a privilege on it and what its creation needs."""
COLUMNS = [{"name": "id", "type_text": "BIGINT"}]


@pytest.fixture
def catalog(admin: Client, fresh: Fresh) -> str:
    """A catalog with `s.t` in it."""
    name = fresh("catalog")
    admin.catalogs.create(name)
    admin.schemas.create(f"{name}.s")
    admin.tables.create(f"{name}.s.t", COLUMNS)
    return name


def test_catalog_is_created_with_its_default_schema(admin: Client, fresh: Fresh) -> None:
    name = fresh("catalog")
    admin.catalogs.create(name)
    assert [schema.full_name for schema in admin.schemas.list(name)] == [f"{name}.default"]
    assert admin.schemas.get(f"{name}.default").owner == "admin@example.com"


def test_catalog_with_only_its_empty_default_schema_is_deleted_without_force(
    admin: Client, fresh: Fresh
) -> None:
    name = fresh("catalog")
    admin.catalogs.create(name)
    admin.catalogs.delete(name)
    with fails("OBJECT_NOT_FOUND"):
        admin.catalogs.get(name)
    with fails("OBJECT_NOT_FOUND"):
        list(admin.schemas.list(name))


def test_table_in_the_default_schema_keeps_its_catalog(admin: Client, fresh: Fresh) -> None:
    name = fresh("catalog")
    admin.catalogs.create(name)
    admin.tables.create(f"{name}.default.t", COLUMNS)
    with fails("NOT_EMPTY", "FAILED_PRECONDITION"):
        admin.catalogs.delete(name)
    assert admin.tables.get(f"{name}.default.t").name == "t"


def test_deletion_of_what_is_not_empty_needs_force(admin: Client, catalog: str) -> None:
    for delete, target in ((admin.catalogs.delete, catalog), (admin.schemas.delete, f"{catalog}.s")):
        with fails("NOT_EMPTY", "FAILED_PRECONDITION", saying=target):
            delete(target)
    assert admin.tables.get(f"{catalog}.s.t").name == "t"


def test_force_deletes_everything_inside(admin: Client, catalog: str) -> None:
    admin.schemas.delete(f"{catalog}.s", force=True)
    with fails("OBJECT_NOT_FOUND"):
        admin.schemas.get(f"{catalog}.s")
    admin.schemas.create(f"{catalog}.s")
    assert list(admin.tables.list(f"{catalog}.s")) == []
    admin.tables.create(f"{catalog}.s.t")
    admin.catalogs.delete(catalog, force=True)
    admin.catalogs.create(catalog)
    assert [schema.name for schema in admin.schemas.list(catalog)] == ["default"]


@pytest.mark.parametrize("nouns", IN_A_SCHEMA)
def test_every_kind_of_object_keeps_its_containers_and_goes_with_them_by_force(
    server: EmbeddedServer, admin: Client, fresh: Fresh, nouns: str
) -> None:
    name, reader = fresh("catalog"), fresh("reader")
    server.client_as(reader)
    admin.catalogs.create(name)
    kind, privilege, definition = IN_A_SCHEMA[nouns]
    made = getattr(admin, nouns).create(f"{name}.default.thing", *definition)
    admin.grants.grant(privilege, kind, made.full_name, f"{reader}@example.com")
    for delete, target in ((admin.catalogs.delete, name), (admin.schemas.delete, f"{name}.default")):
        with fails("NOT_EMPTY", "FAILED_PRECONDITION", saying=target):
            delete(target)
    admin.catalogs.delete(name, force=True)
    admin.catalogs.create(name)
    assert list(getattr(admin, nouns).list(f"{name}.default")) == []
    again = getattr(admin, nouns).create(f"{name}.default.thing", *definition)
    assert again.id != made.id
    assert list(admin.grants.list(kind, again.full_name)) == []


@pytest.mark.parametrize("nouns", IN_A_SCHEMA)
def test_deleted_owner_of_any_kind_of_object_leaves_it_to_who_manages_it(
    server: EmbeddedServer, admin: Client, fresh: Fresh, nouns: str
) -> None:
    name, owner = fresh("catalog"), f"{fresh('owner')}@example.com"
    server.client_as(owner)
    admin.catalogs.create(name)
    made = getattr(admin, nouns).create(f"{name}.default.thing", *IN_A_SCHEMA[nouns][2])
    getattr(admin, nouns).set_owner(made.full_name, owner)
    gone = admin.users.get(owner).id
    admin.users.delete(owner)
    assert getattr(admin, nouns).get(made.full_name).owner == gone
    getattr(admin, nouns).set_owner(made.full_name, "admin@example.com")
    admin.catalogs.delete(name, force=True)


def test_metastore_with_catalogs_or_workspaces_is_not_deleted(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, name, place = server.client(), fresh("metastore"), fresh("workspace")
    admin.metastores.create(name)
    admin.workspaces.create(place, metastore=name)
    server.client(workspace=place).catalogs.create("main")
    with fails("NOT_EMPTY", "FAILED_PRECONDITION", saying=place):
        admin.metastores.delete(name, force=True)
    admin.workspaces.detach(place)
    with fails("NOT_EMPTY", "FAILED_PRECONDITION"):
        admin.metastores.delete(name)
    admin.metastores.delete(name, force=True)
    with fails("OBJECT_NOT_FOUND"):
        admin.metastores.get(name)


def test_children_go_on_working_under_a_renamed_parent(
    server: EmbeddedServer, admin: Client, catalog: str
) -> None:
    reader = server.client_as("reader")
    for privilege, kind, name in (
        ("USE CATALOG", "catalog", catalog),
        ("USE SCHEMA", "schema", f"{catalog}.s"),
        ("SELECT", "table", f"{catalog}.s.t"),
    ):
        admin.grants.grant(privilege, kind, name, "reader@example.com")
    before = admin.tables.get(f"{catalog}.s.t")
    admin.catalogs.rename(catalog, f"{catalog}_new")
    admin.schemas.rename(f"{catalog}_new.s", "sales")
    after = reader.tables.get(f"{catalog}_new.sales.t")
    assert (after.id, after.full_name) == (before.id, f"{catalog}_new.sales.t")
    assert reader.authorization.check("SELECT", "table", f"{catalog}_new.sales.t")
    assert not reader.authorization.check("SELECT", "table", f"{catalog}.s.t")


def test_name_used_again_inherits_nothing(server: EmbeddedServer, admin: Client, catalog: str) -> None:
    """No grant, owner, comment or column of the dead passes to the new object of the same name."""
    heir, table = server.client_as("heir"), f"{catalog}.s.t"
    admin.grants.grant("USE CATALOG", "catalog", catalog, "heir@example.com")
    admin.grants.grant("USE SCHEMA", "catalog", catalog, "heir@example.com")
    admin.grants.grant(["SELECT", "MODIFY"], "table", table, "heir@example.com")
    admin.tables.set_owner(table, "heir@example.com")
    assert heir.authorization.check("MODIFY", "table", table)
    admin.tables.delete(table)
    admin.tables.create(table)
    assert not heir.authorization.check("SELECT", "table", table)
    assert list(admin.grants.list("table", table)) == []
    assert (admin.tables.get(table).owner, list(admin.tables.get(table).columns)) == ("admin@example.com", [])
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        heir.tables.get(table)


@pytest.mark.parametrize("kind", ["catalog", "schema"])
def test_container_used_again_inherits_no_grant(
    server: EmbeddedServer, admin: Client, catalog: str, kind: str
) -> None:
    heir = server.client_as("heir")
    container = catalog if kind == "catalog" else f"{catalog}.s"
    admin.grants.grant("ALL PRIVILEGES", kind, container, "heir@example.com")
    admin.grants.grant("USE CATALOG", "catalog", catalog, "heir@example.com")
    assert heir.authorization.check("SELECT", "table", f"{catalog}.s.t")
    if kind == "catalog":
        admin.catalogs.delete(catalog, force=True)
        admin.catalogs.create(catalog)
    else:
        admin.schemas.delete(container, force=True)
    admin.schemas.create(f"{catalog}.s")
    admin.tables.create(f"{catalog}.s.t")
    assert not heir.authorization.check("SELECT", "table", f"{catalog}.s.t")
    assert list(admin.grants.list(kind, container)) == []


def test_deleted_workspace_ends_the_tokens_limited_to_it(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, place = server.client(), fresh("workspace")
    admin.workspaces.create(place, metastore="metastore", omit_catalog=True)
    limited = server.client(admin.tokens.create(workspace=place).token_value, workspace=place)
    assert limited.session.get().workspace == place
    admin.workspaces.delete(place)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        limited.session.get()


def test_workspace_reaches_only_the_metastore_it_is_attached_to(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, place, other = server.client(), fresh("workspace"), fresh("metastore")
    admin.catalogs.create(fresh("catalog"))
    admin.metastores.create(other)
    admin.workspaces.create(place)
    away = server.client(workspace=place)
    assert list(away.catalogs.list()) == []
    assert admin.workspaces.attach(place, other).metastore == other
    assert list(away.catalogs.list()) == []
    assert admin.workspaces.attach(place, "metastore").metastore == "metastore"
    assert list(away.catalogs.list()) != []
    assert admin.workspaces.detach(place).metastore == ""
    assert list(away.catalogs.list()) == []


def test_attaching_to_an_unknown_metastore_is_refused(admin: Client, fresh: Fresh) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="nowhere"):
        admin.workspaces.create(fresh("workspace"), metastore="nowhere")


def test_namespace_calls_need_a_workspace(server: EmbeddedServer, catalog: str) -> None:
    nowhere = server.client(workspace="")
    with fails("WORKSPACE_REQUIRED", "INVALID_ARGUMENT", saying="lakewarden-workspace"):
        nowhere.catalogs.get(catalog)
    with fails("WORKSPACE_REQUIRED", "INVALID_ARGUMENT"):
        nowhere.catalogs.create("x")
    assert nowhere.metastores.get("metastore").name == "metastore"


def test_unknown_workspace_is_refused(server: EmbeddedServer) -> None:
    with fails("WORKSPACE_DENIED", "PERMISSION_DENIED", saying="atlantis"):
        server.client(workspace="atlantis").session.get()


def test_workspace_named_beyond_ascii_can_be_called_from(server: EmbeddedServer) -> None:
    """Metadata holds ASCII only: the client percent-encodes, the server must decode."""
    server.client().workspaces.create("büro", metastore="metastore")
    assert server.client(workspace="büro").session.get().workspace == "büro"
