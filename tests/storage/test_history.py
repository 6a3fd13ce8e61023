"""The past from the change log is what the tables held then, at every revision, for everything a snapshot contains."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from lakewarden_policy import Snapshot, load_policy, policy_texts
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import FailedPrecondition, Reason
from lakewarden_server.storage import Database, history, load_snapshot
from lakewarden_server.storage.snapshot import SOURCES
from storage.dialects import ON_SQLITE
from storage.random_changes import CHANGES, Walk
from storage.worlds import committed, user, writing

STEPS = 60


def content(snapshot: Snapshot) -> dict[str, Any]:
    """Everything a snapshot says, and its head."""
    return {"head": snapshot.head, **snapshot.facts()}


def live(database: Database) -> Snapshot:
    with database.read() as uow:
        return load_snapshot(uow.connection, head=uow.head, now=uow.time)


def past(database: Database, revision: int) -> Snapshot:
    """The state at a revision, judged at the revision's own time."""
    with database.read() as uow:
        moment = history.at_revision(uow.connection, uow.head, revision, now=uow.time)
        return history.load_past(uow.connection, moment).at(moment.time.timestamp())


def walked(database: Database, seed: int, steps: int) -> dict[int, dict[str, Any]]:
    """The content of the live snapshot after each of many random changes, by revision."""
    walk = Walk(database, seed)
    seen: dict[int, dict[str, Any]] = {}
    for _ in range(steps):
        revision = walk.step()
        with database.read() as uow:
            moment = history.at_revision(uow.connection, uow.head, revision, now=uow.time)
            seen[revision] = content(load_snapshot(uow.connection, head=uow.head, now=moment.time))
    assert walk.done == {change.__name__ for change in CHANGES}
    return seen


def changed(database: Database, change: str, **values: Any) -> None:
    with database.transaction(deadline=monotonic() + 10) as connection:
        connection.execute(text(change), values)
        connection.commit()


def refused(ask: Callable[[], object]) -> str:
    with pytest.raises(FailedPrecondition) as caught:
        ask()
    assert caught.value.reason is Reason.HISTORY_UNAVAILABLE
    return caught.value.message


@pytest.mark.parametrize("seed", [1, 5])
def test_every_revision_is_what_the_tables_held_then(database: Database, seed: int) -> None:
    seen = walked(database, seed, STEPS)
    for revision, expected in seen.items():
        assert content(past(database, revision)) == expected, (seed, revision)
    everything = {name for expected in seen.values() for name, value in expected.items() if value}
    assert {
        "principals",
        "tokens",
        "bindings",
        "references",
        "row_filters",
        "column_masks",
        "functions",
        "views",
        "expiring",
    } <= everything


@pytest.mark.slow
def test_every_revision_of_a_long_history(database: Database) -> None:
    for revision, expected in walked(database, 3, 500).items():
        assert content(past(database, revision)) == expected, revision


@ON_SQLITE
def test_control_rows_missing_from_the_log_are_seen(database: Database) -> None:
    expected = walked(database, 1, STEPS)
    # Only of revisions that leave other rows: one without any is refused, which would be seen at once.
    others = "SELECT revision FROM change_log WHERE kind <> 'GRANT'"
    changed(database, f"DELETE FROM change_log WHERE kind = 'GRANT' AND revision IN ({others})")
    assert any(content(past(database, revision)) != held for revision, held in expected.items())


def test_every_list_of_a_snapshot_has_a_source() -> None:
    """What `Snapshot.build` takes, decisions rest on; a list without a source would be empty in every answer."""
    lists = set(Snapshot.build.__kwdefaults__ or {}) | {
        "principals",
        "memberships",
        "securables",
        "grants",
        "tokens",
    }
    assert set(SOURCES) == lists - {"now", "deleted"}


def test_state_older_than_a_column_has_what_the_migration_gave_it(database: Database) -> None:
    walk = Walk(database, 4)
    for _ in range(20):
        walk.step()
    with database.read() as uow:
        rows = uow.connection.execute(
            text("SELECT revision, position, after FROM change_log WHERE after IS NOT NULL")
        ).all()
    for revision, position, after in rows:
        state = json.loads(after) if isinstance(after, str) else after
        state.pop("isolation_mode", None)
        change = "UPDATE change_log SET after = :after WHERE revision = :revision AND position = :position"
        if database.dialect == "postgresql":
            change = change.replace(":after", "CAST(:after AS json)")
        changed(database, change, after=json.dumps(state), revision=revision, position=position)
    with database.read() as uow:
        assert not past(database, uow.revision).bindings


