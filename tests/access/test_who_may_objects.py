"""Who may do what with objects of a workspace, as a table written from semantics 6: role x act -> allowed or denied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from access.rpcs import Answer, call, request_class
from lakewarden_server.testing import EmbeddedServer, serve

FOLDER, NOTEBOOK, JOB, POLICY, SCOPE, STALE = "10", "20", "30", "40", "50", "stale"
ROLES: Mapping[str, str] = {
    "acc": "account admin, not assigned",
    "wsa": "admin of the workspace",
    "eng": "query engine of the workspace",
    "own": "owner of the job",
    "man": "CAN_MANAGE on folder, job and scope",
    "run": "CAN_RUN on the folder, CAN_MANAGE_RUN on the job, CAN_USE on the policy, READ on the scope",
    "grp": "as run, by a group in a group",
    "use": "assigned, without any level",
    "una": "as man, not assigned to the workspace",
    "oth": "as man, calling from another workspace",
}
TABLE = """
act                    acc wsa eng own man run grp use una oth
folder.get              .   +   +   +   +   +   +   +   .   .
notebook.get            .   +   +   .   +   +   +   .   .   .
job.get                 .   +   +   +   +   +   +   .   .   .
policy.get              .   +   +   .   .   +   +   .   .   .
job.register            .   +   +   .   .   .   .   .   .   .
job.rename              .   +   +   .   .   .   .   .   .   .
notebook.move           .   +   +   .   .   .   .   .   .   .
job.transfer            .   +   .   .   .   .   .   .   .   .
job.unregister          .   +   +   .   .   .   .   .   .   .
folder.unregister       .   +   +   .   .   .   .   .   .   .
notebook.permissions    .   +   +   .   +   +   +   .   .   .
job.set-permissions     .   +   .   +   +   .   .   .   .   .
notebook.set-permissions .  +   .   .   +   .   .   .   .   .
policy.set-permissions  .   +   .   .   .   .   .   .   .   .
scope.set-permissions   .   +   .   .   +   .   .   .   .   .
job.grant               .   +   .   +   +   .   .   .   .   .
notebook.grant          .   +   .   .   +   .   .   .   .   .
notebook.check-read     .   +   .   .   +   +   +   .   .   .
notebook.check-run      .   +   .   .   +   +   +   .   .   .
notebook.check-edit     .   +   .   .   +   .   .   .   .   .
job.check-run           .   +   .   +   +   +   +   .   .   .
job.check-manage        .   +   .   +   +   .   .   .   .   .
job.check-owner         .   .   .   +   .   .   .   .   .   .
policy.check-use        .   +   .   .   .   +   +   .   .   .
scope.check-read        .   +   .   .   +   +   +   .   .   .
scope.check-write       .   +   .   .   +   .   .   .   .   .
job.who-can             .   +   .   +   +   .   .   .   .   .
job.explain-own         .   +   +   +   +   +   +   .   .   .
levels.list             .   +   +   +   +   +   +   +   .   +
"""


def _named(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "fullName": name}


def _update(kind: str, name: str, path: str, **values: Any) -> tuple[str, dict[str, Any]]:
    message = {**_named(kind, name), "etag": STALE, **values}
    return "WorkspaceObjectService/UpdateWorkspaceObject", {"workspaceObject": message, "updateMask": path}


def _set(kind: str, name: str) -> tuple[str, dict[str, Any]]:
    wanted = [{"principal": "unknown principal", "levels": ["CAN_USE"]}]
    return "PermissionService/SetPermissions", {**_named(kind, name), "permissions": wanted}


def _grant(kind: str, name: str, level: str) -> tuple[str, dict[str, Any]]:
    change = {"action": "GRANT", "principal": "unknown principal", "privileges": [level]}
    return "GrantService/UpdateGrants", {"securableType": kind, "fullName": name, "changes": [change]}


def _check(kind: str, name: str, level: str) -> tuple[str, dict[str, Any]]:
    access = {"securableType": kind, "fullName": name, "privilege": level}
    return "AuthorizationService/Check", {"access": access}


def _delete(kind: str, name: str) -> tuple[str, dict[str, Any]]:
    body = {**_named(kind, name), "etag": STALE, "force": True}
    return "WorkspaceObjectService/DeleteWorkspaceObject", body


def _get(kind: str, name: str) -> tuple[str, dict[str, Any]]:
    return "WorkspaceObjectService/GetWorkspaceObject", _named(kind, name)


_QUESTION = {"securableType": "JOB", "fullName": JOB, "privilege": "CAN_VIEW"}
ACTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "folder.get": _get("DIRECTORY", FOLDER),
    "notebook.get": _get("NOTEBOOK", NOTEBOOK),
    "job.get": _get("JOB", JOB),
    "policy.get": _get("CLUSTER_POLICY", POLICY),
    "job.register": (
        "WorkspaceObjectService/CreateWorkspaceObject", {"workspaceObject": {"type": "JOB", "name": JOB}},
    ),
    "job.rename": _update("JOB", JOB, "displayName", displayName="x"),
    "notebook.move": _update("NOTEBOOK", NOTEBOOK, "parent"),
    "job.transfer": _update("JOB", JOB, "owner", owner="run@example.com"),
    "job.unregister": _delete("JOB", JOB),
    "folder.unregister": _delete("DIRECTORY", FOLDER),
    "notebook.permissions": ("PermissionService/GetPermissions", _named("NOTEBOOK", NOTEBOOK)),
    "job.set-permissions": _set("JOB", JOB),
    "notebook.set-permissions": _set("NOTEBOOK", NOTEBOOK),
    "policy.set-permissions": _set("CLUSTER_POLICY", POLICY),
    "scope.set-permissions": _set("SECRET_SCOPE", SCOPE),
    "job.grant": _grant("JOB", JOB, "CAN_VIEW"),
    "notebook.grant": _grant("NOTEBOOK", NOTEBOOK, "can read"),
    "notebook.check-read": _check("NOTEBOOK", NOTEBOOK, "CAN_READ"),
    "notebook.check-run": _check("NOTEBOOK", NOTEBOOK, "CAN_RUN"),
    "notebook.check-edit": _check("NOTEBOOK", NOTEBOOK, "can edit"),
    "job.check-run": _check("JOB", JOB, "CAN_MANAGE_RUN"),
    "job.check-manage": _check("JOB", JOB, "CAN_MANAGE"),
    "job.check-owner": _check("JOB", JOB, "IS_OWNER"),
    "policy.check-use": _check("CLUSTER_POLICY", POLICY, "CAN_USE"),
    "scope.check-read": _check("SECRET_SCOPE", SCOPE, "READ"),
    "scope.check-write": _check("SECRET_SCOPE", SCOPE, "WRITE"),
    "job.who-can": ("AuthorizationService/ListPrincipals", _QUESTION),
    "job.explain-own": ("AuthorizationService/Explain", _QUESTION),
    "levels.list": ("PermissionService/ListPermissionLevels", {"type": "JOB"}),
}  # fmt: skip
LEVELS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "man": (
        ("CAN_MANAGE", "directory", FOLDER), ("CAN_MANAGE", "job", JOB), ("MANAGE", "secret_scope", SCOPE),
    ),
    "run": (
        ("CAN_RUN", "directory", FOLDER), ("CAN_MANAGE_RUN", "job", JOB), ("CAN_USE", "cluster_policy", POLICY),
        ("READ", "secret_scope", SCOPE),
    ),
}  # fmt: skip
ALLOWED = {
    ("ABORTED", "ETAG_MISMATCH"),
    ("ALREADY_EXISTS", "NAME_TAKEN"),
    ("INVALID_ARGUMENT", "PRINCIPAL_UNKNOWN"),
}
"""What an allowed request of this table ends with when it is not OK: it got past authorization."""
_HEAD, *_ROWS = [line.split() for line in TABLE.strip().splitlines()]
EXPECTED = {act: dict(zip(_HEAD[1:], (mark == "+" for mark in marks), strict=True)) for act, *marks in _ROWS}


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[EmbeddedServer, dict[str, str]]]:
    with serve() as server:
        yield server, _cast(server)


def _cast(server: EmbeddedServer) -> dict[str, str]:
    """Builds the world and returns a token for each role."""
    admin = server.client()
    admin.workspaces.create("other")
    for role in ROLES:
        admin.users.create(_email(role))
        if role not in {"acc", "una", "oth"}:
            admin.grants.grant("USER", "workspace", "workspace", _email(role))
    admin.grants.grant("USER", "workspace", "other", _email("oth"))
    admin.grants.grant("ADMIN", "account", "account", _email("acc"))
    admin.grants.grant("ADMIN", "workspace", "workspace", _email("wsa"))
    admin.grants.grant("QUERY ENGINE", "workspace", "workspace", _email("eng"))
    objects = admin.workspace_objects
    objects.create("directory", FOLDER)
    objects.create("directory", "11", parent=FOLDER)
    objects.create("notebook", NOTEBOOK, parent="11")
    objects.create("job", JOB, owner=_email("own"))
    objects.create("cluster_policy", POLICY)
    objects.create("secret_scope", SCOPE)
    admin.groups.create("runners")
    admin.groups.create("night")
    admin.groups.update_members("runners", add=["night"])
    admin.groups.update_members("night", add=[_email("grp")])
    for holder, levels in ({_email(role): LEVELS["man"] for role in ("man", "una", "oth")} | {
        _email("run"): LEVELS["run"], "runners": LEVELS["run"],
    }).items():  # fmt: skip
        for level, kind, name in levels:
            admin.grants.grant(level, kind, name, holder)
    return {role: server.issue_token(_email(role)) for role in ROLES}


def _email(role: str) -> str:
    return f"{role}@example.com"


@pytest.fixture(scope="module")
def line(stage: tuple[EmbeddedServer, dict[str, str]]) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stage[0].endpoint) as channel:
        yield channel


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("act", EXPECTED)
def test_role_may_do_what_the_table_says(
    stage: tuple[EmbeddedServer, dict[str, str]], line: grpc.Channel, act: str, role: str
) -> None:
    rpc, body = ACTS[act]
    name = f"lakewarden.v1.{rpc}"
    message = ParseDict(body, request_class(name)()).SerializeToString()
    workspace = "other" if role == "oth" else "workspace"
    answer = call(line, name, message, token=stage[1][role], workspace=workspace)
    assert _allowed(answer) is EXPECTED[act][role], answer


def test_every_act_is_in_the_table_and_told_yes_and_no() -> None:
    """The control: no row and no column is all one answer, but those of who has nothing to do here."""
    assert set(EXPECTED) == set(ACTS)
    assert all(set(row.values()) == {True, False} for row in EXPECTED.values())
    silent = {role for role in ROLES if not any(row[role] for row in EXPECTED.values())}
    assert silent == {"acc", "una"}


def _allowed(answer: Answer) -> bool:
    if hasattr(answer.message, "verdict"):
        return bool(answer.message.verdict.allowed)
    if answer.code == "OK" or (answer.code, answer.reason) in ALLOWED:
        return True
    assert answer.code == "PERMISSION_DENIED", answer
    return False
