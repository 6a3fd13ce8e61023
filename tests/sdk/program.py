"""What a user of the Databricks SDK writes: run by test_sdk in the SDK's own environment, one function after the other.

`HOST`, `TOKEN` (an account admin's) and `WORKSPACE` are in the environment.
"""

import json
import os
import sys
import traceback
from itertools import islice
from uuid import UUID

from databricks.sdk import AccountClient, WorkspaceClient
from databricks.sdk.config import Config
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceConflict,
    ResourceDoesNotExist,
    Unauthenticated,
)
from databricks.sdk.service import compute, iam, jobs, settings

JOB, CLUSTER, FOLDER, NOTEBOOK = "620", "0923-164208-meows279", "17", "18"
PATCH = [iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP]
WORKSPACE = os.environ["WORKSPACE"]


def identity_of_the_caller():
    me = _workspace().current_user.me()
    assert (me.user_name, me.active) == ("ada@example.com", True)
    _refused(Unauthenticated, _workspace(token="lwpat_none").current_user.me)


def users_and_the_pages_of_their_list():
    workspace, account = _workspace(), _account()
    names = {f"page{number}@example.com" for number in range(5)}
    made = [workspace.users.create(user_name=name, display_name=name.title()) for name in sorted(names)]
    for client in (workspace, account):
        found = _ends(client.users.list(count=2, filter='userName sw "page"', attributes="id,userName"))
        assert sorted(user.user_name for user in found) == sorted(names)
        assert names < {user.user_name for user in _ends(client.users.list())}
    first = made[0].id
    workspace.users.patch(first, schemas=PATCH, operations=[_replace("active", "false")])
    assert workspace.users.get(first).active is False
    account.users.update(first, user_name="page0@example.com", display_name="Zero", active=True)
    assert (account.users.get(first).display_name, account.users.get(first).active) == ("Zero", True)
    # Who is taken out of the workspace stays in the account, who is deleted there is gone.
    workspace.users.delete(first)
    _refused(NotFound, lambda: workspace.users.get(first))
    assert account.users.get(first).id == first
    account.users.delete(first)
    _refused(NotFound, lambda: account.users.get(first))
    # Of the workspace it is asked to be assigned, of the account it is there already.
    assert workspace.users.create(user_name="page1@example.com").id == made[1].id
    _refused(ResourceConflict, lambda: account.users.create(user_name="page1@example.com"))


def groups_within_groups():
    account = _account()
    member = account.users.create(user_name="nested@example.com")
    inner = account.groups.create(display_name="inner", members=[iam.ComplexValue(value=member.id)])
    outer = account.groups.create(display_name="outer", members=[iam.ComplexValue(value=inner.id)])
    assert [each.value for each in account.groups.get(outer.id).members] == [inner.id]
    cycle = [iam.Patch(op=iam.PatchOp.ADD, path="members", value=[{"value": outer.id}])]
    refused = _refused(BadRequest, lambda: account.groups.patch(inner.id, schemas=PATCH, operations=cycle))
    assert refused.error_code == "SCIM_400"
    _assign(outer.id, "USER")
    # Through both groups, of which only the outer one is assigned.
    workspace = _workspace()
    assert workspace.users.get(member.id).user_name == "nested@example.com"
    leave = [iam.Patch(op=iam.PatchOp.REMOVE, path=f'members[value eq "{inner.id}"]')]
    account.groups.patch(outer.id, schemas=PATCH, operations=leave)
    assert not account.groups.get(outer.id).members
    _refused(NotFound, lambda: workspace.users.get(member.id))
    assert {"inner", "outer"} <= {group.display_name for group in _ends(account.groups.list(count=1))}


def service_principals():
    workspace = _workspace()
    made = workspace.service_principals.create(display_name="nightly")
    assert workspace.service_principals.get(made.id).application_id == made.application_id
    found = _ends(workspace.service_principals.list(filter='displayName eq "nightly"', count=1))
    assert [each.id for each in found] == [made.id]
    workspace.service_principals.patch(made.id, schemas=PATCH, operations=[_replace("displayName", "daily")])
    assert _account().service_principals.get(made.id).display_name == "daily"
    _account().service_principals.delete(made.id)
    _refused(NotFound, lambda: workspace.service_principals.get(made.id))


