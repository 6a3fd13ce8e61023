"""Who may what over SCIM: what the RPCs decide, in the same words for what is absent and what is hidden."""

import pytest

from lakewarden_server.testing import WORKSPACE
from scim.requests import assert_error, group, made, patch, service_principal, user

ABSENT = "01a218d6-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def nobody(server, http):
    """A user who manages nothing."""
    return http(server.token_of("nobody@rules.example"))


@pytest.fixture(scope="module")
def victims(admin):
    """Paths of one resource of each type."""
    bodies = {
        "/Users": user("victim@rules.example", externalId="victim"),
        "/Groups": group("victims"),
        "/ServicePrincipals": service_principal("victim"),
    }
    return {
        endpoint: f"{endpoint}/{made(admin.post(endpoint, json=body))['id']}"
        for endpoint, body in bodies.items()
    }


BODIES = {
    "/Users": user("new@rules.example"),
    "/Groups": group("new of nobody"),
    "/ServicePrincipals": service_principal("new"),
}


@pytest.mark.parametrize("endpoint", BODIES)
def test_who_may_not_manage_makes_nothing(nobody, admin, endpoint):
    before = admin.get(endpoint).json()["totalResults"]
    assert_error(nobody.post(endpoint, json=BODIES[endpoint]), 403)
    assert admin.get(endpoint).json()["totalResults"] == before


@pytest.mark.parametrize("endpoint", BODIES)
@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", None), ("PUT", "whole"), ("PATCH", patch("replace", "externalId", "mine")), ("DELETE", None)],
)
def test_who_may_not_manage_is_told_the_same_of_what_is_there_and_what_is_not(
    nobody, admin, victims, endpoint, method, body
):
    sent = BODIES[endpoint] if body == "whole" else body
    etag = admin.get(victims[endpoint]).headers["etag"]
    there = nobody.request(method, victims[endpoint], json=sent)
    absent = nobody.request(method, f"{endpoint}/{ABSENT}", json=sent)
    assert_error(there, 403)
    assert_error(absent, 403)
    hidden = there.text.replace(victims[endpoint].rpartition("/")[2], ABSENT)
    assert hidden == absent.text
    assert admin.get(victims[endpoint]).headers["etag"] == etag


def test_list_shows_what_the_caller_may_see_and_counts_no_more(nobody, victims):
    listed = nobody.get("/Users").json()
    assert [shown["userName"] for shown in listed["Resources"]] == ["nobody@rules.example"]
    assert listed["totalResults"] == 1
    for query in (
        'externalId eq "victim"',
        'userName sw "v"',
        f'id eq "{victims["/Users"].rpartition("/")[2]}"',
    ):
        assert nobody.get("/Users", params={"filter": query}).json()["totalResults"] == 0


def test_who_sees_himself_still_may_not_change_himself(nobody):
    itself = nobody.get("/Me").json()
    assert_error(nobody.patch("/Me", json=patch("replace", "displayName", "King")), 403)
    assert_error(nobody.delete(f"/Users/{itself['id']}"), 403)
    assert nobody.get("/Me").json() == itself


@pytest.mark.parametrize("path", ["/Users", "/Me", "/Groups/x", "/Nothing"])
@pytest.mark.parametrize("token", ["", "lwpat_garbage", "\xe9"])
def test_without_a_valid_token_nobody_is_told_anything(http, path, token):
    client = http(token)
    answer = client.get(path)
    assert_error(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_body_is_not_read_for_nobody(http):
    assert_error(http("lwpat_garbage").post("/Users", content=b"{"), 401)


@pytest.mark.parametrize(
    "path", ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas", "/ResourceTypes/User"]
)
def test_what_the_service_can_do_is_told_without_a_token(http, path):
    assert http("lwpat_garbage").get(path).status_code == 200


def test_revoked_admin_is_refused_with_the_next_request(server, http, admin):
    made(admin.post("/Users", json=user("second@rules.example")))
    server.client().grants.grant("ADMIN", "account", "account", "second@rules.example")
    second = http(server.issue_token("second@rules.example"))
    made(second.post("/Users", json=user("by-second@rules.example")))
    server.client().grants.revoke("ADMIN", "account", "account", "second@rules.example")
    assert_error(second.post("/Users", json=user("too-late@rules.example")), 403)


def test_last_admin_stays(admin, server):
    itself = admin.get("/Me").json()
    assert_error(admin.delete(f"/Users/{itself['id']}"), 409)
    assert_error(admin.patch(f"/Users/{itself['id']}", json=patch("replace", "active", False)), 409)
    assert admin.get("/Me").json()["active"]


def test_token_limited_to_a_workspace_does_no_account_work(server, http):
    limited = server.client().tokens.create(workspace=WORKSPACE, comment="limited").token_value
    assert_error(http(limited).get("/Users"), 403)


def test_changes_and_denials_are_in_the_audit(admin, nobody, server, victims):
    made(admin.post("/Users", json=user("audited@rules.example")))
    nobody.post("/Users", json=user("denied@rules.example"))
    nobody.delete(victims["/Groups"])
    server.app.decisions.flush()
    records = {
        (one.actor, one.operation, one.Outcome.Name(one.outcome)) for one in server.client().audit.list()
    }
    assert ("admin@example.com", "user.create", "DONE") in records
    assert {
        ("nobody@rules.example", "user.create", "DENIED"),
        ("nobody@rules.example", "group.get", "DENIED"),
    } <= records


def test_other_accounts_are_nowhere(http, server):
    assert http(mount="/api/2.0/accounts/account/scim/v2").get("/Me").status_code == 200
    assert http(mount="/api/2.0/accounts/other/scim/v2").get("/Me").status_code == 404
