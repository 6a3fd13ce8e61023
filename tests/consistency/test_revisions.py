"""A client that names the last revision it saw is never answered from before it, nor from another history (G2, G3)."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import Connection, text

from consistency.cluster import Cluster
from lakewarden import FailedPrecondition, InvalidArgument, Unavailable
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import Database
from lakewarden_server.storage.head import renew_epoch

PAIRS = 40
PAIRS_LONG = 2_000
REFUSALS = 30


def test_a_write_is_read_back_on_every_replica(cluster: Cluster) -> None:
    read_writes(cluster, pairs=PAIRS, seed=20261120)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_write_is_read_back_on_every_replica_for_long(cluster: Cluster) -> None:
    read_writes(cluster, pairs=PAIRS_LONG, seed=1)


def test_a_revision_that_was_not_reached_is_unavailable(cluster: Cluster) -> None:
    epoch, revision = last_seen(cluster)
    for ahead in range(1, REFUSALS):
        with pytest.raises(Unavailable) as failure:
            cluster.admin().at_least_revision(f"{epoch}:{revision + ahead}").catalogs.get("main")
        assert failure.value.reason == "SNAPSHOT_UNAVAILABLE"
    assert list(cluster.admin().at_least_revision(f"{epoch}:{revision}").catalogs.list()) == []


def test_a_revision_of_another_history_is_refused_by_reads_and_writes(cluster: Cluster) -> None:
    cluster.add()
    epoch, revision = last_seen(cluster)
    with transaction(cluster.server.app.database) as connection:
        renew_epoch(connection)
        connection.commit()
    for endpoint in cluster.endpoints:
        admin = cluster.admin(endpoint)
        old = admin.at_least_revision(f"{epoch}:{revision}")
        with pytest.raises(FailedPrecondition) as failure:
            list(old.catalogs.list())
        assert failure.value.reason == "HISTORY_MISMATCH"
        with pytest.raises(FailedPrecondition):
            old.catalogs.create("main")
        assert list(admin.catalogs.list()) == []
        assert not admin.revision.startswith(epoch)


def test_a_database_that_went_back_is_noticed_and_its_lost_grants_are_not_kept(cluster: Cluster) -> None:
    admin, victim = cluster.admin(), cluster.client_as("victim")
    admin.catalogs.create("main")
    admin.grants.grant("USE_CATALOG", "catalog", "main", "victim@example.com")
    assert [catalog.name for catalog in victim.catalogs.list()] == ["main"]
    epoch, revision = last_seen(cluster)
    # A failover that lost its tail: the grant never was, another change took its revision, with another nonce.
    with transaction(cluster.server.app.database) as connection:
        connection.execute(text("DELETE FROM grants WHERE privilege = 'USE_CATALOG'"))
        connection.execute(text("UPDATE authz_head SET nonce = 'another history'"))
        connection.commit()
    with pytest.raises(Unavailable):
        list(victim.catalogs.list())
    assert list(victim.catalogs.list()) == []
    renewed = last_seen(cluster)[0]
    assert renewed != epoch, "the other history has an epoch of its own"
    # It is left once: from here on it is a history like any other.
    for number in range(3):
        admin.catalogs.create(f"after_{number}")
        admin.catalogs.delete(f"after_{number}")
        assert list(victim.catalogs.list()) == []
    assert last_seen(cluster)[0] == renewed
    # And one that lost more than was made up for: a client that saw the lost revision is told so.
    with transaction(cluster.server.app.database) as connection:
        connection.execute(text("UPDATE authz_head SET revision = revision - 1, nonce = 'yet another'"))
        connection.commit()
    with pytest.raises(Unavailable):
        list(victim.catalogs.list())
    # Every revision of the old histories is void.
    with pytest.raises(FailedPrecondition) as failure:
        list(admin.at_least_revision(f"{epoch}:{revision}").catalogs.list())
    assert failure.value.reason == "HISTORY_MISMATCH"
    assert last_seen(cluster)[0] != epoch


def test_a_malformed_revision_is_refused(cluster: Cluster) -> None:
    for malformed in ("1", "x:y", ":1", "epoch:", "epoch:-1", "epoch:1.5", "epoch: 1"):
        with pytest.raises(InvalidArgument) as failure:
            list(cluster.admin().at_least_revision(malformed).catalogs.list())
        assert failure.value.reason == "FIELD_INVALID"


def read_writes(cluster: Cluster, *, pairs: int, seed: int) -> None:
    """Writes on one replica and reads on another with the revision of the write."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    cluster.add()
    cluster.add_process()
    clients = [cluster.admin(endpoint) for endpoint in cluster.endpoints]
    clients[0].catalogs.create("main")
    newest = 0
    for number in range(pairs):
        writer, reader = chance.choice(clients), chance.choice(clients)
        writer.catalogs.update("main", comment=str(number))
        written = int(writer.revision.rpartition(":")[2])
        seen = reader.at_least_revision(writer.revision)
        assert seen.catalogs.get("main").comment == str(number)
        answered = int(seen.revision.rpartition(":")[2])
        assert answered >= written > newest
        newest = answered


def last_seen(cluster: Cluster) -> tuple[str, int]:
    """Epoch and number of the revision as a client sees it now."""
    admin = cluster.admin()
    list(admin.catalogs.list())
    epoch, _, revision = admin.revision.rpartition(":")
    return epoch, int(revision)


def transaction(database: Database) -> AbstractContextManager[Connection]:
    """A write behind the servers' back."""
    return database.transaction(deadline=monotonic() + 10)
