"""Who may do what with credentials, locations, connections and shares: role x act -> allowed or denied, from semantics 3.3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from access.places import LISTS, NOUNS, ORDERS, Noun, build_places, requests
from access.rpcs import Answer, call, request_class
from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer, serve

ROLES: Mapping[str, str] = {
    "met": "owner of the metastore",
    "own": "owner of the object and of nothing else, who may read main.sales.orders",
    "man": "MANAGE on the object where that is granted, and on each credential what creating with it needs",
    "cre": "all CREATE privileges on the metastore, and on each credential what creating with it needs",
    "use": "USE SHARE, USE RECIPIENT and USE PROVIDER on the metastore",
    "set": "SET SHARE PERMISSION and USE SHARE on the metastore",
    "prv": "the least privilege on the object",
    "any": "assigned to the workspace, holds nothing",
    "una": "as man, but not assigned to the workspace",
}

# `+` may, `.` may not.
TABLE = """
                               met own man cre use set prv any una
storage_credential.create       +   .   .   +   .   .   .   .   .
storage_credential.get          +   +   +   +   .   .   +   .   .
storage_credential.comment      +   +   +   .   .   .   .   .   .
storage_credential.identity     +   +   +   .   .   .   .   .   .
storage_credential.rename       +   .   .   .   .   .   .   .   .
storage_credential.transfer     +   +   +   .   .   .   .   .   .
storage_credential.delete       +   +   +   .   .   .   .   .   .
storage_credential.grant        +   +   +   .   .   .   .   .   .
service_credential.create       +   .   .   +   .   .   .   .   .
service_credential.get          +   +   +   +   .   .   +   .   .
service_credential.comment      +   +   +   .   .   .   .   .   .
service_credential.identity     +   +   +   .   .   .   .   .   .
service_credential.rename       +   .   .   .   .   .   .   .   .
service_credential.transfer     +   +   +   .   .   .   .   .   .
service_credential.delete       +   +   +   .   .   .   .   .   .
service_credential.grant        +   +   +   .   .   .   .   .   .
external_location.create        +   .   .   +   .   .   .   .   .
external_location.get           +   +   +   .   .   .   +   .   .
external_location.comment       +   +   +   .   .   .   .   .   .
external_location.read_only     +   +   +   .   .   .   .   .   .
external_location.move          .   +   +   .   .   .   .   .   .
external_location.rename        +   .   .   .   .   .   .   .   .
external_location.transfer      +   +   +   .   .   .   .   .   .
external_location.delete        +   +   +   .   .   .   .   .   .
external_location.grant         +   +   +   .   .   .   .   .   .
connection.create               +   .   .   +   .   .   .   .   .
connection.create-credential    .   .   .   +   .   .   .   .   .
connection.get                  +   +   +   .   .   .   +   .   .
connection.comment              +   +   +   .   .   .   .   .   .
connection.options              +   +   +   .   .   .   .   .   .
connection.credential           .   +   +   .   .   .   .   .   .
connection.rename               +   .   .   .   .   .   .   .   .
connection.transfer             +   +   +   .   .   .   .   .   .
connection.delete               +   +   +   .   .   .   .   .   .
connection.grant                +   +   +   .   .   .   .   .   .
share.create                    +   .   .   +   .   .   .   .   .
share.get                       +   +   .   .   +   +   .   .   .
share.objects                   +   +   .   .   +   +   .   .   .
share.recipients                +   +   .   .   +   +   .   .   .
share.comment                   +   +   .   .   .   .   .   .   .
share.rename                    +   .   .   .   .   .   .   .   .
share.transfer                  +   .   .   .   .   +   .   .   .
share.delete                    +   +   .   .   .   .   .   .   .
share.add                       .   +   .   .   .   .   .   .   .
share.give                      +   +   .   .   .   .   .   .   .
share.take                      +   +   .   .   .   .   .   .   .
recipient.create                +   .   .   +   .   .   .   .   .
recipient.get                   +   +   .   .   +   .   .   .   .
recipient.comment               +   +   .   .   .   .   .   .   .
recipient.rename                +   .   .   .   .   .   .   .   .
recipient.transfer              +   +   .   .   .   .   .   .   .
recipient.delete                +   +   .   .   .   .   .   .   .
provider.create                 +   .   .   +   .   .   .   .   .
provider.get                    +   +   .   .   +   .   .   .   .
provider.comment                +   +   .   .   .   .   .   .   .
provider.rename                 +   .   .   .   .   .   .   .   .
provider.transfer               +   +   .   .   .   .   .   .   .
provider.delete                 +   +   .   .   .   .   .   .   .
external_metadata.create        +   .   .   +   .   .   .   .   .
external_metadata.get           +   +   +   +   +   +   +   +   .
external_metadata.comment       .   +   .   .   .   .   +   .   .
external_metadata.columns       .   +   .   .   .   .   +   .   .
external_metadata.rename        +   .   .   .   .   .   .   .   .
external_metadata.transfer      +   +   +   .   .   .   .   .   .
external_metadata.delete        +   +   +   .   .   .   .   .   .
external_metadata.grant         +   +   +   .   .   .   .   .   .
"""

STALE = "000000000000-0"
# What creating something with a credential needs on it, and the least privilege on each kind.
USES = (
    ("CREATE EXTERNAL LOCATION", "storage_credential", "lake"),
    ("CREATE CONNECTION", "service_credential", "desk"),
)
LEAST = {
    "storage_credential": "CREATE EXTERNAL TABLE",
    "service_credential": "ACCESS",
    "external_location": "READ FILES",
    "connection": "USE CONNECTION",
    "external_metadata": "MODIFY",
}
RESOURCES = (
    "storage_credentials", "service_credentials", "external_locations", "connections", "shares", "recipients",
    "providers", "external_metadata",
)  # fmt: skip


def _update(noun: Noun, path: str, **values: Any) -> tuple[str, Mapping[str, Any]]:
    message = {"fullName": noun.name, "etag": STALE, **values}
    return f"{noun.service}Service/Update{noun.service}", {noun.field: message, "updateMask": path}


def _acts() -> dict[str, tuple[str, Mapping[str, Any]]]:
    """What every kind has, and what some have: requests that change nothing when they are allowed."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for noun in NOUNS:
        act, service = noun.kind.lower(), f"{noun.service}Service"
        new = {"name": noun.name, **noun.required}
        gone = {"fullName": noun.name, "etag": STALE, **({"force": True} if noun.force else {})}
        found[f"{act}.create"] = f"{service}/Create{noun.service}", {noun.field: new}
        found[f"{act}.get"] = f"{service}/Get{noun.service}", {"fullName": noun.name}
        found[f"{act}.comment"] = _update(noun, "comment")
        found[f"{act}.rename"] = _update(noun, "name", name="x")
        found[f"{act}.transfer"] = _update(noun, "owner", owner=email("any"))
        found[f"{act}.delete"] = f"{service}/Delete{noun.service}", gone
        if act in LEAST:
            change = {"action": "GRANT", "principal": "nobody at all", "privileges": [LEAST[act]]}
            granted = {"securableType": noun.kind, "fullName": noun.name, "changes": [change]}
            found[f"{act}.grant"] = "GrantService/UpdateGrants", granted
        for name, (path, values) in MORE.get(act, {}).items():
            found[f"{act}.{name}"] = _update(noun, path, **values)
    return {**found, **BESIDE}


