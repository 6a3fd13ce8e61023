"""Objects of a workspace: registered, listed, moved, handed over and unregistered, each in one workspace and invisible elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lakewarden import Client
from lakewarden_server.services.workspace_objects import FOLDERS_ABOVE_MAX
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
BOB, CAROL = "bob@example.com", "carol@example.com"


@pytest.fixture
def bob(both: EmbeddedServer) -> Client:
    """A user of the workspace without any level; Carol is another."""
    both.client_as("carol")
    return both.client_as("bob")


@pytest.fixture
def chief(both: EmbeddedServer) -> Client:
    """The workspace's owner, and so one of its admins."""
    return both.client()


def ids(found: Iterator[Any]) -> list[str]:
    return [each.full_name for each in found]


def may(client: Client, level: str, kind: str, name: str) -> bool:
    return client.authorization.check(level, kind, name).allowed


def test_registered_object_is_what_was_said_of_it(chief: Client, fresh: Fresh) -> None:
    folder, name = fresh("f"), fresh("n")
    chief.workspace_objects.create("directory", folder)
    made = chief.workspace_objects.create(
        "notebook", name, parent=folder, display_name="/etl/load", comment="c", properties={"a": "b"}
    )
    assert (made.full_name, made.name, made.parent, made.display_name) == (name, name, folder, "/etl/load")
    assert (made.workspace, made.comment, dict(made.properties), made.owner) == (
        "workspace", "c", {"a": "b"}, "",
    )  # fmt: skip
    assert chief.workspace_objects.get("notebook", name) == made
    changed = chief.workspace_objects.update("notebook", name, display_name="/etl/x", etag=made.etag)
    assert (changed.display_name, changed.comment) == ("/etl/x", "c")
    with fails("ETAG_MISMATCH", "ABORTED"):
        chief.workspace_objects.update("notebook", name, comment="late", etag=made.etag)


def test_id_is_taken_once_per_type_wherever_the_object_lies(chief: Client, fresh: Fresh) -> None:
    folder, other, name = fresh("f"), fresh("f"), fresh("id")
    for each in (folder, other):
        chief.workspace_objects.create("directory", each)
    chief.workspace_objects.create("notebook", name, parent=folder)
    chief.workspace_objects.create("job", name)
    with fails("NAME_TAKEN", "ALREADY_EXISTS"):
        chief.workspace_objects.create("notebook", name, parent=other)
    with fails("NAME_TAKEN", "ALREADY_EXISTS"):
        # A parent is named by its id alone, so folders and repositories share theirs.
        chief.workspace_objects.create("repo", folder)
    # Ids are the engine's, and compared as they are.
    chief.workspace_objects.create("notebook", name.upper())
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        chief.workspace_objects.get("notebook", name.title())


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 256, "a\n"])
def test_what_is_no_id_is_refused(chief: Client, name: str) -> None:
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        chief.workspace_objects.create("job", name)


def test_object_of_another_workspace_is_like_one_that_does_not_exist(
    both: EmbeddedServer, chief: Client, fresh: Fresh
) -> None:
    beside, name = fresh("beside"), fresh("job")
    chief.workspaces.create(beside)
    both.client_as("bob")
    chief.grants.grant("USER", "workspace", beside, BOB)
    there = both.client_as("bob", workspace=beside)
    chief.workspace_objects.create("job", name, owner=BOB)
    assert may(both.client_as("bob"), "IS_OWNER", "job", name)
    assert not may(there, "IS_OWNER", "job", name)
    refused = []
    for asked in (name, f"{name}x"):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED") as failure:
            there.workspace_objects.get("job", asked)
        refused.append(failure.error.message.replace(asked, "it"))
    assert refused[0] == refused[1]
    assert ids(there.workspace_objects.list(recursive=True)) == []
    # The same id there is another object, of which Bob owns nothing.
    both.client(workspace=beside).workspace_objects.create("job", name)
    assert not may(there, "CAN_VIEW", "job", name)


