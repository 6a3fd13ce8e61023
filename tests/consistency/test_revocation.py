"""No allow after an acknowledged revoke, on any replica (promise G1), and no stale denial after a grant (G2)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from consistency.broken import SkipsHeadRead
from consistency.cluster import Cluster
from consistency.register import Register, observing, wait_until_observed
from lakewarden import Client
from storage.dialects import ON_SQLITE

ROUNDS = 12
"""Each kind of change twice."""
ROUNDS_LONG = 250
CONTROL_ROUNDS_MAX = 40
OBSERVERS_PER_REPLICA = 2
VICTIM = "victim@example.com"
READERS = "readers"
TABLE = "main.sales.orders"

Change = Callable[[Client], object]


def world(cluster: Cluster) -> None:
    """A table that the victim may read through a group, from the workspace."""
    admin = cluster.admin()
    admin.catalogs.create("main")
    admin.schemas.create("main.sales")
    admin.tables.create(TABLE, [{"name": "id", "type_text": "BIGINT"}])
    admin.groups.create(READERS)
    cluster.server.token_of(VICTIM)
    admin.groups.update_members(READERS, add=[VICTIM])
    admin.grants.grant("USE_CATALOG", "catalog", "main", READERS)
    admin.grants.grant("USE_SCHEMA", "schema", "main.sales", READERS)
    admin.grants.grant("SELECT", "table", TABLE, READERS)


CHANGES: dict[str, tuple[Change, Change]] = {
    "grant": (
        lambda admin: admin.grants.revoke("SELECT", "table", TABLE, READERS),
        lambda admin: admin.grants.grant("SELECT", "table", TABLE, READERS),
    ),
    "gate": (
        lambda admin: admin.grants.revoke("USE_CATALOG", "catalog", "main", READERS),
        lambda admin: admin.grants.grant("USE_CATALOG", "catalog", "main", READERS),
    ),
    "membership": (
        lambda admin: admin.groups.update_members(READERS, remove=[VICTIM]),
        lambda admin: admin.groups.update_members(READERS, add=[VICTIM]),
    ),
    "principal": (
        lambda admin: admin.users.disable(VICTIM),
        lambda admin: admin.users.enable(VICTIM),
    ),
    "assignment": (
        lambda admin: admin.grants.revoke("USER", "workspace", "workspace", VICTIM),
        lambda admin: admin.grants.grant("USER", "workspace", "workspace", VICTIM),
    ),
}
"""How the right is taken and given back, by kind of change; a token is handled apart, since it cannot be given back."""

WITHOUT_TOKEN = frozenset({"token", "principal"})
"""After which the victim needs another token: whoever is disabled loses its tokens for good."""


def test_a_revoked_right_is_denied_on_every_replica_at_once(cluster: Cluster) -> None:
    check_revocations(cluster, rounds=ROUNDS, seed=20261120)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_revoked_right_is_denied_on_every_replica_at_once_for_long(cluster: Cluster, seed: int) -> None:
    check_revocations(cluster, rounds=ROUNDS_LONG, seed=seed)


@ON_SQLITE
def test_control_a_replica_that_skips_the_head_read_is_caught(cluster: Cluster) -> None:
    world(cluster)
    cluster.add(follower=SkipsHeadRead)
    register = Register(cluster.server.issue_token(VICTIM))
    with observing(cluster, register, TABLE, threads=OBSERVERS_PER_REPLICA):
        for _ in range(CONTROL_ROUNDS_MAX):
            change(cluster, register, "grant", cluster.endpoints[0])
            if any(violation.allowed for violation in register.violations):
                break
        else:
            pytest.fail(f"{CONTROL_ROUNDS_MAX} rounds did not catch a replica with an old state")
    # Only the broken replica is blamed.
    assert {violation.endpoint for violation in register.violations} == {cluster.endpoints[-1]}


def check_revocations(cluster: Cluster, *, rounds: int, seed: int) -> None:
    """Takes and gives back rights through random replicas while every replica is asked all the time."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    world(cluster)
    cluster.add_process()
    cluster.add_process()
    register = Register(cluster.server.issue_token(VICTIM))
    with observing(cluster, register, TABLE, threads=OBSERVERS_PER_REPLICA):
        for number in range(rounds):
            kinds = [*CHANGES, "token"]
            change(cluster, register, kinds[number % len(kinds)], chance.choice(cluster.endpoints))
    assert register.violations == []
    assert register.errors == []
    # Each round was watched on every replica in both states: the run had the load that makes it mean something.
    assert register.observed >= rounds * 2 * len(cluster.endpoints) * OBSERVERS_PER_REPLICA


def change(cluster: Cluster, register: Register, kind: str, endpoint: str) -> None:
    """Takes one right, lets every observer look, gives it back, lets them look again."""
    admin = cluster.admin(endpoint)
    take, give = CHANGES.get(kind, (None, None))
    register.changing()
    if take is None or give is None:
        victim = cluster.client(register.state.token, endpoint)
        victim.tokens.delete(victim.session.get().token_id)
    else:
        take(admin)
    register.expect(allowed=False)
    wait_until_observed(register)
    register.changing()
    if give is not None:
        give(admin)
    if kind in WITHOUT_TOKEN:
        register.token = cluster.server.issue_token(VICTIM)
    register.expect(allowed=True)
    wait_until_observed(register)