def email(role: str) -> str:
    """Name of the user who plays a role."""
    return f"{role}@example.com"


_ROLE = {"roleArn": "arn:aws:iam::1:role/other"}
MORE: Mapping[str, Mapping[str, tuple[str, dict[str, Any]]]] = {
    "storage_credential": {"identity": ("awsIamRole", {"awsIamRole": _ROLE})},
    "service_credential": {"identity": ("awsIamRole", {"awsIamRole": _ROLE})},
    "external_location": {
        "read_only": ("readOnly", {"readOnly": True}),
        "move": ("url,credential", {"url": "s3://bucket/moved", "credential": "lake"}),
    },
    "connection": {
        "options": ("options", {"options": {"host": "x"}}),
        "credential": ("credential", {"credential": "desk"}),
    },
    "external_metadata": {"columns": ("columns", {"columns": ["x"]})},
}
BESIDE: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "connection.create-credential": (
        "ConnectionService/CreateConnection",
        {"connection": {"name": "db", "connectionType": "HTTP", "credential": "desk"}},
    ),
    "share.objects": ("ShareService/ListShareObjects", {"fullName": "partners"}),
    "share.recipients": ("ShareService/ListShareRecipients", {"fullName": "partners"}),
    "share.add": ("ShareService/UpdateShareObjects", {"fullName": "partners", "add": [ORDERS]}),
    "share.give": ("ShareService/CreateShareRecipient", {"fullName": "partners", "recipient": "acme"}),
    "share.take": ("ShareService/DeleteShareRecipient", {"fullName": "partners", "recipient": "other"}),
}
ACTS = _acts()
ALLOWED = {
    ("ABORTED", "ETAG_MISMATCH"),
    ("ALREADY_EXISTS", "NAME_TAKEN"),
    ("INVALID_ARGUMENT", "PRINCIPAL_UNKNOWN"),
}


