"""The head row: revision order is commit order, and nothing of a write is seen before its COMMIT."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, text

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded, Reason, Unavailable
from lakewarden_server.entities import Principal
from lakewarden_server.storage import Database, create_database
from storage.worlds import committed, user, writing

WRITERS = 6
WRITES_EACH = 25


def test_head_starts_at_zero_and_moves_by_one(database: Database) -> None:
    before, _ = database.head()
    revision = committed(database, user("ann@example.com"))
    after, _ = database.head()
    assert (before.revision, revision, after.revision) == (0, 1, 1)
    assert after.epoch == before.epoch
    assert after.nonce != before.nonce


def test_write_knows_the_head_before_it(database: Database) -> None:
    committed(database, user("ann@example.com"))
    head, _ = database.head()
    with writing(database) as uow:
        assert uow.previous == head
        assert uow.head.revision == head.revision + 1


def test_a_read_stays_at_its_revision_while_others_commit(database: Database) -> None:
    with database.read() as uow:
        committed(database, user("ann@example.com"))
        assert uow.revision == 0
        assert uow.session.query(Principal).filter_by(system=False).count() == 0
    with database.read() as uow:
        assert uow.revision == 1


def test_nothing_is_visible_before_commit(database: Database) -> None:
    with writing(database) as uow:
        uow.session.add(user("ann@example.com"))
        uow.session.flush()
        assert database.head()[0].revision == 0
        with database.read() as reader:
            assert reader.session.query(Principal).filter_by(system=False).count() == 0
        uow.commit()
    assert database.head()[0].revision == 1


def test_database_time_moves_and_has_a_zone(database: Database) -> None:
    _, first = database.head()
    with writing(database) as uow:
        assert uow.time >= first
    _, last = database.head()
    assert last >= first
    assert last.utcoffset() is not None


def test_a_broken_held_connection_is_replaced(database: Database) -> None:
    database.head()
    database._head._local.held.connection.close()
    assert database.head()[0].revision == 0


def test_an_unmigrated_database_is_unavailable(tmp_path) -> None:
    empty = create_database(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(Unavailable) as caught:
        empty.head()
    empty.close()
    assert caught.value.reason == Reason.STORAGE_UNAVAILABLE


def test_revision_order_is_commit_order_under_concurrent_writers(database: Database) -> None:
    seen, expected = _poll_while_writing(database, lambda: _write_with_head(database), _revisions_after)
    assert seen == expected == WRITERS * WRITES_EACH


def test_control_a_sequence_loses_changes(make_database_url: Callable[[str], str]) -> None:
    """The same poller over numbers from a sequence must miss some, or the test above proves nothing."""
    database = create_database(make_database_url("postgresql"))
    with database.engines.writer.begin() as connection:
        connection.execute(text("CREATE SEQUENCE numbers"))
        connection.execute(text("CREATE TABLE feed (revision bigint PRIMARY KEY)"))
    seen, expected = _poll_while_writing(database, lambda: _write_with_sequence(database), _feed_after)
    database.close()
    assert expected == WRITERS * WRITES_EACH
    assert seen < expected


def test_deadline_passes_while_another_write_holds_the_head(database: Database) -> None:
    with writing(database):
        began = monotonic()
        with (
            ThreadPoolExecutor(1) as pool,
            pytest.raises(DeadlineExceeded),
        ):
            pool.submit(_write_for, database, 0.3).result()
        assert monotonic() - began < 1.5
    assert database.head()[0].revision == 0


def test_a_wait_that_only_our_own_limit_ended_is_unavailable(make_database_url: Callable[[str], str]) -> None:
    """PostgreSQL only: on SQLite threads queue in our own lock, which knows no limit but the deadline."""
    database = create_database(make_database_url("postgresql"))
    with writing(database), ThreadPoolExecutor(1) as pool:
        error = pool.submit(_write_for, database, 30).exception()
    database.close()
    assert isinstance(error, Unavailable)


def test_a_write_whose_deadline_passed_is_not_committed(database: Database) -> None:
    with writing(database) as uow:
        uow.session.add(user("ann@example.com"))
        uow.session.flush()
        uow.deadline = monotonic() - 1
        with pytest.raises(DeadlineExceeded):
            uow.commit()
    assert database.head()[0].revision == 0


def _write_for(database: Database, seconds: float) -> None:
    with writing(database, seconds=seconds) as uow:
        uow.commit()


def _write_with_head(database: Database) -> None:
    committed(database, user(f"{threading.get_ident()}-{monotonic()}@example.com"))


def _write_with_sequence(database: Database) -> None:
    with database.engines.writer.begin() as connection:
        number = connection.execute(text("SELECT nextval('numbers')")).scalar_one()
        # What a transaction does between taking a number and committing takes a different time each.
        connection.execute(text("SELECT pg_sleep(random() * 0.01)"))
        connection.execute(text("INSERT INTO feed VALUES (:number)"), {"number": number})


def _revisions_after(connection: Connection, last: int) -> list[int]:
    rows = connection.execute(
        text("SELECT DISTINCT revision FROM change_log WHERE revision > :last ORDER BY revision"),
        {"last": last},
    )
    return list(rows.scalars())


def _feed_after(connection: Connection, last: int) -> list[int]:
    rows = connection.execute(text("SELECT revision FROM feed WHERE revision > :last"), {"last": last})
    return sorted(rows.scalars())


def _poll_while_writing(
    database: Database, write: Callable[[], None], after: Callable[[Connection, int], list[int]]
) -> tuple[int, int]:
    """Follows a feed by `revision > last` while writers write; returns how many it saw and how many there are."""
    done = threading.Event()
    seen: list[int] = []

    def follow() -> None:
        while True:
            finished = done.is_set()
            with database.engines.reader.connect() as connection, connection.begin():
                seen.extend(after(connection, seen[-1] if seen else 0))
            if finished:
                return

    def write_many() -> None:
        for _ in range(WRITES_EACH):
            write()

    follower = threading.Thread(target=follow)
    follower.start()
    with ThreadPoolExecutor(WRITERS) as pool:
        futures = [pool.submit(write_many) for _ in range(WRITERS)]
    done.set()
    follower.join()
    for future in futures:
        future.result()
    with database.engines.reader.connect() as connection, connection.begin():
        return len(seen), len(after(connection, 0))