def test_engine_registers_what_it_has_and_a_user_does_not(
    both: EmbeddedServer, chief: Client, bob: Client, fresh: Fresh
) -> None:
    name = fresh("job")
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying="QUERY ENGINE"):
        bob.workspace_objects.create("job", name)
    application = chief.service_principals.create("spark").name
    chief.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", application)
    engine = both.client(both.issue_token(application))
    engine.workspace_objects.create("job", name, owner=BOB)
    assert engine.authorization.check("CAN_MANAGE", "job", name, subject=BOB)
    assert not engine.authorization.check("CAN_MANAGE", "job", name)
    # It states what exists and may do nothing with it: neither hand it over nor grant on it.
    with fails("PRIVILEGE_MISSING", saying="ADMIN on workspace"):
        engine.workspace_objects.set_owner("job", name, application)
    with fails("PRIVILEGE_MISSING"):
        engine.permissions.set("job", name, {application: "CAN_MANAGE"})
    engine.workspace_objects.delete("job", name)
    assert not may(bob, "CAN_VIEW", "job", name)


def test_creator_owns_what_has_owners_and_manages_what_has_none(
    chief: Client, bob: Client, fresh: Fresh
) -> None:
    job, cluster, policy = fresh("job"), fresh("cluster"), fresh("policy")
    assert chief.workspace_objects.create("job", job, owner=BOB).owner == BOB
    assert chief.workspace_objects.create("cluster", cluster, owner=BOB).owner == ""
    assert may(bob, "IS_OWNER", "job", job)
    assert may(bob, "CAN_MANAGE", "cluster", cluster)
    with fails("FIELD_INVALID", saying="admins of the workspace"):
        chief.workspace_objects.create("cluster_policy", policy, owner=BOB)
    chief.workspace_objects.create("cluster_policy", policy)
    assert not may(bob, "CAN_USE", "cluster_policy", policy)
    with fails("PRINCIPAL_UNKNOWN", "INVALID_ARGUMENT"):
        chief.workspace_objects.create("job", fresh("job"), owner="nobody@example.com")


def test_owner_is_one_person_whom_only_admins_replace(chief: Client, bob: Client, fresh: Fresh) -> None:
    job, group = fresh("job"), fresh("group")
    chief.groups.create(group)
    chief.workspace_objects.create("job", job, owner=BOB)
    chief.permissions.update("job", job, add={CAROL: "CAN_MANAGE"})
    for refused in (group, "workspace admins"):
        with fails("FIELD_INVALID", saying="is a group"):
            chief.workspace_objects.set_owner("job", job, refused)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        bob.workspace_objects.set_owner("job", job, CAROL)
    assert chief.workspace_objects.set_owner("job", job, CAROL).owner == CAROL
    assert not may(bob, "CAN_VIEW", "job", job)
    with fails("FIELD_INVALID", saying="has no owner"):
        chief.workspace_objects.create("cluster", job)
        chief.workspace_objects.set_owner("cluster", job, BOB)


@pytest.mark.parametrize("kind", ["job", "pipeline", "warehouse"])
def test_runs_as_a_program_only_for_who_may_run_as_it(
    both: EmbeddedServer, chief: Client, fresh: Fresh, kind: str
) -> None:
    program, email, mine = (
        chief.service_principals.create("program").name, f"{fresh('wsa')}@example.com", fresh(kind),
    )  # fmt: skip
    admin = both.client_as(email)
    chief.grants.grant("ADMIN", "workspace", "workspace", email)
    chief.grants.grant("USER", "workspace", "workspace", program)
    admin.workspace_objects.create(kind, mine)

    def refused(client: Client, reason: str) -> None:
        with fails(reason, "PERMISSION_DENIED", saying=program):
            client.workspace_objects.create(kind, fresh(kind), owner=program)
        with fails(reason, "PERMISSION_DENIED", saying=program):
            client.workspace_objects.set_owner(kind, mine, program)
        assert client.workspace_objects.get(kind, mine).owner == email

    refused(admin, "ACCESS_DENIED")
    # To manage a program is not to run as it, for an account admin neither.
    refused(chief, "PRIVILEGE_MISSING")
    chief.grants.grant("MANAGER", "service_principal", program, email)
    refused(admin, "PRIVILEGE_MISSING")
    chief.grants.grant("USER", "service_principal", program, email)
    assert admin.workspace_objects.create(kind, fresh(kind), owner=program).owner == program
    assert admin.workspace_objects.set_owner(kind, mine, program).owner == program
    admin.workspace_objects.set_owner(kind, mine, email)
    chief.grants.revoke("USER", "service_principal", program, email)
    refused(admin, "PRIVILEGE_MISSING")


