"""Several server processes on one database."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from lakewarden_server.storage import Database, audit, create_database
from storage.workers import at_once, meet_at, migrate_now, write_users

PROCESSES = 3
WRITES_EACH = 30


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Processes that have read the code, and meet before each call."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        PROCESSES, mp_context=context, initializer=meet_at, initargs=(context.Barrier(PROCESSES),)
    ) as pool:
        yield pool


def in_processes(
    pool: ProcessPoolExecutor, function: Callable[..., object], *arguments: tuple[object, ...]
) -> list[object]:
    """Runs one call a process, all at once, and returns the results."""
    futures = [pool.submit(at_once, function, *given) for given in arguments]
    return [future.result() for future in futures]


def test_processes_writing_at_once_share_one_order(
    pool: ProcessPoolExecutor, database: Database, database_url: str
) -> None:
    results = in_processes(
        pool, write_users, *[(database_url, f"p{n}", WRITES_EACH) for n in range(PROCESSES)]
    )
    revisions = sorted(revision for result in results for revision in result)  # type: ignore[attr-defined]
    assert revisions == list(range(1, PROCESSES * WRITES_EACH + 1))
    assert database.head()[0].revision == len(revisions)
    with database.read() as uow:
        assert audit.verify(uow.connection) == []
        if database.dialect == "sqlite":
            assert uow.connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_processes_starting_at_once_make_one_migration(
    pool: ProcessPoolExecutor, dialect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if dialect == "sqlite":
        url = f"sqlite:///{tmp_path / 'new.db'}"
    else:
        url = request.getfixturevalue("postgresql_server").create()
    epochs = in_processes(pool, migrate_now, *[(url,)] * PROCESSES)
    assert len(set(epochs)) == 1
    database = create_database(url)
    with database.read() as uow:
        for table in ("authz_head", "audit_head", "alembic_version", "securables", "principals"):
            assert uow.connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 1, table
    database.close()