def tokens_of_ones_own():
    workspace = _workspace()
    made = workspace.tokens.create(comment="laptop", lifetime_seconds=3_600)
    info = made.token_info
    assert (info.comment, info.expiry_time - info.creation_time) == ("laptop", 3_600_000)
    assert info.token_id in {each.token_id for each in workspace.tokens.list()}
    # The token says which workspace it is for; the client need not.
    limited = WorkspaceClient(config=_config(token=made.token_value))
    me = limited.current_user.me()
    assert (me.user_name, me.id) == ("ada@example.com", workspace.current_user.me().id)
    assert limited.permissions.get("jobs", JOB).object_id == f"/jobs/{JOB}"
    assert [each.token_id for each in limited.tokens.list()] == [info.token_id]
    _refused(PermissionDenied, lambda: list(_account(token=made.token_value).users.list()))
    workspace.tokens.delete(info.token_id)
    _refused(Unauthenticated, limited.current_user.me)
    absent = _refused(ResourceDoesNotExist, lambda: workspace.tokens.delete(info.token_id))
    assert absent.get_error_details().error_info.reason == "OBJECT_NOT_FOUND"
    _refused(InvalidParameterValue, lambda: workspace.tokens.create(lifetime_seconds=-5))
    _refused(InvalidParameterValue, lambda: workspace.tokens.create(scopes=["sql"]))


def tokens_on_behalf_of_a_service_principal():
    workspace, bob = _workspace(), _workspace(token=os.environ["BOB"])
    principal = workspace.service_principals.create(display_name="loader")
    made = workspace.token_management.create_obo_token(
        application_id=principal.application_id, comment="loader", lifetime_seconds=3_600
    )
    loader = WorkspaceClient(config=_config(token=made.token_value))
    assert loader.current_user.me().user_name == principal.application_id
    managed = workspace.token_management.get(made.token_info.token_id).token_info
    assert (managed.created_by_username, managed.owner_id) == (
        principal.application_id,
        UUID(principal.id).int,
    )
    for by in ({"created_by_username": principal.application_id}, {"created_by_id": managed.owner_id}):
        listed = list(workspace.token_management.list(**by))
        assert [each.token_id for each in listed] == [made.token_info.token_id]
    beside = workspace.tokens.create().token_info.token_id
    listed = {each.token_id for each in workspace.token_management.list()}
    assert listed >= {made.token_info.token_id, beside}
    for refused in (
        lambda: bob.token_management.create_obo_token(application_id=principal.application_id),
        lambda: list(bob.token_management.list()),
        lambda: bob.token_management.delete(made.token_info.token_id),
    ):
        _refused(PermissionDenied, refused)
    # Of a person it would be a one-time token.
    person = {"application_id": "bob@example.com"}
    _refused(InvalidParameterValue, lambda: workspace.token_management.create_obo_token(**person))
    workspace.token_management.delete(made.token_info.token_id)
    _refused(Unauthenticated, loader.current_user.me)
    _refused(ResourceDoesNotExist, lambda: workspace.token_management.get(made.token_info.token_id))


def who_may_use_tokens():
    workspace, bob = _workspace(), _workspace(token=os.environ["BOB"])
    management = workspace.token_management
    levels = management.get_permission_levels().permission_levels
    assert [level.permission_level.value for level in levels] == ["CAN_USE"]
    before = management.get_permissions().access_control_list
    assert [(each.group_name, each.all_permissions[0].permission_level.value) for each in before] == [
        (f"{WORKSPACE} users", "CAN_USE")
    ]
    use = settings.TokenPermissionLevel.CAN_USE
    try:
        management.set_permissions(
            access_control_list=[
                settings.TokenAccessControlRequest(user_name="ada@example.com", permission_level=use)
            ]
        )
        _refused(PermissionDenied, bob.current_user.me)
        users = settings.TokenAccessControlRequest(group_name=f"{WORKSPACE} users", permission_level=use)
        after = management.update_permissions(access_control_list=[users]).access_control_list
        assert {each.user_name or each.group_name for each in after} == {
            "ada@example.com",
            f"{WORKSPACE} users",
        }
        assert bob.current_user.me().user_name == "bob@example.com"
    finally:
        management.set_permissions(
            access_control_list=[
                settings.TokenAccessControlRequest(group_name=f"{WORKSPACE} users", permission_level=use)
            ]
        )