def test_hidden_program_is_not_named_in_a_refusal(both: EmbeddedServer, chief: Client, fresh: Fresh) -> None:
    program, email = chief.service_principals.create("program"), f"{fresh('wsa')}@example.com"
    admin = both.client_as(email)
    chief.grants.grant("ADMIN", "workspace", "workspace", email)
    with fails("ACCESS_DENIED") as failure:
        admin.workspace_objects.create("job", fresh("job"), owner=f"id/{program.id}")
    assert program.name not in failure.error.message


def test_engine_states_which_program_runs_and_a_program_runs_its_own(
    both: EmbeddedServer, chief: Client, fresh: Fresh
) -> None:
    program, application, job = (*(chief.service_principals.create(each).name for each in "ab"), fresh("job"))
    chief.grants.grant("USER", "workspace", "workspace", program)
    chief.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", application)
    engine = both.client(both.issue_token(application))
    assert engine.workspace_objects.create("job", job, owner=program).owner == program
    assert engine.authorization.check("IS_OWNER", "job", job, subject=program)
    assert engine.workspace_objects.create("job", fresh("job")).owner == application
    chief.grants.grant("ADMIN", "workspace", "workspace", program)
    itself = both.client(both.issue_token(program))
    assert itself.workspace_objects.create("job", fresh("job")).owner == program
    # It speaks for its own workspace alone.
    beside = fresh("beside")
    chief.workspaces.create(beside)
    for each in (program, application):
        chief.grants.grant("ADMIN", "workspace", beside, each)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        both.client(both.issue_token(application), workspace=beside).workspace_objects.create(
            "job", job, owner=program
        )


def test_owner_works_in_the_workspace(both: EmbeddedServer, chief: Client, fresh: Fresh) -> None:
    job, beside = fresh("job"), fresh("beside")
    outsider = chief.users.create(f"{fresh('outsider')}@example.com").name
    program, application = (chief.service_principals.create(each).name for each in "ab")
    chief.workspaces.create(beside)
    chief.grants.grant("USER", "workspace", beside, outsider)
    chief.grants.grant("USER", "service_principal", program, "admin@example.com")
    chief.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", application)
    engine = both.client(both.issue_token(application))
    chief.workspace_objects.create("job", job)
    for owner in (outsider, program):
        for act in (
            lambda owner=owner: chief.workspace_objects.create("job", fresh("job"), owner=owner),
            lambda owner=owner: engine.workspace_objects.create("job", fresh("job"), owner=owner),
            lambda owner=owner: chief.workspace_objects.set_owner("job", job, owner),
        ):
            with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="not assigned"):
                act()
        chief.grants.grant("USER", "workspace", "workspace", owner)
        assert chief.workspace_objects.set_owner("job", job, owner).owner == owner


