"""Metastores, workspaces, catalogs, schemas, tables, volumes and models: create, get, list, update, rename, transfer, delete; both databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails
from services.places import CREATE, Shorthand, lake

Fresh = Callable[[str], str]


@dataclass(frozen=True)
class Noun:
    """How the tests below reach one kind of securable."""

    resource: str
    container: Callable[[Client, str], str]
    """Makes the container and returns the prefix of full names in it."""

    def of(self, client: Client) -> Any:
        resource = getattr(client, self.resource)
        return Shorthand(resource, CREATE[self.resource]) if self.resource in CREATE else resource

    def listed(self, client: Client, prefix: str) -> list[str]:
        rows = self.of(client).list(*([prefix.rstrip(".")] if prefix else []))
        return [row.name for row in rows]


def _none(_: Client, __: str) -> str:
    return ""


def _catalog(client: Client, name: str) -> str:
    client.catalogs.create(name)
    return f"{name}."


def _schema(client: Client, name: str) -> str:
    client.catalogs.create(name)
    client.schemas.create(f"{name}.s")
    return f"{name}.s."


NOUNS = {
    "metastore": Noun("metastores", _none),
    "workspace": Noun("workspaces", _none),
    "catalog": Noun("catalogs", _none),
    "schema": Noun("schemas", _catalog),
    "table": Noun("tables", _schema),
    "volume": Noun("volumes", _schema),
    "model": Noun("models", _schema),
    **{name: Noun(name, lake if name == "external_locations" else _none) for name in CREATE},
}


@pytest.fixture(params=NOUNS)
def noun(request: pytest.FixtureRequest) -> Noun:
    return NOUNS[request.param]


@pytest.fixture
def prefix(noun: Noun, both: EmbeddedServer, fresh: Fresh) -> str:
    return noun.container(both.client(), fresh("home"))


def test_created_object_is_got_and_listed(
    both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh
) -> None:
    client, name = both.client(), fresh("Thing")
    made = noun.of(client).create(prefix + name, comment="why", properties={"b": "2", "a": "1"})
    got = noun.of(client).get(prefix + name)
    assert got == made
    assert (got.name, got.full_name, got.comment) == (name, prefix + name, "why")
    assert dict(got.properties) == {"a": "1", "b": "2"}
    assert got.owner == got.created_by == got.updated_by == "admin@example.com"
    assert got.create_time == got.update_time
    assert got.create_time.seconds > 1_700_000_000
    assert got.etag
    assert name in noun.listed(client, prefix)


def test_name_is_taken_in_any_case(both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh) -> None:
    client, name = both.client(), fresh("Taken")
    noun.of(client).create(prefix + name)
    with fails("NAME_TAKEN", "ALREADY_EXISTS"):
        noun.of(client).create(prefix + name.upper())
    assert noun.of(client).get(prefix + name.lower()).name == name


def test_absent_object_is_not_found_for_who_would_see_it(
    both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh
) -> None:
    client, name = both.client(), fresh("ghost")
    for call in (noun.of(client).get, noun.of(client).delete):
        with fails("OBJECT_NOT_FOUND", "NOT_FOUND", saying=name):
            call(prefix + name)
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        noun.of(client).update(prefix + name, comment="x")


def test_stranger_is_denied(both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh) -> None:
    client, stranger, name = both.client(), both.client_as("stranger"), fresh("private")
    noun.of(client).create(prefix + name)
    if noun.resource == "external_metadata":
        # Its creation shows it to everybody of the account; here that is taken back.
        client.grants.revoke("BROWSE", "external_metadata", name, "account users")
    for call in (noun.of(stranger).get, noun.of(stranger).delete, noun.of(stranger).create):
        with fails(_reason_denied(noun, call), "PERMISSION_DENIED"):
            call(prefix + name)
    assert name not in noun.listed(stranger, prefix)


def test_update_changes_what_the_mask_names_and_nothing_else(
    both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh
) -> None:
    client, name = both.client(), fresh("thing")
    before = noun.of(client).create(prefix + name, comment="old", properties={"a": "1"})
    after = noun.of(client).update(prefix + name, comment="new")
    assert (after.comment, dict(after.properties), after.id) == ("new", {"a": "1"}, before.id)
    assert after.etag != before.etag
    assert after.update_time.ToNanoseconds() >= before.update_time.ToNanoseconds()
    assert after.create_time == before.create_time
    emptied = noun.of(client).update(prefix + name, properties={}, comment="")
    assert (emptied.comment, dict(emptied.properties)) == ("", {})
    assert noun.of(client).get(prefix + name) == emptied


def test_stale_etag_is_refused_and_nothing_changes(
    both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh
) -> None:
    client, name = both.client(), fresh("thing")
    stale = noun.of(client).create(prefix + name).etag
    current = noun.of(client).update(prefix + name, comment="first", etag=stale)
    with fails("ETAG_MISMATCH", "ABORTED"):
        noun.of(client).update(prefix + name, comment="second", etag=stale)
    with fails("ETAG_MISMATCH", "ABORTED"):
        noun.of(client).delete(prefix + name, etag=stale)
    assert noun.of(client).get(prefix + name) == current
    noun.of(client).delete(prefix + name, etag=current.etag)


def test_rename_keeps_identity_and_frees_the_old_name(
    both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh
) -> None:
    client, old, new = both.client(), fresh("old"), fresh("new")
    made = noun.of(client).create(prefix + old)
    renamed = noun.of(client).rename(prefix + old, new)
    assert (renamed.id, renamed.name, renamed.full_name) == (made.id, new, prefix + new)
    with fails("OBJECT_NOT_FOUND"):
        noun.of(client).get(prefix + old)
    assert noun.of(client).create(prefix + old).id != made.id
    with fails("NAME_TAKEN", "ALREADY_EXISTS"):
        noun.of(client).rename(prefix + new, old.upper())


def test_rename_to_another_case_of_itself_is_allowed(
    both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh
) -> None:
    client, name = both.client(), fresh("quiet")
    noun.of(client).create(prefix + name)
    assert noun.of(client).rename(prefix + name, name.upper()).name == name.upper()
    assert noun.of(client).get(prefix + name).name == name.upper()


def test_ownership_moves_with_its_rights(both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh) -> None:
    client, name = both.client(), fresh("given")
    heir = both.client_as("heir")
    _let_in(client, prefix, "heir@example.com")
    noun.of(client).create(prefix + name)
    with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT", saying="nobody@example.com"):
        noun.of(client).set_owner(prefix + name, "nobody@example.com")
    assert noun.of(client).set_owner(prefix + name, "HEIR@example.com").owner == "heir@example.com"
    if noun.resource == "metastores":
        # A metastore is managed by its owner from anywhere, being the account's object.
        assert heir.metastores.update(name, comment="mine").comment == "mine"
    else:
        assert noun.of(heir).update(prefix + name, comment="mine").comment == "mine"


def test_deleted_object_is_gone_and_its_name_free(
    both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh
) -> None:
    client, name = both.client(), fresh("doomed")
    first = noun.of(client).create(prefix + name, comment="first", properties={"a": "1"})
    noun.of(client).delete(prefix + name)
    with fails("OBJECT_NOT_FOUND"):
        noun.of(client).get(prefix + name)
    assert name not in noun.listed(client, prefix)
    second = noun.of(client).create(prefix + name)
    assert (second.id != first.id, second.comment, dict(second.properties)) == (True, "", {})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"comment": "x" * 4_097}, "FIELD_INVALID"),
        ({"comment": "é" * 2_049}, "FIELD_INVALID"),
        ({"comment": "a\0b"}, "FIELD_INVALID"),
        ({"properties": {f"k{number}": "" for number in range(101)}}, "FIELD_INVALID"),
        ({"properties": {"": "empty"}}, "FIELD_INVALID"),
        ({"properties": {"k" * 256: ""}}, "FIELD_INVALID"),
        ({"properties": {"k": "v" * 4_097}}, "FIELD_INVALID"),
    ],
)
def test_field_over_its_limit_is_refused_and_nothing_is_stored(
    both: EmbeddedServer, noun: Noun, prefix: str, fresh: Fresh, values: dict[str, Any], reason: str
) -> None:
    client, name = both.client(), fresh("big")
    with fails(reason, "INVALID_ARGUMENT"):
        noun.of(client).create(prefix + name, **values)
    assert name not in noun.listed(client, prefix)
    kept = noun.of(client).create(prefix + name, comment="x" * 4_096)
    with fails(reason, "INVALID_ARGUMENT"):
        noun.of(client).update(prefix + name, **values)
    assert noun.of(client).get(prefix + name) == kept


def _let_in(client: Client, prefix: str, principal: str) -> None:
    """The gates above an object, without which even its owner cannot reach it."""
    parts = prefix.split(".")[:-1]
    if parts:
        client.grants.grant("USE CATALOG", "catalog", parts[0], principal)
    if len(parts) > 1:
        client.grants.grant("USE SCHEMA", "schema", ".".join(parts), principal)


def _reason_denied(noun: Noun, call: Any) -> str:
    """The account and the workspace's metastore are visible to everybody who works there, so what is missing there is told."""
    creates_at_the_top = call.__name__ == "create" and noun.resource in {
        "metastores",
        "workspaces",
        "catalogs",
        *CREATE,
    } - {"external_locations"}
    return "PRIVILEGE_MISSING" if creates_at_the_top else "ACCESS_DENIED"
