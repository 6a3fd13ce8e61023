"""Views, materialized views, streaming tables and functions: the verbs they share, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]


@dataclass(frozen=True)
class Noun:
    """How the tests below reach one kind of definition."""

    resource: str
    arguments: tuple[Any, ...]
    """What `create` takes besides the name."""
    other: str
    """Another definition."""

    def of(self, client: Client) -> Any:
        return getattr(client, self.resource)


QUERY, OTHER = ("SELECT 1 AS a",), "SELECT 2 AS b"
NOUNS = {
    "view": Noun("views", QUERY, OTHER),
    "materialized view": Noun("materialized_views", QUERY, OTHER),
    "streaming table": Noun("streaming_tables", QUERY, OTHER),
    "function": Noun("functions", (["x INT"], "INT", "x + 1"), "x + 2"),
}


@pytest.fixture(params=NOUNS)
def noun(request: pytest.FixtureRequest) -> Noun:
    return NOUNS[request.param]


@pytest.fixture
def schema(both: EmbeddedServer, fresh: Fresh) -> str:
    catalog = fresh("home")
    both.client().catalogs.create(catalog)
    return both.client().schemas.create(f"{catalog}.s").full_name


def test_created_object_is_got_and_listed(both: EmbeddedServer, noun: Noun, schema: str) -> None:
    client = both.client()
    made = noun.of(client).create(f"{schema}.Thing", *noun.arguments, comment="why", properties={"a": "1"})
    assert noun.of(client).get(f"{schema}.thing") == made
    assert (made.full_name, made.comment, dict(made.properties)) == (f"{schema}.Thing", "why", {"a": "1"})
    assert made.definition == noun.arguments[-1]
    (listed,) = noun.of(client).list(schema)
    assert (listed.id, listed.definition) == (made.id, "")


def test_definition_is_replaced_and_moves_the_etag(both: EmbeddedServer, noun: Noun, schema: str) -> None:
    client = both.client()
    made = noun.of(client).create(f"{schema}.x", *noun.arguments)
    changed = noun.of(client).redefine(made.full_name, noun.other, etag=made.etag)
    assert changed.definition == noun.other
    assert changed.etag != made.etag
    with fails("ETAG_MISMATCH"):
        noun.of(client).redefine(made.full_name, noun.other, etag=made.etag)
    with fails("DEFINITION_INVALID"):
        noun.of(client).redefine(made.full_name, "DROP TABLE x")


def test_comment_and_name_change_and_it_is_deleted(both: EmbeddedServer, noun: Noun, schema: str) -> None:
    client = both.client()
    made = noun.of(client).create(f"{schema}.x", *noun.arguments)
    noun.of(client).update(made.full_name, comment="other")
    renamed = noun.of(client).rename(made.full_name, "y")
    assert (renamed.full_name, renamed.comment, renamed.id) == (f"{schema}.y", "other", made.id)
    noun.of(client).delete(renamed.full_name)
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        noun.of(client).get(renamed.full_name)
    assert noun.of(client).create(renamed.full_name, *noun.arguments).id != made.id


def test_invalid_and_absent_are_told(both: EmbeddedServer, noun: Noun, schema: str) -> None:
    client = both.client()
    with fails("NAME_INVALID"):
        noun.of(client).create(f"{schema}.a b", *noun.arguments)
    with fails("DEFINITION_INVALID", "INVALID_ARGUMENT"):
        noun.of(client).create(f"{schema}.x", *noun.arguments[:-1], "DELETE FROM t")
    with fails("OBJECT_NOT_FOUND"):
        noun.of(client).delete(f"{schema}.ghost")


def test_stranger_is_denied_and_a_browser_sees_no_definition(
    both: EmbeddedServer, noun: Noun, schema: str
) -> None:
    client, stranger = both.client(), both.client_as("stranger")
    made = noun.of(client).create(f"{schema}.x", *noun.arguments)
    for call in (noun.of(stranger).get, noun.of(stranger).delete):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
            call(made.full_name)
    client.grants.grant("BROWSE", "catalog", schema.partition(".")[0], "stranger@example.com")
    seen = noun.of(stranger).get(made.full_name)
    assert (seen.id, seen.definition, list(seen.references)) == (made.id, "", [])


def test_relations_share_their_names_with_tables(both: EmbeddedServer, noun: Noun, schema: str) -> None:
    client = both.client()
    client.tables.create(f"{schema}.taken")
    if noun.resource == "functions":
        noun.of(client).create(f"{schema}.taken", *noun.arguments)
        return
    with fails("NAME_TAKEN"):
        noun.of(client).create(f"{schema}.TAKEN", *noun.arguments)


def test_schema_with_a_definition_in_it_is_not_empty(both: EmbeddedServer, noun: Noun, schema: str) -> None:
    client = both.client()
    noun.of(client).create(f"{schema}.x", *noun.arguments)
    with fails("NOT_EMPTY"):
        client.schemas.delete(schema)
    client.schemas.delete(schema, force=True)


def test_first_owner_is_the_creator_or_a_group_of_theirs(
    both: EmbeddedServer, noun: Noun, schema: str, fresh: Fresh
) -> None:
    """Otherwise a creator would write what runs with somebody else's rights."""
    from lakewarden.v1 import functions_pb2, views_pb2

    admin, author = both.client(), both.client_as("author")
    for privilege in (
        "CREATE TABLE",
        "CREATE MATERIALIZED VIEW",
        "CREATE FUNCTION",
        "USE SCHEMA",
        "USE CATALOG",
    ):
        admin.grants.grant(privilege, "catalog", schema.partition(".")[0], "author@example.com")
    if noun.resource not in {"views", "functions"}:
        return
    values: dict[str, Any] = {"name": "mine", "definition": noun.arguments[-1], "owner": "admin@example.com"}
    if noun.resource == "functions":
        parameter = functions_pb2.FunctionParameter(name="x", type_text="INT")
        values |= {"return_type_text": "INT", "parameters": [parameter]}
    with fails("FIELD_INVALID", saying="first owner"):
        noun.of(author)._create(values, parent=schema)
    group = fresh("authors")
    admin.groups.create(group)
    admin.groups.update_members(group, add=["author@example.com"])
    made: views_pb2.View = noun.of(author)._create({**values, "owner": group}, parent=schema)
    assert made.owner == group


