"""The new enemy: a right is revoked, then something secret is made; nobody may see the new with the old right (G1).

And the snapshot rule: rows newer than the decision are never shown, the call decides again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from consistency.broken import CachesGrants
from consistency.cluster import Cluster
from consistency.register import QUESTIONS
from lakewarden import Client, LakewardenError, NotFound, PermissionDenied
from lakewarden_server.storage import UnitOfWork

ROUNDS = 15
ROUNDS_LONG = 400
CONTROL_ROUNDS_MAX = 40
DELAY_SECONDS_MAX = 0.02
LOOKS_MIN = 3
LOOK_SECONDS_MAX = 20.0
ENEMY = "enemy@example.com"
SCHEMA = "main.sales"
COLUMNS = ({"name": "id", "type_text": "BIGINT"},)


def world(cluster: Cluster) -> None:
    """A schema in which the enemy may read everything, and one table in it."""
    admin = cluster.admin()
    cluster.server.token_of(ENEMY)
    admin.catalogs.create("main")
    admin.schemas.create(SCHEMA)
    admin.tables.create(f"{SCHEMA}.orders", COLUMNS)
    admin.grants.grant("USE_CATALOG", "catalog", "main", ENEMY)
    admin.grants.grant(["USE_SCHEMA", "SELECT"], "schema", SCHEMA, ENEMY)


def test_a_table_made_after_the_revoke_is_never_seen(cluster: Cluster) -> None:
    make_secrets(cluster, rounds=ROUNDS, seed=20261120)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_table_made_after_the_revoke_is_never_seen_for_long(cluster: Cluster) -> None:
    make_secrets(cluster, rounds=ROUNDS_LONG, seed=1)


def test_control_a_replica_that_caches_grants_shows_the_table(cluster: Cluster) -> None:
    world(cluster)
    cluster.add(follower=CachesGrants)
    with looking(cluster) as enemy:
        for number in range(CONTROL_ROUNDS_MAX):
            make_secret(cluster, enemy, number=number, delay=0.0)
            if enemy.sightings:
                return
    pytest.fail(f"{CONTROL_ROUNDS_MAX} rounds saw nothing on a replica that caches grants")


def test_a_row_changed_after_the_decision_is_decided_again(cluster: Cluster) -> None:
    assert_denied_across_a_revoke(cluster, lambda client: client.tables.get(f"{SCHEMA}.orders"))


def test_a_list_whose_rows_changed_after_the_decision_is_decided_again(cluster: Cluster) -> None:
    world(cluster)
    database, endpoint = cluster.add_hooked()
    client = cluster.client_as(ENEMY, endpoint)
    assert [table.comment for table in client.tables.list(SCHEMA)] == [""]
    database.once("before_read", lambda: revoke_and_write(cluster))
    assert list(client.tables.list(SCHEMA)) == []


def test_a_row_that_keeps_changing_is_refused_and_never_shown_old(cluster: Cluster) -> None:
    world(cluster)
    database, endpoint = cluster.add_hooked()
    client, admin = cluster.client_as(ENEMY, endpoint), cluster.admin()
    client.tables.get(f"{SCHEMA}.orders")
    changes = 0

    def change() -> None:
        nonlocal changes
        changes += 1
        admin.tables.update(f"{SCHEMA}.orders", comment=str(changes))

    database.before_read = change
    with pytest.raises(LakewardenError) as failure:
        client.tables.get(f"{SCHEMA}.orders")
    assert (failure.value.code, failure.value.reason) == ("ABORTED", "CONCURRENT_CHANGE")
    assert changes > 1


def test_control_without_the_snapshot_rule_the_new_row_is_shown(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UnitOfWork, "newest_revision", property(lambda _uow: 0))
    with pytest.raises(pytest.fail.Exception):
        assert_denied_across_a_revoke(cluster, lambda client: client.tables.get(f"{SCHEMA}.orders"))


def assert_denied_across_a_revoke(cluster: Cluster, ask: Callable[[Client], object]) -> None:
    """Asks as the enemy; between decision and read, the right goes and the row becomes secret."""
    world(cluster)
    database, endpoint = cluster.add_hooked()
    client = cluster.client_as(ENEMY, endpoint)
    ask(client)
    database.once("before_read", lambda: revoke_and_write(cluster))
    with pytest.raises(PermissionDenied):
        ask(client)


def revoke_and_write(cluster: Cluster) -> None:
    """On another replica: takes the right, then writes something secret into the row."""
    admin = cluster.admin()
    admin.grants.revoke("SELECT", "schema", SCHEMA, ENEMY)
    admin.tables.update(f"{SCHEMA}.orders", comment="secret")


class Enemy:
    """Looks for one table through every replica, and remembers each sight of it."""

    def __init__(self) -> None:
        self.wanted = f"{SCHEMA}.secret_0"
        self.sightings: list[tuple[str, str, str]] = []
        self.errors: list[str] = []
        self.looks: dict[str, int] = {}

    def look(self, client: Client, stopping: threading.Event) -> None:
        """Asks every question about the wanted table until stopped."""
        while not stopping.is_set():
            for question, ask in QUESTIONS.items():
                wanted = self.wanted
                try:
                    if ask(client, wanted):
                        self.sightings.append((client.endpoint, question, wanted))
                except (PermissionDenied, NotFound):
                    # NotFound while the right stands and the table does not: the enemy may know the schema's tables then.
                    pass
                except LakewardenError as error:
                    self.errors.append(f"{question}: {error!r}")
                    return
            self.looks[client.endpoint] = self.looks.get(client.endpoint, 0) + 1

    def wait_for_looks(self) -> None:
        """Waits until the enemy asked every question again, some times over, on every replica."""
        enough = {endpoint: count + LOOKS_MIN for endpoint, count in self.looks.items()}
        give_up = time.monotonic() + LOOK_SECONDS_MAX
        while any(self.looks[endpoint] < count for endpoint, count in enough.items()):
            assert self.errors == []
            assert time.monotonic() < give_up, "the enemy does not look any more"
            time.sleep(0.001)


@contextmanager
def looking(cluster: Cluster) -> Iterator[Enemy]:
    """The enemy at work on each replica during the block."""
    enemy, stopping = Enemy(), threading.Event()
    enemy.looks = dict.fromkeys(cluster.endpoints, 0)
    threads = [
        threading.Thread(target=enemy.look, args=(cluster.client_as(ENEMY, endpoint), stopping))
        for endpoint in cluster.endpoints
    ]
    for thread in threads:
        thread.start()
    try:
        yield enemy
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def make_secrets(cluster: Cluster, *, rounds: int, seed: int) -> None:
    """Many secrets, one after the other, made through random replicas while the enemy looks."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    world(cluster)
    cluster.add_process()
    cluster.add_process()
    with looking(cluster) as enemy:
        for number in range(rounds):
            make_secret(
                cluster,
                enemy,
                number=number,
                delay=chance.uniform(0, DELAY_SECONDS_MAX),
                endpoint=chance.choice(cluster.endpoints),
            )
    assert enemy.sightings == []
    assert enemy.errors == []


def make_secret(cluster: Cluster, enemy: Enemy, *, number: int, delay: float, endpoint: str = "") -> None:
    """Revokes, waits a little, creates the table, lets the enemy look, removes the table and gives the right back."""
    admin = cluster.admin(endpoint)
    enemy.wanted = f"{SCHEMA}.secret_{number}"
    admin.grants.revoke("SELECT", "schema", SCHEMA, ENEMY)
    time.sleep(delay)
    admin.tables.create(enemy.wanted, COLUMNS)
    enemy.wait_for_looks()
    admin.tables.delete(enemy.wanted)
    admin.grants.grant("SELECT", "schema", SCHEMA, ENEMY)
