"""What Unity Catalog's open-source server is tested to do with objects themselves, asked of ours through the client.

The facts about access are in test_open_source_facts.py. `DIFFERENT` says why ours answers otherwise on purpose where it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lakewarden import Client, InvalidArgument
from lakewarden_server.app import App
from lakewarden_server.testing import serve
from services.errors import fails

Fresh = Callable[[str], str]

DIFFERENT: Mapping[str, str] = {
    "an empty update": "is refused: whoever sends no field meant one, and a silent success would hide the mistake",
    "finishing a version twice": "with the same status changes nothing, so that it can be repeated; another status is refused",
    "deleting a model with versions": "needs no force: nothing is granted on a version, so a model is no container",
    "a table in no catalog": "is answered like one in a hidden catalog: NOT_FOUND tells of the last part of a name only",
    "a column without a type": "is refused as no definition, whatever the table's type",
    "names": "are kept as they were written and compared without case, so a lower-case copy finds what was made in capitals",
}
ABSENT: Mapping[str, str] = {
    "managed locations": "no storage is managed, so no path is made up",
    "staging tables and commits": "no credentials are vended and the log stays with the table",
    "lists of a whole metastore": "a list is of one schema; `lakewarden tree` walks them",
    "views, functions, credentials and locations": "have suites of their own",
    "Iceberg": "its REST dialect is not served",
}


@pytest.fixture
def catalog(admin: Client, fresh: Fresh) -> str:
    return admin.catalogs.create(fresh("catalog"), properties={"a": "1"}).full_name


def test_created_catalog_is_got_and_listed_alike(admin: Client, catalog: str) -> None:
    got = admin.catalogs.get(catalog)
    assert got in list(admin.catalogs.list())
    assert dict(got.properties) == {"a": "1"}


def test_page_token_leaves_out_what_came_before(admin: Client, catalog: str, fresh: Fresh) -> None:
    admin.catalogs.create(fresh("catalog"))
    pages, token = [], ""
    while True:
        reply = admin.catalogs._call("ListCatalogs", page_size=1, page_token=token)
        pages += [row.name for row in reply.catalogs]
        token = reply.next_page_token
        if not token:
            break
    assert pages == sorted(set(pages)) == [row.name for row in admin.catalogs.list()]


def test_empty_update_is_refused(admin: Client, catalog: str) -> None:
    with fails("UPDATE_MASK_INVALID", "INVALID_ARGUMENT"):
        admin.catalogs._call("UpdateCatalog", catalog={"full_name": catalog})
    assert dict(admin.catalogs.get(catalog).properties) == {"a": "1"}


def test_rename_keeps_properties_and_an_update_replaces_them(
    admin: Client, catalog: str, fresh: Fresh
) -> None:
    renamed = admin.catalogs.rename(catalog, fresh("renamed"))
    assert dict(renamed.properties) == {"a": "1"}
    assert dict(admin.catalogs.update(renamed.name, properties={"b": "2"}).properties) == {"b": "2"}


@pytest.mark.parametrize("name", ["a.b", "a b", "a/b", "a\x07b", "a\x7fb"])
def test_name_with_a_dot_space_slash_or_control_character_is_refused(admin: Client, name: str) -> None:
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        admin.catalogs.create(name)


def test_schema_needs_its_catalog_and_follows_its_name(admin: Client, catalog: str, fresh: Fresh) -> None:
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.schemas.create(f"{fresh('nowhere')}.sales")
    made = admin.schemas.create(f"{catalog}.sales")
    renamed = admin.catalogs.rename(catalog, fresh("renamed")).name
    moved = admin.schemas.get(f"{renamed}.sales")
    assert (moved.id, moved.full_name) == (made.id, f"{renamed}.sales")
    with fails("NOT_EMPTY", "FAILED_PRECONDITION"):
        admin.catalogs.delete(renamed)
    admin.catalogs.delete(renamed, force=True)


def test_tables_come_in_pages_of_a_hundred_by_name(admin: Client, catalog: str) -> None:
    schema = f"{catalog}.default"
    names = [f"table_{number:03}" for number in range(111)]
    for name in reversed(names):
        admin.tables.create(f"{schema}.{name}")
    first = admin.tables._call("ListTables", parent=schema, omit_columns=True)
    second = admin.tables._call("ListTables", parent=schema, page_token=first.next_page_token)
    assert [len(first.tables), len(second.tables), second.next_page_token] == [100, 11, ""]
    assert [table.name for table in (*first.tables, *second.tables)] == names


@pytest.mark.parametrize("column", [{"name": "id"}, {"name": "", "type_text": "INT"}, {"type_text": "INT"}])
def test_column_without_a_name_or_a_type_is_refused(
    admin: Client, catalog: str, column: Mapping[str, Any]
) -> None:
    with fails("DEFINITION_INVALID", "INVALID_ARGUMENT"):
        admin.tables.create(f"{catalog}.default.t", [column])


def test_table_needs_its_catalog_and_its_schema(admin: Client, catalog: str, fresh: Fresh) -> None:
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.tables.create(f"{catalog}.nowhere.t")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        admin.tables.create(f"{fresh('nowhere')}.default.t")


def test_volume_is_created_got_listed_renamed_and_deleted(admin: Client, catalog: str) -> None:
    made = admin.volumes.create(f"{catalog}.default.files")
    assert admin.volumes.get(made.full_name) == made
    assert list(admin.volumes.list(f"{catalog}.default")) == [made]
    renamed = admin.volumes.rename(made.full_name, "documents")
    assert (renamed.id, renamed.full_name) == (made.id, f"{catalog}.default.documents")
    admin.volumes.delete(renamed.full_name)
    assert list(admin.volumes.list(f"{catalog}.default")) == []


def test_model_versions_count_up_and_are_finished_once(admin: Client, catalog: str) -> None:
    model = admin.models.create(f"{catalog}.default.churn").full_name
    numbers = [admin.models.create_version(model, status="PENDING_REGISTRATION").version for _ in range(2)]
    admin.models.delete_version(model, 2)
    numbers.append(admin.models.create_version(model).version)
    assert numbers == [1, 2, 3]
    finished = admin.models.update_version(model, 1, status="READY")
    assert admin.models.update_version(model, 1, status="READY").status == finished.status
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        admin.models.update_version(model, 1, status="FAILED_REGISTRATION")
    admin.models.delete(model)


@pytest.mark.parametrize("page", [{"page_size": -1}, {"page_token": "no token"}])
def test_wrong_page_is_refused(admin: Client, catalog: str, page: Mapping[str, Any]) -> None:
    for call in (
        lambda: admin.models._call("ListRegisteredModels", parent=f"{catalog}.default", **page),
        lambda: admin.catalogs._call("ListCatalogs", **page),
    ):
        with pytest.raises(InvalidArgument, match="page"):
            call()


def test_metastore_keeps_its_id_over_a_restart(tmp_path: Path) -> None:
    with serve(directory=tmp_path) as server:
        settings, token = server.app.settings, server.admin_token
        before = server.client().metastores.get("metastore").id
    again = App(settings)
    again.start()
    try:
        with Client(f"127.0.0.1:{again.port}", token=token) as client:
            assert client.metastores.get("metastore").id == before
    finally:
        again.stop()
