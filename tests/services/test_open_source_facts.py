"""What Unity Catalog's open-source server is tested to do about access, asked of ours through the client.

`KNOWN` numbers its facts by object; each is asked by a test here, or stands in `ELSEWHERE` with the reason why it cannot
be. Where ours answers otherwise on purpose, the test says what ours does and `DIFFERENT` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from sqlalchemy import text

from lakewarden import Client, PermissionDenied, Unauthenticated
from lakewarden_server.testing import EmbeddedServer

Fresh = Callable[[str], str]
Test = TypeVar("Test", bound=Callable[..., None])

KNOWN: Mapping[str, int] = {"catalog": 20, "schema": 9, "table": 13, "others": 12, "place": 11, "rest": 14}
"""Facts by group: of catalogs, schemas, tables, of volumes, functions and models, of locations, and of everything besides."""

DIFFERENT: Mapping[str, str] = {
    "catalog 11": "a metastore admin manages everything in the metastore (semantics 2.4), so it may change a catalog of somebody else",
    "rest 11": "users see themselves too: a list is filtered, never refused, and who one is is no secret to oneself",
}
ELSEWHERE: Mapping[str, str] = {
    "catalog 8": "a body beside a GET is a trick on HTTP; a request of gRPC is one message",
    "catalog 9": "a body beside a GET is a trick on HTTP; a request of gRPC is one message",
    "catalog 18": "storage roots are asked with the locations",
    "catalog 19": "content types and bodies are HTTP's; what is no message is refused by gRPC before us",
    "schema 8": "storage roots are asked with the locations",
    **{f"place {number}": "credentials and locations have a suite of their own" for number in range(1, 12)},
    "rest 1": "no storage credentials are vended, so there are no staging tables",
    "rest 2": "no storage credentials are vended, so there are no staging tables",
    "rest 3": "no storage credentials are vended, so there are no staging tables",
    "rest 4": "no storage credentials are vended",
    "rest 5": "no storage credentials are vended",
    "rest 6": "no storage credentials are vended",
    "rest 7": "no storage credentials are vended",
    "rest 8": "no storage credentials are vended",
    "rest 9": "commits stay with the tables' own logs; whoever commits is asked for MODIFY",
    "rest 10": "there is no configuration to fetch",
    "rest 13": "the matcher alone is asked in tests/policies",
    "rest 14": "tokens are our own; tests/services/test_tokens.py has them",
}
ASKED: dict[str, str] = {}


def facts(*names: str) -> Callable[[Test], Test]:
    """Marks a test as asking these facts."""

    def note(test: Test) -> Test:
        ASKED.update(dict.fromkeys(names, test.__name__))
        return test

    return note


@dataclass(frozen=True)
class Actor:
    """Somebody with a client."""

    email: str
    client: Client


@dataclass(frozen=True)
class Cast:
    """The admin owns the metastore; `first` made the catalog and the schema, the others were given nothing."""

    server: EmbeddedServer
    admin: Client
    first: Actor
    second: Actor
    regular: Actor
    catalog: str
    schema: str

    def give(self, actor: Actor, **privileges: Iterable[str]) -> None:
        """Grants made by the admin: `catalog=["USE CATALOG"], schema=[…]` on the cast's own."""
        for kind, names in privileges.items():
            self.admin.grants.grant(names, kind, getattr(self, kind), actor.email)

    def enter(self, actor: Actor, *more: str) -> None:
        """Lets somebody into the schema, with more privileges on it."""
        self.give(actor, catalog=["USE CATALOG"], schema=["USE SCHEMA", *more])


@pytest.fixture
def cast(server: EmbeddedServer, fresh: Fresh) -> Cast:
    admin = server.client()
    first, second, regular = (
        Actor(f"{name}@example.com", server.client_as(name))
        for name in (fresh("first"), fresh("second"), fresh("regular"))
    )
    admin.grants.grant("CREATE CATALOG", "metastore", "metastore", first.email)
    catalog = first.client.catalogs.create(fresh("catalog")).full_name
    schema = first.client.schemas.create(f"{catalog}.sales").full_name
    return Cast(server, admin, first, second, regular, catalog, schema)


