"""The new enemy the other way round: rows or columns are hidden, then the right is given; nobody may see them with the new right."""

from __future__ import annotations

import random
import threading
import time
from typing import NamedTuple

import pytest

from consistency.broken import CACHE_SECONDS, CachesRedactions
from consistency.cluster import Cluster
from consistency.lanes import DELAY_SECONDS_MAX, Lane, is_shown, lanes, run_rounds
from lakewarden import Client
from storage.dialects import ON_SQLITE

ROUNDS = 40
"""On each kind of database; that many show a leak of two replicas that cache what is hidden about ten times."""
ROUNDS_LONG = 2_000
CONTROL_ROUNDS = 6
CAPABILITIES = ("ROW_FILTER", "COLUMN_MASK")
COLUMNS = ({"name": "id", "type_text": "BIGINT"}, {"name": "amount", "type_text": "BIGINT"})


class Read(NamedTuple):
    """What a plan says it reads."""

    full_name: str
    privilege: str = "SELECT"
    securable_type: str = "TABLE"


class Redactions:
    """A table of the lane's own, hidden and given in each round, taken back and shown after it."""

    def __init__(self, lane: Lane) -> None:
        self._lane, schema = lane, f"main.lane{lane.number}"
        self._table, self._hidden, self._few = (f"{schema}.{name}" for name in ("t", "hidden", "few"))
        admin = next(iter(lane.admins.values()))
        admin.schemas.create(schema)
        admin.tables.create(self._table, COLUMNS)
        admin.functions.create(self._hidden, ["x BIGINT"], "BIGINT", "NULL")
        admin.functions.create(self._few, ["x BIGINT"], "BOOLEAN", "x < 10")
        admin.grants.grant("USE_CATALOG", "catalog", "main", lane.enemy)
        admin.grants.grant("USE_SCHEMA", "schema", schema, lane.enemy)

    def make_one(self, chance: random.Random, endpoints: list[str]) -> list[str]:
        """Hides on one replica, grants on the next, reads through the third; which hidden thing the answer left open."""
        hiding, granting, looking = endpoints
        admins, enemy = self._lane.admins, self._lane.enemies[looking]
        kind = chance.choice(("row filter", "mask"))
        # What the replica knows now is what must not be used any more.
        assert not is_shown(lambda: self._is_open(enemy, kind))
        self._hide(admins[hiding], kind)
        time.sleep(chance.uniform(0, DELAY_SECONDS_MAX))
        grant = ("SELECT", "table", self._table, self._lane.enemy)
        granted = threading.Thread(target=admins[granting].grants.grant, args=grant)
        granted.start()
        leaks = [f"{kind}, while it was granted" for _ in range(2) if self._is_open(enemy, kind)]
        granted.join()
        assert enemy.authorize_plan([Read(self._table)], capabilities=CAPABILITIES).allowed
        if self._is_open(enemy, kind):
            leaks.append(kind)
        # An engine that cannot redact is not let in at all.
        if enemy.authorize_plan([Read(self._table)]).allowed:
            leaks.append(f"{kind}, to an engine that does not apply it")
        admins[granting].grants.revoke(*grant)
        self._show(admins[hiding], kind)
        return leaks

    def _is_open(self, enemy: Client, kind: str) -> bool:
        """Whether the enemy may read the table without what was hidden being so."""
        answer = enemy.authorize_plan([Read(self._table)], capabilities=CAPABILITIES)
        hidden = answer.row_filters if kind == "row filter" else answer.column_masks
        return answer.allowed and self._table not in hidden

    def _hide(self, admin: Client, kind: str) -> None:
        if kind == "mask":
            admin.tables.set_column_mask(self._table, "amount", self._hidden)
        else:
            admin.tables.set_row_filter(self._table, self._few, ["id"])

    def _show(self, admin: Client, kind: str) -> None:
        if kind == "mask":
            admin.tables.drop_column_mask(self._table, "amount")
        else:
            admin.tables.drop_row_filter(self._table)


def test_what_is_hidden_before_a_grant_is_never_open_after_it(cluster: Cluster) -> None:
    redact(cluster, rounds=ROUNDS, seed=20261126)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_what_is_hidden_before_a_grant_is_never_open_after_it_for_long(cluster: Cluster) -> None:
    redact(cluster, rounds=ROUNDS_LONG, seed=1)


@ON_SQLITE
def test_control_a_replica_that_caches_what_is_hidden_leaves_it_open(cluster: Cluster) -> None:
    cluster.admin().catalogs.create("main")
    cluster.add(follower=CachesRedactions)
    chance, leaks = random.Random(1), set[str]()
    with lanes(cluster, 1) as (lane,):
        redactions = Redactions(lane)
        for _ in range(CONTROL_ROUNDS):
            # So that it remembers what holds before the round.
            time.sleep(CACHE_SECONDS)
            leaks |= set(redactions.make_one(chance, [cluster.endpoints[0], *cluster.endpoints]))
    assert {"row filter", "mask"} <= leaks


def redact(cluster: Cluster, *, rounds: int, seed: int) -> None:
    """Many rounds through random replicas, several enemies at once."""
    cluster.admin().catalogs.create("main")
    cluster.add_process()
    cluster.add_process()
    with lanes(cluster) as each:
        run_rounds(cluster, [Redactions(lane).make_one for lane in each], rounds=rounds, seed=seed)
