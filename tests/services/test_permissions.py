"""Permissions on objects of a workspace: read with where they come from, replaced, granted for a while, explained."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from lakewarden import Client
from lakewarden.v1 import grants_pb2, permissions_pb2
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
BOB, CAROL = "bob@example.com", "carol@example.com"
ADMINS = ("workspace admins", "CAN_MANAGE", "workspace")
OWN = ("admin@example.com", "CAN_MANAGE", "")
"""What the creator of an object without an owner is granted."""


@pytest.fixture
def bob(both: EmbeddedServer) -> Client:
    """A user of the workspace without any level; Carol is another."""
    both.client_as("carol")
    return both.client_as("bob")


@pytest.fixture
def chief(both: EmbeddedServer) -> Client:
    """The workspace's owner, and so one of its admins."""
    return both.client()


def shown(found: permissions_pb2.Permissions) -> list[tuple[str, str, str]]:
    """Principal, level and what it is inherited from; nothing for the object itself."""
    assert all(each.inherited == bool(each.inherited_from) for each in found.permissions)
    return [(each.principal, each.level, each.inherited_from) for each in found.permissions]


def may(client: Client, level: str, kind: str, name: str) -> bool:
    return client.authorization.check(level, kind, name).allowed


def test_levels_are_shown_with_what_they_are_inherited_from(chief: Client, bob: Client, fresh: Fresh) -> None:
    outer, inner, name = fresh("f"), fresh("f"), fresh("e")
    chief.workspace_objects.create("directory", outer)
    chief.workspace_objects.create("repo", inner, parent=outer)
    chief.workspace_objects.create("experiment", name, parent=inner)
    chief.permissions.set("repo", inner, {})
    chief.permissions.set("directory", outer, {BOB: "CAN_RUN", CAROL: "CAN_EDIT"})
    chief.permissions.update("experiment", name, add={CAROL: "CAN_READ"})
    found = chief.permissions.get("experiment", name)
    # Running a folder is reading an experiment in it: the level told is the one it is here.
    assert shown(found) == [
        OWN, (CAROL, "CAN_READ", ""), (BOB, "CAN_READ", outer), (CAROL, "CAN_EDIT", outer), ADMINS,
    ]  # fmt: skip
    assert found.permissions[2].inherited_from_type == grants_pb2.DIRECTORY
    assert found.permissions[4].inherited_from_type == grants_pb2.WORKSPACE
    # Who may not change them is told about himself alone.
    assert shown(bob.permissions.get("experiment", name)) == [(BOB, "CAN_READ", outer)]
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        chief.permissions.get("experiment", fresh("e"))
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        bob.permissions.get("job", fresh("job"))


def test_set_replaces_what_stands_on_the_object_and_nothing_else(
    chief: Client, bob: Client, fresh: Fresh
) -> None:
    folder, name = fresh("f"), fresh("n")
    chief.workspace_objects.create("directory", folder)
    chief.workspace_objects.create("notebook", name, parent=folder)
    chief.permissions.set("directory", folder, {BOB: "CAN_RUN"})
    set_to = chief.permissions.set("notebook", name, {CAROL: ["CAN_EDIT"], "workspace users": "CAN_READ"})
    wanted = [(CAROL, "CAN_EDIT", ""), ("workspace users", "CAN_READ", ""), (BOB, "CAN_RUN", folder), ADMINS]
    assert shown(set_to) == shown(chief.permissions.get("notebook", name)) == wanted
    emptied = chief.permissions.set("notebook", name, {})
    assert shown(emptied) == [(BOB, "CAN_RUN", folder), ADMINS]
    # What is inherited is taken away where it was given, and nowhere else.
    chief.permissions.update("notebook", name, remove={BOB: "CAN_RUN"})
    assert may(bob, "CAN_RUN", "notebook", name)
    chief.permissions.set("directory", folder, {})
    assert not may(bob, "CAN_READ", "notebook", name)
    assert may(chief, "CAN_MANAGE", "notebook", name), "an admin was lowered"


def test_owner_survives_a_replacement_and_is_not_replaced_by_it(
    chief: Client, bob: Client, fresh: Fresh
) -> None:
    job = fresh("job")
    chief.workspace_objects.create("job", job, owner=BOB)
    bob.permissions.set("job", job, {BOB: "IS_OWNER", CAROL: "CAN_VIEW"})
    assert shown(bob.permissions.set("job", job, {CAROL: "CAN_MANAGE"}))[:2] == [
        (BOB, "IS_OWNER", ""), (CAROL, "CAN_MANAGE", ""),
    ]  # fmt: skip
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="is not the owner"):
        bob.permissions.set("job", job, {CAROL: "IS_OWNER"})
    with fails("PRIVILEGE_NOT_APPLICABLE", "INVALID_ARGUMENT"):
        chief.permissions.update("job", job, add={CAROL: "IS_OWNER"})
    assert may(bob, "IS_OWNER", "job", job)


