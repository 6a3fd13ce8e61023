"""The Databricks API beside SCIM, byte by byte: who is nobody learns nothing, errors have that API's body, and no request is answered with 500."""

import asyncio
import json
import threading
from uuid import UUID

import httpx2
import pytest

from lakewarden_policy import IN_WORKSPACE
from lakewarden_server.core.errors import Aborted, Overloaded, Reason
from lakewarden_server.http.requests import BODY_BYTES_MAX, Busy, Threads
from lakewarden_server.http.rest.endpoints import OPERATIONS
from lakewarden_server.http.rest.errors import refusal_of
from lakewarden_server.http.rest.permissions import TYPES
from lakewarden_server.pipeline.errors import status_of
from lakewarden_server.testing import WORKSPACE, serve
from scim.requests import patch

TOLD = ("id", "userName", "active", "emails", "groups")
PATHS = {
    "token_id": "none", "secret_id": "none", "type": "jobs", "above": "sql", "id": "7", "workspace": WORKSPACE, "principal": str(UUID(int=7)),
}  # fmt: skip
ENTRIES = [
    7,
    [7],
    [{"user_name": 7, "permission_level": "CAN_VIEW"}],
    [{"user_name": "a@b.example", "permission_level": ["CAN_VIEW"]}],
    [{"user_name": "a@b.example", "permission_level": "\ud800"}],
    [{"user_name": "a@b.example", "permission_level": "CAN_USE" * 1_000}],
    [{"group_name": f"id/{UUID(int=7)}", "permission_level": "CAN_USE"}],
    [{"permission_level": "CAN_USE"}],
    [{"user_name": "a@b.example", "group_name": "b", "permission_level": "CAN_USE"}],
]
HOSTILE = {
    "/permissions/": [{"access_control_list": entries} for entries in ENTRIES],
    "/principals/": [{"permissions": said} for said in ("USER", 7, ["OWNER"], [{}], ["\ud800"], [["USER"]])],
    "/token/delete": [{"token_id": said} for said in (7, "\udfff", ["a"], {}, "t" * 100_000)],
    "/secrets": [
        {"scopes": ["all-apis"]},
        *({"lifetime": said} for said in (3600, "3600", "s", "-1s", "1.5s", "٣s", "9" * 5_000 + "s", [])),
    ],
    "/token": [
        {"comment": "\ud800"},
        {"comment": 7},
        {"comment": "c" * 5_000},
        {"scopes": ["sql"]},
        *({"lifetime_seconds": said} for said in ("7", True, -1, 2**62, 2**70, 1.5, [])),
    ],
}
"""Bodies by the paths whose calls read them; the first that fits."""


@pytest.fixture(scope="module")
def server():
    with serve(http=True) as running:
        yield running


@pytest.fixture(scope="module")
def http(server):
    """The admin, calling the workspace."""
    with httpx2.Client(base_url=server.http_url, headers=_sent_by(server.admin_token)) as client:
        yield client


def _sent_by(token):
    return {"Authorization": f"Bearer {token}", "X-Databricks-Workspace-Id": WORKSPACE}


