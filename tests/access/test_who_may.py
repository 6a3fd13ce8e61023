"""Who may do what, as a table written from the semantics: role x act -> allowed or denied, asked of the running server.

Requests are made so that an allowed one changes nothing: a stale etag, a taken name, a grant to nobody. The world stays
the same from the first row to the last.
"""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from access import definitions, objects, places
from access.acts import ACTS, SALES
from access.roles import ROLES, WORKSPACE_OF, cast
from access.rpcs import Answer, call, offered, request_class
from lakewarden_server.testing import EmbeddedServer, serve

# `+` may, `.` may not. Columns are the roles of `roles.py`.
TABLE = """
                       acc met cat sch tab man mug use sel mod bro grp wsa una oth
metastore.create        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
metastore.get           +   +   +   +   +   +   +   +   +   +   +   +   +   .   .
metastore.comment       +   +   .   .   .   .   .   .   .   .   .   .   .   .   .
metastore.rename        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
metastore.transfer      +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
metastore.delete        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
metastore.grant         +   +   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.create        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.get           +   +   +   +   +   +   +   +   +   +   +   +   +   .   .
workspace.comment       +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
workspace.rename        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.attach        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.delete        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.assign        +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
workspace.tokens        +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
workspace.end-token     +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
workspace.entitle       +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
workspace.ip-create     +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
workspace.ip-list       +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
workspace.ip-delete     +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
workspace.ip-enforce    +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
catalog.create          .   +   .   .   .   .   .   .   .   .   .   .   .   .   .
catalog.get             .   +   +   +   +   +   +   +   +   +   +   +   .   .   .
catalog.comment         .   +   +   .   .   +   +   .   .   .   .   .   .   .   .
catalog.rename          .   +   .   .   .   .   .   .   .   .   .   .   .   .   .
catalog.transfer        .   +   +   .   .   +   +   .   .   .   .   .   .   .   .
catalog.delete          .   +   +   .   .   +   +   .   .   .   .   .   .   .   .
catalog.grant           .   +   +   .   .   +   +   .   .   .   .   .   .   .   .
catalog.grant-external  .   .   +   .   .   .   .   .   .   .   .   .   .   .   .
catalog.bindings        .   +   +   .   .   .   +   .   .   .   .   .   .   .   .
catalog.bind            .   +   +   .   .   .   +   .   .   .   .   .   .   .   .
catalog.tag             .   .   +   .   .   .   .   .   .   .   .   .   .   .   .
schema.create           .   .   +   .   .   .   .   .   .   .   .   .   .   .   .
schema.get              .   +   +   +   +   .   +   +   +   +   +   +   .   .   .
schema.comment          .   +   +   +   .   .   +   .   .   .   .   .   .   .   .
schema.rename           .   .   +   .   .   .   .   .   .   .   .   .   .   .   .
schema.transfer         .   +   +   +   .   .   +   .   .   .   .   .   .   .   .
schema.delete           .   +   +   +   .   .   +   .   .   .   .   .   .   .   .
schema.grant            .   +   +   +   .   .   +   .   .   .   .   .   .   .   .
schema.grant-external   .   .   +   .   .   .   .   .   .   .   .   .   .   .   .
schema.tag              .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
table.create            .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
table.get               .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.list-grants       .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.comment           .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.columns           .   +   +   +   +   .   +   .   .   +   .   .   .   .   .
table.properties        .   +   +   +   +   .   +   .   .   +   .   .   .   .   .
table.rename            .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
table.transfer          .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.delete            .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.grant             .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.revoke            .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.list-tags         .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.tag               .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
table.simulate-revoke   .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.check-select      .   .   .   .   +   .   .   .   +   +   .   +   .   .   .
table.batch-select      .   .   .   .   +   .   .   .   +   +   .   +   .   .   .
table.plan-select       .   .   .   .   +   .   .   .   +   +   .   +   .   .   .
table.plan-modify       .   .   .   .   +   .   .   .   .   +   .   .   .   .   .
audit.list              +   +   .   .   .   .   .   .   .   .   .   .   .   .   .
audit.head              +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
audit.replay            +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
audit.verify            +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
deleted.restore         .   +   +   +   .   .   .   .   .   .   .   .   .   .   .
volume.create           .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
volume.get              .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
volume.comment          .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
volume.rename           .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
volume.transfer         .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
volume.delete           .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
volume.grant            .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
volume.tag              .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
model.create            .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
model.get               .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
model.comment           .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.rename            .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
model.transfer          .   +   .   .   .   .   .   .   .   .   .   .   .   .   .
model.delete            .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.grant             .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.tag               .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
model.get-version       .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
model.list-versions     .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
model.create-version    .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
model.update-version    .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.finish-version    .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.delete-version    .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.set-alias         .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
model.delete-alias      .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.explain-own       .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.explain-other     .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.effective-own     .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.effective-other   .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.who-can           .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.simulate-own      .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.simulate-grant    .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.filter-select     .   .   .   .   +   .   .   .   +   +   .   +   .   .   .
table.filter-see        .   +   +   +   +   .   +   .   +   +   +   +   .   .   .
table.list-select       .   .   .   .   +   .   .   .   +   +   .   +   .   .   .
account.appoint         +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
user.create             +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
user.get                +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
user.disable            +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
user.delete             +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
group.create            +   .   .   .   .   .   .   .   .   .   .   .   +   .   .
group.get               +   .   .   .   .   .   .   .   .   .   .   +   .   .   .
group.list-members      +   .   .   .   .   .   .   .   .   .   .   +   .   .   .
group.rename            +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
group.members           +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
group.delete            +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.get              +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.disable          +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.delete           +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
federation.create       +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
federation.list         +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
federation.delete       +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
ip-access.create        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
ip-access.get           +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
ip-access.list          +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
ip-access.delete        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
ip-access.update        +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
ip-access.settings      +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
ip-access.enforce       +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.list-secrets     +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.create-secret    +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.delete-secret    +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.list-tokens      +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.mint             +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.rotate           +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
engine.revoke-token     +   .   .   .   .   .   .   .   .   .   .   .   .   .   .
lineage.record          .   .   .   .   .   .   .   .   .   .   .   .   +   .   .
lineage.record-batch    .   .   .   .   .   .   .   .   .   .   .   .   +   .   .
lineage.record-sql      .   .   .   .   .   .   .   .   .   .   .   .   +   .   .
session.get             +   +   +   +   +   +   +   +   +   +   +   +   +   +   +
"""

