"""Requests that no honest client sends: each gets an error of the RFC, none an internal one, and the server goes on."""

import json
import socket

import pytest

from lakewarden_server.http.requests import BODY_BYTES_MAX
from scim.requests import CORE, PATCH, assert_error, group, made, patch, user

U = f"{CORE}:User"
DEEP = b"[" * 100_000


@pytest.fixture(scope="module")
def path(admin):
    return f"/Users/{made(admin.post('/Users', json=user('target@hostile.example')))['id']}"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b'"text"', b"12", b"\xff\xfe", DEEP, b'{"a":' * 5_000, b"NaN",
        b'{"schemas": 1}', b'{"userName": "a@b.c", "userName": {}}',
        json.dumps(user("x@hostile.example", shoeSize=44)).encode(),
        json.dumps(user(5)).encode(),
        json.dumps(user(["x@hostile.example"])).encode(),
        json.dumps(user("")).encode(),
        json.dumps(user("no email")).encode(),
        json.dumps(user("x@hostile.example", active={"no": 1})).encode(),
        json.dumps(user("x@hostile.example", active="perhaps")).encode(),
        json.dumps(user("x@hostile.example", displayName="n\0l")).encode(),
        json.dumps(user("x@hostile.example", displayName="\ud800")).encode(),
        json.dumps(user("x@hostile.example", displayName="x" * 300)).encode(),
        json.dumps(user("x@hostile.example", externalId="x" * 300)).encode(),
        json.dumps({**user("x@hostile.example"), "schemas": ["urn:nothing"]}).encode(),
        json.dumps({"schemas": [U]}).encode(),
    ],
)  # fmt: skip
def test_malformed_user_is_refused(admin, body):
    assert_error(admin.post("/Users", content=body), 400)
    assert (
        admin.get("/Users", params={"filter": 'userName eq "x@hostile.example"'}).json()["totalResults"] == 0
    )


@pytest.mark.parametrize(
    ("operations", "scim_type"),
    [
        ([{"op": "explode", "path": "displayName"}], None),
        ([{"op": "replace", "path": "shoeSize", "value": 1}], "invalidPath"),
        ([{"op": "replace", "value": {"shoeSize": 1}}], "invalidPath"),
        ([{"op": "replace", "path": "displayName["}], "invalidPath"),
        ([{"op": "replace", "path": "active", "value": "maybe"}], None),
        ([{"op": "replace", "path": "displayName", "value": {"a": 1}}], None),
        ([{"op": "remove"}], "noTarget"),
        ([{"op": "replace", "path": "id", "value": "other"}], "mutability"),
        ([{"op": "remove", "path": "userName"}], None),
        ([{"op": "add", "path": "displayName"}], None),
        ([{"op": "replace", "path": 7, "value": 1}], None),
        ("text", None),
        ([7], None),
    ],
)
def test_malformed_patch_is_refused_and_changes_nothing(admin, path, operations, scim_type):
    before = admin.get(path).headers["etag"]
    assert_error(admin.patch(path, json={"schemas": [PATCH], "Operations": operations}), 400, scim_type)
    assert admin.get(path).headers["etag"] == before


@pytest.mark.parametrize(
    "members", [[{}], [{"value": 5}], [{"value": "x", "shoe": 1}], ["x"], "x", [{"value": "no"}]]
)
def test_malformed_members_are_refused(admin, members):
    assert_error(admin.post("/Groups", json={**group("hostile"), "members": members}), 400)
    assert admin.get("/Groups", params={"filter": 'displayName eq "hostile"'}).json()["totalResults"] == 0


@pytest.mark.parametrize(
    "query",
    [
        {"filter": "userName"}, {"filter": 'userName eq "'}, {"filter": 'shoeSize eq "x"'}, {"filter": "(" * 5_000},
        {"filter": 'userName zz "x"'}, {"filter": ""}, {"startIndex": "x"}, {"count": "1e9"},
        {"filter": "not (" * 300 + 'userName pr' + ")" * 300}, {"sortBy": "shoeSize"},
    ],
)  # fmt: skip
def test_malformed_search_is_refused(admin, query):
    assert_error(admin.get("/Users", params=query), 400)


