"""Check as of an earlier revision or time: the very answer that was given then, by the names of then."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from lakewarden import Client, InvalidArgument, LakewardenError, PermissionDenied
from lakewarden._authorization import access
from lakewarden.v1 import authorization_pb2
from lakewarden_policy import Policy, policy_texts
from lakewarden_server.bootstrap import note_policy
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import history
from lakewarden_server.testing import EmbeddedServer, serve

BOB = "bob@example.com"
ORDERS = "main.sales.orders"
CHANGES, QUESTIONS = 60, 6


@pytest.fixture
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server of its own with a table Bob may enter."""
    with serve(directory=tmp_path_factory.mktemp("past")) as server:
        admin = server.client()
        server.client_as("bob")
        admin.catalogs.create("main")
        admin.schemas.create("main.sales")
        admin.tables.create(ORDERS)
        admin.grants.grant(["USE CATALOG", "BROWSE"], "catalog", "main", BOB)
        admin.grants.grant("USE SCHEMA", "schema", "main.sales", BOB)
        yield server


def revision_of(client: Client) -> str:
    client.session.get()
    return client.revision


def refused(ask: Callable[[], object]) -> str:
    with pytest.raises(LakewardenError) as caught:
        ask()
    return caught.value.reason


def test_past_answer_is_that_of_then(past: EmbeddedServer) -> None:
    admin = past.client()

    def may(**when: Any) -> bool:
        return bool(admin.authorization.check("SELECT", "table", ORDERS, subject=BOB, **when))

    before = revision_of(admin)
    admin.grants.grant("SELECT", "table", ORDERS, BOB)
    granted = revision_of(admin)
    admin.grants.revoke("SELECT", "table", ORDERS, BOB)
    number = int(granted.rpartition(":")[2])
    assert [may(as_of=when) for when in (before, granted, number, number + 1)] == [False, True, True, False]
    answer = admin.authorization.check("SELECT", "table", ORDERS, subject=BOB, as_of=before)
    assert answer.revision == before
    assert "no SELECT on main.sales.orders" in answer.reason
    times = {
        record.revision: record.event_time.ToDatetime(UTC) for record in admin.audit.list(outcome="DONE")
    }
    assert may(as_of=times[number])
    assert not may(as_of=times[number] - timedelta(microseconds=1))
    assert not may(as_of=times[number + 1])


def test_past_names_mean_what_they_meant_then(past: EmbeddedServer) -> None:
    """Renamed, deleted and made again under the same name: the question is about the old one."""
    admin = past.client()
    admin.grants.grant("SELECT", "table", ORDERS, BOB)
    then = revision_of(admin)
    admin.tables.rename(ORDERS, "moved")
    admin.tables.create(ORDERS)
    admin.users.delete(BOB)
    admin.users.create(BOB)

    def ask(name: str, when: str) -> bool:
        return bool(admin.authorization.check("SELECT", "table", name, subject=BOB, as_of=when))

    assert ask(ORDERS, then)
    assert not ask("main.sales.moved", then)
    now = revision_of(admin)
    assert not ask(ORDERS, now)
    assert not ask("main.sales.moved", now)


def test_past_of_a_workspace_that_was_detached_and_of_one_that_was_not_there(past: EmbeddedServer) -> None:
    admin = past.client()
    admin.grants.grant("SELECT", "table", ORDERS, BOB)
    then = revision_of(admin)
    admin.workspaces.create("later", metastore="metastore")
    admin.grants.grant("USER", "workspace", "later", BOB)
    admin.workspaces.detach("workspace")
    assert admin.authorization.check("SELECT", "table", ORDERS, subject=BOB, as_of=then)
    later = past.client(workspace="later")
    assert not later.authorization.check("SELECT", "table", ORDERS, subject=BOB, as_of=then)
    assert later.authorization.check("SELECT", "table", ORDERS, subject=BOB, as_of=revision_of(admin))


def test_grant_that_expires_is_judged_at_the_time_asked_about(past: EmbeddedServer) -> None:
    admin = past.client()
    admin.grants.grant("SELECT", "table", ORDERS, BOB)
    made = datetime.now(UTC)
    with past.app.database.transaction(deadline=monotonic() + 10) as connection:
        # Made two hours ago and expired an hour ago, in the table and in the log.
        connection.execute(text("UPDATE change_log SET time = datetime(time, '-2 hours')"))
        stored = '"expire_time": "' + (made - timedelta(hours=1)).isoformat(timespec="microseconds") + '"'
        connection.execute(
            text("UPDATE change_log SET after = replace(after, '\"expire_time\": null', :stored) WHERE kind = 'GRANT'"),
            {"stored": stored},
        )  # fmt: skip
        connection.commit()

    def may(hours_ago: float) -> bool:
        when = made - timedelta(hours=hours_ago)
        return bool(admin.authorization.check("SELECT", "table", ORDERS, subject=BOB, as_of=when))

    assert [may(1.5), may(1.01), may(0.99), may(0)] == [True, True, False, False]


