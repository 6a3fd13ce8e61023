"""Pages by key: complete and in order while rows come and go, and tokens good for one caller, list and place only."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import pytest

from lakewarden import Client
from lakewarden.v1 import (
    catalogs_pb2,
    catalogs_pb2_grpc,
    grants_pb2,
    grants_pb2_grpc,
    groups_pb2,
    groups_pb2_grpc,
    schemas_pb2,
    schemas_pb2_grpc,
)
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

COUNT = 25


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shelf(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with serve(database_url=url) as server:
        admin = server.client()
        admin.catalogs.create("main")
        admin.catalogs.create("other")
        for number in range(COUNT):
            admin.schemas.create(f"main.s{number:02}")
        server.client_as("bob")
        admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", "main", "bob@example.com")
        admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", "other", "bob@example.com")
        yield server


def _page(
    client: Client, size: int = 10, token: str = "", parent: str = "main"
) -> schemas_pb2.ListSchemasResponse:
    connection = client._connection
    request = schemas_pb2.ListSchemasRequest(parent=parent, page_size=size, page_token=token)
    return connection.call(schemas_pb2_grpc.SchemaServiceStub(connection.channel).ListSchemas, request)


def _names(page: schemas_pb2.ListSchemasResponse) -> list[str]:
    return [schema.name for schema in page.schemas]


@pytest.mark.parametrize("size", [1, 7, 26, 27, 1_000])
def test_pages_of_any_size_make_the_whole_list_in_order(shelf: EmbeddedServer, size: int) -> None:
    listed = [schema.name for schema in shelf.client().schemas.list("main", page_size=size)]
    assert listed == ["default", *(f"s{number:02}" for number in range(COUNT))]


def test_page_sizes_have_a_default_a_maximum_and_no_negative(shelf: EmbeddedServer) -> None:
    admin = shelf.client()
    assert len(_page(admin, 0).schemas) == COUNT + 1
    assert len(_page(admin, 2**31 - 1).schemas) == COUNT + 1
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="page_size"):
        _page(admin, -1)


def test_last_full_page_has_no_token(shelf: EmbeddedServer) -> None:
    assert _page(shelf.client(), COUNT + 1).next_page_token == ""
    assert _page(shelf.client(), COUNT).next_page_token != ""


def test_rows_that_stay_are_shown_once_while_others_come_and_go(shelf: EmbeddedServer) -> None:
    admin = shelf.client()
    first = _page(admin)
    admin.schemas.create("main.s00a")
    admin.schemas.delete(f"main.{first.schemas[-1].name}")
    admin.schemas.create("main.s15a")
    second = _page(admin, token=first.next_page_token)
    rest = _page(admin, size=100, token=second.next_page_token)
    seen = _names(first) + _names(second) + _names(rest)
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen)
    assert {f"s{number:02}" for number in range(COUNT)} <= set(seen)
    assert "s15a" in seen
    for name in ("s00a", "s15a"):
        admin.schemas.delete(f"main.{name}")
    admin.schemas.create(f"main.{first.schemas[-1].name}")


def test_page_follows_what_the_caller_may_see_now(shelf: EmbeddedServer) -> None:
    admin, bob = shelf.client(), shelf.client_as("bob")
    first = _page(bob)
    admin.grants.revoke("USE SCHEMA", "catalog", "main", "bob@example.com")
    assert _names(_page(bob, token=first.next_page_token)) == []
    admin.grants.grant("USE SCHEMA", "catalog", "main", "bob@example.com")
    assert len(_page(bob, token=first.next_page_token).schemas) == 10


def test_token_of_another_caller_list_or_workspace_is_refused(shelf: EmbeddedServer) -> None:
    admin, bob = shelf.client(), shelf.client_as("bob")
    token = _page(admin).next_page_token
    if "annex" not in [workspace.name for workspace in admin.workspaces.list()]:
        admin.workspaces.create("annex", metastore="metastore")
    for ask in (
        lambda: _page(bob, token=token),
        lambda: _page(admin, token=token, parent="other"),
        lambda: _page(admin.with_workspace("annex"), token=token),
        lambda: _catalogs(admin, token),
        lambda: _members(admin, token),
        lambda: _grants(admin, token),
    ):
        with fails("PAGE_TOKEN_INVALID", "INVALID_ARGUMENT"):
            ask()
    assert _names(_page(admin, token=token, size=1)) == ["s09"]


SPOILED: Mapping[str, Callable[[str], str]] = {
    "word": lambda _: "garbage",
    "cut": lambda token: token[:-3],
    "longer": lambda token: token + "AAAA",
    "first byte": lambda token: ("B" if token[0] == "A" else "A") + token[1:],
    "other key": lambda token: _rekeyed(token),
    "not base64": lambda _: "\u00e9\u00e9",
    "empty mac": lambda _: base64.urlsafe_b64encode(b"[1]").decode(),
    "long": lambda _: "A" * 10_000,
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_spoiled_token_is_refused(shelf: EmbeddedServer, spoil: str) -> None:
    admin = shelf.client()
    with fails("PAGE_TOKEN_INVALID", "INVALID_ARGUMENT"):
        _page(admin, token=SPOILED[spoil](_page(admin).next_page_token))


def test_token_tells_no_secret_and_survives_another_page_size(shelf: EmbeddedServer) -> None:
    admin = shelf.client()
    token = _page(admin, 5).next_page_token
    assert _names(_page(admin, 2, token)) == ["s04", "s05"]


def _rekeyed(token: str) -> str:
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return base64.urlsafe_b64encode(raw[:16] + raw[16:].replace(b"s08", b"s20")).decode().rstrip("=")


def _catalogs(client: Client, token: str) -> Any:
    stub = catalogs_pb2_grpc.CatalogServiceStub(client._connection.channel)
    return client._connection.call(stub.ListCatalogs, catalogs_pb2.ListCatalogsRequest(page_token=token))


def _members(client: Client, token: str) -> Any:
    stub = groups_pb2_grpc.GroupServiceStub(client._connection.channel)
    request = groups_pb2.ListGroupMembersRequest(name="account users", page_token=token)
    return client._connection.call(stub.ListGroupMembers, request)


def _grants(client: Client, token: str) -> Any:
    stub: Any = grants_pb2_grpc.GrantServiceStub(client._connection.channel)
    request = grants_pb2.ListGrantsRequest(
        securable_type=grants_pb2.CATALOG, full_name="main", page_token=token
    )
    assert isinstance(client._connection.channel, grpc.Channel)
    return client._connection.call(stub.ListGrants, request)
