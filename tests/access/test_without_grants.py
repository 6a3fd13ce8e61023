"""A valid token without any grant: what RULES.md says it gets is what the server answers, for every RPC."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import grpc
import pytest

from access.rpcs import Answer, call, offered
from access.world import NOBODY, World, request_for, rpc_names
from lakewarden_server.rules_document import EMPTY_LIST, OWN_IDENTITY, REFUSED, SAYS_NO

EVERYBODY = "account users"
PLACES = {"unassigned workspace": "workspace", "no workspace": ""}
KINDLESS = {name for name, method in offered().items() if method.rule.securable_type}
"""An empty request names no kind, so that not even an operation is chosen."""
OF_ONESELF = {
    "lakewarden.v1.TokenService/CreateToken",
    "lakewarden.v1.TokenService/DeleteToken",
    "lakewarden.v1.TokenService/ListTokens",
    "lakewarden.v1.TokenService/RotateToken",
}
"""Without a principal these are about the caller's own tokens."""


def documented() -> dict[str, str]:
    """The column `without grants` of the stored RULES.md, by wire name."""
    text = resources.files("lakewarden_policy").joinpath("RULES.md").read_text(encoding="utf-8")
    found, service = {}, ""
    for line in text.splitlines():
        heading = re.fullmatch(r"## (lakewarden\.v1\.\w+)", line)
        service = heading[1] if heading else service
        row = re.match(r"\| (\w+) \| (?:read|write) \| ([^|]+) \|", line)
        if row:
            found[f"{service}/{row[1]}"] = row[2]
    return found


def test_rules_document_has_every_rpc() -> None:
    assert set(documented()) == set(offered())
    assert set(documented().values()) == {REFUSED, EMPTY_LIST, OWN_IDENTITY, SAYS_NO}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", rpc_names())
def test_token_without_grants_gets_what_rules_md_says(
    world: World, channel: grpc.Channel, name: str, place: str
) -> None:
    answer = call(channel, name, request_for(name, world), token=world.nobody_token, workspace=PLACES[place])
    expected = documented()[name]
    if expected == REFUSED or (expected == OWN_IDENTITY and not _lists_or_shows_oneself(name)):
        _assert_refused(answer, in_workspace=bool(PLACES[place]))
    elif expected == EMPTY_LIST:
        # A list inside the namespace needs a workspace before it can be empty.
        assert answer.code == "OK" or _says_where(answer, in_workspace=bool(PLACES[place]))
        assert _rows(answer) == []
    elif expected == SAYS_NO:
        assert _verdicts(answer) == [False]
    else:
        assert answer.code == "OK"
        assert _shown(answer.message) <= {NOBODY, EVERYBODY}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", rpc_names())
def test_empty_request_shows_nothing_more(world: World, channel: grpc.Channel, name: str, place: str) -> None:
    answer = call(channel, name, b"", token=world.nobody_token, workspace=PLACES[place])
    expected = documented()[name]
    if (answer.code, answer.reason) == ("INVALID_ARGUMENT", "NAME_INVALID"):
        # No name at all: refused before anything is looked up, for everybody alike.
        assert offered()[name].rule.self or offered()[name].rule.parent
    elif name in KINDLESS:
        assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    elif expected == SAYS_NO:
        assert answer.code == "INVALID_ARGUMENT"
    elif name in OF_ONESELF:
        assert answer.code in {"OK", "NOT_FOUND"}
    elif expected == EMPTY_LIST:
        assert _rows(answer) == []
    elif expected == REFUSED or not _lists_or_shows_oneself(name):
        _assert_refused(answer, in_workspace=bool(PLACES[place]))
    else:
        assert _shown(answer.message) <= {NOBODY, EVERYBODY}


def test_service_principal_without_grants_is_shown_itself(world: World, channel: grpc.Channel) -> None:
    session = call(channel, "lakewarden.v1.SessionService/GetSession", token=world.engine_token)
    assert session.message.principal == world.engine
    listed = call(
        channel, "lakewarden.v1.ServicePrincipalService/ListServicePrincipals", token=world.engine_token
    )
    assert [row.name for row in listed.message.service_principals] == [world.engine]


def test_own_identity_is_complete(world: World, channel: grpc.Channel) -> None:
    session = call(channel, "lakewarden.v1.SessionService/GetSession", token=world.nobody_token).message
    assert (session.principal, list(session.groups)) == (NOBODY, [EVERYBODY])
    assert session.workspace == ""
    users = call(channel, "lakewarden.v1.UserService/ListUsers", token=world.nobody_token).message.users
    assert [user.name for user in users] == [NOBODY]


def test_admin_gets_through_with_the_same_requests(world: World, channel: grpc.Channel) -> None:
    """The control: the requests above are refused for who asks, not for what they say."""
    # An admin is a person, and watching is for programs.
    watching = "lakewarden.v1.AuthorizationService/WatchPolicy"
    rules = {name: offered()[name].rule for name in rpc_names()}
    reads = [name for name, rule in rules.items() if not (rule.write or rule.records) and name != watching]
    answers = {
        name: call(
            channel,
            name,
            request_for(name, world),
            token=world.server.admin_token,
            workspace="workspace",
        ).code
        for name in reads
    }
    assert set(answers.values()) == {"OK"}, answers


def _lists_or_shows_oneself(name: str) -> bool:
    """Whether the request written down for the RPC is about the caller rather than about somebody else."""
    method = offered()[name]
    return method.noun == "session" or (method.rule.operation.endswith(".list") and not method.rule.subject)


def _assert_refused(answer: Answer, *, in_workspace: bool) -> None:
    assert answer.code == "PERMISSION_DENIED" or _says_where(answer, in_workspace=in_workspace), answer
    assert answer.message is None


def _says_where(answer: Answer, *, in_workspace: bool) -> bool:
    wanted = ("INVALID_ARGUMENT", "WORKSPACE_REQUIRED")
    return not in_workspace and (answer.code, answer.reason) == wanted


def _rows(answer: Answer) -> list[Any]:
    fields = answer.message.ListFields() if answer.message is not None else []
    return [value for field, value in fields if field.name != "revision"]


def _verdicts(answer: Answer) -> list[bool]:
    reply = answer.message
    if hasattr(reply, "verdict"):
        return [reply.verdict.allowed]
    assert not getattr(reply, "allowed", False)
    return [verdict.allowed for verdict in reply.verdicts]


def _shown(reply: Any) -> set[str]:
    """The principals a reply about one's identity names. How long a list is told to be must not tell of more."""
    if hasattr(reply, "principal"):
        return {reply.principal, *reply.groups}
    fields = {field.name: value for field, value in reply.ListFields()}
    told = fields.pop("total_size", 0)
    ((_, rows),) = fields.items() or (("", []),)
    assert told in {0, len(rows)}
    return {row.name for row in rows}