def permissions_of_a_job():
    workspace, bob = _workspace(), _workspace(token=os.environ["BOB"])
    levels = workspace.jobs.get_permission_levels(JOB).permission_levels
    assert [level.permission_level.value for level in levels] == [
        "CAN_VIEW",
        "CAN_MANAGE_RUN",
        "CAN_MANAGE",
        "IS_OWNER",
    ]
    _refused(PermissionDenied, lambda: bob.jobs.get_permissions(JOB))
    bob_runs = jobs.JobAccessControlRequest(
        user_name="bob@example.com", permission_level=jobs.JobPermissionLevel.CAN_MANAGE_RUN
    )
    set_to = workspace.jobs.set_permissions(JOB, access_control_list=[bob_runs])
    assert (set_to.object_id, set_to.object_type) == (f"/jobs/{JOB}", "job")
    assert _levels(set_to) == {
        "ada@example.com": ["IS_OWNER"],
        "bob@example.com": ["CAN_MANAGE_RUN"],
        f"{WORKSPACE} admins": ["CAN_MANAGE from /jobs/"],
    }
    assert _levels(bob.jobs.get_permissions(JOB)) == {"bob@example.com": ["CAN_MANAGE_RUN"]}
    _refused(PermissionDenied, lambda: bob.jobs.set_permissions(JOB, access_control_list=[]))
    # Jobs have one owner, who is no group; handing a job over is a call of its own.
    owns = jobs.JobPermissionLevel.IS_OWNER
    group = jobs.JobAccessControlRequest(group_name=f"{WORKSPACE} users", permission_level=owns)
    bob_owns = jobs.JobAccessControlRequest(user_name="bob@example.com", permission_level=owns)
    for wrong in ([group], [bob_owns, bob_runs], [bob_owns, group]):
        _refused(
            InvalidParameterValue,
            lambda wrong=wrong: workspace.jobs.update_permissions(JOB, access_control_list=wrong),
        )
    handed = _levels(workspace.jobs.update_permissions(JOB, access_control_list=[bob_owns]))
    assert "IS_OWNER" in handed["bob@example.com"]
    assert "IS_OWNER" not in handed.get("ada@example.com", [])
    assert "ada@example.com" not in _levels(workspace.jobs.set_permissions(JOB, access_control_list=[]))


def permissions_of_a_cluster_and_of_a_notebook():
    workspace = _workspace()
    attach = compute.ClusterAccessControlRequest(
        group_name=f"{WORKSPACE} users", permission_level=compute.ClusterPermissionLevel.CAN_ATTACH_TO
    )
    updated = _levels(workspace.clusters.update_permissions(CLUSTER, access_control_list=[attach]))
    assert updated[f"{WORKSPACE} users"] == ["CAN_ATTACH_TO"]
    assert updated["ada@example.com"] == ["CAN_MANAGE"]
    reads = iam.AccessControlRequest(
        user_name="bob@example.com", permission_level=iam.PermissionLevel.CAN_READ
    )
    workspace.permissions.update("directories", FOLDER, access_control_list=[reads])
    assert _levels(workspace.permissions.get("notebooks", NOTEBOOK))["bob@example.com"] == [
        f"CAN_READ from /directories/{FOLDER}"
    ]
    nobody = iam.AccessControlRequest(
        user_name="nobody@example.com", permission_level=iam.PermissionLevel.CAN_READ
    )
    unfit = iam.AccessControlRequest(
        user_name="bob@example.com", permission_level=iam.PermissionLevel.CAN_RESTART
    )
    disguised = iam.AccessControlRequest(
        group_name="bob@example.com", permission_level=iam.PermissionLevel.CAN_READ
    )
    both = iam.AccessControlRequest(
        user_name="bob@example.com", group_name="inner", permission_level=iam.PermissionLevel.CAN_READ
    )
    for expected, wrong in (
        (ResourceDoesNotExist, nobody), (InvalidParameterValue, unfit), (ResourceDoesNotExist, disguised), (InvalidParameterValue, both)
    ):  # fmt: skip
        for change in (workspace.permissions.set, workspace.permissions.update):
            _refused(
                expected,
                lambda change=change, wrong=wrong: change("notebooks", NOTEBOOK, access_control_list=[wrong]),
            )
    _refused(InvalidParameterValue, lambda: workspace.permissions.get("spaceships", "1"))
    _refused(ResourceDoesNotExist, lambda: workspace.permissions.get("jobs", "none"))


def use_of_passwords():
    users = _workspace().users
    uses = iam.PasswordAccessControlRequest(
        user_name="bob@example.com", permission_level=iam.PasswordPermissionLevel.CAN_USE
    )
    assert len(users.get_permission_levels().permission_levels) == 1
    assert _levels(users.set_permissions(access_control_list=[uses]))["bob@example.com"] == ["CAN_USE"]
    assert "bob@example.com" not in _levels(users.set_permissions(access_control_list=[]))


def levels_of_every_type_of_object():
    # The types that the documentation of the SDK's PermissionsAPI names.
    permissions = _workspace().permissions
    said = permissions.get.__doc__.partition("following:")[2].partition(".")[0]
    types = set(said.replace(",", " ").split()) - {"or"}
    assert len(types) > 20
    for type_ in types:
        named = "passwords" if type_ == "authorization" else "1"
        levels = permissions.get_permission_levels(type_, named).permission_levels
        # A level that the SDK does not know vanishes from its answer without a word.
        assert levels, type_
        assert all(level.permission_level for level in levels), (type_, levels)


