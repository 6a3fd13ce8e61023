"""Two metastores of three workspaces with the same names everywhere, and calls from one of the six into another.

A call is what an RPC is asked at home, with one field swapped for something that only the other place has: an id, a name, a page
token; or sent from the other place. The RPCs and their fields are those of the descriptors.
"""

from __future__ import annotations

import itertools
import random
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import grpc
from google.protobuf.json_format import ParseDict
from sqlalchemy import select

from access import definitions, objects, places
from access.rpcs import Answer, call, offered, request_class
from access.world import NOBODY, REQUESTS, rpc_names
from lakewarden import Client
from lakewarden_policy import IN_WORKSPACE, KINDS, load_policy
from lakewarden_server.entities import ChangeLog
from lakewarden_server.testing import ADMIN, EmbeddedServer

METASTORES = ("west", "east")
WORKSPACES_EACH = 3
TRAVELLER = "traveller@example.com"
_PREFIX = "lakewarden.v1."
_DEPTH = 3
_TELLING_TIMES = 5
_MAKERS = tuple(
    privilege.name for privilege in load_policy().privileges.values()
    if privilege.kind == "METASTORE" and privilege.name.startswith("CREATE_")
)  # fmt: skip
# Who is named there is somebody of the account, which has one namespace for all places.
_OF_PRINCIPALS = frozenset({
    "owner", "principal", "member", "members", "group", "add", "remove", "subject", "actor", "engine",
    "add_members", "remove_members", "service_principal", "created_by", "updated_by", "recipient",
})  # fmt: skip
# Who would own a workspace or a metastore would be at home in what lies beside it.
_AT_HOME: Mapping[str, Mapping[str, Any]] = {
    "GroupService/UpdateGroup": {"name": "analysts", "group": {"externalId": "x"}, "updateMask": "externalId"},
    "MetastoreService/UpdateMetastore": {"metastore": {"fullName": "metastore", "comment": "x"}, "updateMask": "comment"},
    "WorkspaceService/UpdateWorkspace": {"workspace": {"fullName": "workspace", "comment": "x"}, "updateMask": "comment"},
}  # fmt: skip
# SQL is taken apart before anything is looked up, and no two texts parse alike.
_SQL = frozenset({"definition", "create_statement"})
_NEW_NAMES = frozenset({"name", "new_name"})


@dataclass
class Place:
    """A workspace, what its requests are called there, and what nothing but it has."""

    metastore: str
    workspace: str
    words: dict[str, str]
    """What the requests of `REQUESTS` name, and what that is called here."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Callers at home here: the keeper, and a traveller who works everywhere, with a token limited to this workspace."""
    ids: set[str] = field(default_factory=set)
    credentials: set[str] = field(default_factory=set)
    """Ids of tokens and client secrets, which are among the ids."""
    shared_ids: set[str] = field(default_factory=set)
    """Of what all workspaces of the metastore reach."""
    names: set[str] = field(default_factory=set)
    principals: set[str] = field(default_factory=set)
    page_tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    """By caller and RPC."""

    def request(self, rpc: str) -> Any:
        """What the RPC is asked at home."""
        return ParseDict(self._fill(_AT_HOME.get(rpc, REQUESTS[rpc])), request_class(_PREFIX + rpc)())

    def _fill(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._fill(inner) for inner in value]
        if isinstance(value, str) and value.startswith("s3://bucket"):
            return value.replace("bucket", self.metastore)
        return self.words.get(value, value) if isinstance(value, str) else value


class Swap(NamedTuple):
    """One call from a place into another one."""

    rpc: str
    caller: str
    home: Place
    other: Place
    path: str
    """The field that is swapped; empty where the call says that it comes from the other workspace."""
    value: str
    """What the field, or the workspace of the call, says."""


