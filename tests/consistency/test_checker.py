"""The checker against histories by hand, then against real replicas under faults, then against broken ones."""

from __future__ import annotations

from collections import Counter

import pytest

from consistency.broken import CachesGrants, SkipsHeadRead
from consistency.checker import Read, Write, violations
from consistency.cluster import Cluster
from consistency.storm import Storm
from lakewarden_server.authz.follower import Follower

SECONDS = 8.0
SECONDS_LONG = 60.0
CONTROL_SECONDS = 5.0
READS_MIN = 200
WRITES_MIN = 40


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


def storm(cluster: Cluster, *, seconds: float, seed: int) -> None:
    found = Storm(cluster, seed=seed)
    for _ in range(2):
        found.add_process()
    outcome = found.run(seconds)
    print(f"seed {seed}: {outcome}")
    assert [str(violation) for violation in outcome.found] == []
    # It raged: rights changed, were asked about meanwhile, and replicas died.
    assert outcome.faults
    assert len(outcome.writes) >= WRITES_MIN
    assert len(outcome.reads) >= READS_MIN


def test_three_replicas_answer_as_one_under_faults(cluster: Cluster) -> None:
    storm(cluster, seconds=SECONDS, seed=20261126)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_three_replicas_answer_as_one_under_faults_for_long(cluster: Cluster, seed: int) -> None:
    storm(cluster, seconds=SECONDS_LONG, seed=seed)


@pytest.mark.parametrize("follower", [SkipsHeadRead, CachesGrants])
def test_control_a_replica_that_answers_from_an_old_state_is_caught(
    cluster: Cluster, follower: type[Follower]
) -> None:
    found = Storm(cluster, seed=7)
    cluster.add(follower=follower)
    outcome = found.run(CONTROL_SECONDS, faults=False)
    assert any(violation.is_stale_allow for violation in outcome.found)
    # Its wrong answers can make a right one elsewhere look like what was seen before and is gone; it stands out all the same.
    ((blamed, _),) = Counter(violation.read.where for violation in outcome.found).most_common(1)
    assert blamed == cluster.endpoints[-1]