def test_owner_who_is_no_metastore_admin_hands_over_to_a_group_of_theirs_only(
    both: EmbeddedServer, schema: str, fresh: Fresh
) -> None:
    admin, author = both.client(), both.client_as("author")
    both.client_as("heir")
    catalog = schema.partition(".")[0]
    for privilege in ("CREATE TABLE", "USE SCHEMA", "USE CATALOG"):
        admin.grants.grant(privilege, "catalog", catalog, "author@example.com")
    made = author.views.create(f"{schema}.x", "SELECT 1 AS a")
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        author.views.set_owner(made.full_name, "heir@example.com")
    group = fresh("authors")
    admin.groups.create(group)
    admin.groups.update_members(group, add=["author@example.com"])
    assert author.views.set_owner(made.full_name, group).owner == group
    assert admin.views.set_owner(made.full_name, "heir@example.com").owner == "heir@example.com"


def test_refresh_time_is_remembered(both: EmbeddedServer, schema: str) -> None:
    client = both.client()
    made = client.materialized_views.create(f"{schema}.daily", "SELECT 1 AS a")
    assert not made.HasField("refresh_time")
    refreshed = client.materialized_views.refresh(made.full_name, etag=made.etag)
    assert refreshed.refresh_time.seconds >= made.create_time.seconds
    assert client.materialized_views.get(made.full_name).refresh_time == refreshed.refresh_time
    with fails("ETAG_MISMATCH"):
        client.materialized_views.refresh(made.full_name, etag=made.etag)