class World:
    """The six places on one server."""

    def __init__(self, server: EmbeddedServer, channel: grpc.Channel) -> None:
        self.server = server
        self._channel = channel
        self._said = set[str]()
        server.client(workspace="").users.create(TRAVELLER)
        self.places = [
            Place(metastore, f"{metastore}-{number}", {})
            for metastore in METASTORES
            for number in range(1, WORKSPACES_EACH + 1)
        ]
        for place in self.places:
            _build(server, place)
        for place in self.places:
            self._create_second_ones(place)
        for place in self.places:
            self._learn(place)
        self.renew()

    def ask(self, caller: str, place: Place, rpc: str, request: Any, *, workspace: str = "") -> Answer:
        """One call with the token a caller has at a place, from there or from another workspace."""
        text, token = request.SerializeToString(), place.tokens[caller]
        return call(self._channel, _PREFIX + rpc, text, token=token, workspace=workspace or place.workspace)

    def crossed(self, swap: Swap, chance: random.Random) -> str:
        """How a call reached into the other place; empty where it did not."""
        before = self.server.app.follower.at_head().head.revision
        answer = self._sent(swap, swap.value)
        if swap.path.endswith("page_token") and answer.code == "OK":
            return "the page token was taken"
        if not swap.path and swap.caller == "traveller" and answer.code == "OK":
            return "a token of another workspace was taken"
        found = self._changed(before, swap) or self._told(answer, swap) or self._differs(answer, swap, chance)
        if answer.code == "OK" and offered()[_PREFIX + swap.rpc].rule.write:
            # A name or comment now, as good as any, which later answers tell.
            self._said.add(swap.value)
        return found

    def _sent(self, swap: Swap, value: str) -> Answer:
        request = swap.home.request(swap.rpc)
        if not swap.path:
            return self.ask(swap.caller, swap.home, swap.rpc, request, workspace=value)
        _put(request, swap.path, value)
        return self.ask(swap.caller, swap.home, swap.rpc, request)

    def _told(self, answer: Answer, swap: Swap) -> str:
        text = f"{answer.message}{answer.text}{answer.metadata}"
        seen = [one for one in self._foreign(swap) if one in text]
        return f"the answer tells {seen}" if seen else ""

    def _changed(self, before: int, swap: Swap) -> str:
        with self.server.app.database.read() as view:
            rows = view.connection.execute(
                select(ChangeLog.kind, ChangeLog.object_id, ChangeLog.before, ChangeLog.after).where(
                    ChangeLog.revision > before
                )
            )
            changes = [(row.object_id, f"{row.before}{row.after}") for row in rows]
        touched = [
            changed for changed, text in changes
            if changed in swap.other.ids or any(one in text for one in self._foreign(swap))
        ]  # fmt: skip
        return f"it changed {touched}" if touched else ""

    def _foreign(self, swap: Swap) -> set[str]:
        """Ids that nobody at home is told; what a call says itself is no news."""
        shared = set[str]() if swap.home.metastore == swap.other.metastore else swap.other.shared_ids
        return (swap.other.ids | shared) - self._said - {swap.value}

    def _differs(self, answer: Answer, swap: Swap, chance: random.Random) -> str:
        """Whether what exists elsewhere is answered otherwise than what exists nowhere; principals exist for the whole account."""
        written = answer.code == "OK" and offered()[_PREFIX + swap.rpc].rule.write
        named = self._said - swap.other.names if swap.path else set[str]()
        if written or swap.value in swap.other.principals | named:
            return ""
        twin = _twin(swap.value, chance)
        other = self._sent(swap, twin)
        told, plain = _shape(answer, swap.value), _shape(other, twin)
        return "" if told == plain else f"it is answered {told}, what exists nowhere {plain}"

    def _create_second_ones(self, place: Place) -> None:
        """Hands over what there is, and makes another one of every kind, so that lists have pages."""
        place.tokens["admin"] = self.server.admin_token
        for rpc in filter(_owned, sorted(REQUESTS)):
            self.ask("admin", place, rpc, place.request(rpc))
        del place.tokens["admin"]
        for rpc in sorted(REQUESTS):
            method = offered()[_PREFIX + rpc]
            if method.rule.operation.endswith("create") and _lies_here(method.kind):
                self.ask("keeper", place, rpc, place.request(rpc))

    def _learn(self, place: Place) -> None:
        """Ids of what nothing but the place has, and of what its metastore has."""
        snapshot = self.server.app.follower.at_head().snapshot
        for row in snapshot.securables.values():
            chain = {snapshot.securables[one].name for one in (row.id, *snapshot.ancestors(row.id))}
            if not {place.metastore, place.workspace} & chain:
                continue
            own = {place.workspace, place.words["own"]} & chain
            (place.ids if own else place.shared_ids).add(row.id)
        place.credentials |= {
            token.id
            for token in snapshot.tokens.values()
            if token.workspace_id and snapshot.securables[token.workspace_id].name == place.workspace
        }
        place.ids |= place.credentials

    def renew(self) -> None:
        """What servers remember of people is forgotten, because there is somebody new, and everybody begins every list at home."""
        self.server.client(workspace="").users.create(f"{uuid.uuid4()}@example.com")
        for place, rpc in itertools.product(self.places, sorted(REQUESTS)):
            request = place.request(rpc)
            if "page_token" not in request.DESCRIPTOR.fields_by_name:
                continue
            if "page_size" in request.DESCRIPTOR.fields_by_name:
                request.page_size = 1
            for caller in place.tokens:
                answer = self.ask(caller, place, rpc, request)
                if answer.code == "OK" and answer.message.next_page_token:
                    place.page_tokens[caller, rpc] = answer.message.next_page_token


