"""Runs nobody told of for long are purged, and nothing that lineage answers is different for it."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from lakewarden_server.lineage import recording, retention, rollups
from lakewarden_server.lineage.retention import age
from lineage.histories import DAY, Past, history, late_links

DAYS_KEPT = 30


@pytest.fixture
def short(monkeypatch):
    """What is kept for months is kept for days, so that a history of some weeks has all of it."""
    monkeypatch.setattr(rollups, "RUNS_KEPT", timedelta(days=9))
    monkeypatch.setattr(recording, "RUNS_KEPT", timedelta(days=9))
    monkeypatch.setattr(rollups, "DAYS_KEPT", timedelta(days=DAYS_KEPT))
    monkeypatch.setattr(retention, "UNMADE", timedelta(days=6))
    # What nobody speaks of any longer goes by a rule of its own.
    monkeypatch.setattr(retention, "_forget", lambda *_arguments: 0)


def played(lineage: Past, seed: int, *, purges: bool) -> list[dict[str, Any]]:
    """A history with the hourly work at random moments; what was answered at each of some."""
    chance = random.Random(seed)
    deliveries = sorted(
        [*history(seed, days=60), late_links(3 * DAY), *history(seed + 1_000, days=5, end=8 * DAY)]
    )
    answers = []
    with pytest.MonkeyPatch.context() as patch:
        if not purges:
            patch.setattr(retention, "roll_up", lambda *_arguments: 0)
        for delivery in deliveries:
            lineage.receive(delivery)
            if chance.random() < 0.4:
                age(lineage.database, delivery.time)
                if chance.random() < 0.4:
                    answers.append(lineage.answers(delivery.time, DAYS_KEPT))
        for days in (1, 10, 30, 60):
            now = deliveries[-1].time + timedelta(days=days)
            age(lineage.database, now)
            answers.append(lineage.answers(now, DAYS_KEPT))
    return answers


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_nothing_that_is_answered_changes_with_a_purge(database, seed, short):
    wanted = played(Past(database, 1), seed, purges=False)
    found = played(Past(database, 2), seed, purges=True)
    assert len(found) == len(wanted) > 5
    for one, other in zip(found, wanted, strict=True):
        for what in one:
            assert one[what] == other[what]
