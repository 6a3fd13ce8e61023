"""Logged decisions are decided again to the same end; what somebody changed in the log afterwards is found."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from lakewarden import Client, LakewardenError
from lakewarden._duckdb_access import Access
from lakewarden_policy import Policy, policy_texts
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import DecisionLog
from lakewarden_server.pipeline import decisions
from lakewarden_server.services import replay
from lakewarden_server.storage import history
from lakewarden_server.testing import EmbeddedServer, serve

PEOPLE = [f"p{number}@example.com" for number in range(4)]
TABLES = ["main.sales.a", "main.sales.b", "main.hr.c"]
QUESTIONS = [
    *((name, privilege, "TABLE") for name in (*TABLES, "main.sales.none", "main.HR.C") for privilege in ("SELECT", "MODIFY", "MANAGE")),
    *(("main.sales", privilege, "SCHEMA") for privilege in ("USE SCHEMA", "CREATE TABLE", "SELECT")),
    *(("main", privilege, "CATALOG") for privilege in ("USE CATALOG", "BROWSE", "use_catalog")),
    ("metastore", "CREATE CATALOG", "METASTORE"),
    ("account", "ADMIN", "ACCOUNT"),
]  # fmt: skip
CHANGES = 45


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lived(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server with a random life: after each change engines and people ask many questions and are refused things."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with pytest.MonkeyPatch.context() as patched, serve(database_url=url) as server:
        # Every answer is logged: the share of a caller would leave most of these out.
        patched.setattr(decisions, "PER_CALLER_PER_SECOND_MAX", 1_000_000)
        admin = server.client()
        engine = admin.service_principals.create("engine").name
        admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", engine)
        asking = server.client(server.issue_token(engine))
        admin.catalogs.create("main")
        for schema in ("main.sales", "main.hr"):
            admin.schemas.create(schema)
        for table in TABLES:
            admin.tables.create(table)
        admin.groups.create("team")
        for person in PEOPLE:
            server.token_of(person)
        rng = random.Random(11)
        for _ in range(CHANGES):
            with suppress(LakewardenError):
                _change(rng, admin)
            _ask(rng, server, asking)
        server.app.decisions.flush()
        yield server


def _change(rng: random.Random, admin: Client) -> None:
    who = rng.choice([*PEOPLE, "team"])
    kind, name, privileges = rng.choice(
        [("catalog", "main", ["USE CATALOG", "USE SCHEMA"]), ("catalog", "main", ["BROWSE"]), ("schema", "main.sales", ["USE SCHEMA", "SELECT"]),
         ("table", rng.choice(TABLES), ["SELECT", "MODIFY"]), ("table", rng.choice(TABLES), ["MANAGE"])]
    )  # fmt: skip
    act = rng.randrange(9)
    if act < 4:
        admin.grants.grant(privileges, kind, name, who)
    elif act == 4:
        admin.grants.revoke(privileges, kind, name, who)
    elif act == 5:
        admin.groups.update_members("team", **{rng.choice(("add", "remove")): [rng.choice(PEOPLE)]})
    elif act == 6:
        admin.tables.set_owner(rng.choice(TABLES), rng.choice(PEOPLE))
    elif act == 7:
        table = rng.choice(TABLES)
        admin.tables.delete(table)
        admin.tables.create(table)
    else:
        role = rng.choice((admin.grants.grant, admin.grants.revoke))
        role("USER", "workspace", "workspace", rng.choice(PEOPLE))


def _ask(rng: random.Random, server: EmbeddedServer, asking: Client) -> None:
    accesses = [Access(name, privilege, kind) for name, privilege, kind in QUESTIONS]
    for person in PEOPLE:
        asking.authorization.batch_check(accesses, subject=person, explain=False)
    person = server.client_as(rng.choice(PEOPLE))
    table, other = rng.choice(TABLES), rng.choice(TABLES)
    for attempt in (
        lambda: person.authorize_plan(accesses[:4]),
        lambda: person.authorization.check("SELECT", "table", table),
        lambda: person.catalogs.create("mine"),
        lambda: person.tables.delete("main.sales.none"),
        lambda: person.schemas.update("main.hr", comment="x"),
        lambda: person.grants.grant("SELECT", "table", other, PEOPLE[0]),
        lambda: person.audit.head(),
        lambda: person.users.create("x@example.com"),
    ):
        with suppress(LakewardenError):
            attempt()


def changed(server: EmbeddedServer, statement: str, **values: Any) -> None:
    with server.app.database.transaction(deadline=monotonic() + 10) as connection:
        connection.execute(text(statement), values)
        connection.commit()


def one(server: EmbeddedServer, condition: str) -> Any:
    with server.app.database.read() as uow:
        rows = uow.connection.execute(select(DecisionLog.__table__).where(text(condition)).limit(1))
        return rows.one()


def test_thousands_of_decisions_come_out_as_they_were_logged(lived: EmbeddedServer) -> None:
    found = lived.client().audit.replay()
    assert found, found.differences[:3]
    assert found.replayed > 3_000
    with lived.app.database.read() as uow:
        kinds = dict(uow.connection.execute(text("SELECT outcome, count(*) FROM decision_log GROUP BY outcome")).all())  # fmt: skip
        revisions = uow.connection.execute(text("SELECT count(DISTINCT revision) FROM decision_log")).scalar()
    assert min(kinds.values()) > found.replayed // 10
    assert revisions > CHANGES // 2
    assert found.replayed + sum(found.skipped.values()) == sum(kinds.values())
    assert sum(found.skipped.values()) < 20


CHECKED = "privilege IS NOT NULL AND object_id IS NOT NULL AND subject_id IS NOT NULL"
TAMPERED: dict[str, tuple[str, str]] = {
    "verdict made a yes": (f"{CHECKED} AND outcome = 'DENIED'", "outcome = 'ALLOWED'"),
    "verdict made a no": (f"{CHECKED} AND outcome = 'ALLOWED'", "outcome = 'DENIED'"),
    "object": (f"{CHECKED} AND object_name = 'main.sales.a'", "object_name = 'main.sales.b'"),
    "object that was absent": ("object_name = 'main.sales.none' AND privilege IS NOT NULL", "object_id = 'x'"),
    "privilege": (f"{CHECKED} AND outcome = 'ALLOWED' AND object_kind = 'TABLE' AND privilege = 'SELECT'", "privilege = 'FLY'"),
    "kind": (f"{CHECKED} AND object_kind = 'TABLE'", "object_kind = 'MOON'"),
    "subject": (f"{CHECKED} AND outcome = 'ALLOWED' AND actor_id <> subject_id", "subject_id = 'nobody'"),
    "workspace": (f"{CHECKED} AND outcome = 'ALLOWED'", "workspace_id = 'elsewhere'"),
    "revision": (f"{CHECKED}", "revision = revision - 1"),
    "revision to come": (f"{CHECKED}", "revision = 1000000"),
    "refusal made a yes": ("privilege IS NULL AND reason = 'PRIVILEGE_MISSING'", "outcome = 'ALLOWED'"),
    "operation": ("privilege IS NULL AND reason = 'PRIVILEGE_MISSING'", "operation = 'session.get'"),
    "no operation": ("privilege IS NULL AND reason = 'ACCESS_DENIED'", "operation = 'moon.get'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERED)
def test_control_record_that_was_changed_is_found(lived: EmbeddedServer, kind: str) -> None:
    condition, change = TAMPERED[kind]
    row = one(lived, condition)
    column = change.partition(" ")[0]
    changed(lived, f"UPDATE decision_log SET {change} WHERE id = :id", id=row.id)
    try:
        found = lived.client().audit.replay(since=row.time, until=row.time + timedelta(microseconds=1))
    finally:
        changed(lived, f"UPDATE decision_log SET {column} = :was WHERE id = :id", was=getattr(row, column), id=row.id)  # fmt: skip
    assert not found
    (difference,) = found.differences
    assert difference.record.event_id == f"decision/{row.id}"
    assert difference.problem


def test_pages_count_what_the_whole_counts_and_end_early(
    lived: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = lived.client().audit
    whole = audit.replay()
    monkeypatch.setattr(replay, "SHARE_OF_TIME", 0.0)
    first = audit._call("ReplayDecisions", page_size=1_000)
    assert first.replayed + sum(first.skipped.values()) == 1
    monkeypatch.undo()
    replayed, token = 0, ""
    while True:
        reply = audit._call("ReplayDecisions", page_size=613, page_token=token)
        replayed += reply.replayed
        token = reply.next_page_token
        if not token:
            break
    assert replayed == whole.replayed


def test_times_bound_what_is_replayed(lived: EmbeddedServer) -> None:
    audit = lived.client().audit
    records = [record for record in audit.list(oldest_first=True) if record.sequence == 0]
    middle = records[len(records) // 2].event_time.ToDatetime(UTC)
    parts = [audit.replay(until=middle), audit.replay(since=middle)]
    assert [part.replayed > 0 for part in parts] == [True, True]
    assert sum(part.replayed + sum(part.skipped.values()) for part in parts) == len(records)


@pytest.fixture
def fresh() -> Iterator[EmbeddedServer]:
    """A server with one decision of each outcome."""
    with serve() as server:
        admin, bob = server.client(), server.client_as("bob")
        admin.catalogs.create("main")
        bob.authorization.check("BROWSE", "catalog", "main")
        admin.grants.grant("BROWSE", "catalog", "main", "bob@example.com")
        bob.authorization.check("BROWSE", "catalog", "main")
        server.app.decisions.flush()
        yield server


def test_plan_is_replayed_with_what_its_engine_could_apply(fresh: EmbeddedServer) -> None:
    """A filtered table is denied to an engine that cannot filter, and allowed to one that can."""
    admin = fresh.client()
    admin.schemas.create("main.hr")
    admin.tables.create("main.hr.people", [{"name": "region", "type_text": "STRING"}])
    admin.functions.create("main.hr.own", ["region STRING"], "BOOLEAN", "region = current_user()")
    admin.tables.set_row_filter("main.hr.people", "main.hr.own", ["region"])
    admin.grants.grant("SELECT", "table", "main.hr.people", "admin@example.com")
    admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", "main", "admin@example.com")
    access = [Access("main.hr.people", "SELECT", "TABLE")]
    assert not admin.authorize_plan(access)
    assert admin.authorize_plan(access, capabilities=["ROW_FILTER"])
    fresh.app.decisions.flush()
    found = admin.audit.replay()
    assert (found.replayed, found.differences) == (4, ())
    changed(fresh, "UPDATE decision_log SET capabilities = '[]' WHERE capabilities = '[1]'")
    assert len(admin.audit.replay().differences) == 1


SKIPPED: dict[str, tuple[Callable[[EmbeddedServer], None], str]] = {
    "earlier release": (lambda s: changed(s, "UPDATE decision_log SET nonce = NULL"), "did not note enough"),
    "unknown policy": (lambda s: changed(s, "UPDATE decision_log SET policy_digest = 'unknown'"), "not kept here"),
    "too long ago": (lambda s: changed(s, "UPDATE change_log SET time = datetime(time, '-400 days')"), "longer ago"),
}  # fmt: skip


@pytest.mark.parametrize("why", SKIPPED)
def test_what_cannot_be_decided_again_is_counted_with_its_reason(fresh: EmbeddedServer, why: str) -> None:
    change, reason = SKIPPED[why]
    assert fresh.client().audit.replay().replayed == 2
    change(fresh)
    found = fresh.client().audit.replay()
    assert found
    assert found.skipped
    assert all(reason in text for text in found.skipped)


def test_refusal_by_the_token_and_question_about_the_past_are_not_replayed(fresh: EmbeddedServer) -> None:
    admin = fresh.client()
    limited = admin.as_token(admin.tokens.create(workspace="workspace").token_value)
    with suppress(LakewardenError):
        limited.audit.head()
    admin.authorization.check("BROWSE", "catalog", "main", subject="bob@example.com", as_of=3)
    fresh.app.decisions.flush()
    found = admin.audit.replay()
    assert found
    assert sorted(found.skipped) == [
        "a question about the past",
        "refused for WORKSPACE_DENIED, which the state does not decide",
    ]


def test_decision_of_a_former_policy_is_decided_by_that_one(fresh: EmbeddedServer) -> None:
    """Logged by a release that let nobody browse: by today's policy the yes would be right, by that one it is not."""
    model, privileges, operations, levels = policy_texts()
    row = next(line for line in privileges.splitlines() if line.startswith("CATALOG,BROWSE,"))
    stricter = row.replace(",,no,", ",catalog CATALOG:USE_CATALOG,no,", 1)
    changed_row = stricter.replace("catalog CATALOG", "self CATALOG")
    former = (model, privileges.replace(row, changed_row), operations, levels)
    digest = Policy(*former).digest
    with fresh.app.database.transaction(deadline=monotonic() + 10) as connection:
        history.remember_policy(connection, former, digest)
        connection.commit()
    assert fresh.client().audit.replay()
    changed(fresh, "UPDATE decision_log SET policy_digest = :digest", digest=digest)
    (difference,) = fresh.client().audit.replay().differences
    assert "logged as ALLOWED, decided again it is DENIED" in difference.problem
