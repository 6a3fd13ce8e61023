"""A mutation with a request id is done once, however often it is sent; and update masks, which no client method can get wrong."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from access.rpcs import Answer, call, request_class
from lakewarden_server.testing import EmbeddedServer

Ask = Callable[..., Answer]


@pytest.fixture
def ask(both: EmbeddedServer) -> Iterator[Ask]:
    """Calls an RPC with a JSON body as the admin, or with the token given."""
    with grpc.insecure_channel(both.endpoint) as channel:

        def ask(rpc: str, body: dict[str, Any], request_id: str = "", token: str = "") -> Answer:
            name = f"lakewarden.v1.{rpc}"
            message = ParseDict(body, request_class(name)())
            return call(
                channel,
                name,
                message.SerializeToString(),
                token=token or both.admin_token,
                workspace="workspace",
                lakewarden_request_id=request_id,
            )

        yield ask


def _new_id() -> str:
    return str(uuid.uuid4())


def test_repeated_create_update_and_delete_are_done_once(ask: Ask, fresh: Callable[[str], str]) -> None:
    name = fresh("catalog")
    create = ("CatalogService/CreateCatalog", {"catalog": {"name": name}}, _new_id())
    first, again = ask(*create), ask(*create)
    assert (first.code, again.message) == ("OK", first.message)
    update = (
        "CatalogService/UpdateCatalog",
        {"catalog": {"fullName": name, "etag": first.message.etag, "comment": "x"}, "updateMask": "comment"},
        _new_id(),
    )
    changed, again = ask(*update), ask(*update)
    assert (changed.code, again.message) == ("OK", changed.message)
    delete = ("CatalogService/DeleteCatalog", {"fullName": name, "etag": changed.message.etag}, _new_id())
    assert [ask(*delete).code for _ in range(3)] == ["OK", "OK", "OK"]
    assert ask(delete[0], delete[1], _new_id()).code == "NOT_FOUND"


def test_without_the_id_the_second_create_fails(ask: Ask, fresh: Callable[[str], str]) -> None:
    """The control."""
    body = {"catalog": {"name": fresh("catalog")}}
    assert ask("CatalogService/CreateCatalog", body).code == "OK"
    assert ask("CatalogService/CreateCatalog", body).reason == "NAME_TAKEN"
    assert ask("CatalogService/CreateCatalog", body, _new_id()).reason == "NAME_TAKEN"


def test_id_of_another_request_is_refused(ask: Ask, fresh: Callable[[str], str]) -> None:
    request_id, name = _new_id(), fresh("catalog")
    assert ask("CatalogService/CreateCatalog", {"catalog": {"name": name}}, request_id).code == "OK"
    answer = ask("CatalogService/CreateCatalog", {"catalog": {"name": fresh("catalog")}}, request_id)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    assert (
        ask("SchemaService/CreateSchema", {"parent": name, "schema": {"name": "s"}}, request_id).code == "OK"
    )


def test_id_belongs_to_its_caller(both: EmbeddedServer, ask: Ask, fresh: Callable[[str], str]) -> None:
    """Somebody else who repeats the call gets neither the answer nor the right to do it."""
    request_id, body = _new_id(), {"catalog": {"name": fresh("catalog")}}
    assert ask("CatalogService/CreateCatalog", body, request_id).code == "OK"
    thief = ask("CatalogService/CreateCatalog", body, request_id, token=both.token_of("thief"))
    assert (thief.code, thief.message) == ("PERMISSION_DENIED", None)


def test_repeated_answer_is_authorized_anew(
    both: EmbeddedServer, ask: Ask, fresh: Callable[[str], str]
) -> None:
    request_id, name, token = _new_id(), fresh("catalog"), both.token_of("maker")
    both.client().grants.grant("CREATE CATALOG", "metastore", "metastore", "maker@example.com")
    body = {"catalog": {"name": name}}
    assert ask("CatalogService/CreateCatalog", body, request_id, token=token).code == "OK"
    both.client().grants.revoke("CREATE CATALOG", "metastore", "metastore", "maker@example.com")
    again = ask("CatalogService/CreateCatalog", body, request_id, token=token)
    assert (again.code, again.message) == ("PERMISSION_DENIED", None)
    both.client().users.disable("maker@example.com")
    assert ask("CatalogService/CreateCatalog", body, request_id, token=token).code == "UNAUTHENTICATED"
    both.client().users.enable("maker@example.com")


def test_repeated_token_creation_makes_one_token_and_hides_the_secret(both: EmbeddedServer, ask: Ask) -> None:
    request_id, before = _new_id(), len(list(both.client().tokens.list()))
    first = ask("TokenService/CreateToken", {"comment": "x"}, request_id)
    again = ask("TokenService/CreateToken", {"comment": "x"}, request_id)
    assert first.message.token_value.startswith("lwpat_")
    assert (again.message.token_value, again.message.token) == ("", first.message.token)
    assert len(list(both.client().tokens.list())) == before + 1
    both.client().tokens.delete(first.message.token.id)


def test_sent_at_once_by_many_it_is_done_once(ask: Ask) -> None:
    request_id = _new_id()

    def create(_: int) -> Answer:
        return ask(
            "ServicePrincipalService/CreateServicePrincipal",
            {"servicePrincipal": {"displayName": "x"}},
            request_id,
        )

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(create, range(6)))
    assert {answer.code for answer in answers} == {"OK"}
    assert len({answer.message.name for answer in answers}) == 1


@pytest.mark.parametrize(
    "request_id", ["1", "not-a-uuid", "0" * 36, "{01a1fb65-5804-7410-8d9d-0dce4066e90a}", "x" * 5_000]
)
def test_id_that_is_no_uuid_is_refused(ask: Ask, request_id: str) -> None:
    answer = ask("SessionService/GetSession", {}, request_id)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


@pytest.mark.parametrize(
    "mask",
    [
        "",
        "id",
        "fullName",
        "etag",
        "createTime",
        "nonsense",
        "comment,nonsense",
        "metastoreId",
        "properties.a",
        "owner.id",
    ],
)
def test_update_mask_of_what_cannot_change_is_refused(
    ask: Ask, fresh: Callable[[str], str], mask: str
) -> None:
    name = fresh("catalog")
    made = ask("CatalogService/CreateCatalog", {"catalog": {"name": name}}).message
    body = {"catalog": {"fullName": name, "comment": "changed"}, "updateMask": mask}
    answer = ask("CatalogService/UpdateCatalog", body)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "UPDATE_MASK_INVALID")
    assert "comment, name, owner, properties" in answer.text
    assert ask("CatalogService/GetCatalog", {"fullName": name}).message == made


def test_several_paths_change_at_once_or_not_at_all(ask: Ask, fresh: Callable[[str], str]) -> None:
    name = fresh("catalog")
    ask("CatalogService/CreateCatalog", {"catalog": {"name": name}})
    new = {"fullName": name, "name": f"{name}_new", "comment": "c", "owner": "ghost@example.com"}
    answer = ask("CatalogService/UpdateCatalog", {"catalog": new, "updateMask": "name,comment,owner"})
    assert answer.reason == "PRINCIPAL_UNKNOWN"
    assert ask("CatalogService/GetCatalog", {"fullName": name}).message.comment == ""
    new["owner"] = "admin@example.com"
    done = ask("CatalogService/UpdateCatalog", {"catalog": new, "updateMask": "name,comment,owner,comment"})
    assert (done.message.name, done.message.comment) == (f"{name}_new", "c")
