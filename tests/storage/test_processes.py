"""Several server processes on one database."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from lakewarden_server.storage import Database, audit, create_database
from storage.workers import migrate_now, write_users

PROCESSES = 3
WRITES_EACH = 30


def in_processes(function: Callable[..., object], *arguments: tuple[object, ...]) -> list[object]:
    """Runs one call a process, all at once, and returns the results. The processes are forked from one that has read the code and nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["storage.workers"])
    with ProcessPoolExecutor(len(arguments), mp_context=context) as pool:
        return [future.result() for future in [pool.submit(function, *given) for given in arguments]]


def test_processes_writing_at_once_share_one_order(database: Database, database_url: str) -> None:
    results = in_processes(write_users, *[(database_url, f"p{n}", WRITES_EACH) for n in range(PROCESSES)])
    revisions = sorted(revision for result in results for revision in result)  # type: ignore[attr-defined]
    assert revisions == list(range(1, PROCESSES * WRITES_EACH + 1))
    assert database.head()[0].revision == len(revisions)
    with database.read() as uow:
        assert audit.verify(uow.connection) == []
        if database.dialect == "sqlite":
            assert uow.connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_processes_starting_at_once_make_one_migration(
    dialect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if dialect == "sqlite":
        url = f"sqlite:///{tmp_path / 'new.db'}"
    else:
        url = request.getfixturevalue("postgresql_server").create()
    epochs = in_processes(migrate_now, *[(url,)] * PROCESSES)
    assert len(set(epochs)) == 1
    database = create_database(url)
    with database.read() as uow:
        for table in ("authz_head", "audit_head", "alembic_version", "securables", "principals"):
            assert uow.connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 1, table
    database.close()
