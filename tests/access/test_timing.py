"""No answer and no time tells a known id from an unknown one, what is hidden from what is missing, or how much of a secret is right."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from access.rpcs import call, request_class
from access.timings import Measured, measure
from lakewarden_server.authn.authenticator import Authenticator
from lakewarden_server.authn.tokens import ALPHABET, TokenKind, TokenText, mint, parse
from lakewarden_server.core.errors import Reason, Unauthenticated
from lakewarden_server.core.peers import LOCAL
from lakewarden_server.pipeline import pipeline
from lakewarden_server.pipeline.errors import CallFailed
from lakewarden_server.pipeline.pipeline import Incoming
from lakewarden_server.testing import EmbeddedServer, serve

PAIRS, AREA_SLACK = 200, 0.15
PAIRS_LONG, AREA_SLACK_LONG = 2_000, 0.05
PAIRS_OF_CONTROL = 700
"""Their areas are 0.2 to 0.4, and so many pairs tell 0.4 from 0.45 each time."""
ATTEMPTS_MAX = 3
"""A busy machine tells nothing three times in a row; a difference shows in each."""
GUEST = "guest@example.com"
SESSION = "SessionService/GetSession"
ACCESS = {"securableType": "TABLE", "privilege": "SELECT"}


class Question(NamedTuple):
    """One call, as its sender makes it."""

    rpc: str
    body: Mapping[str, Any]
    authorization: str
    told: str = ""
    """What it names, which its answer may repeat."""


class Pair(NamedTuple):
    """Two calls that must not be told apart."""

    first: Question
    second: Question


@dataclass(frozen=True)
class House:
    """A server, and everything the guest is not told of it."""

    server: EmbeddedServer
    channel: grpc.Channel
    pairs: Mapping[str, Pair]

    def on_the_wire(self, question: Question) -> Callable[[], object]:
        """Asks over the one connection."""
        name = f"lakewarden.v1.{question.rpc}"
        request = ParseDict(question.body, request_class(name)()).SerializeToString()

        def ask() -> object:
            answer = call(
                self.channel, name, request, workspace="workspace", authorization=question.authorization
            )
            message = _without(str(answer.message), question)
            return answer.code, answer.reason, _without(answer.text, question), message, answer.details

        return ask

    def in_the_process(self, question: Question) -> Callable[[], object]:
        """Asks the pipeline, where no transport hides a microsecond."""
        name = f"lakewarden.v1.{question.rpc}"
        request = ParseDict(question.body, request_class(name)())
        metadata = {"authorization": question.authorization, "lakewarden-workspace": "workspace"}

        def ask() -> object:
            try:
                self.server.app.pipeline.handle(name, request, Incoming(metadata, 10.0, LOCAL))
            except CallFailed as failure:
                return failure.status.code
            return 0

        return ask


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with serve() as server, grpc.insecure_channel(server.endpoint) as channel:
        admin, guest = server.client(), f"Bearer {server.token_of(GUEST)}"
        admin.catalogs.create("main")
        admin.schemas.create("main.room")
        admin.tables.create("main.room.box")
        admin.users.create("spy@example.com")
        admin.groups.create("secret")
        admin.metastores.create("elsewhere")
        admin.workspaces.create("remote", metastore="elsewhere", omit_catalog=True)
        program = admin.service_principals.create("program").name

        def named(rpc: str, field: str, hidden: str, missing: str) -> Pair:
            first, second = (Question(rpc, {field: name}, guest, name) for name in (hidden, missing))
            return Pair(first, second)

        def checked(name: str) -> Question:
            return Question(
                "AuthorizationService/Check", {"access": {**ACCESS, "fullName": name}}, guest, name
            )

        pairs = {
            "table": named("TableService/GetTable", "fullName", "main.room.box", "main.room.fox"),
            "deletion": named("TableService/DeleteTable", "fullName", "main.room.box", "main.room.fox"),
            "schema": named("SchemaService/GetSchema", "fullName", "main.room", "main.roam"),
            "catalog": named("CatalogService/GetCatalog", "fullName", "main", "mean"),
            "user": named("UserService/GetUser", "name", "spy@example.com", "spa@example.com"),
            "group": named("GroupService/GetGroup", "name", "secret", "secrat"),
            "workspace": named("WorkspaceService/GetWorkspace", "fullName", "remote", "remove"),
            "system table": named(
                "SystemTableService/ReadSystemTable", "fullName",
                "main.information_schema.tables", "mean.information_schema.tables",
            ),
            "list": named("TableService/ListTables", "parent", "main.room", "main.roam"),
            "check": Pair(checked("main.room.box"), checked("main.room.fox")),
            **_credentials(admin.tokens.create().token_value, "token", "", TokenKind.PAT),
            **_credentials(
                admin.service_principals.create_secret(program).secret_value, "secret", program, TokenKind.CLIENT_SECRET
            ),
        }  # fmt: skip
        yield House(server, channel, pairs)


def _credentials(text: str, noun: str, client: str, kind: TokenKind) -> dict[str, Pair]:
    """A known and an unknown id; a secret of which nothing and one of which all but the last character is right."""
    real, other = parse(text), mint(kind)
    last = next(letter for letter in ALPHABET if letter != real.secret[-1])
    nearly, wrong, unknown = (
        Question(SESSION, {}, _shown(found.render(), client))
        for found in (
            TokenText(kind, real.id, real.secret[:-1] + last),
            TokenText(kind, real.id, other.secret),
            TokenText(kind, other.id, other.secret),
        )
    )
    return {f"{noun} id": Pair(wrong, unknown), f"{noun} prefix": Pair(nearly, wrong)}


def _shown(text: str, client: str) -> str:
    return f"Basic {base64.b64encode(f'{client}:{text}'.encode()).decode()}" if client else f"Bearer {text}"


def _without(text: str, question: Question) -> str:
    return text.replace(question.told, "{name}") if question.told else text


NAMES = (
    "table", "deletion", "schema", "catalog", "user", "group", "workspace", "system table", "list", "check",
    "token id", "token prefix", "secret id", "secret prefix",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_neither_answer_nor_time_tells_them_apart(house: House, name: str) -> None:
    told = [house.on_the_wire(question)() for question in house.pairs[name]]
    assert told[0] == told[1]
    if name == "check":
        # An engine's question is not slowed down: it is told from others where microseconds are, not over a connection.
        return
    assert found(house.in_the_process, house.pairs[name], pairs=PAIRS, slack=AREA_SLACK) is None


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_neither_answer_nor_time_tells_them_apart_on_the_wire(house: House, name: str) -> None:
    assert found(house.on_the_wire, house.pairs[name], pairs=PAIRS_LONG, slack=AREA_SLACK_LONG) is None


def found(
    asked: Callable[[Question], Callable[[], object]], pair: Pair, *, pairs: int, slack: float
) -> Measured | None:
    """What tells two questions apart, in each of some attempts; None where nothing does. Fails where their answers differ."""
    for attempt in range(ATTEMPTS_MAX):
        measured = measure(asked(pair.first), asked(pair.second), pairs=pairs, chance=random.Random(attempt))
        assert measured.first == measured.second
        assert len(measured.first) == 1
        if abs(measured.area - 0.5) <= slack:
            return None
    return measured


@pytest.mark.parametrize("name", ["table", "catalog", "system table"])
def test_control_a_server_that_refuses_at_once_is_caught(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(pipeline, "even_out", lambda *_: None)
    measured = found(house.in_the_process, house.pairs[name], pairs=PAIRS_OF_CONTROL, slack=AREA_SLACK_LONG)
    assert measured is not None
    assert measured.area < 0.5, "what is missing is refused sooner"


@pytest.mark.parametrize("name", ["token id", "secret id"])
def test_control_an_early_exit_for_an_unknown_id_is_caught(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole = Authenticator._verified

    def early(self: Authenticator, snapshot: Any, text: TokenText, now: Any) -> Any:
        if text.id not in snapshot.tokens:
            raise Unauthenticated(Reason.TOKEN_INVALID, "not valid")
        return whole(self, snapshot, text, now)

    monkeypatch.setattr(Authenticator, "_verified", early)
    measured = found(house.in_the_process, house.pairs[name], pairs=PAIRS_OF_CONTROL, slack=AREA_SLACK_LONG)
    assert measured is not None
    assert measured.area < 0.5, "an unknown id is refused sooner"
