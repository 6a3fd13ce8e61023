"""Every change leaves one audit record, every denial and decision one in the decision log, and no secret anywhere."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import select

from access.rpcs import call, offered
from access.world import build, request_for, rpc_names
from lakewarden import Client, LakewardenError
from lakewarden._duckdb_access import Access
from lakewarden_server.entities import AuditLog, DecisionLog
from lakewarden_server.storage import audit
from lakewarden_server.testing import EmbeddedServer, serve


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with serve(directory=tmp_path) as server:
        yield server


def _records(server: EmbeddedServer, table: Any, order: Any) -> list[Any]:
    server.app.decisions.flush()
    with server.app.database.read() as uow:
        return list(uow.connection.execute(select(table.__table__).order_by(order)))


def _audit(server: EmbeddedServer) -> list[Any]:
    return _records(server, AuditLog, AuditLog.sequence)


def _decisions(server: EmbeddedServer) -> list[Any]:
    return _records(server, DecisionLog, DecisionLog.time)


def _answers(server: EmbeddedServer) -> list[Any]:
    """The last two decisions, the denied one first: those of one call have one time."""
    return sorted(_decisions(server)[-2:], key=lambda record: record.outcome, reverse=True)


CHANGES: dict[str, tuple[Callable[[Client], object], str, str, str, str]] = {
    "create": (lambda c: c.catalogs.create("new"), "catalog.create", "CATALOG", "new", ""),
    "rename": (lambda c: c.catalogs.rename("main", "fresh"), "catalog.update.name", "CATALOG", "fresh", "renamed_from"),
    "transfer": (lambda c: c.tables.set_owner("main.s.t", "bob@example.com"), "table.update.owner", "TABLE", "main.s.t", "owner_before"),
    "delete": (lambda c: c.schemas.delete("main.s", force=True), "schema.delete", "SCHEMA", "main.s", "deleted"),
    "grant": (lambda c: c.grants.grant("SELECT", "table", "main.s.t", "bob@example.com"), "table.grant.SELECT", "TABLE", "main.s.t", "changes"),
    "members": (lambda c: c.groups.update_members("g", add=["bob@example.com"]), "group.members", "GROUP", "g", "add"),
    "disable": (lambda c: c.users.disable("bob@example.com"), "user.update.active", "USER", "bob@example.com", ""),
    "token": (lambda c: c.tokens.create(comment="x"), "token.create", "TOKEN", "", "token_id"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_change_leaves_one_record_that_says_who_what_and_how(server: EmbeddedServer, kind: str) -> None:
    act, operation, object_kind, object_name, detail = CHANGES[kind]
    admin = server.client()
    admin.catalogs.create("main")
    admin.schemas.create("main.s")
    admin.tables.create("main.s.t")
    admin.users.create("bob@example.com")
    admin.groups.create("g")
    before = _audit(server)
    act(admin)
    (record,) = _audit(server)[len(before) :]
    assert (record.actor_name, record.outcome, record.operation) == ("admin@example.com", "DONE", operation)
    assert (record.object_kind, record.object_name) == (object_kind, object_name)
    assert detail in record.detail or not detail
    assert uuid.UUID(record.request_id)
    assert record.revision == server.app.follower.at_head().head.revision
    with server.app.database.read() as uow:
        assert audit.verify(uow.connection) == []


def test_refused_and_failed_changes_leave_no_audit_record(server: EmbeddedServer) -> None:
    before = _audit(server)
    for client, act in (
        (server.client_as("bob"), lambda c: c.catalogs.create("mine")),
        (server.client(), lambda c: c.catalogs.create("no name")),
        (server.client(), lambda c: c.metastores.create("metastore")),
    ):
        with pytest.raises(LakewardenError):
            act(client)
    made = [record.operation for record in _audit(server)[len(before) :]]
    assert made == ["user.create", "workspace.grant.USER"]


def test_reads_leave_no_audit_record(server: EmbeddedServer) -> None:
    admin = server.client()
    before = _audit(server)
    list(admin.catalogs.list())
    admin.session.get()
    admin.authorization.check("CREATE CATALOG", "metastore", "metastore")
    assert _audit(server) == before


def test_denial_is_logged_with_its_reason(server: EmbeddedServer) -> None:
    bob = server.client_as("bob")
    with pytest.raises(LakewardenError) as raised:
        bob.catalogs.get("vault")
    record = _decisions(server)[-1]
    assert (record.actor_name, record.operation, record.object_name) == (
        "bob@example.com",
        "catalog.get",
        "vault",
    )
    assert (record.outcome, record.reason) == ("DENIED", raised.value.reason)
    assert record.request_id == raised.value.request_id


def test_decisions_are_logged_with_both_names(server: EmbeddedServer) -> None:
    admin = server.client()
    engine = admin.service_principals.create("engine").name
    admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", engine)
    server.client_as("bob")
    admin.catalogs.create("main")
    asking = server.client(server.issue_token(engine))
    assert not asking.authorization.check("BROWSE", "catalog", "main", subject="bob@example.com")
    admin.grants.grant("BROWSE", "catalog", "main", "bob@example.com")
    assert asking.authorization.check("BROWSE", "catalog", "main", subject="bob@example.com")
    denied, allowed = _answers(server)
    assert {denied.actor_name, allowed.actor_name} == {engine}
    assert {denied.subject_name, allowed.subject_name} == {"bob@example.com"}
    assert (denied.outcome, allowed.outcome) == ("DENIED", "ALLOWED")
    assert (allowed.privilege, allowed.object_kind, allowed.object_name) == ("BROWSE", "CATALOG", "main")
    assert allowed.object_id == admin.catalogs.get("main").id
    assert allowed.revision > denied.revision


def test_one_caller_cannot_flood_the_decision_log(server: EmbeddedServer) -> None:
    bob = server.client_as("bob")
    for _ in range(400):
        bob.authorization.check("CREATE CATALOG", "metastore", "metastore")
    # At most 100 a second from one caller; the calls take a few seconds at most.
    assert 100 <= len(_decisions(server)) < 400


def test_secrets_are_in_no_log_no_error_and_no_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every RPC with a valid and a spoiled token, then a search through logs, errors and the whole database file."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    with serve(directory=tmp_path) as server:
        world = build(server)
        made = server.client().tokens.create().token_value
        spoiled = made[:-1] + ("a" if made[-1] != "a" else "b")
        with grpc.insecure_channel(server.endpoint) as channel:
            for name in rpc_names():
                for token in (made, spoiled, world.nobody_token):
                    if offered()[name].rule.write and token == made:
                        continue
                    answer = call(channel, name, request_for(name, world), token=token, workspace="workspace")
                    texts.append(f"{answer}")
        tokens = [made, server.admin_token, world.nobody_token, world.engine_token]
        texts += [str(row) for row in (*_audit(server), *_decisions(server))]
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".key")
    for token in tokens:
        secret = token.rpartition("_")[2]
        shown = [
            text for text in [*texts, caplog.text] if secret in text and f"workspace {token!r}" not in text
        ]
        assert shown == []
        assert secret.encode() not in stored
    assert tokens[0].split("_")[1].encode() in stored, (
        "the control: ids are stored, so the search does read the file"
    )


def test_every_access_of_a_plan_is_logged_by_name(server: EmbeddedServer) -> None:
    """One long name must not push the others out of sight, nor one answer stand for all."""
    admin = server.client()
    admin.catalogs.create("main")
    bob = server.client_as("bob")
    admin.grants.grant("BROWSE", "catalog", "main", "bob@example.com")
    long = "x" * 1_000
    bob.authorization.batch_check(
        [Access(f"{long}.a.b", "SELECT", "TABLE"), Access("main", "BROWSE", "CATALOG")], explain=False
    )
    denied, allowed = _answers(server)
    assert (denied.outcome, allowed.outcome) == ("DENIED", "ALLOWED")
    assert (allowed.privilege, allowed.object_kind, allowed.object_name) == ("BROWSE", "CATALOG", "main")
    assert allowed.object_id == admin.catalogs.get("main").id


def test_traded_one_time_token_is_named_in_the_audit(server: EmbeddedServer) -> None:
    admin = server.client()
    person = admin.users.create("carol@example.com").name
    handed = admin.tokens.create(principal=person)
    server.client(handed.token_value).tokens.create()
    made, traded = _audit(server)[-2:]
    assert made.detail["token_id"] == handed.token.id
    assert (traded.actor_name, traded.detail["redeemed_token_id"]) == (person, handed.token.id)
