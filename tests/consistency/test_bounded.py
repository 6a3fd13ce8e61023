"""Bounded freshness (promise G4): an old state is answered from for at most the bound, and never when the database is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from consistency.cluster import POOL_SIZE, Cluster
from lakewarden import Client, InvalidArgument, Unavailable
from lakewarden_policy import Head, load_policy
from lakewarden_server import app as composition
from lakewarden_server.authz import bounded
from lakewarden_server.authz.bounded import BOUND_SECONDS, Bounded
from lakewarden_server.authz.follower import Follower, Fresh
from lakewarden_server.core import errors
from lakewarden_server.storage import Database, UnitOfWork
from lakewarden_server.storage.connections import create_engines
from storage.dialects import ON_SQLITE

ROUNDS = 10
ROUNDS_LONG = 500
CONTROL_ROUNDS = 2
SLOW_SECONDS_MAX = 10.0
IDLE_SECONDS = 0.5
"""In place of those of production, so as not to wait for them."""
TABLE = "main.s.t"
READER = "reader@example.com"


class Deaf(Database):
    """A database whose primary can be made unreachable."""

    def __init__(self, url: str) -> None:
        super().__init__(create_engines(url, pool_size=POOL_SIZE))
        self.gone = False
        self.heads = 0

    def head(self) -> tuple[Head, datetime]:
        """The head, counted."""
        self.heads += 1
        self._refuse()
        return super().head()

    @contextmanager
    def read(self, *, deadline: float | None = None) -> Iterator[UnitOfWork]:
        """A read transaction."""
        self._refuse()
        with super().read(deadline=deadline) as uow:
            yield uow

    def _refuse(self) -> None:
        if self.gone:
            raise errors.Unavailable(errors.Reason.STORAGE_UNAVAILABLE, "the primary is gone")


class NeverLooksAgain(Bounded):
    """Broken: takes what it confirmed once for good."""

    def latest(self) -> Fresh:
        """What was the head at the first call."""
        confirmed = self._confirmed
        return confirmed.fresh if confirmed else self._look()


def world(cluster: Cluster) -> None:
    admin = cluster.admin()
    admin.catalogs.create("main")
    admin.schemas.create("main.s")
    admin.tables.create(TABLE, columns=[{"name": "id", "type_text": "INT"}])
    cluster.client_as(READER)
    admin.grants.grant("USE CATALOG", "catalog", "main", READER)
    admin.grants.grant("USE SCHEMA", "schema", "main.s", READER)


def asking(cluster: Cluster, endpoint: str) -> Client:
    return cluster.client_as(READER, endpoint).with_freshness("bounded")


def late_allows(cluster: Cluster, endpoint: str, rounds: int) -> list[float]:
    """How long after the bound a revoked right was still allowed, counted from the acknowledged revoke to the call's start."""
    admin, reader = cluster.admin(), asking(cluster, endpoint)
    late: list[float] = []
    for _ in range(rounds):
        admin.grants.grant("SELECT", "table", TABLE, READER)
        give_up = time.monotonic() + 5
        while not reader.authorization.check("SELECT", "table", TABLE) and time.monotonic() < give_up:
            pass
        admin.grants.revoke("SELECT", "table", TABLE, READER)
        acknowledged = time.monotonic()
        while True:
            begun = time.monotonic()
            if not reader.authorization.check("SELECT", "table", TABLE):
                break
            if begun - acknowledged > BOUND_SECONDS:
                late.append(begun - acknowledged)
                break
    return late


def test_a_revoke_holds_on_another_replica_within_the_bound(cluster: Cluster) -> None:
    world(cluster)
    cluster.add()
    assert late_allows(cluster, cluster.endpoints[-1], ROUNDS) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_revoke_holds_on_another_replica_within_the_bound_for_long(cluster: Cluster) -> None:
    world(cluster)
    cluster.add()
    assert late_allows(cluster, cluster.endpoints[-1], ROUNDS_LONG) == []