def swaps(world: World, chance: random.Random) -> Iterator[Swap]:
    """Without end, every RPC in turn; each time another field, value, pair of places and caller."""
    while True:
        rpcs = [rpc.removeprefix(_PREFIX) for rpc in rpc_names()]
        chance.shuffle(rpcs)
        for rpc in rpcs:
            home, other = chance.sample(world.places, 2)
            caller = chance.choice(("keeper", "traveller"))
            path = chance.choice(["", *fields(rpc), *_telling(rpc) * _TELLING_TIMES])
            value = path and _value(rpc, caller, home, other, path, chance)
            yield Swap(rpc, caller, home, other, path if value else "", value or other.workspace)


@cache
def fields(rpc: str) -> tuple[str, ...]:
    """Paths of the texts in an RPC's request that can say something of another place."""
    return tuple(_leaves(request_class(_PREFIX + rpc).DESCRIPTOR))


@cache
def _telling(rpc: str) -> tuple[str, ...]:
    """Those that say what the call is about."""
    rule = offered()[_PREFIX + rpc].rule
    return tuple(
        path for path in fields(rpc) if path in {rule.self, rule.parent, rule.subject, "id", "page_token"}
    )


def _leaves(descriptor: Any, prefix: str = "", depth: int = 0) -> Iterator[str]:
    for one in descriptor.fields:
        message = one.message_type
        if message is not None and (
            message.GetOptions().map_entry or message.file.package != "lakewarden.v1"
        ):
            continue
        if message is not None and depth < _DEPTH:
            yield from _leaves(message, f"{prefix}{one.name}.", depth + 1)
        elif one.type == one.TYPE_STRING and one.name not in _SQL:
            yield prefix + one.name


def _value(rpc: str, caller: str, home: Place, other: Place, path: str, chance: random.Random) -> str:
    leaf, method = path.rpartition(".")[2], offered()[_PREFIX + rpc]
    if leaf == "page_token":
        own = other.page_tokens.get((caller, rpc))
        return own or chance.choice(sorted(other.page_tokens.values()))
    choices = other.credentials if path == "id" else other.ids
    named = path in (method.rule.self, method.rule.subject)
    if named and (method.rule.subject or str(method.kind) in {"SERVICE_PRINCIPAL", "GROUP"}):
        choices = other.principals
    elif leaf in _OF_PRINCIPALS:
        # A program of another place is somebody of the account too: only questions about it are asked.
        choices = set() if method.rule.write else other.principals | other.ids
    elif leaf not in _NEW_NAMES and path != "id":
        choices = other.ids | (other.names - home.names)
    return chance.choice(sorted(choices)) if choices else ""


def _put(message: Any, path: str, value: str) -> None:
    first, _, rest = path.partition(".")
    descriptor = message.DESCRIPTOR.fields_by_name[first]
    if not rest and descriptor.is_repeated:
        getattr(message, first)[:] = [value]
    elif not rest:
        setattr(message, first, value)
    elif descriptor.is_repeated:
        rows = getattr(message, first)
        _put(rows[0] if rows else rows.add(), rest, value)
    else:
        _put(getattr(message, first), rest, value)


def _twin(value: str, chance: random.Random) -> str:
    """What has the same form and is nothing's."""
    if len(value) == len(str(uuid.UUID(int=0))) and value.count("-") == 4:
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))
    letters = (chance.choice("xyz") if one.isalpha() else one for one in value)
    return "".join(chance.choice("789") if one.isdigit() else one for one in letters)


def _shape(answer: Answer, value: str) -> tuple[str, ...]:
    message = "" if answer.message is None else str(answer.message)
    texts = (answer.code, answer.reason, answer.text, message, str(sorted((answer.metadata or {}).items())))
    # As a word: the name of a metastore is in the names of its people.
    word = re.compile(rf"(?<![\w@.-]){re.escape(value)}(?![\w@.-]*@|\w)")
    return tuple(word.sub("{value}", text) for text in texts)


