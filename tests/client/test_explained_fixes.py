"""What `lakewarden explain` prints, done: run by whom it names, its commands make the access allowed, and none is superfluous."""

from __future__ import annotations

import json
import random
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lakewarden import Client
from lakewarden.cli import main
from lakewarden_policy import load_policy
from lakewarden_server.testing import EmbeddedServer, serve

SEED = 20_261_126
DENIALS, DENIALS_LONG = 20, 55
USERS = [f"user{number}@example.com" for number in range(6)]
GROUPS = {"everyone": USERS[:3], "some": USERS[2:4], "few": USERS[4:5]}
CATALOGS = ("north", "south")
TABLES = [
    f"{catalog}.{schema}.{table}" for catalog in CATALOGS for schema in ("a", "b") for table in ("s", "t")
]
VIEWS = {
    "north.a.v": "SELECT 1 AS one FROM north.a.s, south.b.t",
    "south.b.v": "SELECT 1 AS one FROM south.a.s",
    "north.b.w": "SELECT one FROM north.a.v",
}
WORKSPACES = ("workspace", "lab", "adrift")
Command = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A random world with owners at every level, groups in groups, a disabled user, an isolated catalog and three workspaces."""
    rng = random.Random(SEED)
    with serve() as server:
        admin = server.client()
        for user in USERS:
            admin.users.create(user)
        for group, members in GROUPS.items():
            admin.groups.create(group)
            admin.groups.update_members(group, add=members)
        admin.groups.update_members("everyone", add=["few"])
        admin.workspaces.create("lab", metastore="metastore")
        admin.workspaces.create("adrift")
        _fill(rng, admin)
        admin.workspace_bindings.update("catalog", "south", isolated=True, add={"lab": "READ_ONLY"})
        admin.workspace_bindings.update("catalog", "south", add=["workspace"])
        admin.users.disable(USERS[5])
        yield server


def _fill(rng: random.Random, admin: Client) -> None:
    policy, holders = load_policy(), [*USERS, *GROUPS]
    owned: list[tuple[str, str, Any]] = []
    for catalog in CATALOGS:
        admin.catalogs.create(catalog)
        owned.append(("catalog", catalog, admin.catalogs))
        for schema in ("a", "b"):
            admin.schemas.create(f"{catalog}.{schema}")
            owned.append(("schema", f"{catalog}.{schema}", admin.schemas))
    for table in TABLES:
        admin.tables.create(table)
        owned.append(("table", table, admin.tables))
    for view, definition in VIEWS.items():
        admin.grants.grant("SELECT", "catalog", view.partition(".")[0], admin.session.get().principal)
        admin.views.create(view, definition)
        owned.append(("view", view, admin.views))
    for kind, name, resource in owned:
        for _ in range(3):
            privilege = rng.choice(policy.grantable(kind.upper()))
            if privilege != "EXTERNAL_USE_SCHEMA":
                admin.grants.grant(privilege, kind, name, rng.choice(holders))
        if rng.random() < 0.7:
            resource.set_owner(name, rng.choice(holders))
    for place in WORKSPACES:
        for user in rng.sample(USERS, 4):
            admin.grants.grant("USER", "workspace", place, user)


@pytest.fixture
def run(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command line as somebody; its exit code and its JSON."""
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", "workspace")

    def run(line: str, *, as_user: str = "") -> tuple[int, Any]:
        token = server.token_of(as_user) if as_user else server.admin_token
        monkeypatch.setenv("LAKEWARDEN_TOKEN", token)
        code = main([*shlex.split(line), "-o", "json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return run


def _questions(rng: random.Random) -> Iterator[str]:
    """Random accesses as the arguments of `explain`."""
    policy = load_policy()
    names = {
        "table": TABLES,
        "view": [*VIEWS],
        "schema": [f"{catalog}.a" for catalog in CATALOGS],
        "catalog": CATALOGS,
    }
    while True:
        kind = rng.choice(("table", "view", "view", "schema", "catalog"))
        privileges = [name for name in policy.grantable(kind.upper()) if name != "ALL_PRIVILEGES"]
        name, privilege = rng.choice(list(names[kind])), rng.choice(privileges)
        place = rng.choice((*WORKSPACES, "workspace"))
        yield f"{rng.choice(USERS)} {privilege} {kind} {name} --in {place}"


def test_commands_of_an_explanation_run_by_whom_it_names_make_it_allowed_and_none_is_superfluous(
    server: EmbeddedServer, run: Command
) -> None:
    check_fixes(server, run, denials=DENIALS)


@pytest.mark.slow
def test_commands_of_many_explanations_make_what_they_explain_allowed(
    server: EmbeddedServer, run: Command
) -> None:
    check_fixes(server, run, denials=DENIALS_LONG)


def check_fixes(server: EmbeddedServer, run: Command, *, denials: int) -> None:
    """Does what is printed about so many denied accesses, and leaves out each part of it in turn."""
    rng, actions = random.Random(SEED), Counter[str]()
    done, through_owners = 0, 0
    for question in _questions(rng):
        code, answer = run(f"explain {question}")
        if code == 0:
            continue
        fixes, commands = answer["fixes"], [each["command"] for each in answer["commands"]]
        assert fixes, (question, answer)
        done_by = []
        for fix, command in zip(fixes, commands, strict=True):
            done_by.append(_run_by_one_of(fix["givers"], command, run, server))
            actions[fix["action"]] += 1
        assert run(f"explain {question}")[0] == 0, (question, commands)
        for fix, giver, command in zip(fixes, done_by, commands, strict=True):
            _undo(fix, giver)
            assert run(f"explain {question}")[0] == 1, f"{question}: {command} is superfluous"
            _redo(fix, giver)
        for fix, giver in reversed(list(zip(fixes, done_by, strict=True))):
            _undo(fix, giver)
        done += 1
        through_owners += any(fix["principal"] not in ("", question.split()[0]) for fix in fixes)
        if done == denials:
            break
    assert set(actions) == {"ATTACH", "BIND", "ENABLE", "GRANT"}
    assert actions["GRANT"] > denials
    assert through_owners


def _run_by_one_of(
    givers: list[dict[str, Any]], command: str, run: Command, server: EmbeddedServer
) -> Client:
    """Done by whoever is named first, or of a group by the first member for whom it works; who that was."""
    first = givers[0]
    who = first["principal"]
    members = [user for group in (who, *_below(who)) for user in GROUPS.get(group, ())]
    candidates = [user for user in members if user != USERS[5]] if who in GROUPS else [who]
    line = command.removeprefix("lakewarden ")
    for user in candidates:
        if run(line, as_user=user)[0] == 0:
            return server.client_as(user, workspace=first["workspace"] or "workspace")
    raise AssertionError(f"{command}: none of {candidates} could, {first}")


def _below(group: str) -> tuple[str, ...]:
    return ("few",) if group == "everyone" else ()


def _undo(fix: dict[str, Any], giver: Client) -> None:
    if fix["action"] == "ENABLE":
        giver.users.disable(fix["principal"])
    elif fix["action"] == "ATTACH":
        giver.workspaces.detach(fix["workspace"])
    elif fix["action"] == "BIND" and fix["workspace"] == "lab":
        giver.workspace_bindings.update("catalog", fix["full_name"], add={"lab": "READ_ONLY"})
    elif fix["action"] == "BIND":
        giver.workspace_bindings.update("catalog", fix["full_name"], remove=[fix["workspace"]])
    else:
        kind = fix["securable_type"].lower()
        giver.grants.revoke(fix["privilege"], kind, fix["full_name"], fix["principal"])


def _redo(fix: dict[str, Any], giver: Client) -> None:
    if fix["action"] == "ENABLE":
        giver.users.enable(fix["principal"])
    elif fix["action"] == "ATTACH":
        giver.workspaces.attach(fix["workspace"], fix["full_name"])
    elif fix["action"] == "BIND":
        giver.workspace_bindings.update("catalog", fix["full_name"], add=[fix["workspace"]])
    else:
        kind = fix["securable_type"].lower()
        giver.grants.grant(fix["privilege"], kind, fix["full_name"], fix["principal"])
