"""The mount of a workspace: its list are those assigned to it, creating assigns, deleting unassigns."""

import pytest

from lakewarden_server.testing import WORKSPACE
from scim.requests import assert_error, group, made, patch, user

MOUNT = "/api/2.0/preview/scim/v2"


@pytest.fixture(scope="module")
def inside(http):
    """The admin at the mount of the workspace."""
    return http(mount=MOUNT, **{"lakewarden-workspace": WORKSPACE})


def names(listed):
    return {found["userName"] for found in listed.json()["Resources"]}


def assignments(server):
    return {one.principal for one in server.client().grants.list("workspace", WORKSPACE)}


def test_creating_makes_and_assigns(inside, admin, server):
    made(inside.post("/Users", json=user("new@ws.example")))
    assert names(admin.get("/Users", params={"filter": 'userName eq "new@ws.example"'})) == {"new@ws.example"}
    assert "new@ws.example" in assignments(server)


def test_whom_the_account_has_already_is_assigned(inside, admin):
    created = made(admin.post("/Users", json=user("known@ws.example")))
    assert_error(inside.get(f"/Users/{created['id']}"), 404)
    assert made(inside.post("/Users", json=user("known@ws.example")))["id"] == created["id"]
    assert inside.get(f"/Users/{created['id']}").status_code == 200


def test_list_shows_the_assigned_only_and_pages(inside, admin):
    made(admin.post("/Users", json=user("outside@ws.example")))
    for number in range(3):
        made(inside.post("/Users", json=user(f"paged{number}@ws.example")))
    query = {"filter": 'userName sw "paged"', "count": 2}
    first, second = (inside.get("/Users", params={**query, "startIndex": start}).json() for start in (1, 3))
    assert (first["totalResults"], len(first["Resources"]), len(second["Resources"])) == (3, 2, 1)
    assert "outside@ws.example" not in names(inside.get("/Users"))


def test_deleting_unassigns_at_once_and_the_account_keeps_it(inside, admin, server, http):
    created = made(inside.post("/Users", json=user("leaver@ws.example")))
    token = server.issue_token("leaver@ws.example")
    leaver = server.client(token)
    assert leaver.session.get().workspace == WORKSPACE
    assert inside.delete(f"/Users/{created['id']}").status_code == 204
    assert leaver.session.get().workspace == ""
    assert_error(inside.get(f"/Users/{created['id']}"), 404)
    assert admin.get(f"/Users/{created['id']}").json()["active"]


def test_member_of_an_assigned_group_is_of_the_workspace_and_not_unassigned_alone(inside, admin):
    member = made(admin.post("/Users", json=user("through@ws.example")))["id"]
    assert_error(inside.get(f"/Users/{member}"), 404)
    made(inside.post("/Groups", json=group("assigned", member)))
    assert inside.get(f"/Users/{member}").status_code == 200
    assert_error(inside.delete(f"/Users/{member}"), 409)


def test_change_at_the_workspace_is_that_of_the_account(inside, admin):
    created = made(inside.post("/Users", json=user("changed@ws.example")))
    assert (
        inside.patch(f"/Users/{created['id']}", json=patch("replace", "displayName", "C")).status_code == 204
    )
    assert admin.get(f"/Users/{created['id']}").json()["displayName"] == "C"


def test_who_manages_nothing_changes_nothing(http, server, inside):
    victim = made(inside.post("/Users", json=user("victim@ws.example")))["id"]
    nobody = http(server.token_of("nobody@ws.example"), mount=MOUNT, **{"lakewarden-workspace": WORKSPACE})
    assert_error(nobody.post("/Users", json=user("made-by-nobody@ws.example")), 403)
    assert_error(nobody.post("/Users", json=user("victim@ws.example")), 403)
    for sent in (nobody.get, nobody.delete):
        assert_error(sent(f"/Users/{victim}"), 403)
    assert nobody.get("/Me").json()["userName"] == "nobody@ws.example"
    assert names(nobody.get("/Users")) == {"nobody@ws.example"}
    assert inside.get(f"/Users/{victim}").status_code == 200


def test_workspace_must_be_said(http):
    assert_error(http(mount=MOUNT).get("/Users"), 400)


def test_workspace_nobody_has_is_told_like_any_by_the_rpcs(http, server):
    absent = {"lakewarden-workspace": "absent"}
    assert_error(http(mount=MOUNT, **absent).get("/Users"), 403)
    assert_error(http(server.token_of("nobody@ws.example"), mount=MOUNT, **absent).get("/Me"), 403)
