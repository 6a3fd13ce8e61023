"""Edges that are made no more are retired and stay in history; what nobody needs any longer is deleted, in bounded steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import func, select

from lakewarden_server.entities import LineageChange, LineageEvent
from lakewarden_server.lineage import retention
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.lineage.graph import Direction
from lakewarden_server.lineage.retention import age
from lakewarden_server.purging import purge
from lakewarden_server.storage.repositories.lineage_graph import LineageGraphReader
from lakewarden_server.testing import serve
from lineage.corpus import NOW, event, job_event
from lineage.lake import Lake
from lineage.stored import Lineage

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def run(number: int, after: float, target: str, type_: str = "COMPLETE", job: str = "job") -> bytes:
    """A run of a job wrote one table on a day."""
    return event(type_, after * DAY, run=number, job=job, inputs=["a"], outputs=[target])


@pytest.fixture
def lineage(database):
    """A job wrote `t_a` on the first day, and in every later run `t_b`."""
    found = Lineage(database)
    found.record(run(1, 1, "t_a"), run(2, 2, "t_b"), run(3, 3, "t_b"))
    return found


def live(lineage: Lineage, now: float) -> set[str]:
    age(lineage.database, day(now))
    return {target for _source, target in lineage.edges()}


def test_an_edge_is_retired_after_three_runs_without_it_and_thirty_days(lineage):
    assert live(lineage, 40) == {"t_a", "t_b"}
    lineage.record(run(4, 4, "t_b"))
    assert live(lineage, 31) == {"t_a", "t_b"}
    sequence = lineage.sequence()
    assert live(lineage, 31.001) == {"t_b"}
    assert [(change.kind, change.state) for change in lineage.changes(sequence)] == [("EDGE", "RETRACTED")]
    assert lineage.versions("a", "t_a") == [("FIRST", DAY), ("RETIRED", 31 * DAY)]
    assert live(lineage, 1_000) == {"t_b"}


def test_where_runs_are_rare_an_edge_is_retired_as_of_the_third(lineage):
    lineage.record(run(4, 60, "t_b"))
    assert live(lineage, 61) == {"t_b"}
    assert lineage.versions("a", "t_a") == [("FIRST", DAY), ("RETIRED", 60 * DAY)]


def test_what_a_run_says_again_is_reopened(lineage):
    lineage.record(run(4, 4, "t_b"))
    assert live(lineage, 40) == {"t_b"}
    lineage.record(run(5, 41, "t_a"))
    assert live(lineage, 42) == {"t_a", "t_b"}
    assert [reason for reason, _since in lineage.versions("a", "t_a")] == ["FIRST", "RETIRED", "REOPENED"]
    assert lineage.edge("a", "t_a")["runs"] == 2


def test_what_is_told_late_of_a_time_before_leaves_it_retired(lineage):
    lineage.record(run(4, 4, "t_b"))
    assert live(lineage, 40) == {"t_b"}
    lineage.record(run(5, 3.5, "t_a"))
    assert live(lineage, 40) == {"t_b"}


@pytest.mark.parametrize(
    "body",
    [run(4, 4, "t_b", "FAIL"), run(4, 4, "t_b", "START"), run(4, 4, "t_b", job="another"), run(4, 4, "t_a")],
    ids=["failed", "unfinished", "of another job", "with the edge"],
)
def test_no_other_run_counts(lineage, body):
    lineage.record(body)
    assert live(lineage, 33) == {"t_a", "t_b"}


def test_anothers_runs_of_a_job_of_that_name_take_nothing_away(lineage):
    eve = Lineage(lineage.database)
    eve.origin = eve.origin._replace(principal_id="eve")
    eve.record(*(run(number, number, "t_b") for number in range(4, 8)))
    assert live(lineage, 40) == {"t_a", "t_b"}
    # Nor where she told of the edge herself once.
    eve.record(run(9, 1.5, "t_a"))
    assert live(lineage, 40) == {"t_a", "t_b"}
    lineage.record(run(8, 8, "t_b"))
    assert live(lineage, 40) == {"t_b"}


def test_what_is_declared_is_replaced_and_not_retired(lineage):
    lineage.record(job_event(5, "job", ["a"], ["t_c"]))
    lineage.record(*(run(number, number, "t_b") for number in range(4, 8)))
    assert live(lineage, 37.5) == {"t_b", "t_c"}


def test_retiring_goes_in_steps(lineage, monkeypatch):
    monkeypatch.setattr(retention, "EDGES_RETIRED_MAX", 1)
    lineage.record(run(9, 1, "t_c"), run(4, 4, "t_b"))
    assert age(lineage.database, day(31.5)).edges == 2
    assert {target for _source, target in lineage.edges()} == {"t_b"}


def test_a_rule_of_thirty_days_alone_or_of_runs_alone_would_be_caught(lineage, monkeypatch):
    """The control."""
    monkeypatch.setattr(retention, "UNMADE_RUNS", 1)
    with pytest.raises(AssertionError):
        test_an_edge_is_retired_after_three_runs_without_it_and_thirty_days(lineage)
    monkeypatch.setattr(retention, "UNMADE_RUNS", 3)
    monkeypatch.setattr(retention, "UNMADE", timedelta())
    lineage.record(run(10, 1, "t_d"), run(4, 4, "t_b"))
    assert "t_d" not in live(lineage, 5)


def rows(lineage: Lineage, entity: type) -> int:
    with lineage.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(entity)).scalar_one()


def test_events_are_kept_for_two_weeks_and_what_they_said_stays(lineage, monkeypatch):
    monkeypatch.setattr(retention, "EVENTS_DELETED_MAX", 2)
    before = lineage.edges()
    assert age(lineage.database, NOW + timedelta(days=14)).events == 0
    assert age(lineage.database, NOW + timedelta(days=14, seconds=1)).events == 3
    assert (rows(lineage, LineageEvent), lineage.edges()) == (0, before)
    assert lineage.record(run(2, 2, "t_b")) == [True]
    assert lineage.edge("a", "t_b")["runs"] == 2


def test_changes_are_kept_for_a_day(lineage, monkeypatch):
    monkeypatch.setattr(retention, "SEQUENCES_DELETED_MAX", 1)
    lineage.record(run(5, 5, "t_e", job="another"))
    assert age(lineage.database, NOW + timedelta(days=1)).changes == 0
    assert age(lineage.database, NOW + timedelta(days=1, seconds=1)).changes > 0
    assert rows(lineage, LineageChange) == 0


def targets(follower: LineageFollower, lineage: Lineage) -> int:
    """How many edges there are in the graph that a follower holds."""
    with lineage.database.read() as uow:
        state = follower.at_head(uow)
    nodes = [node for node in range(state.end) if node < state.graph.nodes_end]
    return len(state.graph.hops(np.array(nodes, dtype=np.int32), Direction.DOWNSTREAM).edges)


def test_who_follows_from_before_what_is_kept_reads_the_graph_anew(lineage, monkeypatch):
    late = LineageFollower()
    assert targets(late, lineage) == 2
    lineage.record(run(5, 5, "t_e", job="another"))
    age(lineage.database, NOW + timedelta(days=2))
    assert targets(late, lineage) == 3
    assert late.rebuilds == 2
    # The control: who did not look would never learn of the edge.
    lineage.record(run(6, 6, "t_f", job="another"))
    age(lineage.database, NOW + timedelta(days=2))
    monkeypatch.setattr(LineageGraphReader, "changes_from", lambda _reader: 0)
    assert targets(late, lineage) == 3


def test_hourly_work_of_the_server_retires_edges() -> None:
    with serve() as server:
        lake = Lake(server, ("raw.a", "raw.b", "raw.c"))
        lake.record(
            *(
                event("COMPLETE", number, run=number, inputs=["a"], outputs=["b" if number == 1 else "c"])
                for number in range(1, 5)
            )
        )
        purge(server.app.database, server.app.follower)
        found = lake.admin.lineage.traverse("a", namespace="postgres://db")
        assert {node.name for node in found.nodes} == {"postgres://db a", "postgres://db c"}
