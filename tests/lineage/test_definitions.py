"""A view, or a table made by CREATE … AS, that is defined anew is made of what its new definition says, whatever order runs are told in."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from lakewarden_server.lineage import weaving
from lakewarden_server.storage.migrations import downgrade, migrate
from lineage.corpus import dataset, event, lifecycle, symlinks
from lineage.stored import Lineage, is_same_in_any_order
from lineage.test_permutations import DB, NUMBERS


def defined(
    second: float,
    run: int,
    *sources: str,
    target: str = "v",
    type_: str = "COMPLETE",
    job: str = "",
    **facets: Any,
) -> bytes:
    """A run created the target of these sources; of a job of its own unless one is named."""
    told = {"lifecycleStateChange": lifecycle("CREATE"), **facets}
    return event(
        type_,
        second,
        run=run,
        job=job or f"definition {run}",
        inputs=[*sources],
        outputs=[dataset(target, **told)],
    )


def added(second: float, run: int, source: str, target: str = "v", job: str = "insert") -> bytes:
    return event("COMPLETE", second, run=run, job=job, inputs=[source], outputs=[target])


def test_what_a_new_definition_leaves_out_is_gone_at_its_time_and_stays_history(lineage):
    lineage.record(defined(1, 1, "a", "b"))
    assert lineage.edges() == {("a", "v"), ("b", "v")}
    lineage.record(defined(5, 2, "a"))
    assert lineage.edges() == {("a", "v")}
    assert lineage.versions("b", "v") == [("FIRST", 1), ("RETIRED", 5)]
    assert lineage.versions("a", "v") == [("FIRST", 1), ("FIRST", 5)], "each job has its edge"
    told = {change.state for change in lineage.changes() if change.edge_id}
    assert told == {"LIVE", "RETRACTED"}
    lineage.record(defined(9, 3, "b"))
    assert lineage.edges() == {("b", "v")}


def test_a_definition_of_the_same_job_reopens_what_it_states_again(lineage):
    for second, sources in ((1, "ab"), (3, "a"), (5, "ab"), (7, "ab"), (9, "b")):
        lineage.record(defined(second, second, *sources, job="dbt"))
    assert lineage.versions("b", "v") == [("FIRST", 1), ("RETIRED", 3), ("REOPENED", 5)]
    assert lineage.versions("a", "v") == [("FIRST", 1), ("RETIRED", 9)]
    assert lineage.edges() == {("b", "v")}


def test_what_another_job_added_stays(lineage):
    lineage.record(added(1, 1, "a"), defined(3, 2, "b"), added(4, 3, "c"), defined(5, 4, "d"))
    assert lineage.edges() == {("a", "v"), ("c", "v"), ("d", "v")}
    lineage.record(added(6, 5, "b", job="definition 2"))
    assert ("b", "v") in lineage.edges(), "what the job says without defining it again stays, too"
    lineage.record(defined(7, 6, "e"))
    assert ("b", "v") in lineage.edges()


def test_a_definition_that_failed_or_has_not_ended_changes_nothing(lineage):
    lineage.record(defined(1, 1, "a"), defined(3, 2, "b", type_="START"))
    assert lineage.edges() == {("a", "v")}
    lineage.record(event("FAIL", 4, run=2, job="definition 2"))
    assert lineage.edges() == {("a", "v")}
    lineage.record(defined(5, 3, "c"))
    assert lineage.edges() == {("c", "v")}
    lineage.record(event("FAIL", 6, run=3, job="definition 3"))
    assert lineage.edges() == {("a", "v")}
    assert lineage.versions("a", "v") == [("FIRST", 1)]


def test_an_older_definition_that_comes_late_replaces_nothing(lineage):
    lineage.record(defined(5, 2, "a"))
    lineage.record(defined(1, 1, "b"))
    assert lineage.edges() == {("a", "v")}
    assert lineage.versions("b", "v") == [("FIRST", 1), ("RETIRED", 5)]
    lineage.record(defined(3, 3, "c"))
    assert lineage.versions("b", "v") == [("FIRST", 1), ("RETIRED", 3)]
    assert lineage.edges() == {("a", "v")}


@pytest.mark.parametrize(
    ("change", "kind", "defines"),
    [
        ("CREATE", None, True), ("OVERWRITE", None, False), ("OVERWRITE", "TABLE", False), ("ALTER", None, False),
        ("OVERWRITE", "VIEW", True), ("OVERWRITE", "materialized view", True), ("ALTER", "View", True),
        ("TRUNCATE", "VIEW", False), (None, "VIEW", False),
    ],
)  # fmt: skip
def test_what_defines_is_what_creates_and_what_changes_a_view(lineage, change, kind, defines):
    facets = {"datasetType": {"datasetType": kind}} if kind else {}
    if change:
        facets["lifecycleStateChange"] = lifecycle(change)
    lineage.record(defined(1, 1, "a"))
    lineage.record(event("COMPLETE", 3, run=2, job="other", inputs=["b"], outputs=[dataset("v", **facets)]))
    assert lineage.edges() == ({("b", "v")} if defines else {("a", "v"), ("b", "v")})


def test_a_table_created_without_sources_takes_nothing_away(lineage):
    lineage.record(defined(1, 1, "a"), defined(3, 2))
    assert lineage.edges() == {("a", "v")}


def test_a_drop_after_a_definition_is_a_drop(lineage):
    gone = dataset("v", lifecycleStateChange=lifecycle("DROP"))
    lineage.record(defined(1, 1, "a", "b"), defined(3, 2, "a"), event("COMPLETE", 5, run=3, outputs=[gone]))
    assert lineage.edges("DROPPED") == {("a", "v")}
    assert lineage.versions("b", "v") == [("FIRST", 1), ("RETIRED", 3)]
    lineage.record(defined(7, 4, "b"))
    assert lineage.edges() == {("b", "v")}
    assert lineage.edges("DROPPED") == {("a", "v")}, "it defined another table of the name"


def corpus() -> list[bytes]:
    """Definitions by several jobs and names, some failing, with what was added and what was dropped between them."""
    return [
        *(defined(second, second, *sources, job=job) for second, sources, job in (
            (1, "ab", "x"), (3, "a", "y"), (5, "abc", "x"), (7, "c", "y"), (9, "ac", "x"), (11, "b", ""),
        )),
        added(2, 20, "b"), added(6, 21, "b", job="x"),
        defined(4, 22, "d", type_="START"), event("COMPLETE", 8, run=22, job="definition 22"),
        defined(10, 23, "d"), event("FAIL", 10.5, run=23, job="definition 23"),
        defined(5, 24, "e", job="y"), defined(9, 25, "b", job="y"),
        defined(6, 26, "f", target="w"),
        event("COMPLETE", 6.5, run=27, outputs=[dataset("w", symlinks=symlinks((DB, "v")))]),
        defined(2, 28, "f", "g", target="z"), defined(4, 29, "f", target="z"),
        event("COMPLETE", 5, run=30, outputs=[dataset("z", lifecycleStateChange=lifecycle("DROP"))]),
        defined(6, 31, "g", target="z"),
    ]  # fmt: skip


def told_in(database, number, bodies, sizes):
    lineage = Lineage(database, number)
    lineage.record_in_batches(bodies, sizes)
    return lineage.export(), lineage.history()


def test_any_order_gives_the_same_edges_and_the_same_history(database):
    bodies = corpus()
    wanted = told_in(database, 0, bodies, [1])
    assert {"FIRST", "RETIRED", "REOPENED"} <= {row[0] for rows in wanted[1].values() for row in rows}
    for number in range(1, 8):
        order = random.Random(number)
        shuffled = order.sample(bodies * 2, len(bodies) * 2)
        assert told_in(database, number, shuffled, [order.choice([1, 3, 9]) for _ in range(5)]) == wanted


SOURCES = st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True)


@st.composite
def runs(draw) -> list[bytes]:
    """One run that defines or adds, and may fail or drop."""
    run, second = draw(st.integers(1, 5)), draw(st.integers(0, 6))
    target, job = draw(st.sampled_from(["v", "v", "c"])), draw(st.sampled_from(["x", "y"]))
    state = draw(st.sampled_from(["CREATE", "CREATE", "CREATE", None, "DROP"]))
    facets = {} if state is None else {"lifecycleStateChange": lifecycle(state)}
    if draw(st.integers(0, 5)) == 0:
        facets["symlinks"] = symlinks((DB, draw(st.sampled_from(["w", "b"]))))
    type_ = draw(st.sampled_from(["START", "COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]))
    return event(type_, second, run=run, job=job, inputs=draw(SOURCES), outputs=[dataset(target, **facets)])


ANY_ORDER = given(st.lists(runs(), min_size=2, max_size=8), st.randoms(use_true_random=False))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@ANY_ORDER
def test_random_definitions_give_the_same_in_any_order(sqlite_database, bodies, order):
    assert is_same_in_any_order(lambda *told: told_in(sqlite_database, next(NUMBERS), *told), bodies, order)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@ANY_ORDER
def test_many_random_definitions_give_the_same_in_any_order(sqlite_database, bodies, order):
    assert is_same_in_any_order(lambda *told: told_in(sqlite_database, next(NUMBERS), *told), bodies, order)


def test_control_definitions_by_arrival_are_caught(sqlite_database, monkeypatch):
    """Where what came before is not stated anew, orders give different exports."""
    monkeypatch.setattr(weaving, "affected", lambda *_: [])
    bodies = corpus()
    exports = {
        told_in(sqlite_database, number, random.Random(number).sample(bodies, len(bodies)), [1])[0]
        for number in range(4)
    }
    assert len(exports) > 1


def test_the_same_definition_again_reads_nothing_of_the_others(lineage, monkeypatch):
    """A job that defines its table every night costs no more after a year."""
    numbers = itertools.count(1)
    for _ in range(5):
        number = next(numbers)
        lineage.record(defined(number, number, "a", job="dbt"))
    asked: list[int] = []
    monkeypatch.setattr(weaving, "left_out", lambda _store, wanted: asked.extend(wanted) or {})
    number = next(numbers)
    lineage.record(defined(number, number, "a", job="dbt"))
    assert asked == []
    assert lineage.edge("a", "v")["runs"] == number


def by(lineage: Lineage, principal: str, *bodies: bytes) -> None:
    lineage.origin = lineage.origin._replace(principal_id=principal)
    lineage.record(*bodies)


def test_what_others_told_of_is_not_ended_by_a_definition(lineage):
    """Else whoever may tell of lineage could hide where the data of others went."""
    by(lineage, "ada", defined(1, 1, "secret", "a"))
    by(lineage, "eve", defined(3, 2, "a"))
    assert lineage.edges() == {("secret", "v"), ("a", "v")}
    by(lineage, "eve", defined(4, 3, "secret"))
    by(lineage, "eve", defined(5, 4, "a"))
    assert lineage.edges() == {("secret", "v"), ("a", "v")}
    by(lineage, "ada", defined(6, 5, "a"))
    assert lineage.edges() == {("a", "v")}


def test_definitions_of_several_principals_give_the_same_in_any_order(database):
    told = [
        ("ada", defined(1, 1, "a", "b", job="x")), ("bob", defined(2, 2, "a", "b", job="x")),
        ("ada", defined(3, 3, "a", job="x")), ("bob", defined(4, 4, "b", job="x")),
        ("ada", defined(5, 5, "a", "b", job="y")), ("bob", defined(5, 6, "c", job="x")),
        ("ada", defined(7, 7, "c", job="y")), ("bob", added(3, 8, "b", job="y")), ("ada", defined(8, 9, "b", job="x")),
    ]  # fmt: skip

    def told_by(number: int, order: list[tuple[str, bytes]]) -> Any:
        lineage = Lineage(database, number)
        for principal, body in order:
            by(lineage, principal, body)
        return lineage.export(), lineage.history()

    wanted = told_by(0, told)
    assert {"RETIRED", "REOPENED"} <= {row[0] for rows in wanted[1].values() for row in rows}
    for number in range(1, 12):
        assert told_by(number, random.Random(number).sample(told, len(told))) == wanted


def test_what_was_recorded_before_there_were_definitions_is_none(database):
    lineage = Lineage(database)
    lineage.record(defined(1, 1, "a"))
    downgrade(database, "0021")
    migrate(database)
    with database.reading() as connection:
        assert (
            connection.execute(text("SELECT count(*) FROM lineage_contributions WHERE defines")).scalar_one()
            == 0
        )
    lineage.record(defined(3, 2, "b"))
    assert lineage.edges() == {("a", "v"), ("b", "v")}