def assert_error(answer, status, error_code):
    """The body of an error (semantics 9.7)."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert (answer.status_code, body["error_code"]) == (status, error_code), answer.text
    assert body.keys() == {"error_code", "message", "details"}
    return body


def asked(client, operation, **sent):
    return client.request(operation.method, operation.path.format(**PATHS), **sent)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_nobody_is_refused_before_anything_is_read(server, operation):
    for token in ("", "Bearer lwpat_none", "Bearer dapi0123456789abcdef"):
        headers = {"Authorization": token, "X-Databricks-Workspace-Id": "absent"}
        with httpx2.Client(base_url=server.http_url, headers=headers) as nobody:
            assert_error(asked(nobody, operation, content=b"{"), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_hostile_bodies_are_refused_and_change_nothing(server, http, operation):
    before = server.client().session.get().revision
    for body in (b"{", b"[]", b"7", b"\xff", b'{"a": ' * 100_000):
        assert_error(asked(http, operation, content=body), 400, "MALFORMED_REQUEST")
    part = next((part for part in HOSTILE if part in operation.path), "")
    for sent in HOSTILE.get(part, ()) if operation.method in ("POST", "PUT", "PATCH") else ():
        answer = asked(http, operation, content=json.dumps(sent))
        assert answer.status_code in (400, 404), (sent, answer.text)
        assert answer.json()["message"]
    assert server.client().session.get().revision == before


def test_every_kind_of_object_but_secret_scopes_has_a_path():
    assert set(TYPES.values()) == IN_WORKSPACE - {"SECRET_SCOPE"}


def test_error_that_says_when_to_try_again_says_so_here_in_whole_seconds():
    overloaded = refusal_of(status_of(Overloaded(Reason.OVERLOADED, "too many"), "r"))
    assert (overloaded.status, overloaded.retry_after_seconds) == (429, 1)
    aborted = refusal_of(status_of(Aborted(Reason.CONCURRENT_CHANGE, "changed"), "r"))
    assert (aborted.status, aborted.retry_after_seconds) == (409, None)


def test_error_tells_reason_and_request_in_its_details(http):
    body = assert_error(
        http.post("/api/2.0/token/delete", json={"token_id": "none"}), 404, "RESOURCE_DOES_NOT_EXIST"
    )
    told = {detail["@type"].rpartition(".")[2]: detail for detail in body["details"]}
    assert told["ErrorInfo"]["reason"] == "OBJECT_NOT_FOUND"
    assert UUID(told["RequestInfo"]["request_id"])


def test_what_is_no_call_is_told_in_the_same_words(http):
    assert_error(http.get("/api/2.0/clusters/list"), 404, "ENDPOINT_NOT_FOUND")
    assert_error(http.put("/api/2.0/token/create"), 404, "ENDPOINT_NOT_FOUND")
    assert http.get("/elsewhere").status_code == 404


def test_body_over_the_limit_is_not_read(http):
    answer = http.post("/api/2.0/token/create", content=b" " * (BODY_BYTES_MAX + 1))
    assert_error(answer, 413, "MAX_REQUEST_SIZE_EXCEEDED")


def test_quota_is_not_worth_trying_again(server):
    many = _sent_by(server.token_of("many@example.com"))
    with httpx2.Client(base_url=server.http_url, headers=many) as client:
        answers = [client.post("/api/2.0/token/create", json={"lifetime_seconds": 600}) for _ in range(21)]
    assert_error(answers[-1], 400, "QUOTA_EXCEEDED")
    assert "retry-after" not in answers[-1].headers


def test_workspace_must_be_said_unless_the_token_says_it(server, http):
    with httpx2.Client(
        base_url=server.http_url, headers={"Authorization": http.headers["authorization"]}
    ) as client:
        assert_error(client.post("/api/2.0/token/create"), 400, "INVALID_PARAMETER_VALUE")
        said = client.post("/api/2.0/token/create", headers={"lakewarden-workspace": WORKSPACE}).json()
    with httpx2.Client(
        base_url=server.http_url, headers={"Authorization": f"Bearer {said['token_value']}"}
    ) as client:
        assert client.post("/api/2.0/token/create", json={"lifetime_seconds": 60}).status_code == 200
        # It does no work of the account, whatever its owner may do.
        refused = client.get(f"/api/2.0/accounts/account/workspaces/{WORKSPACE}/permissionassignments")
        assert_error(refused, 403, "PERMISSION_DENIED")
        assert_error(client.get("/api/2.0/token-management/tokens"), 403, "PERMISSION_DENIED")


def test_token_of_a_workspace_tells_whose_it_is_and_reads_no_more_of_the_account(server, http):
    admin = server.client()
    kim = _sent_by(server.token_of("kim@example.com"))
    admin.groups.create("readers")
    admin.groups.update_members("readers", add=["kim@example.com"])
    limited = httpx2.post(f"{server.http_url}/api/2.0/token/create", headers=kim).json()["token_value"]
    for mount in ("/api/2.0/preview/scim/v2", "/scim/v2"):
        whole = httpx2.get(f"{server.http_url}{mount}/Me", headers=kim).json()
        with httpx2.Client(
            base_url=server.http_url + mount, headers={"Authorization": f"Bearer {limited}"}
        ) as client:
            me = client.get("/Me").json()
            assert [me[key] for key in TOLD] == [whole[key] for key in TOLD]
            assert [group["display"] for group in me["groups"]] == ["readers"]
            assert client.patch("/Me", json=patch("replace", "displayName", "K")).status_code == 403
            assert client.get("/Users").status_code == 403


def test_changes_are_audited_as_those_over_grpc(server, http):
    path = f"/api/2.0/accounts/account/workspaces/{WORKSPACE}/permissionassignments/principals"
    user = server.client().users.create("audited@example.com")
    answer = http.put(f"{path}/{user.id}", json={"permissions": ["USER"]})
    record = next(iter(server.client().audit.list(request_id=answer.headers["lakewarden-request-id"])))
    assert (record.method, record.actor) == (
        "lakewarden.v1.GrantService/UpdateGrants",
        "admin@example.com",
    )


def test_discovery_tells_the_token_endpoint_as_the_client_reached_it(server):
    root = server.http_url
    host = httpx2.get(f"{root}/.well-known/databricks-config").json()
    assert host == {"oidc_endpoint": f"{root}/oidc", "account_id": "account"}
    for base in (f"{root}/oidc", f"{root}/oidc/accounts/account"):
        told = httpx2.get(f"{base}/.well-known/oauth-authorization-server").json()
        assert (told["issuer"], told["token_endpoint"]) == (base, f"{root}/oidc/v1/token")
    behind = httpx2.get(
        f"{root}/.well-known/databricks-config", headers={"X-Forwarded-Proto": "https"}
    ).json()
    assert behind["oidc_endpoint"].startswith("https://")


async def _twice(threads, release):
    running = [asyncio.ensure_future(threads.run(release.wait)) for _ in range(51)]
    await asyncio.sleep(0.1)
    with pytest.raises(Busy):
        await threads.run(lambda: None)
    release.set()
    await asyncio.gather(*running)
    assert await threads.run(lambda: 7) == 7


def test_more_requests_than_may_wait_are_refused_until_one_is_done():
    threads = Threads(1)
    asyncio.run(_twice(threads, threading.Event()))
    threads.pool.shutdown()