@pytest.mark.parametrize("count", [-1, 10**9, 10**30])
def test_absurd_counts_are_bounded(admin, count):
    answer = admin.get("/Users", params={"count": count, "startIndex": -5})
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize("start", [10**9, 2**31, 10**30])
def test_start_beyond_the_end_is_an_empty_page(admin, start):
    answer = admin.get("/Users", params={"startIndex": start})
    assert answer.status_code in (200, 400), answer.text
    assert not answer.json().get("Resources")


@pytest.mark.parametrize(
    "hostile", ["%00", "%ff", "..%2f..", "id%2fx", "x" * 5_000, "%F0%9F%A6%86", "'%20OR%201=1"]
)
def test_hostile_id_is_not_found(admin, hostile):
    for method in ("GET", "DELETE"):
        assert_error(admin.request(method, f"/Users/{hostile}"), 404)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("POST", "/Bulk", 501), ("GET", "/", 501), ("POST", "/Me", 501), ("PUT", "/Users", 405), ("TRACE", "/Users", 405),
        ("GET", "/Nothing", 404), ("PATCH", "/Schemas", 405), ("DELETE", "/Groups", 405), ("GET", "/Groups/a/b", 404),
    ],
)  # fmt: skip
def test_what_is_not_offered_is_refused(admin, method, target, status):
    answer = admin.request(method, target, content=b"{}")
    assert answer.status_code == status, answer.text


def test_oversize_body_is_refused(admin):
    assert_error(admin.post("/Users", content=b" " * (BODY_BYTES_MAX + 1)), 413)
    assert admin.get("/Me").status_code == 200


def test_other_media_type_is_refused(admin):
    answer = admin.post(
        "/Users", content=b"userName=x", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert_error(answer, 415)


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00", b"GET /scim/v2/Users\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000,
     b"POST /scim/v2/Users HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_http_ends_the_connection_and_not_the_server(server, admin, sent):
    host, _, port = server.app.http_address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert b" 200 " not in connection.recv(1_000)
    assert admin.get("/Me").status_code == 200


def test_header_injection_is_no_header(admin, path):
    answer = admin.get("/Me", headers={"lakewarden-request-id": "x", "If-None-Match": b'"\xe9", W/"'})
    assert answer.status_code in (200, 400)
    assert_error(
        admin.patch(path, json=patch("replace", "displayName", "x"), headers={"If-Match": '"nothing"'}), 412
    )


SEARCH = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}


@pytest.mark.parametrize(
    "said",
    [
        {"filter": " or ".join(['userName co "z"'] * 30_000)},
        {"filter": "(" * 30_000 + "userName pr" + ")" * 30_000},
        {"filter": "not (" * 20_000 + "userName pr" + ")" * 20_000},
        {"attributes": ["displayName"] * 50_000},
        {"filter": " or ".join(['userName co "z"'] * 21)},
        {"Filter": 'emails[value eq "a"or value pr or ' + " or ".join(['value CO "\\""'] * 19) + "]"},
    ],
)
def test_search_that_says_too_much_is_refused_before_it_is_taken_apart(admin, said):
    answer = admin.post("/Users/.search", json={**SEARCH, **said}, timeout=10)
    assert_error(answer, 400, "invalidFilter")


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "replace", "path": "displayName", "value": "x"}] * 1_001,
        [{"op": "remove", "path": "emails[" + " or ".join(['value eq "z"'] * 30_000) + "]"}],
        [{"op": "replace", "Value": {f"name{n}": 1 for n in range(50_000)}}],
        [{"op": "replace", "value": {"displayName" + "x" * 2_000: 1}}],
    ],
)
def test_patch_that_says_too_much_is_refused_before_it_is_taken_apart(admin, path, operations):
    before = admin.get(path).headers["etag"]
    answer = admin.patch(path, json={"schemas": [PATCH], "operations": operations}, timeout=10)
    assert_error(answer, 400)
    assert admin.get(path).headers["etag"] == before


def test_what_a_search_and_a_patch_may_say_is_enough(admin, path):
    names = " or ".join(f'userName eq "user{number}@hostile.example"' for number in range(20))
    assert admin.post("/Users/.search", json={**SEARCH, "filter": names}).status_code == 200
    many = [{"op": "replace", "path": "displayName", "value": str(number)} for number in range(1_000)]
    assert admin.patch(path, json={"schemas": [PATCH], "Operations": many}).status_code == 204
    assert admin.get(path).json()["displayName"] == "999"