@ON_SQLITE
def test_control_a_state_that_is_never_confirmed_again_is_caught(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    world(cluster)
    cluster.admin().grants.grant("SELECT", "table", TABLE, READER)
    monkeypatch.setattr(composition, "Bounded", NeverLooksAgain)
    cluster.add()
    assert late_allows(cluster, cluster.endpoints[-1], CONTROL_ROUNDS) != []


def test_full_freshness_is_the_default_and_stays_strict(cluster: Cluster) -> None:
    world(cluster)
    cluster.add()
    admin, endpoint = cluster.admin(), cluster.endpoints[-1]
    strict, loose = cluster.client_as(READER, endpoint), asking(cluster, endpoint)
    for _ in range(ROUNDS):
        admin.grants.grant("SELECT", "table", TABLE, READER)
        loose.authorization.check("SELECT", "table", TABLE)
        assert strict.authorization.check("SELECT", "table", TABLE)
        admin.grants.revoke("SELECT", "table", TABLE, READER)
        assert not strict.authorization.check("SELECT", "table", TABLE)
        # What one's own write made is asked for by its revision.
        seen = loose.at_least_revision(admin.revision or "")
        assert not seen.authorization.check("SELECT", "table", TABLE)


def test_a_primary_that_is_gone_ends_bounded_answers_with_the_bound(cluster: Cluster) -> None:
    world(cluster)
    cluster.admin().grants.grant("SELECT", "table", TABLE, READER)
    database = Deaf(cluster.url)
    cluster.add(database=database)
    reader = asking(cluster, cluster.endpoints[-1])
    assert reader.authorization.check("SELECT", "table", TABLE)
    database.gone = True
    gone_since = time.monotonic()
    begun = gone_since
    with suppress(Unavailable):
        while begun - gone_since <= BOUND_SECONDS:
            begun = time.monotonic()
            reader.authorization.check("SELECT", "table", TABLE)
        pytest.fail("answered from a state older than the bound")
    database.gone = False
    assert reader.authorization.check("SELECT", "table", TABLE)


@ON_SQLITE
def test_bounded_calls_leave_the_database_alone_and_looking_ends_when_they_end(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "IDLE_SECONDS", IDLE_SECONDS)
    world(cluster)
    database = Deaf(cluster.url)
    cluster.add(database=database)
    reader = asking(cluster, cluster.endpoints[-1])
    reader.authorization.check("SELECT", "table", TABLE)
    before, calls = database.heads, 200
    for _ in range(calls):
        reader.authorization.check("SELECT", "table", TABLE)
    assert database.heads - before < calls / 2
    looking = [thread for thread in threading.enumerate() if thread.name == "lakewarden-bounded"]
    assert looking
    for thread in looking:
        thread.join(SLOW_SECONDS_MAX)
    assert not any(thread.is_alive() for thread in looking)


def test_a_grant_ends_in_bounded_answers_though_nothing_changes(cluster: Cluster) -> None:
    world(cluster)
    reader = asking(cluster, "")
    cluster.admin().grants.grant(
        "SELECT", "table", TABLE, READER, expire_time=datetime.now(UTC) + timedelta(seconds=1.5)
    )
    assert reader.authorization.check("SELECT", "table", TABLE)
    time.sleep(1.6)
    assert not reader.authorization.check("SELECT", "table", TABLE)


def test_an_unknown_freshness_is_refused(cluster: Cluster) -> None:
    client = cluster.admin().with_freshness("soon")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="full"):
        client.authorization.check("SELECT", "table", TABLE)


def test_once_it_is_stopped_nothing_reads_the_head_any_more(database: Database) -> None:
    """What read on would open a connection to a database that has been closed, and leave it open."""
    follower = Follower(database, load_policy())
    reading, go_on = threading.Event(), threading.Event()
    at_head = follower.at_head

    def slow() -> Fresh:
        reading.set()
        assert go_on.wait(SLOW_SECONDS_MAX)
        return at_head()

    looking = Bounded(follower)
    looking.latest()
    follower.at_head = slow  # type: ignore[method-assign]
    assert reading.wait(SLOW_SECONDS_MAX)
    stopping = threading.Thread(target=looking.stop)
    stopping.start()
    stopping.join(BOUND_SECONDS)
    assert stopping.is_alive(), "it is stopped while the head is read"
    go_on.set()
    stopping.join(SLOW_SECONDS_MAX)
    assert not stopping.is_alive()
    assert not looking._looking


def test_the_time_of_a_bounded_answer_does_not_run_ahead_of_the_database(database: Database) -> None:
    """However long the head took to come: a grant would end before its time."""
    follower = Follower(database, load_policy())
    at_head = follower.at_head

    def late() -> Fresh:
        time.sleep(BOUND_SECONDS / 2)
        return at_head()

    follower.at_head = late  # type: ignore[method-assign]
    looking = Bounded(follower)
    looking.latest()
    answered = looking.latest().now
    looking.stop()
    # SQLite's clock tells milliseconds.
    assert answered <= database.head()[1] + timedelta(milliseconds=1)
