"""What a search and a PATCH may cost: nobody buys seconds of the server with a kilobyte, least of all who may not even write."""

import pytest

from lakewarden_server.http.scim import limits
from scim.requests import PATCH, assert_error, group, made, patch, user


@pytest.fixture(scope="module")
def people(admin):
    """Ids of three users."""
    return [
        made(admin.post("/Users", json=user(f"{name}@costs.example")))["id"] for name in ("ada", "bob", "cy")
    ]


@pytest.fixture(scope="module")
def costly(admin, people):
    """The path of a group with members."""
    return f"/Groups/{made(admin.post('/Groups', json=group('costly', *people)))['id']}"


def several(*operations):
    return {"schemas": [PATCH], "Operations": list(operations)}


def removal(comparisons):
    selection = " or ".join(['value eq "z"'] * comparisons)
    return {"op": "remove", "path": f"members[{selection}]"}


ADDITION = {"op": "add", "path": "members", "value": [{"value": "z"}] * 400}
COSTLY = several(ADDITION, *[removal(2)] * 900)
"""2,701 times through 403 members."""


@pytest.mark.parametrize(
    ("body", "scim_type"),
    [
        (several(removal(21)), "invalidFilter"),
        (several(*[removal(3)] * 700), "tooMany"),
        (several({"op": "Remove", "path": "members", "value": [{"value": "z"}] * 2_001}), "tooMany"),
        (COSTLY, "tooMany"),
    ],
)
def test_patch_that_compares_too_much_is_refused_and_changes_nothing(admin, costly, body, scim_type):
    before = admin.get(costly).headers["etag"]
    assert_error(admin.patch(costly, json=body), 400, scim_type)
    assert admin.get(costly).headers["etag"] == before


@pytest.mark.parametrize("body", [COSTLY, patch("remove", 'members[value eq "z"]')])
def test_member_is_refused_before_its_patch_is_applied(server, http, admin, costly, body):
    member = http(server.token_of("ada@costs.example"))
    assert member.get(costly).status_code == 200
    assert_error(member.patch(costly, json=body), 403)


def test_what_a_patch_may_compare_is_enough(admin, people):
    path = f"/Groups/{made(admin.post('/Groups', json=group('enough', *people)))['id']}"
    removals = [{"op": "remove", "path": f'members[value eq "{person}"]'} for person in people[:2]]
    assert admin.patch(path, json=several(*removals, *[removal(1)] * 998)).status_code in (200, 204)
    assert [member["value"] for member in admin.get(path).json()["members"]] == [people[2]]
    listed = [{"value": people[2]}, *[{"value": "z"}] * 1_999]
    assert admin.patch(path, json=patch("Remove", "members", listed)).status_code in (200, 204)
    assert not admin.get(path).json().get("members")


def test_search_that_compares_too_much_is_refused(admin, people, costly, monkeypatch):
    monkeypatch.setattr(limits, "MATCHES_MAX", 10)
    group_id = costly.rpartition("/")[2]
    every = " or ".join([f'members.value eq "{people[0]}"'] * 4)
    assert_error(admin.get("/Groups", params={"filter": every}), 400, "tooMany")
    one = f'id eq "{group_id}" and members.value eq "{people[0]}"'
    assert admin.get("/Groups", params={"filter": one}).json()["totalResults"] == 1
    other = f'members.value eq "nobody" and id eq "{group_id}"'
    assert admin.get("/Groups", params={"filter": other}).json()["totalResults"] == 0


def test_operators_in_texts_are_no_comparisons(admin):
    text = "eq pr " * 50 + '\\" co '
    assert admin.get("/Users", params={"filter": f'userName eq "{text}"'}).json()["totalResults"] == 0