def test_what_cannot_be_granted_is_refused(chief: Client, bob: Client, fresh: Fresh) -> None:
    cluster = fresh("cluster")
    chief.workspace_objects.create("cluster", cluster)
    with fails("PRIVILEGE_NOT_APPLICABLE", saying="CAN ATTACH TO, CAN RESTART, CAN MANAGE"):
        chief.permissions.set("cluster", cluster, {BOB: "CAN_RUN"})
    with fails("PRIVILEGE_UNKNOWN"):
        chief.permissions.set("cluster", cluster, {BOB: "CAN_FLY"})
    for hidden in ("SEE", "MANAGE", "TRANSFER", "OWNER"):
        with fails("PRIVILEGE_NOT_APPLICABLE" if hidden == "MANAGE" else "PRIVILEGE_UNKNOWN"):
            chief.permissions.update("cluster", cluster, add={BOB: hidden})
    with fails("PRINCIPAL_UNKNOWN"):
        chief.permissions.set("cluster", cluster, {"nobody@example.com": "CAN_RESTART"})
    with fails("FIELD_INVALID", saying="named twice"):
        chief.permissions.set("cluster", cluster, {BOB: "CAN_RESTART", BOB.upper(): "CAN_MANAGE"})
    with fails("FIELD_INVALID", saying="1 to 100 levels"):
        chief.permissions.set("cluster", cluster, {BOB: []})


def test_levels_of_a_warehouse_are_no_chain(chief: Client, bob: Client, fresh: Fresh) -> None:
    warehouse = fresh("w")
    chief.workspace_objects.create("warehouse", warehouse)
    told = {level.level: set(level.includes) for level in chief.permissions.levels("warehouse")}
    assert told["CAN_VIEW"] == told["CAN_USE"] == set()
    assert told["CAN_MONITOR"] == {"CAN_VIEW", "CAN_USE"}
    chief.permissions.set("warehouse", warehouse, {BOB: "CAN_USE"})
    assert [may(bob, level, "warehouse", warehouse) for level in ("CAN_USE", "CAN_VIEW", "CAN_MONITOR")] == [
        True, False, False,
    ]  # fmt: skip
    # Both may be held, and are no CAN_MONITOR together.
    chief.permissions.update("warehouse", warehouse, add={BOB: ["CAN_VIEW"]})
    assert [may(bob, level, "warehouse", warehouse) for level in ("CAN_USE", "CAN_VIEW", "CAN_MONITOR")] == [
        True, True, False,
    ]  # fmt: skip


def test_levels_are_told_to_who_works_here(both: EmbeddedServer, bob: Client) -> None:
    levels = {level.level: level for level in bob.permissions.levels("job")}
    assert list(levels) == ["CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"]
    assert [level.grantable for level in levels.values()] == [True, True, True, False]
    assert all(level.description for level in levels.values())
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="say one of"):
        bob.permissions.levels("table")
    stranger = both.client(both.issue_token(both.client().users.create("stranger@example.com").name))
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        stranger.permissions.levels("job")


def test_level_ends_by_itself_and_set_makes_it_last(chief: Client, bob: Client, fresh: Fresh) -> None:
    name = fresh("n")
    chief.workspace_objects.create("notebook", name)
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    chief.grants.grant("CAN_RUN", "notebook", name, BOB, expire_time=soon)
    assert chief.permissions.get("notebook", name).permissions[1].HasField("expire_time")
    assert may(bob, "CAN_RUN", "notebook", name)
    time.sleep(2)
    assert not may(bob, "CAN_RUN", "notebook", name)
    chief.grants.grant("CAN_RUN", "notebook", name, BOB, expire_time=datetime.now(UTC) + timedelta(hours=1))
    chief.permissions.set("notebook", name, {BOB: "CAN_RUN"})
    (lasting,) = (
        each for each in chief.permissions.get("notebook", name).permissions if each.principal == BOB
    )
    assert not lasting.HasField("expire_time")


def test_denial_is_explained_to_who_sees_the_object(chief: Client, bob: Client, fresh: Fresh) -> None:
    folder, name = fresh("f"), fresh("n")
    chief.workspace_objects.create("directory", folder)
    chief.workspace_objects.create("notebook", name, parent=folder)
    hidden = bob.authorization.check("CAN_RUN", "notebook", name, explain=True)
    absent = bob.authorization.check("CAN_RUN", "notebook", f"{name}x", explain=True)
    assert hidden.reason.replace(name, "it") == absent.reason.replace(f"{name}x", "it")
    chief.permissions.set("directory", folder, {BOB: "CAN_READ"})
    told = bob.authorization.check("CAN_RUN", "notebook", name, explain=True)
    assert told.fixes == (f"GRANT CAN RUN ON NOTEBOOK {name} TO `{BOB}`",)
    explained = bob.authorization.explain("CAN_RUN", "notebook", name)
    assert [(fix.privilege, fix.full_name) for fix in explained.fixes] == [("CAN_RUN", name)]
    allowed = bob.authorization.explain("CAN_READ", "notebook", name)
    assert allowed.allowed
    assert allowed.proof[0].source.full_name == folder
    held = {each.privilege for each in bob.grants.effective("notebook", name)}
    assert held == {"CAN_READ"}
    assert [each.principal for each in chief.authorization.list_principals("CAN_READ", "notebook", name)] == [
        "admin@example.com", BOB,
    ]  # fmt: skip


def test_revoked_level_is_denied_at_once_in_a_batch(chief: Client, bob: Client, fresh: Fresh) -> None:
    names = [fresh("n") for _ in range(3)]
    for name in names:
        chief.workspace_objects.create("notebook", name)
        chief.permissions.set("notebook", name, {BOB: "CAN_RUN"})
    asked = [
        SimpleNamespace(full_name=name, privilege="CAN_RUN", securable_type="NOTEBOOK")
        for name in (*names, "nothing")
    ]
    assert [bool(each) for each in bob.authorization.batch_check(asked)] == [True, True, True, False]
    chief.permissions.set("notebook", names[1], {})
    assert [bool(each) for each in bob.authorization.batch_check(asked)] == [True, False, True, False]
