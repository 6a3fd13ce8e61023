"""What an edge was when, kept in the transaction that records it and the same whatever order its runs are told in."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.versions import Change, Observation, Version, versions
from lakewarden_server.storage.migrations import downgrade, migrate
from lakewarden_server.storage.repositories.lineage import LineageStore
from lineage.corpus import columns, dataset, event, job_event, lifecycle, ours, recorded, symlinks
from lineage.stored import Lineage
from lineage.test_permutations import DB, NUMBERS, events


def made(second: float, run: int, column: str = "", type_: str = "COMPLETE", job: str = "job") -> bytes:
    """A run made `b` of `a`, with one column of this one."""
    output = dataset("b", columnLineage=columns(k=[("a", column, "IDENTITY")])) if column else "b"
    return event(type_, second, run=run, job=job, inputs=["a"], outputs=[output])


def dropped(second: float, run: int, name: str = "b", type_: str = "COMPLETE") -> bytes:
    gone = dataset(name, lifecycleStateChange=lifecycle("DROP"))
    return event(type_, second, run=run, job="cleaner", outputs=[gone])


def test_versions_begin_with_what_is_said_first_and_where_it_changes():
    said = [Observation(1, "x"), Observation(2, "x"), Observation(3, "y"), Observation(4, "x")]
    assert versions([], said, FOREVER) == [
        Version(1, Change.FIRST, "x"),
        Version(3, Change.CHANGED, "y"),
        Version(4, Change.CHANGED, "x"),
    ]


def test_of_two_that_end_in_the_same_microsecond_the_last_counts():
    said = [Observation(1, "x"), Observation(2, "y"), Observation(2, "x"), Observation(2, "z")]
    assert versions([], said, FOREVER)[1:] == [Version(2, Change.CHANGED, "z")]
    assert versions([], said[1:], FOREVER) == [Version(2, Change.FIRST, "z")]


def test_a_drop_ends_an_edge_also_for_runs_that_end_after_it():
    assert versions([], [Observation(9, "x")], 5) == [
        Version(4, Change.FIRST, "x"),
        Version(5, Change.DROPPED),
    ]
    assert versions([], [], 5) == []


def test_what_was_retired_is_reopened():
    kept = [Version(1, Change.FIRST, "x"), Version(5, Change.RETIRED)]
    assert versions(kept, [Observation(7, "x")], FOREVER)[2:] == [Version(7, Change.REOPENED, "x")]


def test_runs_that_say_the_same_write_one_version(lineage):
    lineage.record(*(made(second, second, "one") for second in range(1, 6)))
    assert lineage.versions("a", "b") == [("FIRST", 1)]
    lineage.record(made(9, 9, "two"))
    lineage.record(made(7, 7, "one"))
    assert lineage.versions("a", "b") == [("FIRST", 1), ("CHANGED", 9)]


def test_a_run_told_late_takes_its_place(lineage):
    lineage.record(made(1, 1, "one"), made(5, 5, "one"))
    lineage.record(made(3, 3, "two"))
    assert lineage.versions("a", "b") == [("FIRST", 1), ("CHANGED", 3), ("CHANGED", 5)]
    lineage.record(made(0, 9, "two"))
    assert lineage.versions("a", "b") == [("FIRST", 0), ("CHANGED", 1), ("CHANGED", 3), ("CHANGED", 5)]


def test_a_run_that_failed_after_all_was_never_so(lineage):
    lineage.record(made(1, 1, "one"), made(3, 3, "two"), made(5, 5, "one"))
    lineage.record(event("FAIL", 6, run=3))
    assert lineage.versions("a", "b") == [("FIRST", 1)]
    lineage.record(event("FAIL", 6, run=1), event("FAIL", 6, run=5))
    assert lineage.versions("a", "b") == []


def test_an_edge_is_one_from_when_its_run_has_ended(lineage):
    lineage.record(made(1, 1, "one", "START"))
    assert lineage.versions("a", "b") == []
    lineage.record(event("COMPLETE", 4, run=1))
    assert lineage.versions("a", "b") == [("FIRST", 4)]


def test_a_stream_makes_its_edge_from_its_beginning_on(lineage):
    lineage.record(*ours("flink"))
    ((reason, since),) = lineage.versions("clicks.raw", "clicks.clean")
    lineage.record(*ours("flink"))
    assert lineage.versions("clicks.raw", "clicks.clean") == [(reason, since)]


def test_a_drop_is_history_and_what_is_made_again_begins_anew(lineage):
    lineage.record(made(1, 1), dropped(5, 2), made(9, 3))
    assert lineage.versions("a", "b") == [("FIRST", 1), ("DROPPED", 5), ("FIRST", 9)]
    lineage.record(dropped(6, 2, type_="FAIL"))
    assert lineage.versions("a", "b") == [("FIRST", 1)]


def test_a_declaration_that_is_replaced_is_history(lineage):
    lineage.record(event(run=1, inputs=["a", "b", "c"]), job_event(1, "j", ["a", "b"], ["c"]))
    lineage.record(job_event(2, "j", ["b"], ["c"]))
    assert lineage.edges() == {("b", "c")}
    assert lineage.versions("a", "c") == [("FIRST", 1), ("RETIRED", 2)]
    assert lineage.versions("b", "c") == [("FIRST", 1)]
    lineage.record(job_event(3, "j", ["a"], ["c"]))
    assert lineage.versions("a", "c") == [("FIRST", 1), ("RETIRED", 2), ("REOPENED", 3)]
    assert lineage.versions("b", "c") == [("FIRST", 1), ("RETIRED", 3)]


def test_names_found_to_be_one_have_one_history(lineage):
    lineage.record(
        event("COMPLETE", 1, run=1, inputs=["a"], outputs=["path"]),
        event("COMPLETE", 2, run=2, inputs=["a"], outputs=["table"]),
    )
    lineage.record(event("COMPLETE", 3, run=3, outputs=[dataset("path", symlinks=symlinks((DB, "table")))]))
    shown = lineage.meaning("path")["name"][1]
    assert lineage.versions("a", shown) == [("FIRST", 1)]
    assert len(lineage.history()) == 1


def test_versions_follow_one_another_without_a_gap(lineage):
    lineage.record(made(1, 1, "one"), made(2, 2, "two"), dropped(5, 3))
    (told,) = lineage.history().values()
    assert [until for _reason, _since, until, _columns in told] == [
        *(since for _reason, since, _until, _columns in told[1:]),
        FOREVER,
    ]
    assert [made_of for *_rest, made_of in told] == [
        [["k", "one", "IDENTITY", False]],
        [["k", "two", "IDENTITY", False]],
        None,
    ]


def test_a_rename_writes_no_version(lineage):
    lineage.record(made(1, 1))
    before = [row[:3] for rows in lineage.history().values() for row in rows]
    renamed = dataset("new", lifecycleStateChange=lifecycle("RENAME", (DB, "b")))
    lineage.record(event("COMPLETE", 3, run=3, outputs=[renamed]))
    assert [row[:3] for rows in lineage.history().values() for row in rows] == before


def corpus() -> list[bytes]:
    """Runs whose columns change, drops and a rename that meet them, and streams."""
    return [
        *(made(second, second, "odd" if second % 2 else "even") for second in range(1, 6)),
        made(3.5, 20, "even", "START"),
        made(6, 20, "odd"),
        dropped(4.5, 30),
        dropped(10, 31),
        dropped(11, 31, type_="FAIL"),
        event("COMPLETE", 7, run=40, inputs=["a2"], outputs=["b"]),
        event("COMPLETE", 8, run=41, inputs=[dataset("a", symlinks=symlinks((DB, "a2")))], outputs=["c"]),
        *ours("flink"),
        *ours("spark"),
    ]


def test_any_order_gives_the_same_history(database):
    bodies = corpus()
    wanted = told_in(database, 0, bodies)
    assert {"FIRST", "CHANGED", "DROPPED"} <= {row[0] for rows in wanted.values() for row in rows}
    for number in range(1, 4):
        order = random.Random(number)
        assert told_in(database, number, order.sample(bodies * 2, len(bodies) * 2)) == wanted


def told_in(database, number, bodies):
    lineage = Lineage(database, number)
    lineage.record_in_batches(bodies, [1, 5, 20] if number else [1])
    return lineage.history()


def test_a_history_by_arrival_is_caught(sqlite_database, monkeypatch):
    """The control: where only what arrived last is looked at, orders give different histories."""
    said_since = LineageStore.said_since

    def newest(store, times):
        rows = said_since(store, times)
        return [row for row in rows if row.run_id == max(each.run_id for each in rows)]

    monkeypatch.setattr(LineageStore, "said_since", newest)
    bodies = corpus()
    told = [
        told_in(sqlite_database, number, random.Random(number).sample(bodies, len(bodies)))
        for number in (1, 2, 3)
    ]
    assert not told[0] == told[1] == told[2]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(events(), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_random_events_give_the_same_history_in_any_order(sqlite_database, bodies, order):
    one, other = (Lineage(sqlite_database, next(NUMBERS)) for _ in range(2))
    one.record_in_batches(bodies, [1])
    shuffled = [*bodies, *bodies]
    order.shuffle(shuffled)
    other.record_in_batches(shuffled, [order.choice([1, 2, 5])])
    assert other.history() == one.history()


def test_a_real_table_made_again_keeps_the_history_of_the_dropped_one(lineage):
    scenario = recorded("spark_dataproc_simple_producer_test_complete")
    lineage.record_in_batches(scenario, [1])
    assert {row[0] for rows in lineage.history().values() for row in rows} == {"FIRST"}
    assert len(lineage.edges()) == 1


def test_edges_recorded_before_there_was_history_get_their_first_version(database):
    lineage = Lineage(database)
    lineage.record(
        made(1, 1, "one"), made(3, 3, "one"), event("COMPLETE", 4, run=4, inputs=["a"], outputs=["d"])
    )
    lineage.record(dropped(5, 5, "d"), made(6, 6, type_="START", job="other"))
    before = lineage.history()
    downgrade(database, "0016")
    migrate(database)
    assert lineage.history() == before
    with database.reading() as connection:
        times = connection.execute(text("SELECT state, changed_time > 0 FROM lineage_edges")).all()
    assert {(state, bool(known)) for state, known in times} == {
        ("LIVE", True),
        ("DROPPED", True),
        ("PROVISIONAL", False),
    }
