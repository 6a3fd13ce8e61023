"""The new enemy: a right is revoked, then something secret is made; nobody may see the new with the old right (G1).

And the snapshot rule: rows newer than the decision are never shown, the call decides again.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable

import pytest

from consistency.broken import CACHE_SECONDS, CachesGrants
from consistency.cluster import Cluster
from consistency.lanes import DELAY_SECONDS_MAX, Lane, is_shown, lanes, run_rounds
from consistency.register import QUESTIONS
from lakewarden import Client, LakewardenError, PermissionDenied
from lakewarden_server.storage import UnitOfWork
from storage.dialects import ON_SQLITE

ROUNDS = 250
"""On each kind of database: 500 in all."""
ROUNDS_LONG = 2_000
CONTROL_ROUNDS = 6
ENEMY = "enemy@example.com"
SCHEMA = "main.sales"
COLUMNS = ({"name": "id", "type_text": "BIGINT"},)
LOOKS: dict[str, Callable[[Client, str], bool]] = {
    **QUESTIONS,
    "filter": lambda client, table: bool(client.authorization.filter_securables("table", [table], "SELECT")),
}


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
@pytest.mark.timeout(1_800)
def test_a_table_made_after_the_revoke_is_never_seen_for_long(cluster: Cluster) -> None:
    make_secrets(cluster, rounds=ROUNDS_LONG, seed=1)


@ON_SQLITE
def test_control_a_replica_that_caches_grants_shows_the_table(cluster: Cluster) -> None:
    world(cluster)
    cluster.add(follower=CachesGrants)
    chance, seen = random.Random(1), set[str]()
    with lanes(cluster, 1) as (lane,):
        secrets = Secrets(lane)
        for _ in range(CONTROL_ROUNDS):
            # So that it remembers what holds before the round.
            time.sleep(CACHE_SECONDS)
            seen |= set(secrets.make_one(chance, [cluster.endpoints[0], *cluster.endpoints]))
    assert {"get", "list", "filter", "check"} <= seen, "a replica that caches grants shows what is new"


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


class Secrets:
    """Makes secrets in a schema of the lane's own, in which the enemy may read everything but for the length of a round."""

    def __init__(self, lane: Lane) -> None:
        self._lane, self._schema = lane, f"main.lane{lane.number}"
        self._numbers = itertools.count()
        admin = next(iter(lane.admins.values()))
        admin.schemas.create(self._schema)
        admin.grants.grant("USE_CATALOG", "catalog", "main", lane.enemy)
        admin.grants.grant(["USE_SCHEMA", "SELECT"], "schema", self._schema, lane.enemy)

    def make_one(self, chance: random.Random, endpoints: list[str]) -> list[str]:
        """Revokes on one replica, creates on the next, looks through the third; by which questions the table was seen."""
        revoking, creating, looking = endpoints
        admins, enemy = self._lane.admins, self._lane.enemies[looking]
        table = f"{self._schema}.secret_{next(self._numbers)}"
        # What the replica knows now is what must not be used any more.
        is_shown(lambda: bool(enemy.schemas.get(self._schema)))
        admins[revoking].grants.revoke("SELECT", "schema", self._schema, self._lane.enemy)
        time.sleep(chance.uniform(0, DELAY_SECONDS_MAX))
        creation = threading.Thread(target=admins[creating].tables.create, args=(table, COLUMNS))
        creation.start()
        seen = [question for question in chance.sample(sorted(LOOKS), 2) if sees(enemy, question, table)]
        creation.join()
        seen += [question for question in LOOKS if sees(enemy, question, table)]
        assert admins[looking].tables.get(table).full_name == table
        admins[creating].tables.delete(table)
        admins[revoking].grants.grant("SELECT", "schema", self._schema, self._lane.enemy)
        return seen


def sees(client: Client, question: str, table: str) -> bool:
    """Whether the enemy is shown that table."""
    return is_shown(lambda: LOOKS[question](client, table))


def make_secrets(cluster: Cluster, *, rounds: int, seed: int) -> None:
    """Many secrets through random replicas, several enemies at once."""
    world(cluster)
    cluster.add_process()
    cluster.add_process()
    with lanes(cluster) as each:
        run_rounds(cluster, [Secrets(lane).make_one for lane in each], rounds=rounds, seed=seed)