def test_random_past_is_answered_as_it_was(past: EmbeddedServer) -> None:
    """After each of many changes some questions are asked; later each is asked again as of its revision and of its time."""
    rng, admin = random.Random(5), past.client()
    admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", "admin@example.com")
    people = [f"p{number}@example.com" for number in range(4)]
    for person in people:
        past.token_of(person)
    admin.groups.create("team")
    asked: list[tuple[str, str, str, str, bool, tuple[str, ...]]] = []
    for step in range(CHANGES):
        with suppress(LakewardenError):
            _change(rng, admin, people, step)
        for _ in range(QUESTIONS):
            who = rng.choice(people)
            kind, name, privilege = rng.choice(
                [("table", ORDERS, "SELECT"), ("table", "main.sales.t", "SELECT"), ("schema", "main.sales", "USE SCHEMA"), ("catalog", "main", "BROWSE")]
            )  # fmt: skip
            answer = admin.authorization.check(privilege, kind, name, subject=who)
            asked.append((who, privilege, kind, name, answer.allowed, (answer.revision, answer.reason)))
    assert 20 < sum(answer[4] for answer in asked) < len(asked) - 20
    for who, privilege, kind, name, allowed, (revision, reason) in asked:
        again = admin.authorization.check(privilege, kind, name, subject=who, as_of=revision)
        assert (again.allowed, again.revision, again.reason) == (allowed, revision, reason)


def _change(rng: random.Random, admin: Client, people: list[str], step: int) -> None:
    who = rng.choice([*people, "team"])
    kind, name, privilege = rng.choice(
        [("catalog", "main", "USE CATALOG"), ("catalog", "main", "BROWSE"), ("schema", "main.sales", "USE SCHEMA"), ("schema", "main.sales", "SELECT"), ("table", ORDERS, "SELECT")]
    )  # fmt: skip
    act = rng.randrange(8)
    if act < 4:
        admin.grants.grant(privilege, kind, name, who)
    elif act == 4:
        admin.grants.revoke(privilege, kind, name, who)
    elif act == 5:
        admin.groups.update_members(
            "team", **{rng.choice(("add", "remove")): [rng.choice(people)]}
        )  # fmt: skip
    elif act == 6:
        (admin.users.enable if rng.random() < 0.8 else admin.users.disable)(people[0])
    elif rng.random() < 0.5:
        admin.tables.rename(*rng.choice(((ORDERS, "t"), ("main.sales.t", "orders"))))
    else:
        admin.tables.set_owner(ORDERS, rng.choice(people))


def test_past_list_of_principals_is_that_of_then(past: EmbeddedServer) -> None:
    """At each of several revisions: exactly those whom Check would have allowed, and whom the list named then."""
    admin = past.client()
    people = [f"p{number}@example.com" for number in range(3)]
    for person in people:
        past.token_of(person)
        admin.grants.grant(["USE CATALOG"], "catalog", "main", person)
        admin.grants.grant(["USE SCHEMA"], "schema", "main.sales", person)
    seen: dict[str, list[str]] = {}
    for person in people:
        admin.grants.grant("SELECT", "table", ORDERS, person)
        seen[revision_of(admin)] = [
            each.principal for each in admin.authorization.list_principals("SELECT", "table", ORDERS)
        ]
    admin.tables.rename(ORDERS, "moved")
    admin.users.delete(people[0])
    for count, (revision, expected) in enumerate(seen.items(), 1):
        pages = admin.authorization.list_principals("SELECT", "table", ORDERS, as_of=revision, page_size=1)
        names = [each.principal for each in pages]
        assert names == expected
        assert set(people[:count]) <= set(names)
        for person in people:
            asked = admin.authorization.check("SELECT", "table", ORDERS, subject=person, as_of=revision)
            assert bool(asked) is (person in names)
    now = revision_of(admin)
    assert refused(lambda: list(admin.authorization.list_principals("SELECT", "table", ORDERS, as_of=now))) == "OBJECT_NOT_FOUND"  # fmt: skip
    bob = past.client_as("bob")
    assert refused(lambda: list(bob.authorization.list_principals("SELECT", "table", ORDERS, as_of=now))) == "PRIVILEGE_MISSING"  # fmt: skip


def test_past_question_is_in_the_audit_with_its_subject(past: EmbeddedServer) -> None:
    admin = past.client()
    admin.authorization.check("SELECT", "table", ORDERS, subject=BOB, as_of=revision_of(admin))
    past.app.decisions.flush()
    (record,) = admin.audit.list(action="authorization.as_of")
    assert (record.actor, record.subject, record.object_name) == ("admin@example.com", BOB, ORDERS)


