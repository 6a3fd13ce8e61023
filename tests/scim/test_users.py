"""Users and service principals over SCIM."""

import pytest

from scim.requests import assert_error, made, patch, service_principal, user


def test_user_is_provisioned_and_is_a_user_of_the_account(admin, server):
    created = made(
        admin.post(
            "/Users", json=user("ada@scim.example", displayName="Ada", externalId="okta-1", active=True)
        )
    )
    stored = server.client().users.get("ada@scim.example")
    assert (stored.id, stored.display_name, stored.external_id) == (created["id"], "Ada", "okta-1")
    assert created["emails"] == [{"value": "ada@scim.example", "type": "work", "primary": True}]
    assert created["meta"]["location"] == f"{server.http_url}/scim/v2/Users/{created['id']}"


def test_what_identity_providers_send_beside_is_accepted_and_not_kept(admin):
    sent = user(
        "okta@scim.example",
        name={"givenName": "O", "familyName": "Kta"},
        locale="en-US",
        password="secret",
        groups=[],
        **{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "x"}},
    )
    created = made(admin.post("/Users", json=sent))
    assert created.keys() == {"schemas", "id", "meta", "userName", "active", "emails"}


def test_user_created_inactive_never_was_active(admin, server):
    made(admin.post("/Users", json=user("late@scim.example", active=False)))
    assert not server.client().users.get("late@scim.example").active


@pytest.mark.parametrize(("name", "value"), [("boolean", False), ("entra", "False"), ("text", "false")])
def test_deactivation_is_seen_by_the_users_next_call(admin, server, http, name, value):
    name = f"leaver-{name}@scim.example"
    created = made(admin.post("/Users", json=user(name)))
    leaver = http(server.issue_token(name))
    assert leaver.get("/Me").json()["id"] == created["id"]
    assert admin.patch(f"/Users/{created['id']}", json=patch("replace", "active", value)).status_code == 204
    assert_error(leaver.get("/Me"), 401)


def test_replacement_that_says_nothing_of_active_activates_nobody(admin):
    created = made(admin.post("/Users", json=user("off@scim.example", active=False)))
    replaced = admin.put(f"/Users/{created['id']}", json=user("off@scim.example", displayName="Off"))
    assert (replaced.json()["displayName"], replaced.json()["active"]) == ("Off", False)


def test_replacement_takes_away_what_it_does_not_say(admin):
    created = made(admin.post("/Users", json=user("bare@scim.example", displayName="B", externalId="x-9")))
    replaced = admin.put(f"/Users/{created['id']}", json=user("bare@scim.example")).json()
    assert "displayName" not in replaced
    assert "externalId" not in replaced


def test_user_name_never_changes(admin):
    created = made(admin.post("/Users", json=user("fixed@scim.example")))
    changed = patch("replace", "userName", "other@scim.example")
    assert_error(admin.patch(f"/Users/{created['id']}", json=changed), 400, "mutability")


@pytest.mark.parametrize(
    "query",
    [
        'userName eq "FOUND@scim.example"',
        'externalId eq "found-1"',
        'userName sw "found" and active eq true',
        'emails[value eq "found@scim.example"]',
        'emails.value co "found@" or displayName eq "nobody"',
        'not (displayName pr) and externalId eq "found-1"',
    ],
)
def test_filters_find(admin, query):
    if not admin.get("/Users", params={"filter": 'userName eq "found@scim.example"'}).json()["totalResults"]:
        made(admin.post("/Users", json=user("found@scim.example", externalId="found-1")))
    listed = admin.get("/Users", params={"filter": query}).json()
    assert [found["userName"] for found in listed["Resources"]] == ["found@scim.example"]


def test_external_id_is_compared_byte_by_byte(admin):
    made(admin.post("/Users", json=user("exact@scim.example", externalId="Exact-1")))
    assert admin.get("/Users", params={"filter": 'externalId eq "exact-1"'}).json()["totalResults"] == 0


def test_taken_name_and_external_id_conflict(admin):
    made(admin.post("/Users", json=user("taken@scim.example", externalId="taken-1")))
    assert_error(admin.post("/Users", json=user("TAKEN@scim.example")), 409, "uniqueness")
    assert_error(
        admin.post("/Users", json=user("free@scim.example", externalId="taken-1")), 409, "uniqueness"
    )


def test_paging_ends_and_shows_each_once(admin):
    for number in range(7):
        made(admin.post("/ServicePrincipals", json=service_principal(f"robot {number}")))
    seen, start = [], 1
    while True:
        page = admin.get("/ServicePrincipals", params={"startIndex": start, "count": 3}).json()
        assert page["totalResults"] >= 7
        if not page.get("Resources"):
            break
        seen += [found["id"] for found in page["Resources"]]
        start += page["itemsPerPage"]
    assert len(seen) == len(set(seen)) == page["totalResults"]


def test_filtered_list_pages_too_and_sorts(admin):
    for letter in "cab":
        made(admin.post("/ServicePrincipals", json=service_principal(f"sorted {letter}")))
    query = {"filter": 'displayName sw "sorted"', "sortBy": "displayName", "startIndex": 2, "count": 2}
    page = admin.get("/ServicePrincipals", params=query).json()
    assert [found["displayName"] for found in page["Resources"]] == ["sorted b", "sorted c"]
    assert (page["totalResults"], page["startIndex"]) == (3, 2)


def test_count_zero_counts(admin):
    page = admin.get("/Users", params={"count": 0}).json()
    assert page["totalResults"] >= 1
    assert not page["Resources"]


def test_deleted_user_is_gone_and_its_name_is_free(admin, server):
    created = made(admin.post("/Users", json=user("gone@scim.example")))
    assert admin.delete(f"/Users/{created['id']}").status_code == 204
    assert_error(admin.get(f"/Users/{created['id']}"), 404)
    again = made(admin.post("/Users", json=user("gone@scim.example")))
    assert again["id"] != created["id"]


def test_service_principal_gets_its_application_id_from_the_server(admin, server):
    created = made(admin.post("/ServicePrincipals", json=service_principal("etl", applicationId="mine")))
    assert server.client().service_principals.get(created["applicationId"]).id == created["id"]
    itself = server.issue_token(created["applicationId"])
    assert admin.get("/Me", headers={"Authorization": f"Bearer {itself}"}).json()["displayName"] == "etl"


def test_repeated_creation_with_a_request_id_gives_the_same_user(admin):
    sent = {"lakewarden-request-id": "7d5f3c1e-8a4b-4a39-9d53-1f2a3b4c5d6e"}
    first = made(admin.post("/Users", json=user("twice@scim.example"), headers=sent))
    assert made(admin.post("/Users", json=user("twice@scim.example"), headers=sent))["id"] == first["id"]
