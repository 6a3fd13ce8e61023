"""Roles on groups and service principals, and entitlements of workspaces: who may do what by them, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lakewarden import Client, LakewardenError
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

Fresh = Callable[[str], str]
ENTITLEMENTS = (
    "ALLOW_CLUSTER_CREATE",
    "ALLOW_INSTANCE_POOL_CREATE",
    "DATABRICKS_SQL_ACCESS",
    "WORKSPACE_ACCESS",
    "WORKSPACE_CONSUME",
)


class Stage:
    """A group and a program, with somebody in each role on them; every act leaves things as they were."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server, self.admin = server, server.client()
        self.admin.groups.create("crew")
        self.admin.users.create("extra@example.com")
        self.program = self.admin.service_principals.create("program").name
        self.people = {
            name: server.client_as(name) for name in ("gm", "spm", "spu", "wsa", "member", "stranger")
        }
        self.people["admin"] = self.admin
        self.admin.groups.update_members("crew", add=["member@example.com"])
        # By way of a group, as roles mostly are.
        self.admin.groups.create("managers of crew")
        self.admin.groups.update_members("managers of crew", add=["gm@example.com"])
        grant = self.admin.grants.grant
        grant("MANAGER", "group", "crew", "managers of crew")
        grant("MANAGER", "service_principal", self.program, "spm@example.com")
        grant("USER", "service_principal", self.program, "spu@example.com")
        grant("ADMIN", "workspace", "workspace", "wsa@example.com")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with serve(database_url=url) as server:
        yield Stage(server)


def _edit(c: Client, s: Stage) -> object:
    c.groups.update_members("crew", add=["extra@example.com"])
    return c.groups.update_members("crew", remove=["extra@example.com"])


def _appoint(c: Client, s: Stage) -> object:
    c.grants.grant("MANAGER", "group", "crew", "extra@example.com")
    return c.grants.revoke("MANAGER", "group", "crew", "extra@example.com")


def _lend(c: Client, s: Stage) -> object:
    c.grants.grant("USER", "service_principal", s.program, "extra@example.com")
    return c.grants.revoke("USER", "service_principal", s.program, "extra@example.com")


def _token(c: Client, s: Stage) -> object:
    made = c.tokens.create(principal=s.program, lifetime_seconds=600)
    assert s.server.client(made.token_value).session.get().principal == s.program
    return s.admin.tokens.delete(made.token.id, principal=s.program)


def _end(c: Client, s: Stage) -> object:
    made = s.admin.tokens.create(principal=s.program, lifetime_seconds=600)
    try:
        c.tokens.delete(made.token.id, principal=s.program)
    except LakewardenError:
        s.admin.tokens.delete(made.token.id, principal=s.program)
        raise
    with fails("TOKEN_INVALID"):
        s.server.client(made.token_value).session.get()
    return made


def _made_group(c: Client, s: Stage) -> object:
    c.groups.create("fresh crew")
    return s.admin.groups.delete("fresh crew")


def _made_program(c: Client, s: Stage) -> object:
    return s.admin.service_principals.delete(c.service_principals.create("fresh").name)