def test_moved_object_inherits_from_where_it_lies_now(chief: Client, bob: Client, fresh: Fresh) -> None:
    shared, deep, closed, name = fresh("f"), fresh("f"), fresh("f"), fresh("n")
    chief.workspace_objects.create("directory", shared)
    chief.workspace_objects.create("repo", deep, parent=shared)
    chief.workspace_objects.create("directory", closed)
    chief.workspace_objects.create("notebook", name, parent=closed)
    chief.permissions.update("directory", shared, add={BOB: "CAN_RUN"})
    assert not may(bob, "CAN_READ", "notebook", name)
    assert chief.workspace_objects.move("notebook", name, deep).parent == deep
    assert may(bob, "CAN_RUN", "notebook", name)
    assert not may(bob, "CAN_EDIT", "notebook", name)
    # The folder above moves, and takes along who may.
    chief.workspace_objects.move("repo", deep, closed)
    assert not may(bob, "CAN_READ", "notebook", name)
    assert chief.workspace_objects.move("notebook", name, "").parent == ""


def test_move_that_makes_no_sense_is_refused(chief: Client, fresh: Fresh) -> None:
    outer, inner, repo, job = fresh("f"), fresh("f"), fresh("r"), fresh("job")
    chief.workspace_objects.create("directory", outer)
    chief.workspace_objects.create("directory", inner, parent=outer)
    chief.workspace_objects.create("repo", repo)
    chief.workspace_objects.create("job", job)
    for place in (inner, outer):
        with fails("FIELD_INVALID", saying="not lie in itself"):
            chief.workspace_objects.move("directory", outer, place)
    with fails("FIELD_INVALID", saying="a job lies in no directory"):
        chief.workspace_objects.move("job", job, outer)
    with fails("FIELD_INVALID", saying="a repo lies in no repo"):
        chief.workspace_objects.create("repo", fresh("r"), parent=repo)
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        chief.workspace_objects.move("directory", inner, fresh("nowhere"))
    with fails("UPDATE_MASK_INVALID", "INVALID_ARGUMENT"):
        chief.workspace_objects._update("job", job, {"name": "x"}, etag="")


def test_folders_nest_as_deep_as_the_limit_and_pass_down_to_there(
    chief: Client, bob: Client, fresh: Fresh
) -> None:
    folders = [fresh("deep") for _ in range(FOLDERS_ABOVE_MAX)]
    for above, folder in zip(["", *folders], folders, strict=False):
        chief.workspace_objects.create("directory", folder, parent=above)
    name, top = fresh("n"), fresh("f")
    chief.workspace_objects.create("notebook", name, parent=folders[-1])
    chief.permissions.update("directory", folders[0], add={BOB: "CAN_RUN"})
    assert may(bob, "CAN_RUN", "notebook", name)
    with fails("FIELD_INVALID", saying="more than 50 folders"):
        chief.workspace_objects.create("directory", fresh("f"), parent=folders[-1])
    chief.workspace_objects.create("directory", top)
    with fails("FIELD_INVALID", saying="more than 50 folders"):
        # It would push its own content too deep.
        chief.workspace_objects.move("directory", folders[0], top)


def test_list_shows_what_one_may_see_and_every_folder(chief: Client, bob: Client, fresh: Fresh) -> None:
    outer, inner = fresh("f"), fresh("f")
    mine, other, job = fresh("n"), fresh("n"), fresh("job")
    chief.workspace_objects.create("directory", outer)
    chief.workspace_objects.create("directory", inner, parent=outer)
    for name in (mine, other):
        chief.workspace_objects.create("notebook", name, parent=inner)
    chief.workspace_objects.create("job", job)
    chief.permissions.update("notebook", mine, add={BOB: "CAN_READ"})
    objects = bob.workspace_objects
    assert ids(objects.list(parent=outer)) == [inner]
    assert ids(objects.list(parent=outer, recursive=True)) == [inner, mine]
    assert ids(objects.list("notebook", parent=inner)) == [mine]
    assert ids(chief.workspace_objects.list("notebook", parent=inner)) == [mine, other]
    assert job not in ids(objects.list())
    assert job in ids(chief.workspace_objects.list("job"))
    # A folder that is not there is like one with nothing in it.
    assert ids(objects.list(parent=fresh("nowhere"))) == []
    assert ids(chief.workspace_objects.list(parent=outer, recursive=True, page_size=1)) == [
        inner,
        mine,
        other,
    ]
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="say one of"):
        list(objects.list("table"))
    assert list(bob.authorization.list_accessible("notebook", "CAN_READ", parent=outer)) == [mine]
    assert bob.authorization.filter_securables("notebook", [other, mine, "x"], "CAN_READ") == [mine]


