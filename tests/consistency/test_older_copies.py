"""A database that is put back to an older state under live replicas: what was granted since is denied on each of them, never allowed from memory."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from consistency.cluster import Cluster, cluster_on
from durability.mortal import MortalPostgresql
from lakewarden import Client, Unavailable
from lakewarden_server.storage import create_database
from lakewarden_server.storage.snapshot import load_snapshot

SQLITE_ROUNDS, POSTGRESQL_ROUNDS = 2, 1
"""A kill and a copy of PostgreSQL take ten times as long; that a second loss is met as well, SQLite shows."""
ROUNDS_LONG = 20
SECONDS_MAX = 30.0
VICTIM = "victim@example.com"
Put = Callable[[], None]


class Watchers:
    """Ask each replica all the time whether the victim sees the catalog, and note every yes after the database went back."""

    def __init__(self, clients: dict[str, Client]) -> None:
        self.went_back = threading.Event()
        self.denied: set[str] = set()
        self.leaks: list[str] = []
        self.allowed = 0
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=found) for found in clients.items()]
        self._endpoints = set(clients)
        for thread in self._threads:
            thread.start()

    def _ask(self, endpoint: str, client: Client) -> None:
        while not self._stopping.is_set():
            back = self.went_back.is_set()
            try:
                allowed = bool(client.authorization.check("USE CATALOG", "catalog", "main"))
            except Unavailable:
                continue
            if back and allowed:
                self.leaks.append(endpoint)
            elif back:
                self.denied.add(endpoint)
            self.allowed += allowed

    def wait_until_denied(self) -> None:
        """Waits until every replica said no, for it holds the older state by then."""
        give_up = time.monotonic() + SECONDS_MAX
        while self.denied != self._endpoints and not self.leaks:
            assert time.monotonic() < give_up, "not every replica answers again"
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends the threads."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def watching(cluster: Cluster) -> Iterator[Watchers]:
    """Watchers on every replica during the block."""
    watchers = Watchers(
        {endpoint: cluster.client_as(VICTIM, endpoint).with_timeout(5) for endpoint in cluster.endpoints}
    )
    try:
        yield watchers
    finally:
        watchers.stop()


def put_back(cluster: Cluster, put: Put) -> None:
    """Gives the victim a right, puts the database back to before it, and looks at each replica."""
    admin = cluster.admin()
    admin.grants.grant("USE CATALOG", "catalog", "main", VICTIM)
    for endpoint in cluster.endpoints:
        assert cluster.client_as(VICTIM, endpoint).authorization.check("USE CATALOG", "catalog", "main")
    with watching(cluster) as watchers:
        time.sleep(0.2)
        put()
        watchers.went_back.set()
        watchers.wait_until_denied()
    assert watchers.leaks == []
    assert watchers.allowed, "the replicas answered from what they then must forget"
    assert_one_history(cluster)


def assert_one_history(cluster: Cluster) -> None:
    """What one replica writes now the others see at once, and all hold what the database holds."""
    for number, endpoint in enumerate(cluster.endpoints):
        eventually(lambda endpoint=endpoint, number=number: write(cluster, endpoint, f"after_{number}"))  # type: ignore[misc]
        for other in cluster.endpoints:
            names = {group.name for group in cluster.admin(other).groups.list()}
            assert f"after_{number}" in names, "two replicas write to two databases"
        cluster.admin().groups.delete(f"after_{number}")
    assert cluster.server.app.follower.at_head().snapshot.facts() == stored_facts(cluster)


def write(cluster: Cluster, endpoint: str, name: str) -> None:
    """Creates a group through one replica."""
    cluster.admin(endpoint).groups.create(name)


def eventually(act: Callable[[], object]) -> None:
    """Does it again while the database is said to be unavailable."""
    give_up = time.monotonic() + SECONDS_MAX
    while True:
        try:
            act()
        except Unavailable:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        else:
            return


def stored_facts(cluster: Cluster) -> object:
    """What a process that starts now reads from the database."""
    database = create_database(cluster.url)
    try:
        with database.read() as uow:
            return load_snapshot(uow.connection, head=uow.head, now=uow.time).facts()
    finally:
        database.close()


def world(cluster: Cluster) -> None:
    """A catalog, somebody who may not use it yet, and three replicas."""
    cluster.admin().catalogs.create("main")
    cluster.client_as(VICTIM)
    cluster.add()
    cluster.add_process()


def run_sqlite(url: str, directory: Path, *, rounds: int) -> None:
    """Puts an older copy in the place of a SQLite file that replicas have open."""
    file = Path(url.removeprefix("sqlite:///"))
    older = file.with_name("older.db")

    def put() -> None:
        # First: whoever opens the file of now must not meet the log of the one before.
        for end in ("-wal", "-shm"):
            file.with_name(file.name + end).unlink(missing_ok=True)
        os.replace(older, file)

    with cluster_on(url, directory) as cluster:
        world(cluster)
        for _ in range(rounds):
            with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(older)) as target:
                source.backup(target)
            put_back(cluster, put)


def run_postgresql(postgresql: MortalPostgresql, directory: Path, *, rounds: int) -> None:
    """Kills PostgreSQL and starts it on files of before, as a failover to a standby that was behind does."""
    older = postgresql.data.with_name("older")

    def put() -> None:
        postgresql.kill()
        shutil.rmtree(postgresql.data)
        os.replace(older, postgresql.data)
        postgresql.restart()

    with cluster_on(postgresql.url, directory) as cluster:
        world(cluster)
        for _ in range(rounds):
            postgresql.kill()
            postgresql.copy_files(older)
            postgresql.restart()
            eventually(lambda: cluster.admin().session.get())
            put_back(cluster, put)


def test_an_older_sqlite_file_put_in_place_under_live_replicas(
    make_database_url: Callable[[str], str], tmp_path: Path
) -> None:
    run_sqlite(make_database_url("sqlite"), tmp_path, rounds=SQLITE_ROUNDS)


def test_a_postgresql_that_lost_its_tail_under_live_replicas(
    postgresql: MortalPostgresql, tmp_path: Path
) -> None:
    run_postgresql(postgresql, tmp_path, rounds=POSTGRESQL_ROUNDS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_older_sqlite_file_put_in_place_over_and_over(
    make_database_url: Callable[[str], str], tmp_path: Path
) -> None:
    run_sqlite(make_database_url("sqlite"), tmp_path, rounds=ROUNDS_LONG)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_postgresql_that_lost_its_tail_under_live_replicas_over_and_over(
    postgresql: MortalPostgresql, tmp_path: Path
) -> None:
    run_postgresql(postgresql, tmp_path, rounds=ROUNDS_LONG)