def test_past_is_for_account_admins(past: EmbeddedServer) -> None:
    bob, admin = past.client_as("bob"), past.client()
    now = revision_of(admin)
    with pytest.raises(PermissionDenied) as caught:
        bob.authorization.check("SELECT", "table", ORDERS, as_of=now)
    assert caught.value.reason == "PRIVILEGE_MISSING"
    assert "ADMIN" in caught.value.message
    engine = admin.service_principals.create("engine").name
    admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", "workspace", engine)
    asking = past.client(past.issue_token(engine))
    assert not asking.authorization.check("SELECT", "table", ORDERS, subject=BOB)
    with pytest.raises(PermissionDenied):
        asking.authorization.check("SELECT", "table", ORDERS, subject=BOB, as_of=now)
    limited = admin.as_token(admin.tokens.create(workspace="workspace").token_value)
    for ask in (
        lambda: limited.authorization.check("SELECT", "table", ORDERS, subject=BOB, as_of=now),
        lambda: limited.audit.head(),
    ):
        assert refused(ask) == "WORKSPACE_DENIED"


def test_past_that_is_not_kept_is_refused(past: EmbeddedServer) -> None:
    admin = past.client()
    now = revision_of(admin)
    epoch, _, number = now.rpartition(":")

    def ask(when: Any) -> Callable[[], object]:
        return lambda: admin.authorization.check("SELECT", "table", ORDERS, subject=BOB, as_of=when)

    moment = datetime.now(UTC)
    for when in (0, int(number) + 1, f"{epoch}:{int(number) + 9}", moment - timedelta(days=1), moment + timedelta(days=1), moment - history.RETENTION - timedelta(days=1)):  # fmt: skip
        assert refused(ask(when)) == "HISTORY_UNAVAILABLE", when
    assert refused(ask(f"{'0' * 8}-1111-7111-8111-{'0' * 12}:{number}")) == "HISTORY_MISMATCH"
    for when in ("yesterday", "-1", f"{epoch}:", "1:2:3", "9" * 19):
        assert refused(ask(when)) == "FIELD_INVALID", when
    with pytest.raises(InvalidArgument, match="time zone"):
        ask(datetime(2026, 11, 26))()


def test_revision_and_time_together_are_refused(past: EmbeddedServer) -> None:
    admin = past.client()
    message = authorization_pb2.CheckRequest(
        as_of_revision="1", as_of_time={"seconds": 1}, access=access("SELECT", "table", ORDERS)
    )
    with pytest.raises(InvalidArgument, match="one of them"):
        admin._connection.call(admin.authorization._stub.Check, message)


def former_policy() -> tuple[str, str, str, str]:
    """That of a release before, in which SELECT alone was enough to read."""
    model, privileges, operations, levels = policy_texts()
    gated = "TABLE,SELECT,yes,WORKSPACE,,,schema SCHEMA:USE_SCHEMA & catalog CATALOG:USE_CATALOG,"
    assert gated in privileges
    return model, privileges.replace(gated, "TABLE,SELECT,yes,WORKSPACE,,,,"), operations, levels


def written(server: EmbeddedServer, how: Callable[[Connection], object]) -> None:
    with server.app.database.transaction(deadline=monotonic() + 10) as connection:
        how(connection)
        connection.commit()


def test_state_of_another_policys_time_is_decided_by_that_policy(past: EmbeddedServer) -> None:
    admin, former = past.client(), former_policy()
    admin.grants.revoke("USE SCHEMA", "schema", "main.sales", BOB)
    admin.grants.grant("SELECT", "table", ORDERS, BOB)
    then, digest = revision_of(admin), Policy(*former).digest

    def ask() -> Any:
        return admin.authorization.check("SELECT", "table", ORDERS, subject=BOB, as_of=then)

    assert not ask()
    mark = text("UPDATE change_log SET policy_digest = :digest")
    written(past, lambda connection: connection.execute(mark, {"digest": digest}))
    assert refused(ask) == "HISTORY_UNAVAILABLE"
    written(past, lambda connection: history.remember_policy(connection, former, digest))
    assert ask()


def test_start_with_another_policy_makes_a_revision_of_it(past: EmbeddedServer) -> None:
    admin, former = past.client(), former_policy()
    digest = Policy(*former).digest
    mark = text("UPDATE change_log SET policy_digest = :digest")
    written(past, lambda connection: connection.execute(mark, {"digest": digest}))
    then = revision_of(admin)
    past.app._keep_policy()
    assert revision_of(admin) != then
    (record,) = admin.audit.list(action="policy")
    assert record.detail["before"] == digest
    past.app._keep_policy()
    # Another worker that saw the former policy, too, and comes second to the head.
    note_policy(past.app.database, digest=past.app.follower.policy.digest)
    assert len(list(admin.audit.list(action="policy"))) == 1
    assert admin.audit.verify()