def test_without_a_workspace_there_are_no_objects(both: EmbeddedServer) -> None:
    nowhere = both.client(workspace="")
    with fails("WORKSPACE_REQUIRED", "INVALID_ARGUMENT"):
        list(nowhere.workspace_objects.list())
    with fails("WORKSPACE_REQUIRED", "INVALID_ARGUMENT"):
        nowhere.workspace_objects.get("job", "1")


def test_unregistered_object_is_gone_with_its_permissions(chief: Client, bob: Client, fresh: Fresh) -> None:
    folder, name = fresh("f"), fresh("n")
    chief.workspace_objects.create("directory", folder)
    chief.workspace_objects.create("notebook", name, parent=folder)
    chief.permissions.update("notebook", name, add={BOB: "CAN_EDIT"})
    with fails("NOT_EMPTY", "FAILED_PRECONDITION"):
        chief.workspace_objects.delete("directory", folder)
    chief.workspace_objects.delete("directory", folder, force=True)
    assert not may(bob, "CAN_READ", "notebook", name)
    chief.workspace_objects.create("notebook", name)
    assert not may(bob, "CAN_READ", "notebook", name), "a new object began with the rights of the former"


def test_workspace_takes_its_objects_along(both: EmbeddedServer, chief: Client, fresh: Fresh) -> None:
    beside = fresh("beside")
    chief.workspaces.create(beside)
    there = both.client(workspace=beside)
    there.workspace_objects.create("directory", "1")
    there.workspace_objects.create("notebook", "2", parent="1")
    there.workspace_objects.create("job", "3")
    there.permissions.update("directory", "1", add={f"{beside} users": "CAN_RUN"})
    chief.workspaces.delete(beside)
    chief.workspaces.create(beside)
    assert ids(there.workspace_objects.list(recursive=True)) == []


def test_past_and_replay_know_objects(both: EmbeddedServer, chief: Client, bob: Client, fresh: Fresh) -> None:
    folder, name = fresh("f"), fresh("n")
    chief.workspace_objects.create("directory", folder)
    chief.workspace_objects.create("notebook", name)
    chief.permissions.update("directory", folder, add={BOB: "CAN_RUN"})
    chief.workspace_objects.move("notebook", name, folder)
    assert may(bob, "CAN_RUN", "notebook", name)
    then = chief.authorization.check("CAN_READ", "notebook", name).revision
    chief.workspace_objects.delete("directory", folder, force=True)
    assert not may(bob, "CAN_RUN", "notebook", name)
    with fails("ACCESS_DENIED"):
        bob.workspace_objects.delete("notebook", name)
    with fails("PRIVILEGE_MISSING"):
        bob.workspace_objects.create("notebook", name)
    chief.grants.grant("QUERY ENGINE", "workspace", "workspace", "admin@example.com")
    asked = chief.authorization.check("CAN_RUN", "notebook", name, subject=BOB, as_of=then.rpartition(":")[2])
    assert asked.allowed
    assert list(chief.audit.replay().differences) == []


def test_audit_tells_what_was_done_with_an_object(chief: Client, fresh: Fresh) -> None:
    folder, name = fresh("f"), fresh("n")
    chief.workspace_objects.create("directory", folder)
    chief.workspace_objects.create("notebook", name)
    chief.workspace_objects.move("notebook", name, folder)
    chief.workspace_objects.delete("notebook", name)
    records = [each for each in chief.audit.list(object_name=name) if each.object_kind == "NOTEBOOK"]
    assert sorted(each.operation for each in records) == [
        "notebook.create", "notebook.delete", "notebook.update.parent",
    ]  # fmt: skip
    moved = next(each for each in records if each.operation == "notebook.update.parent")
    assert dict(moved.detail)["parent_after"] == folder
