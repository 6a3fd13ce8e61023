"""What provisioning asks of the RPCs besides: principals by id, parts of lists and their length, a group with its members in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lakewarden import Client
from lakewarden.v1 import groups_pb2
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
SCIM = groups_pb2.MembershipSource.SCIM
ABSENT = "id/01a218d6-0000-7000-8000-000000000000"


def members(admin: Client, group: str) -> dict[str, list[int]]:
    return {member.name: list(member.sources) for member in admin.groups.members(group)}


def change(admin: Client, made: Any, **fields: Any) -> groups_pb2.Group:
    named = {"name": f"id/{made.id}", "update_mask": {"paths": ["members"]}, "source": SCIM}
    changed: groups_pb2.Group = admin.groups._call("UpdateGroup", **{**named, **fields})
    return changed


def test_principal_is_addressed_by_its_id(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, email = both.client(), f"{fresh('user')}@example.com"
    user = admin.users.create(email)
    group = admin.groups.create(fresh("group"))
    program = admin.service_principals.create("program")
    assert admin.users.get(f"id/{user.id}") == user
    assert admin.groups.get(f"id/{group.id}") == group
    assert admin.service_principals.get(f"id/{program.id}") == program
    assert admin.users.update(f"id/{user.id}", display_name="U").name == email
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.users.get(f"id/{group.id}")
    admin.users.delete(f"id/{user.id}")
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.users.get(f"id/{user.id}")


def test_id_tells_a_stranger_no_more_than_a_name(server: EmbeddedServer, fresh: Fresh) -> None:
    hidden = server.client().users.create(f"{fresh('user')}@example.com")
    stranger = server.client_as("stranger")
    for call in (stranger.users.get, stranger.users.delete, stranger.groups.get):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED") as there:
            call(f"id/{hidden.id}")
        with fails("ACCESS_DENIED", "PERMISSION_DENIED") as absent:
            call(ABSENT)
        assert there.error.message.replace(hidden.id, ABSENT.removeprefix("id/")) == absent.error.message


@pytest.mark.parametrize("name", ["id/x", "id/", "ID/01a218d6-0000-7000-8000-000000000000"])
def test_no_principal_is_named_like_an_id(admin: Client, name: str) -> None:
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        admin.groups.create(name)
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        admin.users.create(name)


def test_list_skips_counts_and_finds_one(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, prefix = server.client(), fresh("listed")
    for number in range(4):
        admin.groups.create(f"{prefix} {number}")
    everybody = [group.name for group in admin.groups.list()]
    reply = admin.groups._call("ListGroups", page_size=2, skip=1)
    assert [group.name for group in reply.groups] == everybody[1:3]
    assert reply.total_size == len(everybody)
    following = admin.groups._call("ListGroups", page_size=2, skip=1, page_token=reply.next_page_token)
    assert [group.name for group in following.groups] == everybody[4:6]
    beyond = admin.groups._call("ListGroups", skip=10_000)
    assert (list(beyond.groups), beyond.next_page_token) == ([], "")
    one = admin.groups._call("ListGroups", name=f"{prefix} 2")
    assert [group.name for group in one.groups] == [f"{prefix} 2"]
    assert one.total_size == 1
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="skip"):
        admin.groups._call("ListGroups", skip=-1)


def test_length_of_a_list_counts_what_is_shown(server: EmbeddedServer) -> None:
    stranger = server.client_as("counter")
    reply = stranger.users._call("ListUsers")
    assert (len(reply.users), reply.total_size) == (1, 1)
    assert stranger.users._call("ListUsers", name="admin@example.com").total_size == 0


def test_group_is_made_with_members(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, name, email = both.client(), fresh("group"), f"{fresh('user')}@example.com"
    user = admin.users.create(email)
    admin.groups._call("CreateGroup", group={"name": name}, members=[f"id/{user.id}"], source=SCIM)
    assert members(admin, name) == {email: [SCIM]}
    assert [group.name for group in admin.users.get(email).groups] == [name]
    with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT"):
        admin.groups._call("CreateGroup", group={"name": f"{name} 2"}, members=["nobody@example.com"])
    with fails("OBJECT_NOT_FOUND"):
        admin.groups.get(f"{name} 2")


def test_update_changes_name_and_members_or_nothing(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, name, email = both.client(), fresh("group"), f"{fresh('user')}@example.com"
    admin.users.create(email)
    group = admin.groups.create(name)
    whole: dict[str, Any] = {"group": {"name": f"{name} new"}, "update_mask": {"paths": ["name", "members"]}}
    with fails("PRINCIPAL_UNKNOWN", saying="add_members"):
        change(admin, group, **whole, add_members=[email, "nobody@example.com"])
    assert admin.groups.get(name).etag == group.etag
    changed = change(admin, group, **whole, add_members=[email])
    assert (changed.name, members(admin, f"{name} new")) == (f"{name} new", {email: [SCIM]})
    with fails("GROUP_CYCLE"):
        change(admin, group, add_members=[f"{name} new"])
    assert change(admin, group, remove_members=[email]).etag != changed.etag
    assert members(admin, f"{name} new") == {}


def test_etag_of_a_group_covers_its_members(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, email = server.client(), f"{fresh('user')}@example.com"
    admin.users.create(email)
    group = admin.groups.create(fresh("group"))
    admin.groups.update_members(group.name, add=[email])
    with fails("ETAG_MISMATCH", "ABORTED"):
        change(admin, group, group={"etag": group.etag}, remove_members=[email])
    assert members(admin, group.name) == {email: [groups_pb2.MembershipSource.ADMIN]}


def test_members_of_one_call_are_limited(admin: Client, fresh: Fresh) -> None:
    group = admin.groups.create(fresh("group"))
    for field in ("add_members", "remove_members"):
        with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying=field):
            change(admin, group, **{field: ["x@example.com"] * 10_001})


def test_stranger_changes_no_members_by_update(server: EmbeddedServer, fresh: Fresh) -> None:
    group = server.client().groups.create(fresh("group"))
    stranger = server.client_as("stranger")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        change(stranger, group, add_members=["stranger@example.com"])
    assert members(server.client(), group.name) == {}


def test_created_inactive_is_inactive_from_the_first_revision(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, email = server.client(), f"{fresh('user')}@example.com"
    user = admin.users._call("CreateUser", user={"name": email}, inactive=True)
    program = admin.service_principals._call("CreateServicePrincipal", inactive=True)
    assert (user.active, program.active) == (False, False)
    records = admin.audit.list()
    assert email not in {record.object for record in records if record.operation == "user.update"}


def test_session_tells_the_callers_id(server: EmbeddedServer) -> None:
    stranger = server.client_as("stranger")
    assert stranger.session.get().principal_id == server.client().users.get("stranger@example.com").id