ALLOWED = {
    ("ABORTED", "ETAG_MISMATCH"),
    ("ALREADY_EXISTS", "NAME_TAKEN"),
    ("INVALID_ARGUMENT", "PRINCIPAL_UNKNOWN"),
    ("INVALID_ARGUMENT", "FIELD_INVALID"),
    ("INVALID_ARGUMENT", "EVENT_INVALID"),
    ("FAILED_PRECONDITION", "NOT_EMPTY"),
    ("NOT_FOUND", "OBJECT_NOT_FOUND"),
}
"""What an allowed request of this table ends with when it is not OK: it got past authorization."""
ASKED_ELSEWHERE = {
    **definitions.ASKED_ELSEWHERE,
    "ServicePrincipalService/CreateServicePrincipal": "every call makes a new one; tests/services has it",
    "TokenService/CreateAccessToken": "for whoever holds a client secret; tests/services/test_client_secrets.py",
    "AuthorizationService/WatchPolicy": "for service principals with QUERY_ENGINE alone; tests/services/test_watching.py",
    "CatalogService/ListCatalogs": "filtered, never refused; test_lists.py",
    "GroupService/ListGroups": "filtered, never refused; test_lists.py",
    "LineageGovernanceService/FindLineageLeaks": "each finding is decided by itself; tests/lineage/test_leaks.py",
    "ExternalLineageService/CreateExternalLineage": "each end is decided by its own privilege; tests/lineage/test_declared.py",
    "ExternalLineageService/UpdateExternalLineage": "each end is decided by its own privilege; tests/lineage/test_declared.py",
    "ExternalLineageService/DeleteExternalLineage": "each end is decided by its own privilege; tests/lineage/test_declared.py",
    "ExternalLineageService/ListExternalLineage": "each end is decided by its own privilege; tests/lineage/test_declared.py",
    "LineageGraphService/AnalyzeImpact": "each asset is decided by its .get; tests/lineage/test_impact.py",
    "LineageGraphService/FindLineagePaths": "each asset is decided by its .get; tests/lineage/test_questions.py",
    "LineageGraphService/GetLineageHistory": "each asset is decided by its .get; tests/lineage/test_past.py",
    "LineageGraphService/StreamLineage": "each asset is decided by its .get; tests/lineage/test_streams.py",
    "LineageGraphService/TraverseLineage": "each asset is decided by its .get; tests/lineage/test_questions.py",
    "SystemTableService/ListSystemTables": "names are nothing to hide; tests/system_tables/test_batches.py",
    "SystemTableService/ReadSystemTable": "filtered, never refused; tests/system_tables",
    "MetastoreService/ListMetastores": "filtered, never refused; test_lists.py",
    "SchemaService/ListSchemas": "filtered, never refused; test_lists.py",
    "ServicePrincipalService/ListServicePrincipals": "filtered, never refused; test_lists.py",
    "TableService/ListDeletedTables": "filtered, never refused; test_lists.py",
    "TableService/ListTables": "filtered, never refused; test_lists.py",
    "RegisteredModelService/ListRegisteredModels": "filtered, never refused; test_lists.py",
    "VolumeService/ListVolumes": "filtered, never refused; test_lists.py",
    "UserService/ListUsers": "filtered, never refused; test_lists.py",
    "WorkspaceService/ListWorkspaces": "filtered, never refused; test_lists.py",
    **dict.fromkeys(places.requests(""), "other roles decide; test_who_may_places.py"),
    **dict.fromkeys(objects.requests(""), "other roles decide; test_who_may_objects.py"),
}


