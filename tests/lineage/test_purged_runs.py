"""What becomes of runs that nobody told of for 90 days, of events that come for them, and of assets nobody speaks of."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from lakewarden import InvalidArgument
from lakewarden_server.entities import (
    LineageAlias,
    LineageAsset,
    LineageContribution,
    LineageEdge,
    LineageEdgeVersion,
    LineageMention,
    LineageName,
    LineageRun,
)
from lakewarden_server.lineage import rollups
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.lineage.retention import age
from lakewarden_server.lineage.rollups import DAYS_KEPT, RUNS_KEPT
from lakewarden_server.testing import serve
from lineage.corpus import columns, dataset, dataset_event, event, job_event, lifecycle, symlinks
from lineage.histories import DAY, DB, YEAR, Delivery, Past

LATER = YEAR + timedelta(days=91)


def run(number: int, day: float, target: str = "t", type_: str = "COMPLETE", **more: Any) -> Delivery:
    """A run wrote a table from `a`, and was told of when it ended."""
    told = {"job": "job", "inputs": ["a"], "outputs": [target], **more}
    return Delivery(day * DAY, [event(type_, day * DAY, run=number, **told)])


@pytest.fixture
def lineage(database):
    """Twenty runs of five days in the same way, and on the last day two in another."""
    found = Past(database)
    for number in range(20):
        found.receive(run(number, -number / 4 - 0.01))
    other = [dataset("t", columnLineage=columns(k=[("a", "k", "IDENTITY")]))]
    for number in (30, 31):
        found.receive(run(number, (number - 34) / 10, outputs=other))
    return found


def stored(lineage: Past) -> list[tuple[str, int]]:
    """What runs there are rows of, by time, and how many each stands for."""
    with lineage.database.reading() as connection:
        rows = connection.execute(select(LineageRun.__table__).order_by(LineageRun.last_time)).all()
    return [(row.rollup, row.run_count) for row in rows]


def count(lineage: Past, *entities: type) -> list[int]:
    with lineage.database.reading() as connection:
        return [connection.execute(select(func.count()).select_from(each)).scalar_one() for each in entities]


def test_runs_of_a_day_that_say_the_same_with_nothing_between_are_one_row(lineage):
    before = lineage.answers(YEAR)
    assert age(lineage.database, YEAR + RUNS_KEPT - timedelta(days=5)).runs == 0
    aged = age(lineage.database, LATER)
    assert (aged.runs, aged.days) == (22, 0)
    assert stored(lineage) == [("DAY", 4)] * 4 + [("DAY", 2)] * 3
    assert count(lineage, LineageContribution) == [7]
    assert lineage.answers(YEAR) == before
    assert lineage.edge("a", "t")["runs"] == 22
    assert age(lineage.database, LATER).runs == 0


def test_after_400_days_there_is_a_row_for_each_version(lineage):
    before = lineage.answers(YEAR)
    age(lineage.database, LATER)
    assert age(lineage.database, YEAR + DAYS_KEPT - timedelta(days=5)).days == 0
    age(lineage.database, YEAR + DAYS_KEPT + timedelta(days=1))
    assert stored(lineage) == [("VERSION", 18), ("VERSION", 2), ("VERSION", 2)]
    found = lineage.answers(YEAR)
    assert (found["export"], found["history"]) == (before["export"], before["history"])


def test_a_base_that_was_dropped_would_be_caught(lineage, monkeypatch):
    """The control: without the rows of several runs, or without how many they are, a late link shows it."""
    link = Delivery(100 * DAY, [dataset_event(99 * DAY, dataset("a", symlinks=symlinks((DB, "a2"))))])
    lineage.receive(run(50, -0.005, "t", inputs=["a2"]))

    def linked() -> int:
        lineage.receive(link)
        return lineage.edge("a", "t")["runs"]

    def absorb(told: rollups._Told, earlier: rollups._Told) -> None:
        told.absorbed += [*earlier.absorbed, earlier.id]

    monkeypatch.setattr(rollups._Told, "absorb", absorb)
    age(lineage.database, LATER)
    assert linked() < 23


def test_two_names_found_to_be_one_after_a_purge_are_one_with_all_their_runs(lineage):
    lineage.receive(run(50, -0.005, "t", inputs=["a2"]))
    age(lineage.database, LATER)
    age(lineage.database, YEAR + DAYS_KEPT + timedelta(days=1))
    lineage.receive(
        Delivery(410 * DAY, [dataset_event(100 * DAY, dataset("a", symlinks=symlinks((DB, "a2"))))])
    )
    edge = lineage.edge("a", "t")
    assert edge["runs"] == 23
    assert lineage.versions("a", "t")[0] == ("FIRST", (-19 / 4 - 0.01) * DAY)


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (run(19, -19 / 4 - 0.01, type_="OTHER"), None),
        (run(0, 91), None),
        (run(99, -2.2), None),
        (run(99, -2.2, job="another"), True),
        (run(99, 91), True),
    ],
    ids=["of a purged run", "of the newest, now", "unknown, of that time", "of another job", "of now"],
)
def test_an_event_of_a_run_that_was_purged_is_refused(lineage, late, expected):
    age(lineage.database, LATER)
    before = lineage.answers(YEAR)
    assert lineage.receive(late._replace(second=92 * DAY)) == [expected]
    assert (lineage.answers(YEAR) == before) is (expected is None)


def test_what_was_imported_lately_is_kept_however_old_it_is(lineage):
    lineage.receive(run(60, -1_000, job="imported")._replace(second=50 * DAY))
    assert age(lineage.database, LATER).runs == 22
    lineage.receive(run(60, -999, job="imported")._replace(second=91 * DAY))
    assert ("RUN", 1) in stored(lineage)
    assert age(lineage.database, YEAR + timedelta(days=182)).runs == 1


def test_streams_that_run_and_what_is_declared_are_kept_whole(database):
    lineage = Past(database)
    stream = {"jobType": {"processingType": "STREAMING", "integration": "FLINK", "jobType": "JOB"}}
    lineage.receive(run(1, -1, type_="RUNNING", job_facets=stream, job="stream"))
    lineage.receive(Delivery(0, [job_event(-DAY, "declared", ["a"], ["d"])]))
    age(lineage.database, LATER)
    assert stored(lineage) == [("WHOLE", 1), ("WHOLE", 1)]
    assert lineage.receive(run(1, 92, type_="RUNNING", job_facets=stream, job="stream")) == [True]
    assert lineage.edge("a", "t")["runs"] == 1
    assert lineage.edges() == {("a", "t"), ("a", "d")}


def test_a_purge_that_is_killed_in_a_step_goes_on_where_it_was(lineage, monkeypatch):
    before = lineage.answers(YEAR)
    monkeypatch.setattr(rollups, "RUNS_DUE_MAX", 3)
    write, calls = rollups._Step._write, []

    def killed(step: rollups._Step, changed: Any) -> None:
        write(step, changed)
        calls.append(changed)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(rollups._Step, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        age(lineage.database, LATER)
    assert lineage.answers(YEAR) == before
    assert 0 < len(stored(lineage)) < 22
    age(lineage.database, LATER)
    assert sorted(stored(lineage)) == [("DAY", 2)] * 3 + [("DAY", 4)] * 4
    assert lineage.answers(YEAR) == before


@pytest.fixture
def forgotten(database):
    """`gone` was made of `a` and of `b`, dropped, and nobody spoke of it or `b` again; `a` still feeds `t`."""
    found = Past(database)
    found.receive(run(1, 0, "gone"))
    found.receive(run(2, 0.1, "gone", inputs=["b"]))
    found.receive(Delivery(DAY, [event("COMPLETE", DAY, run=3, job="drop", outputs=[dropped("gone")])]))
    for day in (1, 50):
        found.receive(run(10 + day, day, job="other"))
    return found


def dropped(name: str) -> dict[str, Any]:
    return dataset(name, lifecycleStateChange=lifecycle("DROP"))


TABLES = (LineageName, LineageAlias, LineageAsset, LineageEdge, LineageEdgeVersion)


def test_assets_in_no_catalog_that_nobody_told_of_go_with_what_hangs_on_them(forgotten):
    follower = LineageFollower()
    with forgotten.database.read() as uow:
        assert len(follower.at_head(uow).nodes) == 4
    assert age(forgotten.database, YEAR + timedelta(days=90)).assets == 0
    before = count(forgotten, *TABLES)
    assert age(forgotten.database, YEAR + timedelta(days=92)).assets == 2
    assert before == [4, 5, 4, 3, 5]
    assert count(forgotten, *TABLES, LineageMention, LineageContribution) == [2, 2, 2, 1, 1, 5, 2]
    with forgotten.database.read() as uow:
        state = follower.at_head(uow)
    assert (sorted(node.name for node in state.nodes.values()), follower.rebuilds) == (["a", "t"], 1)
    # Told of again it is something new.
    forgotten.receive(run(4, 93, "gone"))
    assert forgotten.versions("a", "gone") == [("FIRST", 93 * DAY)]


@pytest.mark.parametrize(
    "more",
    [
        run(7, 60, "x", inputs=["b"]),
        Delivery(60 * DAY, [dataset_event(60 * DAY, dataset("b", symlinks=symlinks((DB, "t"))))]),
    ],
    ids=["told of", "one with what is there"],
)
def test_what_is_still_told_of_or_one_with_it_stays(forgotten, more):
    forgotten.receive(more)
    age(forgotten.database, YEAR + timedelta(days=92))
    names = {json.dumps(line["aliases"]) for line in forgotten.lines("asset")}
    assert any('"b"' in each for each in names)


def test_a_client_is_told_which_events_of_a_batch_came_too_late() -> None:
    with serve() as server:
        told = server.client().lineage_events
        long_ago = [each for day in (1, 2) for each in run(day, -day - 900).bodies]
        assert [outcome.accepted for outcome in told.record_batch(long_ago)] == [True, True]
        # As if it had been told of long ago.
        age(server.app.database, datetime.now(UTC) + timedelta(days=91))
        batch = [*long_ago[:1], *run(3, -901.5).bodies, *run(4, 0).bodies]
        found = told.record_batch(batch)
        assert [(outcome.accepted, outcome.code, outcome.retriable) for outcome in found] == [
            (False, "EVENT_TOO_OLD", False),
            (False, "EVENT_TOO_OLD", False),
            (True, "", False),
        ]
        with pytest.raises(InvalidArgument, match="EVENT_TOO_OLD"):
            told.record(batch[1])


def test_runs_with_another_between_are_not_one_though_only_a_late_link_tells(database):
    """Of two names that nobody knew to be one the same job says different things by turns: versions of one edge, once they are."""
    lineage = Past(database)
    for number, (name, how) in enumerate([("x", "IDENTITY"), ("y", "AGGREGATION"), ("x", "IDENTITY")] * 2):
        made = [dataset("t", columnLineage=columns(k=[(name, "k", how)]))]
        lineage.receive(run(number, -0.9 + number / 10, inputs=[name], outputs=made))
    age(lineage.database, LATER)
    assert stored(lineage) == [("DAY", 1), ("DAY", 1), ("DAY", 2), ("DAY", 1), ("DAY", 1)]
    lineage.receive(Delivery(92 * DAY, [dataset_event(92 * DAY, dataset("x", symlinks=symlinks((DB, "y"))))]))
    assert [round(since / DAY, 3) for _reason, since in lineage.versions("x", "t")] == [
        -0.9,
        -0.8,
        -0.7,
        -0.5,
        -0.4,
    ]
