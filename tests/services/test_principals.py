"""Users, groups and service principals: what each RPC does, refuses and keeps true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from lakewarden import Client, LakewardenError
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

Fresh = Callable[[str], str]


@pytest.fixture
def email(fresh: Fresh) -> Callable[[], str]:
    return lambda: f"{fresh('user')}@example.com"


def test_user_lives_from_create_to_delete(both: EmbeddedServer, email: Callable[[], str]) -> None:
    admin, name = both.client(), email()
    made = admin.users.create(name, display_name="Ada")
    assert (made.name, made.display_name, made.active) == (name, "Ada", True)
    assert admin.users.get(name.upper()) == made
    changed = admin.users.update(name, display_name="Grace")
    assert (changed.id, changed.display_name, changed.active) == (made.id, "Grace", True)
    assert changed in list(admin.users.list())
    with fails("ETAG_MISMATCH", "ABORTED"):
        admin.users.delete(name, etag=made.etag)
    admin.users.delete(name, etag=changed.etag)
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.users.get(name)


def test_service_principal_lives_from_create_to_delete(both: EmbeddedServer) -> None:
    admin = both.client()
    made = admin.service_principals.create("spark")
    assert (made.display_name, made.active, len(made.name)) == ("spark", True, 36)
    assert admin.service_principals.get(made.name.upper()) == made
    assert admin.service_principals.update(made.name, display_name="trino").display_name == "trino"
    assert made.name in [row.name for row in admin.service_principals.list()]
    admin.service_principals.delete(made.name)
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.service_principals.get(made.name)


def test_group_lives_from_create_to_delete(
    both: EmbeddedServer, fresh: Fresh, email: Callable[[], str]
) -> None:
    admin, name, member = both.client(), fresh("group"), email()
    made = admin.groups.create(name)
    admin.users.create(member)
    reply = admin.groups.update_members(name, add=[member, member, member.upper()])
    assert (reply.added, reply.removed) == (1, 0)
    assert (admin.groups.update_members(name, add=[member]).added) == 0
    renamed = admin.groups.rename(name, f"{name}_new")
    assert (renamed.id, renamed.name) == (made.id, f"{name}_new")
    assert [row.name for row in admin.groups.members(f"{name}_new")] == [member]
    assert f"{name}_new" in [group.name for group in admin.groups.list()]
    reply = admin.groups.update_members(f"{name}_new", remove=[member])
    assert (reply.added, reply.removed) == (0, 1)
    assert (admin.groups.update_members(f"{name}_new", remove=[member]).removed) == 0
    admin.groups.delete(f"{name}_new")
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.groups.get(f"{name}_new")


def test_absent_principals_are_not_found_by_an_admin(admin: Client) -> None:
    for call in (
        admin.users.get, admin.users.delete, admin.users.disable,
        admin.groups.get, admin.groups.delete, admin.groups.update_members,
        admin.service_principals.get, admin.service_principals.delete, admin.service_principals.disable,
    ):  # fmt: skip
        with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
            call("nobody")
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        list(admin.groups.members("nobody"))


def test_unknown_member_is_refused_and_nobody_joins(
    admin: Client, fresh: Fresh, email: Callable[[], str]
) -> None:
    group, member = fresh("group"), email()
    admin.groups.create(group)
    admin.users.create(member)
    with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT", saying="ghost"):
        admin.groups.update_members(group, add=[member, "ghost"])
    assert list(admin.groups.members(group)) == []


def test_disabled_user_is_refused_at_once_and_every_check_says_no(server: EmbeddedServer) -> None:
    admin, bob = server.client(), server.client_as("bob")
    engine = _engine(server)
    admin.catalogs.create("bobs")
    admin.grants.grant("USE CATALOG", "catalog", "bobs", "bob@example.com")
    assert bob.authorization.check("USE CATALOG", "catalog", "bobs")
    admin.users.disable("bob@example.com")
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        bob.session.get()
    assert not engine.authorization.check("USE CATALOG", "catalog", "bobs", subject="bob@example.com")
    admin.users.enable("bob@example.com")
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        bob.session.get()
    again = server.client(server.issue_token("bob@example.com"))
    assert again.authorization.check("USE CATALOG", "catalog", "bobs")


def test_inactive_principal_is_not_answered_whatever_token_it_is_made(server: EmbeddedServer) -> None:
    admin = server.client()
    name = admin.service_principals.create("sleeper").name
    admin.service_principals.disable(name)
    early = server.client(admin.tokens.create(principal=name).token_value)
    with fails("PRINCIPAL_DISABLED", "UNAUTHENTICATED"):
        early.session.get()
    admin.service_principals.enable(name)
    assert early.session.get().principal == name


def test_deleted_principal_keeps_what_it_owned_under_its_id_and_nobody_has_it(
    both: EmbeddedServer, fresh: Fresh, email: Callable[[], str]
) -> None:
    admin, catalog = both.client(), fresh("catalog")
    owner, group, engine = email(), fresh("group"), admin.service_principals.create("owner").name
    both.client_as(owner)
    admin.groups.create(group)
    admin.groups.update_members(group, add=[owner])
    admin.catalogs.create(catalog)
    for name, noun in ((group, admin.groups), (engine, admin.service_principals), (owner, admin.users)):
        admin.catalogs.set_owner(catalog, name)
        made = noun.get(name)
        noun.delete(name)
        assert admin.catalogs.get(catalog).owner == made.id
        fixes = admin.authorization.explain("MANAGE", "catalog", catalog, subject="admin@example.com")
        assert fixes.allowed
        if noun is not admin.service_principals:
            again = noun.create(name)
            assert again.id != made.id
    newcomer = both.client(both.issue_token(owner))
    with fails("ACCESS_DENIED"):
        newcomer.catalogs.get(catalog)
    admin.catalogs.set_owner(catalog, owner)
    assert admin.catalogs.get(catalog).owner == owner


def test_deleted_user_takes_tokens_and_memberships_along_and_leaves_grants_for_nobody(
    both: EmbeddedServer, fresh: Fresh, email: Callable[[], str]
) -> None:
    admin, name, group, catalog = both.client(), email(), fresh("group"), fresh("catalog")
    gone = both.client_as(name)
    identity = admin.users.get(name).id
    admin.catalogs.create(catalog)
    admin.grants.grant("BROWSE", "catalog", catalog, name)
    admin.groups.create(group)
    admin.groups.update_members(group, add=[name])
    admin.users.delete(name)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        gone.session.get()
    assert list(admin.groups.members(group)) == []
    assert list(admin.grants.list("catalog", catalog)) == []
    (left,) = admin.grants.list("catalog", catalog, include_deleted_principals=True)
    assert (left.principal, list(left.privileges), left.deleted) == (identity, ["BROWSE"], True)
    admin.users.create(name)
    again = both.client(both.issue_token(name))
    assert list(again.session.get().groups) == ["account users"]
    with fails("ACCESS_DENIED"):
        again.catalogs.get(catalog)
    with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT"):
        admin.grants.grant("MANAGE", "catalog", catalog, identity)
    admin.grants.revoke("BROWSE", "catalog", catalog, identity)
    assert list(admin.grants.list("catalog", catalog, include_deleted_principals=True)) == []
    with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT"):
        admin.grants.revoke("BROWSE", "catalog", catalog, identity)


def test_grants_of_the_deleted_are_shown_to_who_is_shown_everybodys_alone(
    server: EmbeddedServer, fresh: Fresh
) -> None:
    admin, catalog = server.client(), fresh("catalog")
    reader, gone = fresh("reader"), f"{fresh('gone')}@example.com"
    admin.catalogs.create(catalog)
    server.token_of(gone)
    bystander = server.client_as(reader)
    for name in (gone, f"{reader}@example.com"):
        admin.grants.grant("BROWSE", "catalog", catalog, name)
    admin.users.delete(gone)
    shown = bystander.grants.list("catalog", catalog, include_deleted_principals=True)
    assert [row.principal for row in shown] == [f"{reader}@example.com"]
    assert len(list(admin.grants.list("catalog", catalog, include_deleted_principals=True))) == 2


def test_group_cycle_is_refused_at_any_distance(admin: Client, fresh: Fresh) -> None:
    names = [fresh("group") for _ in range(4)]
    for name in names:
        admin.groups.create(name)
    with fails("GROUP_CYCLE", "FAILED_PRECONDITION"):
        admin.groups.update_members(names[0], add=[names[0]])
    for parent, child in pairwise(names):
        admin.groups.update_members(parent, add=[child])
    for ancestor in names[:3]:
        with fails("GROUP_CYCLE", "FAILED_PRECONDITION", saying=ancestor):
            admin.groups.update_members(names[3], add=[ancestor])


def test_two_opposite_edges_at_once_make_no_cycle(both: EmbeddedServer, fresh: Fresh) -> None:
    admin = both.client()
    for _ in range(5):
        pair = [fresh("group"), fresh("group")]
        for name in pair:
            admin.groups.create(name)

        def join(edge: tuple[str, str]) -> str:
            try:
                admin.groups.update_members(edge[0], add=[edge[1]])
            except LakewardenError as error:
                return error.reason
            return "OK"

        with ThreadPoolExecutor(2) as threads:
            outcomes = sorted(threads.map(join, [(pair[0], pair[1]), (pair[1], pair[0])]))
        assert outcomes == ["GROUP_CYCLE", "OK"]


def test_groups_nest_ten_deep_and_no_deeper(admin: Client, fresh: Fresh) -> None:
    names = [fresh("group") for _ in range(11)]
    for name in names:
        admin.groups.create(name)
    for parent, child in pairwise(names[:10]):
        admin.groups.update_members(parent, add=[child])
    with fails("GROUP_TOO_DEEP", "FAILED_PRECONDITION", saying="10"):
        admin.groups.update_members(names[9], add=[names[10]])
    with fails("GROUP_TOO_DEEP", "FAILED_PRECONDITION"):
        admin.groups.update_members(names[10], add=[names[0]])
    admin.groups.update_members(names[8], add=[names[10]])


def test_group_is_nested_by_who_sees_it(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, name, own = both.client(), fresh("nester"), fresh("group")
    nester, hidden = both.client_as(name), admin.groups.create(fresh("group"))
    admin.grants.grant("ADMIN", "workspace", "workspace", f"{name}@example.com")
    nester.groups.create(own)
    refused = []
    for asked in (hidden.name, f"id/{hidden.id}", fresh("nobody")):
        for act in (
            lambda asked=asked: nester.groups.update_members(own, add=[asked]),
            lambda asked=asked: nester.groups._call(
                "CreateGroup", group={"name": fresh("group")}, members=[asked]
            ),
        ):
            with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT") as failure:
                act()
            refused.append(failure.error.message.replace(asked, "it"))
    assert refused[:2] == refused[2:4] == refused[4:]
    # People one does not see join all the same, and what is in it already may be said again.
    stranger = admin.users.create(f"{fresh('stranger')}@example.com").name
    admin.groups.update_members(own, add=[hidden.name])
    assert nester.groups.update_members(own, add=[stranger, hidden.name]).added == 1
    admin.groups.update_members(own, remove=[hidden.name])
    admin.grants.grant("MANAGER", "group", hidden.name, f"{name}@example.com")
    assert nester.groups.update_members(own, add=[hidden.name]).added == 1


def test_tenth_group_still_confers(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, deep = server.client(), server.client_as("deep")
    names, catalog = [fresh("group") for _ in range(10)], fresh("catalog")
    admin.catalogs.create(catalog)
    for name in names:
        admin.groups.create(name)
    for parent, child in pairwise(names):
        admin.groups.update_members(parent, add=[child])
    admin.groups.update_members(names[-1], add=["deep@example.com"])
    admin.grants.grant("BROWSE", "catalog", catalog, names[0])
    assert deep.catalogs.get(catalog).name == catalog
    assert set(names) < set(deep.session.get().groups)
    admin.groups.update_members(names[4], remove=[names[5]])
    with fails("ACCESS_DENIED"):
        deep.catalogs.get(catalog)


def test_big_group_is_listed_page_by_page(server: EmbeddedServer) -> None:
    """More members than one page or one call may hold; made through the RPC, in two calls."""
    admin = server.client()
    admin.groups.create("crowd")
    names = _crowd(server, 1_100)
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="1000"):
        admin.groups.update_members("crowd", add=names)
    assert admin.groups.update_members("crowd", add=names[:1_000]).added == 1_000
    assert admin.groups.update_members("crowd", add=names[1_000:]).added == 100
    listed = [row.name for row in admin.groups.members("crowd", page_size=400)]
    assert listed == sorted(names)


@pytest.mark.parametrize("spelling", ["account users", "ACCOUNT Users"])
def test_system_group_cannot_be_touched(admin: Client, fresh: Fresh, spelling: str) -> None:
    group = fresh("group")
    admin.groups.create(group)
    for call in (
        lambda: admin.groups.delete(spelling),
        lambda: admin.groups.rename(spelling, "mine"),
        lambda: admin.groups.update_members(spelling, add=["admin@example.com"]),
        lambda: admin.groups.update_members(group, add=[spelling]),
    ):
        with fails("SYSTEM_OBJECT", "FAILED_PRECONDITION"):
            call()
    assert admin.groups.get(spelling).system


def test_grant_to_everybody_reaches_everybody(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, catalog = server.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    admin.grants.grant("BROWSE", "catalog", catalog, "account users")
    assert server.client_as("newcomer").catalogs.get(catalog).name == catalog


@pytest.fixture
def alone() -> Iterator[Client]:
    with serve() as server:
        yield server.client()


def test_last_admin_stays_whatever_is_tried(alone: Client) -> None:
    me = "admin@example.com"
    alone.groups.create("admins")
    for call in (
        lambda: alone.users.disable(me),
        lambda: alone.grants.revoke("ADMIN", "account", "account", me),
    ):
        with fails("LAST_ADMIN", "FAILED_PRECONDITION"):
            call()
    assert alone.users.get(me).active
    alone.users.create("second@example.com")
    alone.groups.update_members("admins", add=["second@example.com", me])
    alone.grants.grant("ADMIN", "account", "account", "admins")
    alone.grants.revoke("ADMIN", "account", "account", me)
    alone.groups.update_members("admins", remove=["second@example.com"])
    for call in (
        lambda: alone.groups.update_members("admins", remove=[me]),
        lambda: alone.groups.delete("admins"),
        lambda: alone.grants.revoke("ADMIN", "account", "account", "admins"),
    ):
        with fails("LAST_ADMIN", "FAILED_PRECONDITION"):
            call()


def test_inactive_admin_is_no_admin_left(alone: Client) -> None:
    alone.users.create("second@example.com")
    alone.grants.grant("ADMIN", "account", "account", "second@example.com")
    alone.users.disable("second@example.com")
    with fails("LAST_ADMIN", "FAILED_PRECONDITION"):
        alone.grants.revoke("ADMIN", "account", "account", "admin@example.com")


def _engine(server: EmbeddedServer) -> Client:
    admin = server.client()
    name = admin.service_principals.create("engine").name
    admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", name)
    return server.client(server.issue_token(name))


def _crowd(server: EmbeddedServer, count: int) -> list[str]:
    """Users in bulk, as rows: through the RPC they would take a snapshot each."""
    from lakewarden_policy import load_policy
    from lakewarden_server.core.clock import monotonic
    from lakewarden_server.core.ids import new_id
    from lakewarden_server.entities import Principal

    names = [f"crowd{number:04}@example.com" for number in range(count)]
    actor = server.app.follower.at_head().snapshot.principal_named("admin@example.com")
    with server.app.database.write(
        deadline=monotonic() + 30, request_id="", actor_id=actor.id, policy_digest=load_policy().digest
    ) as uow:
        uow.session.add_all(Principal(id=new_id(), kind="USER", name=name, name_key=name) for name in names)
        uow.commit()
    return names