def test_time_finds_the_newest_revision_up_to_it(database: Database) -> None:
    revisions = [committed(database, user(f"{number}@example.com")) for number in range(4)]
    with database.read() as uow:
        moments = [
            history.at_revision(uow.connection, uow.head, revision, now=uow.time) for revision in revisions
        ]
        for moment in moments:
            found = history.at_time(uow.connection, uow.head, moment.time, now=uow.time)
            assert found.head.revision >= moment.head.revision
            assert found.time == moment.time
        between = moments[1].time + (moments[2].time - moments[1].time) / 2
        if moments[1].time < between < moments[2].time:
            assert history.at_time(uow.connection, uow.head, between, now=uow.time).head == moments[1].head
        newest = history.at_time(uow.connection, uow.head, uow.time, now=uow.time)
        assert newest.head == uow.head


def test_what_is_not_in_the_log_is_refused_and_says_what_there_is(database: Database) -> None:
    committed(database, user("ann@example.com"))
    with database.read() as uow:
        connection, head, now = uow.connection, uow.head, uow.time
        first = history.at_revision(connection, head, 1, now=now)
        assert "not reached yet" in refused(lambda: history.at_revision(connection, head, 2, now=now))
        assert "begins with revision 1" in refused(lambda: history.at_revision(connection, head, 0, now=now))
        future = now + timedelta(seconds=1)
        assert "still to come" in refused(lambda: history.at_time(connection, head, future, now=now))
        before = first.time - timedelta(microseconds=1)
        assert f"before the first change, which was at {first.time.isoformat()}" in refused(
            lambda: history.at_time(connection, head, before, now=now)
        )


def test_what_is_older_than_the_retention_is_refused(database: Database) -> None:
    for number in range(3):
        committed(database, user(f"{number}@example.com"))
    with database.read() as uow:
        connection, head, newest = (
            uow.connection,
            uow.head,
            history.at_revision(uow.connection, uow.head, 3, now=uow.time),
        )
        # A year later revision 3 is in force at the edge, so it is answered and those before are not.
        later = newest.time + history.RETENTION
        assert history.at_revision(connection, head, 3, now=later) == newest
        assert history.at_time(connection, head, newest.time, now=later) == newest
        assert "ask for 3 or later" in refused(lambda: history.at_revision(connection, head, 2, now=later))
        earlier = newest.time - timedelta(microseconds=1)
        assert "365 days" in refused(lambda: history.at_time(connection, head, earlier, now=later))


def test_policy_of_the_time_is_kept_and_checked(database: Database) -> None:
    policy = load_policy()

    def remember(connection: Connection) -> None:
        history.remember_policy(connection, policy_texts(), policy.digest)

    with database.read() as uow:
        assert history.newest_policy_digest(uow.connection) is None
    for _ in range(2):
        with database.transaction(deadline=monotonic() + 10) as connection:
            remember(connection)
            connection.commit()
    with database.read() as uow:
        assert history.load_policy_of(uow.connection, policy.digest).digest == policy.digest
        assert "not kept here" in refused(lambda: history.load_policy_of(uow.connection, "f" * 64))
    for column, spoiled, problem in (
        ("operations", policy_texts()[2].replace("admin roles", "roles"), "was changed"),
        ("operations", "nonsense", "cannot read"),
    ):
        changed(database, f"UPDATE policies SET {column} = :text", text=spoiled)
        with database.read() as uow:
            assert problem in refused(lambda: history.load_policy_of(uow.connection, policy.digest))


def test_a_refused_write_leaves_no_trace_in_the_past(database: Database) -> None:
    revision = committed(database, user("ann@example.com"))
    with writing(database) as uow:
        uow.session.add(user("bob@example.com"))
        uow.session.flush()
    assert content(past(database, revision)) == content(live(database))
