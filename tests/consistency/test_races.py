"""Write skew: what two writers must not both do, although each alone may. Both pass their checks before either writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from consistency.broken import TrustsCheapCheck
from consistency.cluster import Cluster, HookedDatabase
from lakewarden import (
    AlreadyExists,
    Client,
    FailedPrecondition,
    LakewardenError,
    PermissionDenied,
    Unauthenticated,
)
from lakewarden_server.authn.keys import create_key_file
from lakewarden_server.authz.follower import Follower
from lakewarden_server.bootstrap import Bootstrapped, bootstrap
from lakewarden_server.core.errors import LakewardenError as ServerError
from lakewarden_server.core.errors import Reason
from lakewarden_server.storage import create_database
from storage.dialects import ON_SQLITE

ROUNDS = 4
"""The moment is made by a barrier and not by luck, so that few are enough: each way to remove an admin once."""
ROUNDS_LONG = 200
BOOTSTRAP_ROUNDS = 3
BARRIER_SECONDS = 10.0
ADMINS = ("ann@example.com", "ben@example.com")
OWNERS = "owners"
"""A group that holds the role of the account admin."""

Act = Callable[[], object]


class Race:
    """Two replicas that meet after their cheap checks and before either begins its transaction."""

    def __init__(self, cluster: Cluster, *, follower: type[Follower] = Follower) -> None:
        self.cluster = cluster
        hooked = [cluster.add_hooked(follower=follower) for _ in range(2)]
        self._databases: list[HookedDatabase] = [database for database, _ in hooked]
        self.endpoints = [endpoint for _, endpoint in hooked]

    def run(self, *acts: Act) -> list[LakewardenError | None]:
        """Runs one write on each replica, truly at once; returns what each failed with, None for success."""
        barrier = threading.Barrier(len(self._databases), timeout=BARRIER_SECONDS)
        for database in self._databases:
            database.once("before_write", barrier.wait)
        with ThreadPoolExecutor(len(acts)) as pool:
            return list(pool.map(_outcome, acts))


def _outcome(act: Act) -> LakewardenError | None:
    try:
        act()
    except LakewardenError as error:
        return error
    return None


def test_two_opposite_edges_never_make_a_group_cycle(cluster: Cluster) -> None:
    race_edges(Race(cluster), rounds=ROUNDS)


@pytest.mark.slow
def test_two_opposite_edges_never_make_a_group_cycle_for_long(cluster: Cluster) -> None:
    race_edges(Race(cluster), rounds=ROUNDS_LONG)


@ON_SQLITE
def test_control_a_server_that_trusts_its_first_check_makes_a_cycle(cluster: Cluster) -> None:
    race = Race(cluster, follower=TrustsCheapCheck)
    assert oppose(race, "red", "blue") == [None, None]
    admin = cluster.admin()
    assert [member.name for member in admin.groups.members("red")] == ["blue"]
    assert [member.name for member in admin.groups.members("blue")] == ["red"]


def test_two_admins_removing_each_other_leave_one(cluster: Cluster) -> None:
    race_admins(Race(cluster), rounds=ROUNDS)


@pytest.mark.slow
def test_two_admins_removing_each_other_leave_one_for_long(cluster: Cluster) -> None:
    race_admins(Race(cluster), rounds=ROUNDS_LONG)


def test_two_creators_of_one_name_have_one_winner(cluster: Cluster) -> None:
    race = Race(cluster)
    first, second = (cluster.admin(endpoint) for endpoint in race.endpoints)
    for number in range(ROUNDS):
        outcomes = race.run(
            lambda name=f"Sales{number}": first.catalogs.create(name),
            lambda name=f"sALES{number}": second.catalogs.create(name),
        )
        assert one_winner(outcomes) is AlreadyExists
        outcomes = race.run(
            lambda name=f"Person{number}@example.com": first.users.create(name),
            lambda name=f"person{number}@example.com": second.users.create(name),
        )
        assert one_winner(outcomes) is AlreadyExists
    assert len(list(first.catalogs.list())) == ROUNDS


def test_a_creation_inside_what_is_being_deleted_leaves_no_orphan(cluster: Cluster) -> None:
    race = Race(cluster)
    first, second = (cluster.admin(endpoint) for endpoint in race.endpoints)
    for number in range(ROUNDS):
        catalog = f"main{number}"
        first.catalogs.create(catalog)
        deleted, created = race.run(
            lambda name=catalog: first.catalogs.delete(name, force=True),
            lambda name=catalog: second.schemas.create(f"{name}.late"),
        )
        assert deleted is None
        assert created is None or created.code in {"NOT_FOUND", "PERMISSION_DENIED"}
    assert live_orphans(cluster) == []


def test_a_restored_table_meets_neither_its_name_taken_nor_its_schema_gone(cluster: Cluster) -> None:
    race = Race(cluster)
    first, second = (cluster.admin(endpoint) for endpoint in race.endpoints)
    first.catalogs.create("lake")
    for number in range(ROUNDS):
        schema = first.schemas.create(f"lake.s{number}").full_name
        table = first.tables.create(f"{schema}.orders")
        first.tables.delete(table.full_name)
        outcomes = race.run(
            lambda name=table.full_name, table_id=table.id: first.tables.undelete(name, table_id=table_id),
            lambda name=table.full_name: second.tables.create(name),
        )
        assert one_winner(outcomes) is AlreadyExists
        for live in list(first.tables.list(schema)):
            first.tables.delete(live.full_name)
        outcomes = race.run(
            lambda name=table.full_name, table_id=table.id: first.tables.undelete(name, table_id=table_id),
            lambda name=schema: second.schemas.delete(name, force=True),
        )
        assert outcomes[1] is None
        assert outcomes[0] is None or outcomes[0].code in {"NOT_FOUND", "PERMISSION_DENIED"}
    assert live_orphans(cluster) == []


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_two_bootstraps_have_one_winner(
    dialect: str, make_database_url: Callable[[str], str], tmp_path: Path
) -> None:
    race_bootstraps(dialect, make_database_url, tmp_path, rounds=BOOTSTRAP_ROUNDS)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_two_bootstraps_have_one_winner_for_long(
    dialect: str, make_database_url: Callable[[str], str], tmp_path: Path
) -> None:
    race_bootstraps(dialect, make_database_url, tmp_path, rounds=ROUNDS_LONG)


def race_bootstraps(
    dialect: str, make_database_url: Callable[[str], str], directory: Path, *, rounds: int
) -> None:
    """Two processes claim a new database at once: one admin, one refusal."""
    keys = create_key_file(directory / "lakewarden.key")
    for _ in range(rounds):
        url = make_database_url(dialect)
        barrier = threading.Barrier(2, timeout=BARRIER_SECONDS)

        def claim(admin: str, url: str = url, barrier: threading.Barrier = barrier) -> Bootstrapped | Reason:
            database = create_database(url)
            try:
                barrier.wait()
                return bootstrap(database, keys, admin=admin)
            except ServerError as error:
                return error.reason
            finally:
                database.close()

        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(claim, ADMINS))
        assert results.count(Reason.ALREADY_INITIALIZED) == 1, results
        (winner,) = [result for result in results if isinstance(result, Bootstrapped)]
        assert admin_ids(url) == [winner.principal_id]


def race_edges(race: Race, *, rounds: int) -> None:
    """Adds a to b and b to a at once: one edge stays, the other writer hears why."""
    admin = race.cluster.admin()
    for number in range(rounds):
        red, blue = f"red{number}", f"blue{number}"
        outcomes = oppose(race, red, blue)
        assert one_winner(outcomes) is FailedPrecondition
        assert {error.reason for error in outcomes if error} == {Reason.GROUP_CYCLE}
        edges = [*admin.groups.members(red), *admin.groups.members(blue)]
        assert len(edges) == 1


def oppose(race: Race, red: str, blue: str) -> list[LakewardenError | None]:
    """Two groups, each put into the other at once."""
    admin = race.cluster.admin()
    admin.groups.create(red)
    admin.groups.create(blue)
    first, second = (race.cluster.admin(endpoint) for endpoint in race.endpoints)
    return race.run(
        lambda: first.groups.update_members(red, add=[blue]),
        lambda: second.groups.update_members(blue, add=[red]),
    )


def race_admins(race: Race, *, rounds: int) -> None:
    """The only two account admins remove each other: by revoke, by disabling, by deletion, from the group that holds the role."""
    cluster = race.cluster
    admin = cluster.admin()
    admin.groups.create(OWNERS)
    admin.grants.grant("ADMIN", "account", "account", OWNERS)
    for name in ADMINS:
        cluster.server.token_of(name)
        admin.grants.grant("ADMIN", "account", "account", name)
    clients = [
        cluster.client_as(name, endpoint) for name, endpoint in zip(ADMINS, race.endpoints, strict=True)
    ]
    clients[0].grants.revoke("ADMIN", "account", "account", admin.session.get().principal)
    removals = (
        lambda client, name: client.grants.revoke("ADMIN", "account", "account", name),
        lambda client, name: client.users.disable(name),
        lambda client, name: client.users.delete(name),
        lambda client, name: client.groups.update_members(OWNERS, remove=[name]),
    )
    for number in range(rounds):
        remove = removals[number % len(removals)]
        by_group = remove is removals[-1]
        if by_group:
            clients[0].groups.update_members(OWNERS, add=ADMINS)
            for name in ADMINS:
                clients[0].grants.revoke("ADMIN", "account", "account", name)
        outcomes = race.run(
            lambda remove=remove: remove(clients[0], ADMINS[1]),
            lambda remove=remove: remove(clients[1], ADMINS[0]),
        )
        assert one_winner(outcomes) in {PermissionDenied, Unauthenticated, FailedPrecondition}
        winner = 0 if outcomes[0] is None else 1
        if by_group:
            clients[winner].grants.grant("ADMIN", "account", "account", ADMINS[winner])
            clients[winner].groups.update_members(OWNERS, remove=[ADMINS[winner]])
        token = restore(cluster, clients[winner], ADMINS[1 - winner])
        clients[1 - winner] = cluster.client(token, race.endpoints[1 - winner])


def restore(cluster: Cluster, admin: Client, name: str) -> str:
    """Makes the loser an admin again, which only works when the winner still is one; returns a new token of it."""
    if name not in {user.name for user in admin.users.list()}:
        admin.users.create(name)
        admin.grants.grant("USER", "workspace", "workspace", name)
    admin.users.enable(name)
    admin.grants.grant("ADMIN", "account", "account", name)
    return cluster.server.issue_token(name)


def one_winner(outcomes: list[LakewardenError | None]) -> type[LakewardenError]:
    """The class of the loser's error. Fails unless exactly one of two succeeded."""
    losers = [error for error in outcomes if error is not None]
    assert len(losers) == 1, outcomes
    return type(losers[0])


def live_orphans(cluster: Cluster) -> list[str]:
    """Live securables whose container is deleted."""
    statement = (
        "SELECT child.name FROM securables child JOIN securables parent ON parent.id = child.parent_id "
        "WHERE child.deleted_time IS NULL AND parent.deleted_time IS NOT NULL"
    )
    with cluster.server.app.database.read() as uow:
        return [row.name for row in uow.connection.execute(text(statement))]


def admin_ids(url: str) -> list[str]:
    """Who holds ADMIN, as stored."""
    database = create_database(url)
    try:
        with database.read() as uow:
            rows = uow.connection.execute(text("SELECT principal_id FROM grants WHERE privilege = 'ADMIN'"))
            return [row.principal_id for row in rows]
    finally:
        database.close()