def workspace_assignment():
    account = _account()
    eve = next(iter(account.users.list(filter='userName eq "eve@example.com"')))
    workspace = _workspace(token=os.environ["EVE"])
    _refused(PermissionDenied, lambda: workspace.permissions.get_permission_levels("jobs", JOB))
    assert [
        level.permission_level.value for level in account.workspace_assignment.get(WORKSPACE).permissions
    ] == ["USER", "ADMIN"]
    user, admin = iam.WorkspacePermission.USER, iam.WorkspacePermission.ADMIN
    for wanted, found in (([user], [user]), ([user, admin], [admin]), ([user], [user])):
        assert _assign(eve.id, *(each.value for each in wanted)).permissions == found
    assert workspace.permissions.get_permission_levels("jobs", JOB).permission_levels
    listed = {each.principal.user_name: each for each in account.workspace_assignment.list(WORKSPACE)}
    number = listed["eve@example.com"].principal.principal_id
    assert (number, listed["eve@example.com"].permissions) == (UUID(eve.id).int, [user])
    # By the id that the list of users has, or by the number that this list has.
    assert account.workspace_assignment.update(WORKSPACE, number, permissions=[user]).permissions == [user]
    account.workspace_assignment.delete(WORKSPACE, number)
    _refused(PermissionDenied, lambda: workspace.permissions.get_permission_levels("jobs", JOB))
    _refused(
        ResourceDoesNotExist, lambda: account.workspace_assignment.update(WORKSPACE, 7, permissions=[user])
    )
    stranger = AccountClient(config=_config(token=os.environ["EVE"], account_id="account"))
    _refused(
        PermissionDenied, lambda: stranger.workspace_assignment.update(WORKSPACE, eve.id, permissions=[admin])
    )


def login_of_a_program_with_its_client_secret():
    for client in (_account().service_principal_secrets, _workspace().service_principal_secrets_proxy):
        principal = _workspace().service_principals.create(display_name="spark")
        made = client.create(principal.id, lifetime="3600s")
        assert [each.id for each in client.list(principal.id)] == [made.id]
        login = {"client_id": principal.application_id, "client_secret": made.secret}
        program = WorkspaceClient(config=_config(**login, workspace_id=WORKSPACE))
        assert program.config.auth_type == "oauth-m2m"
        assert program.current_user.me().user_name == principal.application_id
        assert program.permissions.get_permission_levels("clusters", CLUSTER).permission_levels
        _refused(PermissionDenied, lambda: program.permissions.set("jobs", JOB, access_control_list=[]))  # noqa: B023
        _refused(PermissionDenied, lambda: program.tokens.create())  # noqa: B023
        wrong = {**login, "client_secret": made.secret[:-1] + ("a" if made.secret[-1] != "a" else "b")}
        _refused(ValueError, lambda: _config(**wrong).authenticate())  # noqa: B023
        # With the secret end the access tokens it was traded for.
        client.delete(principal.id, made.id)
        assert not list(client.list(principal.id))
        _refused(Unauthenticated, program.current_user.me)
        _refused(ValueError, lambda: _config(**login).authenticate())  # noqa: B023


def _config(**said):
    return Config(host=os.environ["HOST"], retry_timeout_seconds=10, **said)


def _workspace(token=os.environ["TOKEN"]):
    return WorkspaceClient(config=_config(token=token, workspace_id=WORKSPACE))


def _account(token=os.environ["TOKEN"]):
    return AccountClient(config=_config(token=token, account_id="account"))


def _assign(principal, *roles):
    wanted = [iam.WorkspacePermission(role) for role in roles]
    return _account().workspace_assignment.update(WORKSPACE, principal, permissions=wanted)


def _replace(path, value):
    return iam.Patch(op=iam.PatchOp.REPLACE, path=path, value=value)


def _levels(permissions):
    """The levels by who has them, and where they come from."""
    found = {}
    for entry in permissions.access_control_list:
        name = entry.user_name or entry.group_name or entry.service_principal_name
        for each in entry.all_permissions:
            above = f" from {each.inherited_from_object[0]}" if each.inherited else ""
            found.setdefault(name, []).append(f"{each.permission_level.value}{above}")
    return found


def _ends(listed):
    """Everything in a list, each once; fails where it goes on."""
    found = list(islice(listed, 1_000))
    assert len(found) < 1_000
    assert len({each.id for each in found}) == len(found)
    return found


def _refused(expected, call):
    """The error a call ends with, of exactly this class."""
    try:
        call()
    except expected as error:
        found = error
    else:
        raise AssertionError(f"it was not refused with {expected.__name__}")
    assert type(found) is expected, repr(found)
    return found


def _told_by(name):
    """What went wrong in a function; empty where nothing did."""
    try:
        globals()[name]()
    except Exception:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    json.dump({name: _told_by(name) for name in sys.argv[1:]}, sys.stdout)
