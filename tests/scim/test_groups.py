"""Groups and their members over SCIM."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from scim.requests import assert_error, group, made, patch, user


@pytest.fixture(scope="module")
def people(admin):
    """Ids of three users."""
    return [made(admin.post("/Users", json=user(f"member{n}@groups.example")))["id"] for n in range(3)]


def members_of(admin, group_id):
    shown = admin.get(f"/Groups/{group_id}").json()
    return {member["value"] for member in shown.get("members", [])}


def sources_of(server, name):
    return {member.id: list(member.sources) for member in server.client().groups.members(name)}


def test_members_come_from_scim(admin, server, people):
    made(admin.post("/Groups", json=group("made with", people[0])))
    assert sources_of(server, "made with") == {people[0]: [2]}


def test_membership_confers_what_the_group_holds_and_its_end_takes_it(admin, server):
    asking = server.client_as("holder@groups.example")
    member = server.client().users.get("holder@groups.example").id
    created = made(admin.post("/Groups", json=group("holders", member)))
    owner = server.client()
    owner.catalogs.create("held")
    owner.grants.grant("USE CATALOG", "catalog", "held", "holders")
    assert asking.authorization.check("USE CATALOG", "catalog", "held")
    removal = patch("remove", f'members[value eq "{member}"]')
    assert admin.patch(f"/Groups/{created['id']}", json=removal).status_code == 204
    assert not asking.authorization.check("USE CATALOG", "catalog", "held")


@pytest.mark.parametrize(
    ("name", "change", "left"),
    [
        ("p1", lambda p: patch("add", "members", [{"value": p[1]}]), {0, 1}),
        ("p2", lambda p: patch("Add", None, {"members": [{"value": p[1]}]}), {0, 1}),
        ("p3", lambda p: patch("replace", "members", [{"value": p[2]}]), {2}),
        ("p4", lambda p: patch("remove", "members"), set()),
        ("p5", lambda p: patch("remove", f'members[value eq "{p[0]}"]'), set()),
        ("p6", lambda p: patch("remove", "members", [{"value": p[0]}]), set()),
        ("p7", lambda p: patch("replace", None, {"displayName": "p7", "members": []}), set()),
    ],
)
def test_patch_changes_members(admin, people, name, change, left):
    created = made(admin.post("/Groups", json=group(name, people[0])))
    answer = admin.patch(f"/Groups/{created['id']}", json=change(people))
    assert answer.status_code == 204, answer.text
    assert members_of(admin, created["id"]) == {people[n] for n in left}


def test_patch_of_several_things_is_all_or_nothing(admin, server, people):
    created = made(admin.post("/Groups", json=group("whole", people[0])))
    both = patch("replace", "displayName", "half")
    both["Operations"] += patch("add", "members", [{"value": "nobody"}])["Operations"]
    assert_error(admin.patch(f"/Groups/{created['id']}", json=both), 400, "invalidValue")
    assert server.client().groups.get("whole").id == created["id"]
    assert members_of(admin, created["id"]) == {people[0]}


def test_what_an_admin_added_stays_when_scim_removes_it(admin, server, people):
    created = made(admin.post("/Groups", json=group("shared")))
    server.client().groups.update_members("shared", add=["member0@groups.example"])
    put = group("shared", people[0], people[1])
    assert admin.put(f"/Groups/{created['id']}", json=put).status_code == 200
    assert sources_of(server, "shared") == {people[0]: [1, 2], people[1]: [2]}
    assert admin.put(f"/Groups/{created['id']}", json=group("shared")).status_code == 200
    assert sources_of(server, "shared") == {people[0]: [1]}


def test_scim_vouches_for_a_member_it_adds_that_is_one_already(admin, server, people):
    created = made(admin.post("/Groups", json=group("vouched")))
    server.client().groups.update_members("vouched", add=["member0@groups.example", "member1@groups.example"])
    admin.patch(f"/Groups/{created['id']}", json=patch("add", "members", [{"value": people[0]}]))
    assert sources_of(server, "vouched") == {people[0]: [1, 2], people[1]: [1]}


def test_group_cannot_contain_itself(admin):
    outer = made(admin.post("/Groups", json=group("outer")))
    inner = made(admin.post("/Groups", json=group("inner")))
    admin.patch(f"/Groups/{outer['id']}", json=patch("add", "members", [{"value": inner["id"]}]))
    assert [found["value"] for found in admin.get(f"/Groups/{inner['id']}").json()["groups"]] == [outer["id"]]
    cycle = patch("add", "members", [{"value": outer["id"]}])
    assert_error(admin.patch(f"/Groups/{inner['id']}", json=cycle), 400, "invalidValue")


def test_system_group_is_shown_and_not_changed(admin, server):
    found = admin.get("/Groups", params={"filter": 'displayName eq "workspace users"'}).json()["Resources"][0]
    assert_error(
        admin.patch(f"/Groups/{found['id']}", json=patch("replace", "displayName", "x")), 400, "mutability"
    )
    assert_error(admin.delete(f"/Groups/{found['id']}"), 400, "mutability")


def test_etag_of_a_group_changes_with_its_members_and_refuses_a_lost_update(admin, people):
    created = admin.post("/Groups", json=group("tagged"))
    path, old = f"/Groups/{made(created)['id']}", created.headers["etag"]
    add = patch("add", "members", [{"value": people[0]}])
    changed = admin.patch(path, json=add, headers={"If-Match": old})
    assert changed.headers["etag"] != old
    assert_error(admin.patch(path, json=add, headers={"If-Match": old}), 412)
    assert_error(admin.delete(path, headers={"If-Match": old}), 412)
    assert admin.get(path, headers={"If-None-Match": changed.headers["etag"]}).status_code == 304
    assert admin.delete(path, headers={"If-Match": changed.headers["etag"]}).status_code == 204


def test_changes_at_the_same_time_all_count(admin, people):
    path = f"/Groups/{made(admin.post('/Groups', json=group('racing')))['id']}"

    def add(member):
        return admin.patch(path, json=patch("add", "members", [{"value": member}])).status_code

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(add, people)) == [204, 204, 204]
    assert members_of(admin, path.rpartition("/")[2]) == set(people)


def test_list_shows_members_unless_they_are_left_out(admin, people):
    made(admin.post("/Groups", json=group("listed", people[0])))
    query = {"filter": 'displayName eq "listed"'}
    shown = admin.get("/Groups", params=query).json()["Resources"][0]
    assert [member["value"] for member in shown["members"]] == [people[0]]
    bare = admin.get("/Groups", params={**query, "excludedAttributes": "members"}).json()["Resources"][0]
    assert "members" not in bare


def test_groups_of_a_member_are_found_by_filter_and_shown_with_it(admin, people):
    created = made(admin.post("/Groups", json=group("of two", people[2])))
    listed = admin.get("/Groups", params={"filter": f'members.value eq "{people[2]}"'}).json()["Resources"]
    assert created["id"] in {found["id"] for found in listed}
    shown = admin.get(f"/Users/{people[2]}").json()["groups"]
    assert created["id"] in {found["value"] for found in shown}
