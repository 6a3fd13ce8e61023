"""Every connection of every pool is set up, and says so itself."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import (
    DeadlineExceeded,
    InvalidArgument,
    LakewardenError,
    Reason,
    ResourceExhausted,
    Unavailable,
)
from lakewarden_server.storage import Database, create_database
from lakewarden_server.storage.connections import SQLITE_WRITER_CACHE_KIB, refuse_network_file_system
from lakewarden_server.storage.template import SqliteTemplate
from storage.worlds import committed, dump, user, writing

POOL_SIZE = 4
READERS = POOL_SIZE + 5


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"])
def test_a_sqlite_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument):
        create_database(url)


def test_another_database_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        create_database("mysql://localhost/x")


def test_a_new_sqlite_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "private.db"
    before = os.umask(0)
    try:
        database = create_database(f"sqlite:///{path}")
        with database.transaction(deadline=monotonic() + 10) as connection:
            connection.execute(text("CREATE TABLE t (x)"))
            connection.commit()
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        assert len(list(tmp_path.iterdir())) == 4, "the file, its -wal, its -shm and the writers' lock"
        database.close()
    finally:
        os.umask(before)
    assert modes == {0o600}


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda / ext4 rw 0 0\nserver:/x /srv/my\\040share nfs4 rw 0 0\n/dev/sdb /srv/my\\040share/disk xfs rw 0 0\n"
    )
    for fine in ("/srv/lakewarden.db", "/srv/my share/disk/lakewarden.db", "/srv/my share2/lakewarden.db"):
        refuse_network_file_system(Path(fine), mounts=mounts)
    with pytest.raises(InvalidArgument):
        refuse_network_file_system(Path("/srv/my share/lakewarden.db"), mounts=mounts)


def test_a_write_waits_for_another_process_until_its_deadline(
    tmp_path: Path, sqlite_template: SqliteTemplate
) -> None:
    """Two open databases on one file stand for two processes: they share no lock but those of the file."""
    first = sqlite_template.create(tmp_path / "shared.db")
    second = create_database(f"sqlite:///{tmp_path / 'shared.db'}")
    with writing(first), pytest.raises(DeadlineExceeded):
        _write_nothing(second, seconds=0.2)
    _write_nothing(second, seconds=5)
    assert first.head()[0].revision == 1
    first.close()
    second.close()


def _write_nothing(database: Database, *, seconds: float) -> None:
    with writing(database, seconds=seconds) as uow:
        uow.commit()


def settings_of_many(
    engine: Engine, ask: Callable[[Connection], tuple[object, ...]], count: int
) -> set[tuple[object, ...]]:
    """Opens `count` connections, more than the pool has, so that late ones are new or reused ones."""
    seen = set()
    for _ in range(2):
        opened = [engine.connect() for _ in range(min(count, engine.pool.size()))]  # type: ignore[attr-defined]
        seen |= {ask(connection) for connection in opened}
        for connection in opened:
            connection.close()
        engine.pool.dispose()
    return seen


def _pragmas(connection: Connection) -> tuple[object, ...]:
    names = ("journal_mode", "synchronous", "foreign_keys", "query_only", "wal_autocheckpoint")
    return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names)


def test_every_sqlite_connection_has_our_settings(make_database_url: Callable[[str], str]) -> None:
    database = create_database(make_database_url("sqlite"), pool_size=POOL_SIZE)
    assert settings_of_many(database.engines.reader, _pragmas, READERS) == {("wal", 2, 1, 1, 0)}
    assert settings_of_many(database.engines.writer, _pragmas, READERS) == {("wal", 2, 1, 0, 1000)}
    database.close()


def _cache_size(connection: Connection) -> object:
    return connection.exec_driver_sql("PRAGMA cache_size").scalar_one()


def test_the_writer_of_sqlite_keeps_what_a_large_transaction_changes(
    make_database_url: Callable[[str], str],
) -> None:
    database = create_database(make_database_url("sqlite"), pool_size=POOL_SIZE)
    assert settings_of_many(database.engines.writer, _cache_size, READERS) == {-SQLITE_WRITER_CACHE_KIB}
    database.close()


def _postgresql_settings(connection: Connection) -> tuple[object, ...]:
    names = (
        "synchronous_commit",
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "transaction_isolation",
        "transaction_read_only",
    )
    return tuple(connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names)


def test_every_postgresql_connection_has_our_settings(make_database_url: Callable[[str], str]) -> None:
    url = make_database_url("postgresql") + "&options=-c%20synchronous_commit%3Doff"
    database = create_database(url, pool_size=POOL_SIZE)
    limits = ("on", "2s", "5s", "10s")
    assert settings_of_many(database.engines.reader, _postgresql_settings, READERS) == {
        (*limits, "repeatable read", "on")
    }
    assert settings_of_many(database.engines.writer, _postgresql_settings, READERS) == {
        (*limits, "read committed", "off")
    }
    database.close()


def test_more_readers_than_the_pool_has_are_all_served(database_url: str) -> None:
    database = create_database(database_url, pool_size=POOL_SIZE)
    revisions: list[int] = []

    def read() -> None:
        with database.read() as uow:
            revisions.append(uow.revision)

    threads = [threading.Thread(target=read) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    assert revisions == [0] * READERS


def test_a_reader_cannot_write_even_by_sql(database: Database) -> None:
    with pytest.raises(LakewardenError), database.read() as uow:
        uow.connection.execute(text("DELETE FROM authz_head"))
    assert database.head()[0].revision == 0


def test_the_deadline_of_a_write_bounds_its_statements(make_database_url: Callable[[str], str]) -> None:
    database = create_database(make_database_url("postgresql"))
    began = monotonic()
    with pytest.raises(LakewardenError) as caught, writing(database, seconds=0.3) as uow:
        uow.connection.execute(text("SELECT pg_sleep(5)"))
    database.close()
    assert caught.value.reason == Reason.DEADLINE_PASSED
    assert monotonic() - began < 2


def test_a_lost_database_is_unavailable_and_nothing_else_is_said(tmp_path: Path, make_database_url) -> None:
    url = "postgresql://nobody:very-secret@127.0.0.1:1/none"
    database = create_database(url)
    for attempt in (database.head, lambda: committed(database, user("ann@example.com"))):
        with pytest.raises(Unavailable) as caught:
            attempt()
        assert "secret" not in caught.value.message
        assert "127.0.0.1" not in caught.value.message
    database.close()


def test_a_full_disk_refuses_writes_and_recovers(make_database_url: Callable[[str], str]) -> None:
    database = create_database(make_database_url("sqlite"))
    before = dump(database)
    _limit_pages(database, relative=4)
    with pytest.raises(ResourceExhausted) as caught:
        committed(
            database, *[user(f"{number}@example.com", display_name="x" * 4_000) for number in range(50)]
        )
    assert caught.value.reason == Reason.STORAGE_FULL
    assert dump(database) == before
    assert database.head()[0].revision == 0
    _limit_pages(database, relative=10_000)
    assert committed(database, user("ann@example.com")) == 1
    database.close()


def _limit_pages(database: Database, *, relative: int) -> None:
    with database.engines.writer.connect() as connection:
        used = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {used + relative}")


def test_a_copied_template_is_fast_and_another_history(tmp_path: Path) -> None:
    template = SqliteTemplate()
    took = []
    for name in ("first", "second", "third", "fourth", "fifth"):
        began = monotonic()
        made = template.create(tmp_path / f"{name}.db")
        took.append(monotonic() - began)
        made.close()
    first, second = (create_database(f"sqlite:///{tmp_path / name}.db") for name in ("first", "second"))
    with pytest.raises(FileExistsError):
        template.create(tmp_path / "second.db")
    assert first.head()[0].epoch != second.head()[0].epoch
    assert stat.S_IMODE((tmp_path / "second.db").stat().st_mode) == 0o600
    committed(first, user("ann@example.com"))
    assert second.head()[0].revision == 0
    first.close()
    second.close()
    # The first one migrates, and a busy machine does not stop every copy for as long.
    assert min(took[1:]) < took[0]


def test_parameters_stay_out_of_error_texts(database: Database) -> None:
    with pytest.raises(LakewardenError) as caught, writing(database) as uow:
        uow.connection.execute(text("INSERT INTO nowhere VALUES (:secret)"), {"secret": "canary-4711"})
    assert "canary" not in str(caught.value)
    assert "canary" not in str(caught.value.__cause__)
