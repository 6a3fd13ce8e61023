"""A failed call ends its stream at once: a connection has only so many, and the cyclic collector comes when it likes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from access.rpcs import call
from lakewarden.v1 import catalogs_pb2, lineage_graph_pb2, schemas_pb2, sessions_pb2, users_pb2
from lakewarden_server.rpc.server import CONNECTION_STREAMS_MAX
from lakewarden_server.testing import EmbeddedServer

FAILURES: dict[str, tuple[str, Any, str]] = {
    "ACCESS_DENIED": ("CatalogService/GetCatalog", catalogs_pb2.GetCatalogRequest(full_name="hidden"), "guest"),
    "ACCESS_DENIED in a stream": (
        "LineageGraphService/StreamLineage",
        lineage_graph_pb2.StreamLineageRequest(traversal={"root": {"table": "main.sales.hidden"}}), "guest",
    ),
    "PRIVILEGE_MISSING": ("UserService/CreateUser", users_pb2.CreateUserRequest(), "guest"),
    "OBJECT_NOT_FOUND": ("UserService/GetUser", users_pb2.GetUserRequest(name="no@example.com"), "admin"),
    "FIELD_INVALID": ("SchemaService/ListSchemas", schemas_pb2.ListSchemasRequest(parent="main", page_size=-1), "admin"),
    "NAME_TAKEN": ("CatalogService/CreateCatalog", catalogs_pb2.CreateCatalogRequest(catalog={"name": "main"}), "admin"),
    "NOT_EMPTY": ("CatalogService/DeleteCatalog", catalogs_pb2.DeleteCatalogRequest(full_name="main"), "admin"),
    "TOKEN_MISSING": ("SessionService/GetSession", sessions_pb2.GetSessionRequest(), "nobody"),
    "TOKEN_CHECKSUM_WRONG": ("SessionService/GetSession", sessions_pb2.GetSessionRequest(), "mistyped"),
}  # fmt: skip


@pytest.fixture(scope="module")
def collector_off() -> Iterator[None]:
    """Once for all, for it looks at everything that was ever imported."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.usefixtures("collector_off")
@pytest.mark.parametrize("reason", FAILURES)
def test_failed_calls_leave_no_stream_open(server: EmbeddedServer, reason: str) -> None:
    rpc, request, who = FAILURES[reason]
    admin = server.client()
    if "main" not in [catalog.name for catalog in admin.catalogs.list()]:
        admin.catalogs.create("main")
        admin.schemas.create("main.sales")
    last = "a" if server.admin_token[-1] != "a" else "b"
    tokens = {
        "admin": server.admin_token, "guest": server.token_of("guest@example.com"), "nobody": "",
        "mistyped": server.admin_token[:-1] + last,
    }  # fmt: skip
    with grpc.insecure_channel(server.endpoint) as channel:
        for _ in range(CONNECTION_STREAMS_MAX + 20):
            answer = call(
                channel, f"lakewarden.v1.{rpc}", request.SerializeToString(),
                token=tokens[who], workspace="workspace",
            )  # fmt: skip
            assert answer.reason == reason.partition(" ")[0], answer
