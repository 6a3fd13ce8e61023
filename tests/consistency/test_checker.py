"""The checker against histories by hand, then against real replicas under faults, then against broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consistency.broken import (
    CachesGrants,
    ChangesInPlace,
    FillsWithoutVersion,
    NeverRefreshes,
    SkipsHeadRead,
)
from consistency.broken_writes import (
    AcknowledgesBeforeCommit,
    OwnClock,
    revisions_from_a_sequence,
    slow_to_commit,
)
from consistency.checker import Read, Write, disorders, violations
from consistency.cluster import Cluster, cluster_on
from consistency.outcome import Outcome
from consistency.rights import EXPIRY, LEVERS
from consistency.storm import Storm, Until
from durability.mortal import MortalPostgresql
from lakewarden_server.authz.follower import Follower
from lakewarden_server.storage import create_database
from lakewarden_server.storage.migrations import migrate
from storage.dialects import ON_SQLITE

SECONDS_MAX = 90.0
SECONDS_LONG = 120.0
CONTROL_SECONDS_MAX = 60.0
FAULTS_MIN = 3
RACED_MIN = 12
READS_MIN = 1_000
WRITES_MIN = 40
FEW_LEVERS = ("grant", "member", "workspace", "catalog")


def read(value: bool, invoked: float, returned: float, *, bound: float = 0.0) -> Read:
    return Read("k", value, invoked, returned, "r", "check", bound)


GIVEN, TAKEN = Write("k", True, 1.0, 2.0), Write("k", False, 5.0, 6.0)
LOST = Write("k", False, 5.0, float("inf"))


@pytest.mark.parametrize(
    ("reads", "wrong"),
    [
        ([read(False, 0, 0.5), read(True, 3, 4), read(False, 7, 8)], 0),
        # Across a write either answer is right.
        ([read(True, 1.5, 1.6), read(True, 5.5, 5.6)], 0),
        ([read(False, 1.5, 1.6), read(False, 5.5, 5.6)], 0),
        # Before the first, after the last.
        ([read(True, 0, 0.5)], 1),
        ([read(True, 6.5, 7)], 1),
        ([read(False, 3, 4)], 1),
        # A question that was asked before the revoke was acknowledged may be answered late.
        ([read(True, 5.9, 9.0)], 0),
        # What one read has seen, no later one may unsee, though the write goes on.
        ([read(False, 5.1, 5.2), read(True, 5.3, 5.4)], 1),
        ([read(True, 5.1, 5.2), read(False, 5.3, 5.4)], 0),
        # They overlap: either order.
        ([read(False, 5.1, 5.3), read(True, 5.2, 5.4)], 0),
        # Bounded reads may be as old as their bound, and no older.
        ([read(True, 6.2, 6.3, bound=0.25)], 0),
        ([read(True, 6.3, 6.4, bound=0.25)], 1),
    ],
)
def test_histories_by_hand(reads: list[Read], wrong: int) -> None:
    assert len(violations([GIVEN, TAKEN], reads)) == wrong


def test_a_write_that_was_never_acknowledged_may_hold_or_not() -> None:
    assert not violations([GIVEN, LOST], [read(True, 8, 9), read(True, 10, 11)])
    assert not violations([GIVEN, LOST], [read(True, 8, 9), read(False, 10, 11)])
    assert len(violations([GIVEN, LOST], [read(False, 8, 9), read(True, 10, 11)])) == 1


def test_two_writers_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="one writer"):
        violations([GIVEN, Write("k", False, 1.5, 3.0)], [])


def test_a_reply_of_an_older_revision_than_was_acknowledged_before_is_found() -> None:
    wrote = GIVEN._replace(revision=7)
    before, during, after = (read(True, invoked, 9.0)._replace(revision=6) for invoked in (0.5, 1.5, 2.5))
    assert [found.operation for found in disorders([wrote], [before, during, after])] == [after]
    # Bounded answers may be older, and a refusal tells no revision.
    assert not disorders([wrote], [after._replace(bound=0.25), after._replace(revision=0)])
    assert disorders([wrote, TAKEN._replace(revision=6)], [])


def storm(
    cluster: Cluster, *, seconds: float, seed: int, until: Until | None = None, **options: Any
) -> Outcome:
    found = Storm(cluster, seed=seed, **options)
    for _ in range(2):
        found.add_process()
    outcome = found.run(seconds, until=until)
    print(f"seed {seed}: {outcome}")
    assert [str(violation) for violation in outcome.found] == []
    assert outcome.errors == []
    assert has_raged(outcome)
    return outcome


def has_raged(outcome: Outcome) -> bool:
    """Whether rights changed, were asked about meanwhile, and replicas were harmed: by work and not by time, for a busy machine."""
    return (
        len(outcome.faults) >= FAULTS_MIN
        and outcome.raced >= RACED_MIN
        and len(outcome.writes) >= WRITES_MIN
        and len(outcome.reads) >= READS_MIN
    )


def test_three_replicas_answer_as_one_under_faults(cluster: Cluster) -> None:
    storm(cluster, seconds=SECONDS_MAX, seed=20261126, until=has_raged)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_three_replicas_answer_as_one_under_faults_for_long(cluster: Cluster, seed: int) -> None:
    storm(cluster, seconds=SECONDS_LONG, seed=seed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_replicas_answer_as_one_while_their_database_restarts(
    postgresql: MortalPostgresql, tmp_path: Path
) -> None:
    database = create_database(postgresql.url)
    migrate(database)
    database.close()
    with cluster_on(postgresql.url, tmp_path) as cluster:
        outcome = storm(cluster, seconds=SECONDS_LONG, seed=4, postgresql=postgresql)
    assert {"database restart", "database crash", "link cut"} <= {fault.kind for fault in outcome.faults}


@ON_SQLITE
def test_control_a_replica_with_its_refresh_off_is_caught_by_every_lever(cluster: Cluster) -> None:
    found = Storm(cluster, seed=7)
    cluster.add(follower=NeverRefreshes)
    # Loaded when nothing had changed yet: from then on it denies whatever is given.
    outcome = found.run(CONTROL_SECONDS_MAX, faults=False, until=lambda seen: levers_of(seen) == set(LEVERS))
    assert levers_of(outcome) == set(LEVERS), str(outcome)
    assert outcome.disorders
    assert_only_blames(outcome, cluster.endpoints[-1])


@ON_SQLITE
@pytest.mark.parametrize("follower", [SkipsHeadRead, CachesGrants, FillsWithoutVersion, ChangesInPlace])
def test_control_a_replica_that_answers_from_an_old_state_is_caught(
    cluster: Cluster, follower: type[Follower]
) -> None:
    found = Storm(cluster, seed=7, levers=FEW_LEVERS)
    cluster.add(follower=follower)
    outcome = found.run(CONTROL_SECONDS_MAX, faults=False, until=has_stale_allow)
    assert has_stale_allow(outcome)
    assert_only_blames(outcome, cluster.endpoints[-1])


@ON_SQLITE
def test_control_a_replica_that_judges_by_its_own_slow_clock_is_caught(cluster: Cluster) -> None:
    found = Storm(cluster, seed=7, levers=[EXPIRY])
    cluster.add(database=OwnClock(cluster.url))
    outcome = found.run(CONTROL_SECONDS_MAX, faults=False, until=has_stale_allow)
    assert has_stale_allow(outcome)
    assert_only_blames(outcome, cluster.endpoints[-1])


@ON_SQLITE
def test_control_a_replica_that_acknowledges_before_it_commits_is_caught(cluster: Cluster) -> None:
    found = Storm(cluster, seed=7, levers=FEW_LEVERS)
    cluster.add(database=slow_to_commit(cluster.url), pipeline=AcknowledgesBeforeCommit)
    try:
        outcome = found.run(CONTROL_SECONDS_MAX, faults=False, until=has_stale_allow)
    finally:
        AcknowledgesBeforeCommit.wait()
    assert has_stale_allow(outcome)


def test_control_revisions_from_a_sequence_are_caught(postgresql_cluster: Cluster) -> None:
    # On SQLite no two writes are under way at once, so that there numbers come in the order of commits.
    found = Storm(postgresql_cluster, seed=7, levers=FEW_LEVERS)
    postgresql_cluster.add()
    with revisions_from_a_sequence(postgresql_cluster.server.app.database):
        outcome = found.run(CONTROL_SECONDS_MAX, faults=False, until=has_stale_allow)
    assert has_stale_allow(outcome)


def has_stale_allow(outcome: Outcome) -> bool:
    return any(violation.is_stale_allow for violation in outcome.violations)


def levers_of(outcome: Outcome) -> set[str]:
    """The levers whose rights were answered wrongly."""
    return {violation.read.key.partition(" ")[0] for violation in outcome.violations}


def assert_only_blames(outcome: Outcome, endpoint: str) -> None:
    """Without the answers of this replica nothing is wrong; with them, one elsewhere can look like what was seen before and is gone."""
    others = [read for read in outcome.reads if read.where != endpoint]
    assert others
    assert [str(found) for found in violations(outcome.writes, others)] == []
