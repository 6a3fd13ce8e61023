"""What a request is charged as is what it calls: no request that can take a right away is one of the others, and none of those is urgent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import httpx2
import pytest
from google.protobuf.message import Message
from scim2_server.requests import ScimRequest

from lakewarden_server.http.calls import GET_SESSION, PACKAGE
from lakewarden_server.http.edge import HttpEdge
from lakewarden_server.http.rest.endpoints import OPERATIONS
from lakewarden_server.http.rest.exchanges import Operation
from lakewarden_server.http.scim.edge import purpose_of
from lakewarden_server.pipeline.pipeline import Handler, Incoming, Reply
from lakewarden_server.pipeline.rules import Method
from lakewarden_server.testing import WORKSPACE, EmbeddedServer, serve
from scim.requests import group, patch, user

ASSIGNED = "bob@example.com"
ACCOUNT, HERE = "/scim/v2", "/api/2.0/preview/scim/v2"
SCIM = [
    ("GET", "/Users", None),
    ("POST", "/Users/.search", {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}),
    ("POST", "/Users", user("new@example.com")),
    ("GET", "/users/{user}", None),
    ("PUT", "/Users/{user}", user(ASSIGNED, active=False)),
    ("PATCH", "/Users/{user}", patch("replace", "active", True)),
    ("PATCH", "/Groups/{group}", patch("add", "members", [{"value": "{user}"}])),
    ("PATCH", "/ServicePrincipals/{program}", patch("replace", "active", False)),
    ("POST", "/Groups", group("more")),
    ("DELETE", "/Groups/{group}", None),
    ("DELETE", "/ServicePrincipals/{program}", None),
    ("GET", "/Me", None),
    ("PATCH", "/Me", patch("replace", "displayName", "Ada")),
]
"""Requests in an order in which each finds what it is about."""


class Recorder:
    """Answers like the pipeline it has, and keeps the names of the methods."""

    def __init__(self, pipeline: Handler) -> None:
        self._pipeline = pipeline
        self.called: list[str] = []

    @property
    def methods(self) -> Mapping[str, Method]:
        return self._pipeline.methods

    def handle(self, method_name: str, request: Message, incoming: Incoming) -> Reply:
        self.called.append(method_name)
        return self._pipeline.handle(method_name, request, incoming)

    def screen(self, method_name: str, incoming: Incoming) -> None:
        self._pipeline.screen(method_name, incoming)

    def remembered(self, authorization: str, certificate: bytes) -> str | None:
        return self._pipeline.remembered(authorization, certificate)

    def vouch(self, method_name: str, incoming: Incoming) -> str:
        return self._pipeline.vouch(method_name, incoming)

    def is_urgent(self, rpc: str) -> bool:
        return self.methods[f"{PACKAGE}.{rpc}"].rule.urgent

    def assert_is_for(self, rpc: str) -> None:
        """What was called since the last time has that method, and nothing that is more urgent but where something new is assigned."""
        called, self.called = self.called, []
        assert f"{PACKAGE}.{rpc}" in called
        if not self.is_urgent(rpc) and "/Create" not in rpc:
            assert [name for name in called if self.methods[name].rule.urgent] == []


class Edge(NamedTuple):
    """HTTP over a recorded pipeline, called by the admin."""

    server: EmbeddedServer
    recorder: Recorder
    client: httpx2.Client


@pytest.fixture
def edge() -> Iterator[Edge]:
    with serve() as server:
        server.token_of(ASSIGNED)
        recorder = Recorder(server.app.pipeline)
        edge = HttpEdge(recorder, threads=2, producer_threads=1, address="127.0.0.1:0")
        edge.start()
        sent = {"Authorization": f"Bearer {server.admin_token}", "X-Databricks-Workspace-Id": WORKSPACE}
        with httpx2.Client(base_url=f"http://{edge.address}", headers=sent) as client:
            yield Edge(server, recorder, client)
        edge.stop(1)


def test_every_operation_of_the_databricks_api_says_what_it_is_for(edge: Edge) -> None:
    admin = edge.server.client()
    admin.workspace_objects.create("job", "7")
    admin.workspace_objects.create("warehouse", "7")
    principal = admin.service_principals.create("spark")
    named = {
        "token_id": admin.tokens.create(workspace=WORKSPACE).token.id,
        "secret_id": admin.service_principals.create_secret(principal.name).secret.id,
        "type": "jobs", "above": "sql", "id": "7", "workspace": WORKSPACE, "principal": principal.id,
    }  # fmt: skip
    body = {
        "access_control_list": [{"user_name": ASSIGNED, "permission_level": "CAN_USE"}],
        "permissions": ["USER"],
        "token_id": named["token_id"],
        "application_id": principal.name,
    }
    for operation in OPERATIONS:
        _send(edge, operation, named, body)
        edge.recorder.assert_is_for(operation.rpc)
    urgent = [operation for operation in OPERATIONS if edge.recorder.is_urgent(operation.rpc)]
    assert {operation.method for operation in urgent} == {"POST", "PUT", "PATCH", "DELETE"}


def _send(edge: Edge, operation: Operation, named: Mapping[str, str], body: object) -> None:
    path = operation.path.format(**named).replace("/sql/jobs/", "/sql/warehouses/")
    writes = operation.method in ("POST", "PUT", "PATCH")
    edge.client.request(operation.method, path, json=body if writes else None)


@pytest.mark.parametrize("mount", [ACCOUNT, HERE])
def test_every_request_of_scim_is_for_what_it_calls(edge: Edge, mount: str) -> None:
    admin = edge.server.client()
    named = {
        "user": next(one.id for one in admin.users.list() if one.name == ASSIGNED),
        "group": admin.groups.create("some").id,
        "program": admin.service_principals.create("spark").id,
    }
    admin.grants.grant("USER", "workspace", WORKSPACE, "some")
    admin.grants.grant("USER", "workspace", WORKSPACE, f"id/{named['program']}")
    purposes = {}
    for method, path, body in SCIM:
        where = path.format(**named)
        text = httpx2.Request(method, "http://a", json=body).content.decode() if body else ""
        for name, value in named.items():
            text = text.replace(f"{{{name}}}", value)
        purpose = purpose_of(ScimRequest(method, "http://a", where), of_workspace=mount == HERE)
        answer = edge.client.request(method, mount + where, content=text.encode())
        assert answer.is_success, (method, path, answer.text)
        purposes[method, path] = purpose.rpc
        edge.recorder.assert_is_for(purpose.rpc)
    assert all(
        edge.recorder.is_urgent(rpc) for (method, _), rpc in purposes.items() if method in ("PUT", "PATCH")
    )
    assert not any(edge.recorder.is_urgent(rpc) for (method, _), rpc in purposes.items() if method == "GET")
    assert purposes["DELETE", "/Groups/{group}"] == (
        "GrantService/UpdateGrants" if mount == HERE else "GroupService/DeleteGroup"
    )


def test_what_nobody_may_ask_is_for_nothing(edge: Edge) -> None:
    for method, path in (("GET", "/Nothing/at/all"), ("TRACE", "/Users"), ("GET", "/Schemas")):
        assert purpose_of(ScimRequest(method, "http://a", path), of_workspace=False) == (GET_SESSION, True)
    assert purpose_of(ScimRequest("DELETE", "http://a", "/Cars/7"), of_workspace=False) == (
        GET_SESSION,
        False,
    )