def cast(server: EmbeddedServer) -> dict[str, str]:
    """Builds the world and returns a token for each role."""
    admin = server.client()
    admin.catalogs.create("main")
    admin.schemas.create("main.sales")
    admin.tables.create(ORDERS)
    build_places(admin)
    admin.recipients.create("other")
    for role in ROLES:
        admin.users.create(email(role))
        if role != "una":
            admin.grants.grant("USER", "workspace", "workspace", email(role))
    for privilege in ("USE CATALOG", "USE SCHEMA", "SELECT"):
        for reader in (email("own"), "admin@example.com"):
            admin.grants.grant(privilege, "catalog", "main", reader)
    admin.shares.update_objects("partners", add=[ORDERS])
    admin.shares.add_recipient("partners", "acme")
    _grant(admin)
    for resource, noun in zip(RESOURCES, NOUNS, strict=True):
        getattr(admin, resource).set_owner(noun.name, email("own"))
    admin.recipients.set_owner("other", email("own"))
    admin.metastores.set_owner("metastore", email("met"))
    return {role: server.issue_token(email(role)) for role in ROLES}


def _grant(admin: Client) -> None:
    for noun in NOUNS:
        kind = noun.kind.lower()
        created = f"CREATE {noun.kind.replace('_', ' ')}"
        admin.grants.grant(created, "metastore", "metastore", email("cre"))
        if kind in LEAST:
            admin.grants.grant(LEAST[kind], kind, noun.name, email("prv"))
            for role in ("man", "una"):
                admin.grants.grant("MANAGE", kind, noun.name, email(role))
    for privilege, kind, name in USES:
        for role in ("man", "cre", "una"):
            admin.grants.grant(privilege, kind, name, email(role))
    for kind in ("SHARE", "RECIPIENT", "PROVIDER"):
        admin.grants.grant(f"USE {kind}", "metastore", "metastore", email("use"))
    admin.grants.grant(["SET SHARE PERMISSION", "USE SHARE"], "metastore", "metastore", email("set"))


def _rows() -> dict[str, dict[str, bool]]:
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    return {act: dict(zip(head, (mark == "+" for mark in marks), strict=True)) for act, *marks in rows}


EXPECTED = _rows()


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[EmbeddedServer, dict[str, str]]]:
    with serve() as server:
        yield server, cast(server)


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
    request = ParseDict(body, request_class(name)()).SerializeToString()
    answer = call(line, name, request, token=stage[1][role], workspace="workspace")
    assert _allowed(answer) is EXPECTED[act][role], answer


def test_table_has_every_rpc_of_these_kinds() -> None:
    asked = {rpc for rpc, _ in ACTS.values()} - {"GrantService/UpdateGrants"}
    assert asked | LISTS == set(requests(""))
    assert set(EXPECTED) == set(ACTS)


def test_every_role_is_told_yes_and_no() -> None:
    """The control: no column and no row of the table is all one answer, but the one of a principal without anything."""
    for role in ROLES:
        answers = {row[role] for row in EXPECTED.values()}
        assert answers == ({False} if role == "una" else {True, False})
    assert all(set(row.values()) == {True, False} for row in EXPECTED.values())


def test_lists_show_what_get_shows(stage: tuple[EmbeddedServer, dict[str, str]]) -> None:
    server, tokens = stage
    for role in ROLES:
        client = server.client(tokens[role])
        for resource, noun in zip(RESOURCES, NOUNS, strict=True):
            seen = noun.name in {row.name for row in getattr(client, resource).list()}
            assert seen is EXPECTED[f"{noun.kind.lower()}.get"][role], (role, resource)


def _allowed(answer: Answer) -> bool:
    """Yes or no; anything else than a plain answer of either kind fails the test."""
    if answer.code == "OK" or (answer.code, answer.reason) in ALLOWED:
        return True
    assert answer.code == "PERMISSION_DENIED", answer
    return False
