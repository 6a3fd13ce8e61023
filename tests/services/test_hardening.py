"""Weak places found once and mended, kept so."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pyarrow as pa
import pytest

from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]


@pytest.fixture
def table(admin: Client, fresh: Fresh) -> str:
    """A table with one column."""
    catalog = fresh("catalog")
    admin.catalogs.create(catalog)
    name = f"{catalog}.default.t"
    admin.tables.create(name, columns=[{"name": "a", "type_text": "INT"}])
    return name


def test_replaced_columns_move_the_etag(admin: Client, table: str) -> None:
    read = admin.tables.get(table)
    first = admin.tables.update(table, columns=[{"name": "b", "type_text": "INT"}], etag=read.etag)
    assert first.etag != read.etag
    assert admin.tables.get(table).etag == first.etag
    with fails("ETAG_MISMATCH", "ABORTED"):
        admin.tables.update(table, columns=[{"name": "c", "type_text": "INT"}], etag=read.etag)


def test_engine_learns_nothing_of_principals_outside_its_workspace(
    server: EmbeddedServer, admin: Client, fresh: Fresh
) -> None:
    engine = admin.service_principals.create("engine").name
    admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", engine)
    stranger = admin.users.create(f"{fresh('stranger')}@example.com").name
    elsewhere = admin.workspaces.create(fresh("elsewhere")).name
    admin.grants.grant("USER", "workspace", elsewhere, stranger)
    admin.grants.grant("ADMIN", "account", "account", stranger)
    asking = server.client(server.issue_token(engine))
    for privilege, kind, name in (("USER", "workspace", elsewhere), ("ADMIN", "account", "account")):
        assert not asking.authorization.check(privilege, kind, name, subject=stranger)
    admin.grants.grant("USER", "workspace", "workspace", stranger)
    assert asking.authorization.check("ADMIN", "account", "account", subject=stranger)


def test_wide_ladder_of_groups_is_checked_quickly(admin: Client, fresh: Fresh) -> None:
    """Paths through it grow as 4 to the power of its height; groups only as 4 times its height."""
    levels = [[admin.groups.create(fresh("group")).name for _ in range(4)] for _ in range(9)]
    started = time.monotonic()
    for above, below in itertools.pairwise(levels):
        for group in above:
            admin.groups.update_members(group, add=below)
    assert time.monotonic() - started < 20


def test_what_follows_the_column_list_is_not_parsed(admin: Client, table: str) -> None:
    text = "create table t (a int, b decimal(4,2)) as select * from a" + ",b" * 30_000
    started = time.monotonic()
    made = admin.tables.create(table + "2", create_statement=text)
    assert [column.type_text for column in made.columns] == ["INT", "DECIMAL(4, 2)"]
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("statement", "dialect"),
    [
        ("create table t (a int" + "[]" * 900 + ")", "duckdb"),
        ("create table t (a " + "struct<a " * 200 + "int" + ">" * 200 + ")", "spark"),
        ("create table t (a int); drop table t", "duckdb"),
        ("create table t (a int) as select 1; select 2", "duckdb"),
        ("create table t (a int", "duckdb"),
        ("x" * 70_000, "duckdb"),
    ],
    ids=["arrays", "structs", "second statement", "after select", "open", "long"],
)
def test_hostile_statement_is_an_invalid_definition(
    admin: Client, table: str, statement: str, dialect: str
) -> None:
    with fails("DEFINITION_INVALID", "INVALID_ARGUMENT"):
        admin.tables.create(table + "3", create_statement=statement, dialect=dialect)


def test_types_hold_no_invisible_characters(admin: Client, table: str) -> None:
    for type_text in ("INT\x1b[31m", "INT\u202e", "INT\x00"):
        with fails("DEFINITION_INVALID"):
            admin.tables.create(table + "4", columns=[{"name": "a", "type_text": type_text}])
    struct = pa.schema([("a", pa.struct([("x> ; DROP", pa.int32()), ("plain", pa.int32())]))])
    made = admin.tables.create(table + "5", arrow_schema=struct)
    assert made.columns[0].type_text == "STRUCT<`x> ; DROP`: INTEGER, plain: INTEGER>"


def test_disabled_principal_cannot_be_made_owner(admin: Client, table: str, fresh: Fresh) -> None:
    gone = admin.users.create(f"{fresh('gone')}@example.com").name
    admin.users.disable(gone)
    with fails("FIELD_INVALID", saying="disabled"):
        admin.tables.set_owner(table, gone)


def test_system_groups_name_has_no_twin_with_more_spaces(admin: Client) -> None:
    with fails("NAME_INVALID", saying="reserved"):
        admin.groups.create("Account  Users")


def test_workspace_attached_to_nothing_is_named_to_who_may_see_it(
    server: EmbeddedServer, admin: Client, fresh: Fresh
) -> None:
    place = admin.workspaces.create(fresh("loose")).name
    with fails("WORKSPACE_REQUIRED", saying="workspace attach"):
        server.client(workspace=place).catalogs.create("main")
    with fails("ACCESS_DENIED"):
        server.client_as("outsider", workspace=place).catalogs.create("main")
