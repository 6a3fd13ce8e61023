"""What SCIM and identity providers build on: external ids, and where each membership comes from."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lakewarden import Client, LakewardenError
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

Fresh = Callable[[str], str]


def test_each_kind_of_principal_is_found_by_its_external_id(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, group, other = both.client(), fresh("group"), fresh("group")
    email, key = f"{fresh('user')}@example.com", fresh("00u")
    user = admin.users.create(email, external_id=key)
    program = admin.service_principals.create("program", external_id=key)
    made = admin.groups.create(group, external_id=key)
    assert {user.external_id, program.external_id, made.external_id} == {key}
    assert list(admin.users.list(external_id=key)) == [user]
    assert list(admin.service_principals.list(external_id=key)) == [program]
    assert list(admin.groups.list(external_id=key)) == [made]
    assert list(admin.groups.list(external_id=key.upper())) == []
    admin.groups.create(other)
    for take in (
        lambda: admin.users.create(f"second-{email}", external_id=key),
        lambda: admin.service_principals.create("second", external_id=key),
        lambda: admin.groups.create(fresh("group"), external_id=key),
        lambda: admin.groups.update(other, external_id=key),
    ):
        with fails("EXTERNAL_ID_TAKEN", "ALREADY_EXISTS", saying=key):
            take()
    assert admin.groups.update(group, external_id="").external_id == ""
    assert admin.groups.update(other, external_id=key).external_id == key
    assert admin.users.update(email, external_id=f"{key}b").external_id == f"{key}b"
    admin.users.delete(email)
    assert list(admin.users.list(external_id=f"{key}b")) == []
    assert admin.users.create(email, external_id=f"{key}b").id != user.id


def test_external_id_is_limited_and_tells_nobody_who_is_hidden(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, key = server.client(), fresh("00u")
    hidden = admin.users.create(f"{fresh('user')}@example.com", external_id=key).name
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="external_id"):
        admin.users.update(hidden, external_id="x" * 256)
    stranger = server.client_as("stranger")
    assert list(stranger.users.list(external_id=key)) == []
    with fails("PRIVILEGE_MISSING"):
        stranger.users.update("stranger@example.com", external_id=key)


def test_taken_external_id_is_told_without_a_hidden_bearer(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, key, name = both.client(), fresh("00u"), fresh("wsa")
    bearer, creator = admin.groups.create(fresh("bearer"), external_id=key).name, both.client_as(name)
    admin.grants.grant("ADMIN", "workspace", "workspace", f"{name}@example.com")
    with fails("EXTERNAL_ID_TAKEN", "ALREADY_EXISTS", saying=key) as failure:
        creator.groups.create(fresh("group"), external_id=key)
    assert bearer not in f"{failure.error.message} {failure.error.metadata}"
    with fails("EXTERNAL_ID_TAKEN", saying=bearer):
        admin.groups.create(fresh("group"), external_id=key)


def test_one_external_id_goes_to_one_of_those_who_claim_it_at_once(
    both: EmbeddedServer, fresh: Fresh
) -> None:
    admin = both.client()
    for _ in range(5):
        key, names = fresh("00u"), [f"{fresh('user')}@example.com" for _ in range(2)]

        def claim(name: str, key: str = key) -> str:
            try:
                admin.users.create(name, external_id=key)
            except LakewardenError as error:
                return error.reason
            return "OK"

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(claim, names)) == ["EXTERNAL_ID_TAKEN", "OK"]


def _sources(client: Client, group: str) -> dict[str, list[int]]:
    return {row.name: list(row.sources) for row in client.groups.members(group)}


def test_each_source_keeps_its_part_of_the_members(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, group = both.client(), fresh("group")
    by_hand, synced, claimed = (f"{fresh('user')}@example.com" for _ in range(3))
    admin.groups.create(group)
    for name in (by_hand, synced, claimed):
        admin.users.create(name, display_name=name.title())
    admin.groups.update_members(group, add=[by_hand])
    assert admin.groups.update_members(group, add=[by_hand, synced], source="SCIM").added == 1
    assert admin.groups.update_members(group, add=[claimed, synced], source="idp").added == 1
    assert _sources(admin, group) == {by_hand: [1, 2], synced: [2, 3], claimed: [3]}
    assert {row.display_name for row in admin.groups.members(group)} == {
        name.title() for name in (by_hand, synced, claimed)
    }
    # What one source takes back stays while another has it.
    everybody = [by_hand, synced, claimed]
    assert admin.groups.update_members(group, remove=everybody, source="SCIM").removed == 0
    assert _sources(admin, group) == {by_hand: [1], synced: [3], claimed: [3]}
    assert admin.groups.update_members(group, remove=everybody, source="IDP").removed == 2
    assert _sources(admin, group) == {by_hand: [1]}
    # An admin's word is the last one.
    admin.groups.update_members(group, add=[synced], source="SCIM")
    admin.groups.update_members(group, add=[synced], source="IDP")
    assert admin.groups.update_members(group, remove=[synced, by_hand]).removed == 2
    assert _sources(admin, group) == {}


def test_membership_confers_while_any_source_has_it(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, group, catalog, name = server.client(), fresh("group"), fresh("catalog"), fresh("user")
    member = server.client_as(name)
    admin.catalogs.create(catalog)
    admin.groups.create(group)
    admin.grants.grant("BROWSE", "catalog", catalog, group)
    for source in ("SCIM", "IDP"):
        admin.groups.update_members(group, add=[f"{name}@example.com"], source=source)
    admin.groups.update_members(group, remove=[f"{name}@example.com"], source="SCIM")
    assert member.catalogs.get(catalog).name == catalog
    admin.groups.update_members(group, remove=[f"{name}@example.com"], source="IDP")
    with fails("ACCESS_DENIED"):
        member.catalogs.get(catalog)


def test_unknown_source_is_refused(admin: Client, fresh: Fresh) -> None:
    group = fresh("group")
    admin.groups.create(group)
    with pytest.raises(LakewardenError, match="RUMOUR"):
        admin.groups.update_members(group, source="RUMOUR")
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="source"):
        admin.groups._call("UpdateGroupMembers", name=group, source=9)


def test_sync_by_an_identity_provider_keeps_the_last_admin() -> None:
    with serve() as alone:
        admin, me = alone.client(), "admin@example.com"
        admin.groups.create("admins")
        admin.groups.update_members("admins", add=[me], source="IDP")
        admin.grants.grant("ADMIN", "account", "account", "admins")
        admin.grants.revoke("ADMIN", "account", "account", me)
        with fails("LAST_ADMIN", "FAILED_PRECONDITION"):
            admin.groups.update_members("admins", remove=[me], source="IDP")