ACTS: dict[str, tuple[Callable[[Client, Stage], object], str]] = {
    "group.get": (lambda c, s: c.groups.get("crew"), "admin gm member"),
    "group.members": (_edit, "admin gm"),
    "group.appoint": (_appoint, "admin gm"),
    "group.rename": (lambda c, s: c.groups.rename("crew", "crew"), "admin"),
    "group.delete": (lambda c, s: c.groups.delete("crew", etag="stale"), "admin"),
    "group.create": (_made_group, "admin wsa"),
    "program.get": (lambda c, s: c.service_principals.get(s.program), "admin spm spu"),
    "program.name": (
        lambda c, s: c.service_principals.update(s.program, display_name="program"),
        "admin spm",
    ),
    "program.disable": (lambda c, s: c.service_principals.update(s.program, active=True), "admin"),
    "program.delete": (lambda c, s: c.service_principals.delete(s.program, etag="stale"), "admin"),
    "program.roles": (_lend, "admin spm"),
    "program.token": (_token, "admin spu"),
    "program.tokens": (lambda c, s: list(c.tokens.list(principal=s.program)), "admin spm spu"),
    "program.end": (_end, "admin spm spu"),
    "program.create": (_made_program, "admin wsa"),
    "user.create": (lambda c, s: c.users.create("admin@example.com"), "admin"),
    "account.appoint": (
        lambda c, s: c.grants.revoke("ADMIN", "account", "account", "extra@example.com"),
        "admin",
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_role_allows_this_and_no_more(stage: Stage, act: str) -> None:
    attempt, allowed = ACTS[act]
    may = set()
    for name, client in stage.people.items():
        if _came_past_the_rule(lambda client=client: attempt(client, stage)):
            may.add(name)
    assert may == set(allowed.split())


def _came_past_the_rule(attempt: Callable[[], object]) -> bool:
    """Whether it was done, or failed for what is stale or taken on purpose."""
    try:
        attempt()
    except LakewardenError as error:
        if error.code != "PERMISSION_DENIED" and error.reason not in ("ETAG_MISMATCH", "NAME_TAKEN"):
            raise
        return error.code != "PERMISSION_DENIED"
    return True


def test_role_ends_with_its_revocation_and_with_the_group_it_came_through(stage: Stage, fresh: Fresh) -> None:
    admin, group, name = stage.admin, fresh("group"), fresh("manager")
    manager = stage.server.client_as(name)
    admin.groups.create(group)
    admin.grants.grant("MANAGER", "group", group, f"{name}@example.com")
    manager.groups.update_members(group, add=[f"{name}@example.com"])
    admin.grants.revoke("MANAGER", "group", group, f"{name}@example.com")
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        manager.groups.update_members(group, remove=[f"{name}@example.com"])
    stage.admin.groups.update_members("managers of crew", remove=["gm@example.com"])
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        stage.people["gm"].groups.update_members("crew", add=["extra@example.com"])
    stage.admin.groups.update_members("managers of crew", add=["gm@example.com"])


def test_roles_on_what_is_made_again_under_a_name_begin_anew(stage: Stage, fresh: Fresh) -> None:
    admin, group, name = stage.admin, fresh("group"), fresh("manager")
    manager = stage.server.client_as(name)
    admin.groups.create(group)
    admin.grants.grant("MANAGER", "group", group, f"{name}@example.com")
    admin.groups.delete(group)
    admin.groups.create(group)
    assert list(admin.grants.list("group", group)) == []
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        manager.groups.get(group)


def test_creator_manages_what_it_created(stage: Stage, fresh: Fresh) -> None:
    creator, group = stage.people["wsa"], fresh("group")
    creator.groups.create(group)
    program = creator.service_principals.create("own").name
    creator.groups.update_members(group, add=["member@example.com"])
    assert [row.principal for row in creator.grants.list("group", group)] == ["wsa@example.com"]
    # To manage a program is not to run as it.
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        creator.tokens.create(principal=program)
    creator.grants.grant("USER", "service_principal", program, "wsa@example.com")
    assert creator.tokens.create(principal=program, lifetime_seconds=60).token_value
    # From nowhere the admin of a workspace is nobody's admin.
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        creator.with_workspace("").groups.create(fresh("group"))


def test_group_whose_managers_are_its_members_keeps_itself(stage: Stage, fresh: Fresh) -> None:
    admin, group, name = stage.admin, fresh("group"), fresh("member")
    member = stage.server.client_as(name)
    admin.groups.create(group)
    admin.grants.grant("MANAGER", "group", group, group)
    admin.groups.update_members(group, add=[f"{name}@example.com"])
    member.groups.update_members(group, add=["extra@example.com"])
    member.groups.update_members(group, remove=[f"{name}@example.com"])
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        member.groups.get(group)


def test_account_admin_by_a_group_that_somebody_manages_is_the_managers_to_give(stage: Stage) -> None:
    """What MANAGER on such a group means, said by a test so that nobody is surprised."""
    admin = stage.admin
    admin.groups.create("owners")
    admin.grants.grant("ADMIN", "account", "account", "owners")
    climber = stage.people["gm"]
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        climber.groups.update_members("owners", add=["gm@example.com"])
    admin.grants.grant("MANAGER", "group", "owners", "gm@example.com")
    climber.groups.update_members("owners", add=["gm@example.com"])
    assert climber.users.create("new@example.com").name == "new@example.com"
    admin.groups.delete("owners")


@pytest.mark.parametrize("role", ["users", "admins"])
def test_group_of_a_workspace_is_no_account_admin(stage: Stage, role: str) -> None:
    """Its members follow grants that may end by themselves, and with the last of them would go the last account admin."""
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="assignments"):
        stage.admin.grants.grant("ADMIN", "account", "account", f"workspace {role}")
    # What may be taken away all the same.
    stage.admin.grants.revoke("ADMIN", "account", "account", f"workspace {role}")


@pytest.mark.parametrize("privilege", ["USER", "SELECT", "ADMIN"])
def test_group_has_no_other_role(stage: Stage, privilege: str) -> None:
    with fails("PRIVILEGE_NOT_APPLICABLE", "INVALID_ARGUMENT", saying="MANAGER"):
        stage.admin.grants.grant(privilege, "group", "crew", "extra@example.com")


def test_entitlements_of_a_workspace(stage: Stage, fresh: Fresh) -> None:
    admin, name = stage.admin, fresh("worker")
    worker, outsider = (
        stage.server.client_as(name),
        stage.server.client(stage.server.issue_token("extra@example.com")),
    )
    email = f"{name}@example.com"

    def held(client: Client) -> set[str]:
        return {e for e in ENTITLEMENTS if client.authorization.check(e, "workspace", "workspace")}

    assert held(worker) == {"DATABRICKS_SQL_ACCESS", "WORKSPACE_ACCESS"}
    assert held(stage.people["wsa"]) == set(ENTITLEMENTS)
    assert held(outsider.with_workspace("")) == set()
    stage.people["wsa"].grants.grant(["ALLOW CLUSTER CREATE"], "workspace", "workspace", email)
    assert held(worker) == {"ALLOW_CLUSTER_CREATE", "DATABRICKS_SQL_ACCESS", "WORKSPACE_ACCESS"}
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        worker.grants.grant("ALLOW_INSTANCE_POOL_CREATE", "workspace", "workspace", email)
    # An entitlement is of use to who works there.
    admin.grants.revoke("USER", "workspace", "workspace", email)
    assert held(worker.with_workspace("")) == set()
    admin.grants.grant("USER", "workspace", "workspace", email)
    admin.grants.revoke(["DATABRICKS_SQL_ACCESS"], "workspace", "workspace", "workspace users")
    assert held(worker) == {"ALLOW_CLUSTER_CREATE", "WORKSPACE_ACCESS"}
    admin.grants.grant(["DATABRICKS_SQL_ACCESS"], "workspace", "workspace", "workspace users")