def _names(rows: Iterator[Any]) -> set[str]:
    return {row.full_name for row in rows}


def _denied(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
    with pytest.raises(PermissionDenied):
        call(*arguments, **keywords)


@facts("catalog 1", "catalog 2", "catalog 3")
def test_who_holds_create_catalog_creates_one(cast: Cast, fresh: Fresh) -> None:
    assert cast.admin.catalogs.create(fresh("catalog")).owner == "admin@example.com"
    assert cast.first.client.catalogs.create(fresh("catalog")).owner == cast.first.email
    _denied(cast.regular.client.catalogs.create, fresh("catalog"))


@facts("catalog 4", "catalog 5", "catalog 6", "catalog 7")
def test_catalogs_are_listed_and_got_by_who_may_use_them(cast: Cast, fresh: Fresh) -> None:
    other = cast.admin.catalogs.create(fresh("catalog")).full_name
    assert {other, cast.catalog} <= _names(cast.admin.catalogs.list())
    assert _names(cast.first.client.catalogs.list()) == {cast.catalog}
    cast.give(cast.second, catalog=["USE CATALOG"])
    assert _names(cast.second.client.catalogs.list()) == {cast.catalog}
    assert cast.second.client.catalogs.get(cast.catalog).full_name == cast.catalog
    _denied(cast.second.client.catalogs.get, other)
    _denied(cast.regular.client.catalogs.get, cast.catalog)


@facts("catalog 10", "catalog 12", "catalog 13")
def test_catalog_is_changed_by_its_owner_only(cast: Cast) -> None:
    _denied(cast.regular.client.catalogs.update, cast.catalog, comment="mine", properties={"a": "b"})
    _denied(cast.regular.client.catalogs.set_owner, cast.catalog, cast.regular.email)
    cast.give(cast.second, catalog=["USE CATALOG"])
    _denied(cast.second.client.catalogs.update, cast.catalog, comment="mine")
    unchanged = cast.admin.catalogs.get(cast.catalog)
    assert (unchanged.comment, unchanged.owner) == ("", cast.first.email)
    assert cast.first.client.catalogs.update(cast.catalog, comment="ours").comment == "ours"
    cast.give(cast.first, catalog=["USE CATALOG"])
    assert cast.first.client.catalogs.update(cast.catalog, comment="again").comment == "again"


@facts("catalog 11")
def test_metastore_admin_changes_a_catalog_of_somebody_else(cast: Cast) -> None:
    assert cast.admin.catalogs.update(cast.catalog, comment="seen to").comment == "seen to"


@facts("catalog 14", "catalog 15")
def test_catalog_is_not_deleted_by_who_merely_uses_it(cast: Cast) -> None:
    _denied(cast.regular.client.catalogs.delete, cast.catalog, force=True)
    cast.give(cast.second, catalog=["USE CATALOG"])
    _denied(cast.second.client.catalogs.delete, cast.catalog, force=True)
    assert cast.admin.catalogs.get(cast.catalog).full_name == cast.catalog
    assert cast.schema in _names(cast.admin.schemas.list(cast.catalog))


@facts("catalog 16", "catalog 17")
def test_catalog_is_deleted_by_its_owner_and_by_the_admin(cast: Cast, fresh: Fresh) -> None:
    own = cast.admin.catalogs.create(fresh("catalog")).full_name
    others = cast.first.client.catalogs.create(fresh("catalog")).full_name
    for name in (own, others):
        cast.admin.catalogs.delete(name)
    cast.first.client.catalogs.delete(cast.catalog, force=True)
    assert not {own, others, cast.catalog} & _names(cast.admin.catalogs.list())


@facts("catalog 20", "schema 9")
def test_forced_deletion_leaves_no_grant(cast: Cast) -> None:
    table = f"{cast.schema}.orders"
    ids = [
        cast.admin.catalogs.get(cast.catalog).id,
        cast.admin.schemas.get(cast.schema).id,
        cast.first.client.tables.create(table).id,
    ]
    cast.enter(cast.second, "SELECT")
    cast.admin.grants.grant("SELECT", "table", table, cast.second.email)
    assert _grants_on(cast.server, ids) == 4
    cast.first.client.schemas.delete(cast.schema, force=True)
    assert _grants_on(cast.server, ids) == 1
    cast.first.client.catalogs.delete(cast.catalog, force=True)
    assert _grants_on(cast.server, ids) == 0


def _grants_on(server: EmbeddedServer, ids: list[str]) -> int:
    counted = "SELECT count(*) FROM grants WHERE securable_id = :id"
    with server.app.database.read() as uow:
        return sum(uow.connection.execute(text(counted), {"id": found}).scalar_one() for found in ids)


@facts("schema 1", "schema 2", "schema 3")
def test_schema_is_created_with_use_catalog_and_create_schema(cast: Cast) -> None:
    _denied(cast.admin.schemas.create, f"{cast.catalog}.new")
    cast.give(cast.second, catalog=["USE CATALOG"])
    _denied(cast.second.client.schemas.create, f"{cast.catalog}.new")
    cast.give(cast.second, catalog=["CREATE SCHEMA"])
    assert cast.second.client.schemas.create(f"{cast.catalog}.new").owner == cast.second.email


@facts("schema 4", "schema 5")
def test_schemas_are_listed_and_got_by_who_may_use_them(cast: Cast) -> None:
    both = {cast.schema, f"{cast.catalog}.default"}
    assert _names(cast.admin.schemas.list(cast.catalog)) == both
    assert _names(cast.first.client.schemas.list(cast.catalog)) == both
    cast.give(cast.second, catalog=["USE CATALOG"])
    assert _names(cast.second.client.schemas.list(cast.catalog)) == set()
    _denied(cast.second.client.schemas.get, cast.schema)
    cast.give(cast.second, schema=["USE SCHEMA"])
    assert _names(cast.second.client.schemas.list(cast.catalog)) == {cast.schema}
    for client in (cast.admin, cast.first.client, cast.second.client):
        assert client.schemas.get(cast.schema).full_name == cast.schema


@facts("schema 6", "schema 7")
def test_schema_is_changed_and_deleted_by_its_owner_and_those_above(cast: Cast) -> None:
    cast.give(cast.second, catalog=["USE CATALOG"])
    _denied(cast.second.client.schemas.update, cast.schema, comment="mine")
    _denied(cast.second.client.schemas.delete, cast.schema)
    assert cast.admin.schemas.update(cast.schema, comment="seen to").comment == "seen to"
    assert cast.first.client.schemas.update(cast.schema, comment="ours").comment == "ours"
    cast.give(cast.second, catalog=["CREATE SCHEMA"])
    for name in ("by_owner", "by_owner_above"):
        cast.second.client.schemas.create(f"{cast.catalog}.{name}")
    cast.second.client.schemas.delete(f"{cast.catalog}.by_owner")
    cast.first.client.schemas.delete(f"{cast.catalog}.by_owner_above")


@facts("table 1", "table 2", "table 10", "table 11")
def test_table_is_created_with_all_three_privileges_and_owned_by_its_creator(cast: Cast) -> None:
    assert cast.first.client.tables.create(f"{cast.schema}.a").owner == cast.first.email
    cast.enter(cast.second)
    _denied(cast.second.client.tables.create, f"{cast.schema}.b")
    cast.give(cast.second, schema=["CREATE TABLE"])
    made = cast.second.client.tables.create(f"{cast.schema}.b")
    assert made.owner == cast.second.email
    assert cast.second.client.tables.get(made.full_name) == made
    cast.give(cast.regular, catalog=["USE CATALOG"])
    cast.first.client.schemas.set_owner(cast.schema, cast.regular.email)
    assert cast.regular.client.tables.create(f"{cast.schema}.c").owner == cast.regular.email


@facts("table 3", "table 4", "table 5", "table 6")
def test_tables_are_listed_and_got_by_who_may_read_them(cast: Cast) -> None:
    orders, other = (cast.first.client.tables.create(f"{cast.schema}.{name}").full_name for name in "ab")
    assert _names(cast.admin.tables.list(cast.schema)) == {orders, other}
    assert _names(cast.first.client.tables.list(cast.schema)) == {orders, other}
    cast.enter(cast.second)
    cast.admin.grants.grant("SELECT", "table", orders, cast.second.email)
    assert _names(cast.second.client.tables.list(cast.schema)) == {orders}
    cast.enter(cast.regular, "CREATE TABLE")
    own = cast.regular.client.tables.create(f"{cast.schema}.c").full_name
    assert _names(cast.regular.client.tables.list(cast.schema)) == {own}
    for client in (cast.admin, cast.first.client, cast.second.client):
        assert client.tables.get(orders).full_name == orders


@facts("table 7", "table 8", "table 9")
def test_rows_are_read_with_select_and_changed_with_modify_beside_it(cast: Cast) -> None:
    orders = cast.first.client.tables.create(f"{cast.schema}.orders").full_name
    cast.enter(cast.second)
    _denied(cast.second.client.tables.get, orders)
    checks = cast.second.client.authorization
    assert not checks.check("SELECT", "table", orders)
    cast.admin.grants.grant("SELECT", "table", orders, cast.second.email)
    assert cast.second.client.tables.get(orders).full_name == orders
    assert checks.check("SELECT", "table", orders)
    assert not checks.check("MODIFY", "table", orders)
    cast.admin.grants.grant("MODIFY", "table", orders, cast.second.email)
    assert checks.check("MODIFY", "table", orders)
    assert cast.first.client.authorization.check("MODIFY", "table", orders)


@facts("table 12")
def test_table_is_deleted_by_its_owner_and_those_above(cast: Cast) -> None:
    cast.enter(cast.second, "CREATE TABLE", "SELECT", "MODIFY")
    orders = cast.second.client.tables.create(f"{cast.schema}.orders").full_name
    cast.enter(cast.regular, "SELECT", "MODIFY")
    _denied(cast.regular.client.tables.delete, orders)
    cast.first.client.tables.delete(orders)
    assert _names(cast.admin.tables.list(cast.schema)) == set()


@facts("table 13")
def test_table_is_renamed_by_who_may_delete_and_create(cast: Cast) -> None:
    cast.enter(cast.second, "CREATE TABLE")
    orders = cast.first.client.tables.create(f"{cast.schema}.orders").full_name
    _denied(cast.second.client.tables.rename, orders, "better")
    cast.first.client.schemas.set_owner(cast.schema, cast.regular.email)
    cast.first.client.tables.set_owner(orders, cast.regular.email)
    _denied(cast.first.client.tables.rename, orders, "better")
    cast.give(cast.first, schema=["USE SCHEMA", "CREATE TABLE"])
    assert cast.first.client.tables.rename(orders, "better").name == "better"


@facts("others 1", "others 2", "others 3")
def test_volume_is_created_by_who_may_in_its_schema(cast: Cast) -> None:
    _denied(cast.admin.volumes.create, f"{cast.schema}.files")
    cast.give(cast.second, catalog=["USE CATALOG", "CREATE SCHEMA"])
    theirs = cast.second.client.schemas.create(f"{cast.catalog}.theirs").full_name
    _denied(cast.first.client.volumes.create, f"{theirs}.files")
    assert cast.second.client.volumes.create(f"{theirs}.files").owner == cast.second.email


@facts("others 4", "others 5", "others 6")
def test_volume_is_seen_and_changed_by_its_owner_and_those_above(cast: Cast) -> None:
    files = cast.first.client.volumes.create(f"{cast.schema}.files").full_name
    for client in (cast.admin, cast.first.client):
        assert _names(client.volumes.list(cast.schema)) == {files}
        assert client.volumes.get(files).full_name == files
    cast.give(cast.second, catalog=["USE CATALOG"])
    _denied(cast.second.client.volumes.get, files)
    _denied(cast.second.client.volumes.update, files, comment="mine")
    _denied(cast.second.client.volumes.delete, files)
    assert cast.first.client.volumes.update(files, comment="ours").comment == "ours"
    cast.first.client.volumes.delete(files)


@facts("others 7", "others 8", "others 9")
def test_function_is_created_with_the_right_and_kept_from_strangers(cast: Cast) -> None:
    cast.enter(cast.second)
    _denied(cast.second.client.functions.create, f"{cast.schema}.one", (), "INTEGER", "1")
    cast.give(cast.second, schema=["CREATE FUNCTION"])
    one = cast.second.client.functions.create(f"{cast.schema}.one", (), "INTEGER", "1").full_name
    assert _names(cast.regular.client.functions.list(cast.schema)) == set()
    _denied(cast.regular.client.functions.get, one)
    _denied(cast.regular.client.functions.delete, one)
    assert cast.second.client.functions.get(one).full_name == one
    cast.second.client.functions.delete(one)


@facts("others 10", "others 11", "others 12")
def test_model_and_its_versions_are_its_owners(cast: Cast) -> None:
    cast.enter(cast.second, "CREATE MODEL")
    churn = cast.second.client.models.create(f"{cast.schema}.churn").full_name
    assert cast.second.client.models.create_version(churn).version == 1
    cast.enter(cast.regular)
    models = cast.regular.client.models
    assert _names(models.list(cast.schema)) == set()
    for call in (
        lambda: models.get(churn),
        lambda: models.update(churn, comment="mine"),
        lambda: models.delete(churn),
        lambda: models.create_version(churn),
        lambda: models.get_version(churn, 1),
        lambda: list(models.versions(churn)),
        lambda: models.update_version(churn, 1, comment="mine"),
        lambda: models.delete_version(churn, 1),
    ):
        _denied(call)
    own = cast.second.client.models
    assert [version.version for version in own.versions(churn)] == [1]
    assert own.update_version(churn, 1, comment="ours").comment == "ours"
    own.delete_version(churn, 1)
    own.delete(churn)


@facts("rest 11")
def test_only_an_account_admin_sees_other_users(cast: Cast) -> None:
    everybody = {user.name for user in cast.admin.users.list()}
    assert {cast.first.email, cast.second.email} <= everybody
    assert {user.name for user in cast.regular.client.users.list()} == {cast.regular.email}
    _denied(cast.regular.client.users.get, cast.first.email)


@facts("rest 12")
def test_grants_are_read_where_they_were_made_and_made_by_who_manages(cast: Cast) -> None:
    orders = cast.first.client.tables.create(f"{cast.schema}.orders").full_name
    cast.first.client.grants.grant("SELECT", "table", orders, cast.second.email)
    held = {"table": orders, "schema": cast.schema, "catalog": cast.catalog}
    read = {kind: list(cast.admin.grants.list(kind, name)) for kind, name in held.items()}
    assert [(row.principal, list(row.privileges)) for row in read["table"]] == [
        (cast.second.email, ["SELECT"])
    ]
    assert read["schema"] == read["catalog"] == []
    cast.enter(cast.second)
    cast.first.client.grants.grant("SELECT", "table", orders, cast.regular.email)
    _denied(cast.second.client.grants.grant, "SELECT", "table", orders, cast.second.email)
    assert [row.principal for row in cast.second.client.grants.list("table", orders)] == [cast.second.email]
    with pytest.raises(Unauthenticated):
        list(cast.server.client("lwpat_nobodys").grants.list("table", orders))


def test_every_fact_is_asked_or_has_a_reason() -> None:
    known = {f"{group} {number}" for group, last in KNOWN.items() for number in range(1, last + 1)}
    assert set(ASKED) | set(ELSEWHERE) == known
    assert not set(ASKED) & set(ELSEWHERE)
    assert set(DIFFERENT) <= set(ASKED)