def _rows(table: str) -> dict[str, dict[str, bool]]:
    head, *rows = [line.split() for line in table.strip().splitlines()]
    return {act: dict(zip(head, (mark == "+" for mark in marks), strict=True)) for act, *marks in rows}


EXPECTED = _rows(TABLE) | _rows(definitions.TABLE)


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[EmbeddedServer, dict[str, str], dict[str, str]]]:
    """A server, a token for each role, and what the placeholders of requests stand for."""
    with serve() as server:
        tokens = cast(server)
        engine = server.client().service_principals.create("engine").name
        gone = next(server.client(tokens["cat"]).tables.list_deleted(SALES)).id
        yield server, tokens, {"{engine}": engine, "{gone}": f"{SALES}.{gone}"}


@pytest.fixture(scope="module")
def line(stage: tuple[EmbeddedServer, dict[str, str], dict[str, str]]) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stage[0].endpoint) as channel:
        yield channel


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("act", EXPECTED)
def test_role_may_do_what_the_table_says(
    stage: tuple[EmbeddedServer, dict[str, str], dict[str, str]], line: grpc.Channel, act: str, role: str
) -> None:
    _, tokens, known = stage
    rpc, body = ACTS[act]
    body = {key: known.get(value, value) if isinstance(value, str) else value for key, value in body.items()}
    if "servicePrincipal" in body:
        body["servicePrincipal"] = {**body["servicePrincipal"], "name": known["{engine}"]}
    name = f"lakewarden.v1.{rpc}"
    message = ParseDict(body, request_class(name)())
    answer = call(
        line,
        name,
        message.SerializeToString(),
        token=tokens[role],
        workspace=WORKSPACE_OF.get(role, "workspace"),
    )
    assert _allowed(answer) is EXPECTED[act][role], answer


def test_table_has_every_rpc_or_a_reason() -> None:
    asked = {rpc for rpc, _ in ACTS.values()}
    names = {name.removeprefix("lakewarden.v1.") for name in offered()}
    assert asked | set(ASKED_ELSEWHERE) == names
    assert set(EXPECTED) == set(ACTS)


def test_every_role_is_told_yes_and_no() -> None:
    """The control: no column and no row of the table is all one answer, but who one is."""
    assert all({row[role] for row in EXPECTED.values()} == {True, False} for role in ROLES)
    assert all(set(row.values()) == {True, False} for act, row in EXPECTED.items() if act != "session.get")


def _allowed(answer: Answer) -> bool:
    """Yes or no; anything else than a plain answer of either kind fails the test."""
    reply = answer.message
    if hasattr(reply, "allowed_now"):
        # Simulate was answered, whatever it says.
        return True
    for listed in ("indices", "full_names"):
        if hasattr(reply, listed):
            return bool(getattr(reply, listed))
    if hasattr(reply, "verdict"):
        return bool(reply.verdict.allowed)
    if hasattr(reply, "verdicts"):
        decided = {verdict.allowed for verdict in reply.verdicts}
        return bool(getattr(reply, "allowed", True)) and decided == {True}
    if answer.code == "OK" or (answer.code, answer.reason) in ALLOWED:
        return True
    assert answer.code == "PERMISSION_DENIED", answer
    return False