def _lies_here(kind: str | None) -> bool:
    return kind is None or kind in IN_WORKSPACE or KINDS[kind].parents not in {(), ("ACCOUNT",)}


def _build(server: EmbeddedServer, place: Place) -> None:
    """A workspace with a keeper, a program, a team, a catalog and objects of its own; the first one makes what the metastore shares."""
    account = server.client(workspace="")
    number = place.workspace[-1]
    keepers, keeper, team = (
        f"{place.metastore}-keepers",
        f"keeper@{place.workspace}.example",
        f"team-{place.workspace}",
    )
    if number == "1":
        account.metastores.create(place.metastore)
        account.groups.create(keepers)
    account.workspaces.create(place.workspace, metastore=place.metastore, omit_catalog=True)
    account.users.create(keeper)
    for privilege in _MAKERS if number == "1" else ():
        account.grants.grant(privilege, "metastore", place.metastore, keepers)
    account.groups.update_members(keepers, add=[keeper] if number != "1" else [keeper, TRAVELLER])
    account.groups.create(team)
    engine = account.service_principals.create("engine").name
    secrets = [account.service_principals.create_secret(engine).secret.id for _ in range(2)]
    for who in (keeper, TRAVELLER):
        account.grants.grant(["USER", "ADMIN", "QUERY_ENGINE"], "workspace", place.workspace, who)
        account.grants.grant("MANAGER", "group", team, who)
        account.grants.grant("MANAGER", "service_principal", engine, who)
        account.grants.grant("USER", "service_principal", engine, who)
    place.tokens["keeper"] = server.issue_token(keeper)
    admin = server.client(workspace=place.workspace)
    admin.grants.grant("USER", "workspace", place.workspace, ADMIN)
    deleted = _build_shared(admin, place) if number == "1" else ""
    _build_own(admin, place, number)
    home = server.client(place.tokens["keeper"], workspace=place.workspace)
    tokens = [home.tokens.create(workspace=place.workspace).token.id for _ in range(2)]
    traveller = server.client(server.token_of(TRAVELLER), workspace=place.workspace)
    place.tokens["traveller"] = traveller.tokens.create(workspace=place.workspace).token_value
    place.words.update({
        "metastore": place.metastore, "workspace": place.workspace, "analysts": team,
        ADMIN: keeper, NOBODY: keepers, "own": f"own{number}", "{engine}": engine,
        "{deleted}": deleted or f"main.sales.{uuid.UUID(int=1)}", "{admin_token_id}": tokens[0], "0" * 22: tokens[1],
    })  # fmt: skip
    place.credentials |= {*secrets, *tokens}
    place.ids |= place.credentials
    place.principals |= {engine, team}
    place.names |= {place.workspace, place.metastore}


def _build_shared(admin: Client, place: Place) -> str:
    """What the metastore's workspaces share; returns the name of a deleted table."""
    admin.catalogs.create("main")
    admin.schemas.create("main.sales")
    admin.tables.create("main.sales.orders", [{"name": "id", "type_text": "BIGINT"}])
    deleted = admin.tables.create("main.sales.gone").id
    admin.tables.delete("main.sales.gone")
    admin.volumes.create("main.sales.receipts")
    admin.models.create("main.sales.churn")
    for _ in range(2):
        admin.models.create_version("main.sales.churn")
    definitions.create_all(admin)
    places.build_places(admin, f"s3://{place.metastore}/raw")
    admin.catalogs.set_owner("main", f"{place.metastore}-keepers")
    return f"main.sales.{deleted}"


def _build_own(admin: Client, place: Place, number: str) -> None:
    """What one workspace alone reaches: its objects, and a catalog isolated to it."""
    objects.build_objects(admin)
    own = f"own{number}"
    admin.catalogs.create(own)
    admin.schemas.create(f"{own}.sales")
    admin.tables.create(f"{own}.sales.orders", [{"name": "id", "type_text": "BIGINT"}])
    admin.workspace_bindings.update("catalog", own, isolated=True)
    admin.catalogs.set_owner(own, f"keeper@{place.workspace}.example")
    place.names |= {own, f"{own}.sales", f"{own}.sales.orders"}


def _owned(rpc: str) -> bool:
    """Whether the RPC's request hands over something that lies in a metastore or a workspace."""
    return rpc not in _AT_HOME and REQUESTS[rpc].get("updateMask") == "owner"
