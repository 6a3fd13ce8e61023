"""The audit through the client: who did what, in order, filtered, in pages; and every sort of tampering found over the RPC."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from lakewarden import Client, InvalidArgument, PermissionDenied
from lakewarden._audit import AuditHead
from lakewarden.v1 import audit_pb2
from lakewarden_server.core.clock import monotonic
from lakewarden_server.testing import EmbeddedServer, serve
from storage.tampering import SEEN_BY_THE_EXPORTED_HEAD, SEEN_FROM_INSIDE, cut_the_tail_and_the_head, swap

BOB = "bob@example.com"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def told(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server where the admin did something, Bob was denied something and asked for something, an engine asked about Bob."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with serve(database_url=url) as server:
        admin, bob = server.client(), server.client_as("bob")
        admin.catalogs.create("main")
        admin.schemas.create("main.sales")
        admin.tables.create("main.sales.orders")
        admin.catalogs.create("mainland")
        admin.grants.grant("BROWSE", "catalog", "main", BOB)
        with pytest.raises(PermissionDenied):
            bob.catalogs.delete("main")
        bob.authorization.check("BROWSE", "catalog", "MAIN")
        bob.authorization.check("SELECT", "table", "main.sales.orders")
        engine = admin.service_principals.create("engine").name
        admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", engine)
        asking = server.client(server.issue_token(engine))
        asking.authorization.check("SELECT", "table", "main.sales.orders", subject=BOB)
        server.app.decisions.flush()
        yield server


def actions(records: Iterator[audit_pb2.AuditRecord]) -> list[str]:
    return [record.operation for record in records]


def refused(client: Client, **filters: Any) -> str:
    with pytest.raises(InvalidArgument) as caught:
        list(client.audit.list(**filters))
    return caught.value.reason


def test_change_says_who_did_what_from_where_at_which_revision(told: EmbeddedServer) -> None:
    admin = told.client()
    admin.catalogs.update("main", comment="seen")
    (record,) = admin.audit.list(limit=1)
    assert (record.actor, record.outcome) == ("admin@example.com", audit_pb2.AuditRecord.DONE)
    assert (record.operation, record.method) == (
        "catalog.update.comment",
        "lakewarden.v1.CatalogService/UpdateCatalog",
    )
    assert (record.object_kind, record.object_name) == ("CATALOG", "main")
    assert record.object_id == admin.catalogs.get("main").id
    assert record.workspace == "workspace"
    assert record.revision == int(admin.revision.rpartition(":")[2])
    assert (record.sequence, record.event_id) == (admin.audit.head().sequence, f"change/{record.sequence}")
    assert abs(record.event_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=5)


def test_denial_and_decision_say_on_whose_behalf_and_why(told: EmbeddedServer) -> None:
    admin = told.client()
    (asked,) = admin.audit.list(subject=BOB, action="Check", outcome="DENIED", limit=1)
    assert (asked.subject, asked.privilege, asked.object_name) == (BOB, "SELECT", "main.sales.orders")
    assert asked.actor != BOB
    assert "SELECT denied on" in asked.reason
    (denied,) = admin.audit.list(actor=BOB, action="catalog.delete")
    assert (denied.outcome, denied.reason) == (audit_pb2.AuditRecord.DENIED, "PRIVILEGE_MISSING")
    assert denied.subject == ""
    assert admin.audit.list(request_id=denied.request_id.upper()).__next__() == denied


def test_object_is_told_by_its_own_name_and_id_however_it_was_spelled(told: EmbeddedServer) -> None:
    admin = told.client()
    (asked,) = admin.audit.list(outcome="ALLOWED", action="authorization.check")
    assert (asked.object_name, asked.object_kind) == ("main", "CATALOG")
    assert asked.object_id == admin.catalogs.get("main").id


FILTERS: dict[str, tuple[dict[str, Any], Callable[[audit_pb2.AuditRecord], bool]]] = {
    "actor": ({"actor": BOB}, lambda r: r.actor == BOB),
    "actor spelled otherwise": ({"actor": "BOB@example.com"}, lambda r: r.actor == BOB),
    "subject": ({"subject": BOB}, lambda r: BOB in (r.subject or r.actor)),
    "object and what is in it": (
        {"object_name": "main"},
        lambda r: r.object_name == "main" or r.object_name.startswith("main."),
    ),
    "object kind": ({"object_kind": "catalog"}, lambda r: r.object_kind == "CATALOG"),
    "noun": ({"action": "catalog"}, lambda r: r.operation.startswith("catalog.")),
    "operation": ({"action": "catalog.create"}, lambda r: r.operation == "catalog.create"),
    "one of several operations": (
        {"action": "workspace.grant.QUERY_ENGINE"},
        lambda r: "workspace.grant.QUERY_ENGINE" in r.operation,
    ),
    "method": ({"action": "CreateTable"}, lambda r: r.method.endswith("/CreateTable")),
    "workspace": ({"workspace": "workspace"}, lambda r: r.workspace == "workspace"),
    "done": ({"outcome": "done"}, lambda r: r.outcome == audit_pb2.AuditRecord.DONE),
    "denied": ({"outcome": "DENIED"}, lambda r: r.outcome == audit_pb2.AuditRecord.DENIED),
    "several": ({"actor": BOB, "outcome": "ALLOWED"}, lambda r: (r.actor, r.outcome) == (BOB, 2)),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filter_shows_exactly_what_it_names(told: EmbeddedServer, name: str) -> None:
    filters, wanted = FILTERS[name]
    everything = list(told.client().audit.list())
    expected = [record.event_id for record in everything if wanted(record)]
    assert 0 < len(expected) < len(everything)
    assert [record.event_id for record in told.client().audit.list(**filters)] == expected


@pytest.mark.parametrize(
    "filters", [{"actor": "nobody"}, {"object_name": "mai"}, {"action": "cat"}, {"workspace": "elsewhere"}, {"object_name": "%"}]
)  # fmt: skip
def test_filter_that_names_nothing_shows_nothing(told: EmbeddedServer, filters: dict[str, Any]) -> None:
    assert list(told.client().audit.list(**filters)) == []


@pytest.mark.parametrize("oldest_first", [True, False])
@pytest.mark.parametrize("page_size", [1, 2, 7])
def test_pages_are_the_whole_list_in_order(told: EmbeddedServer, page_size: int, oldest_first: bool) -> None:
    admin = told.client()
    whole = list(admin.audit.list(oldest_first=oldest_first))
    paged = list(admin.audit.list(oldest_first=oldest_first, page_size=page_size))
    assert paged == whole
    times = [record.event_time.ToDatetime() for record in whole]
    assert times == sorted(times, reverse=not oldest_first)
    assert {record.event_id.partition("/")[0] for record in whole} == {"change", "decision"}


def test_times_bound_the_list_from_inclusive_to_exclusive(told: EmbeddedServer) -> None:
    admin = told.client()
    whole = list(admin.audit.list(oldest_first=True))
    middle = whole[len(whole) // 2].event_time.ToDatetime(UTC)
    later, earlier = list(admin.audit.list(since=middle)), list(admin.audit.list(until=middle))
    assert len(later) + len(earlier) == len(whole)
    assert min(record.event_time.ToDatetime(UTC) for record in later) == middle


def test_page_token_is_good_for_its_list_only(told: EmbeddedServer) -> None:
    audit = told.client().audit
    token = audit._call("ListAuditRecords", page_size=1).next_page_token
    for other in ({"oldest_first": True}, {"actor": BOB}):
        with pytest.raises(InvalidArgument) as caught:
            audit._call("ListAuditRecords", page_token=token, **other)
        assert caught.value.reason == "PAGE_TOKEN_INVALID"
    with pytest.raises(InvalidArgument):
        audit._call("VerifyAuditLog", page_token=token)


@pytest.mark.parametrize("filters", [{"actor": "x" * 1_025}, {"object_name": "a\0b"}, {"page_size": -1}])
def test_fields_out_of_their_limits_are_refused(told: EmbeddedServer, filters: dict[str, Any]) -> None:
    assert refused(told.client(), **filters) == "FIELD_INVALID"


def test_unknown_outcome_and_time_outside_the_calendar_are_refused(told: EmbeddedServer) -> None:
    audit = told.client().audit
    for fields in ({"outcome": 99}, {"start_time": {"seconds": 1 << 60}}, {"end_time": {"nanos": -5}}):
        with pytest.raises(InvalidArgument) as caught:
            audit._call("ListAuditRecords", **fields)
        assert caught.value.reason == "FIELD_INVALID"
    for head in (AuditHead(-1, "0" * 64), AuditHead(1, "short")):
        with pytest.raises(InvalidArgument):
            audit.verify(head)


@pytest.mark.parametrize("ask", [lambda a: list(a.list()), lambda a: a.head(), lambda a: a.verify()])
def test_who_is_no_account_admin_reads_nothing(told: EmbeddedServer, ask: Callable[[Any], object]) -> None:
    with pytest.raises(PermissionDenied) as caught:
        ask(told.client_as("bob").audit)
    assert caught.value.reason == "PRIVILEGE_MISSING"
    assert "ADMIN" in caught.value.message


def test_deleted_workspace_is_named_by_its_id(told: EmbeddedServer) -> None:
    admin = told.client()
    made = admin.workspaces.create("short-lived", metastore="metastore", omit_catalog=True)
    told.client(workspace="short-lived").catalogs.create("from-there")
    admin.workspaces.delete("short-lived")
    (record,) = admin.audit.list(action="catalog.create", object_name="from-there")
    assert (record.workspace, record.workspace_id) == (made.id, made.id)
    assert list(admin.audit.list(workspace=made.id)) == [record]


def test_following_shows_the_last_and_then_what_comes_once(told: EmbeddedServer) -> None:
    admin = told.client()
    made = iter(range(3))

    def act(_seconds: float) -> None:
        """Instead of waiting for somebody to do something."""
        admin.catalogs.update("mainland", comment=f"change {next(made)}")
        told.client_as("bob").authorization.check("BROWSE", "catalog", "main")
        told.app.decisions.flush()

    # What earlier tests were refused is in the log before it is followed.
    told.app.decisions.flush()
    stream = admin.audit.follow(last=2, sleep=act)
    before = [record.event_id for record in admin.audit.list(limit=2)][::-1]
    seen = [record.event_id for record in itertools.islice(stream, 8)]
    assert seen[:2] == before
    newest = [record.event_id for record in admin.audit.list(limit=6)]
    assert sorted(seen[2:]) == sorted(newest)


def test_following_with_a_filter_shows_that_only(told: EmbeddedServer) -> None:
    admin = told.client()

    def act(_seconds: float) -> None:
        admin.catalogs.update("main", comment="x")
        admin.schemas.update("main.sales", comment="y")

    stream = admin.audit.follow(last=0, sleep=act, action="schema")
    assert actions(itertools.islice(stream, 3)) == ["schema.update.comment"] * 3


def written(server: EmbeddedServer, how: Callable[[Connection], None]) -> None:
    with server.app.database.transaction(deadline=monotonic() + 10) as connection:
        how(connection)
        connection.commit()


@pytest.fixture
def restored(told: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The server with a log that may be spoiled: it is put back afterwards."""
    tables = ("audit_log", "audit_head")
    with told.app.database.read() as uow:
        kept = {
            table: [dict(row._mapping) for row in uow.connection.execute(text(f"SELECT * FROM {table}"))]
            for table in tables
        }
    yield told
    with told.app.database.transaction(deadline=monotonic() + 10) as connection:
        for table, rows in kept.items():
            columns = list(rows[0])
            connection.execute(text(f"DELETE FROM {table}"))
            values = ", ".join(
                "CAST(:detail AS json)"
                if name == "detail" and connection.dialect.name == "postgresql"
                else f":{name}"
                for name in columns
            )
            connection.execute(
                text(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"),
                [{key: _plain(value) for key, value in row.items()} for row in rows],
            )
        connection.commit()
    assert told.client().audit.verify()


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


def test_untouched_log_is_whole_also_against_earlier_heads(told: EmbeddedServer) -> None:
    admin = told.client()
    exported = admin.audit.head()
    admin.catalogs.update("main", comment="later")
    found = admin.audit.verify(exported)
    assert found
    assert found.findings == ()
    assert found.head == admin.audit.head() != exported


@pytest.mark.parametrize("how", [*SEEN_FROM_INSIDE, *SEEN_BY_THE_EXPORTED_HEAD])
def test_tampering_is_found(restored: EmbeddedServer, how: Callable[[Connection], None]) -> None:
    admin = restored.client()
    exported = admin.audit.head()
    written(restored, how)
    found = admin.audit.verify(exported)
    assert not found
    assert found.findings[0].problem


def test_record_that_was_spoiled_is_still_listed(restored: EmbeddedServer) -> None:
    spoil = "UPDATE audit_log SET detail = '[7]', outcome = 'FORGED' WHERE sequence = 3"
    written(restored, lambda connection: connection.execute(text(spoil)) and None)
    (record,) = [found for found in restored.client().audit.list() if found.sequence == 3]
    assert (record.outcome, dict(record.detail)) == (0, {"detail": "[7]"})


def test_parts_find_what_the_whole_finds(restored: EmbeddedServer) -> None:
    audit = restored.client().audit
    written(restored, swap)
    whole = audit.verify()
    reply, findings = audit._call("VerifyAuditLog", page_size=2), []
    while True:
        findings += reply.findings
        if not reply.next_page_token:
            break
        reply = audit._call("VerifyAuditLog", page_size=2, page_token=reply.next_page_token)
    assert tuple(findings) == whole.findings


def test_control_a_cut_tail_with_its_head_is_seen_only_by_the_exported_head(restored: EmbeddedServer) -> None:
    audit = restored.client().audit
    exported = audit.head()
    written(restored, cut_the_tail_and_the_head)
    assert audit.verify()
    assert not audit.verify(exported)


def test_record_edited_into_nonsense_is_listed_with_what_to_do() -> None:
    """SQLite keeps any text; the list goes on over what somebody with the file spoiled, in either log."""
    with serve() as server:
        admin, bob = server.client(), server.client_as("bob")
        admin.catalogs.create("main")
        with pytest.raises(PermissionDenied):
            bob.catalogs.delete("main")
        server.app.decisions.flush()
        before = len(list(admin.audit.list()))
        with server.app.database.transaction(deadline=monotonic() + 10) as connection:
            connection.execute(
                text("UPDATE audit_log SET detail = 'nonsense' WHERE operation = 'catalog.create'")
            )
            connection.execute(text("UPDATE decision_log SET objects = 'nonsense', capabilities = '['"))
            connection.commit()
        records = list(admin.audit.list())
        assert len(records) == before
        (spoiled,) = [record for record in records if record.operation == "catalog.create"]
        assert spoiled.detail["detail"] == "nonsense"
        assert "lakewarden audit verify" in spoiled.detail["unreadable"]
        assert not admin.audit.verify()
        assert not admin.audit.replay()
