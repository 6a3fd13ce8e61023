"""Events in any order, in any batches, any number of times: the export is the same to the byte."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakewarden_server.lineage import folding, recording, statements
from lakewarden_server.lineage.events import EventType
from lakewarden_server.storage import Database
from lineage.corpus import RECORDED, dataset, dataset_event, event, lifecycle, recorded, symlinks
from lineage.stored import Lineage, is_same_in_any_order
from lineage.test_folding import corpus

DB = "postgres://db"
PERMUTATIONS = 50


def everything() -> list[bytes]:
    """Our streams; links, drops and renames that meet each other; and what real producers sent, where it is here."""
    told = [
        dataset_event(15, dataset("b", symlinks=symlinks((DB, "b2"), ("file", "/b")))),
        event("COMPLETE", 20, run=50, outputs=[dataset("b", lifecycleStateChange=lifecycle("DROP"))]),
        event("START", 18, run=51, inputs=["b2"], outputs=["z"]),
        event("COMPLETE", 22, run=51),
        event(
            "COMPLETE",
            25,
            run=52,
            outputs=[dataset("c", lifecycleStateChange=lifecycle("RENAME", (DB, "b2")))],
        ),
        event("COMPLETE", 26, run=53, inputs=["c"], outputs=["z"]),
        event("COMPLETE", 30, run=54, outputs=[dataset("c", lifecycleStateChange=lifecycle("DROP"))]),
        event("FAIL", 31, run=54),
    ]
    scenarios = ["CLL", "spark_dataproc_simple_producer_test_complete"] if RECORDED.is_dir() else []
    return [*corpus(), *told, *(body for scenario in scenarios for body in recorded(scenario))]


def permuted(database: Database, number: int, bodies: Sequence[bytes]) -> bytes:
    lineage = Lineage(database, number)
    order = random.Random(number)
    shuffled = order.sample([*bodies] * 3, len(bodies) * 3)
    lineage.record_in_batches(shuffled, [order.choice([1, 5, 20, 60]) for _ in range(10)])
    return lineage.export()


def test_random_orders_with_repetitions_give_the_same_bytes(database):
    bodies = everything()
    lineage = Lineage(database, 0)
    lineage.record_in_batches(bodies, [1])
    wanted = lineage.export()
    for number in range(1, 6):
        assert permuted(database, number, bodies) == wanted


@pytest.mark.slow
def test_fifty_random_orders_give_the_same_bytes(sqlite_database):
    bodies = everything()
    wanted = permuted(sqlite_database, 0, bodies)
    for number in range(1, PERMUTATIONS):
        assert permuted(sqlite_database, number, bodies) == wanted


def test_orders_give_the_same_bytes_where_runs_are_cut(sqlite_database, monkeypatch):
    monkeypatch.setattr(folding, "DATASETS_MAX", 3)
    monkeypatch.setattr(statements, "PAIRS_MAX", 1)
    bodies = everything()
    wanted = permuted(sqlite_database, 0, bodies)
    assert b'"flags": ["DATASETS_TOO_MANY", "PAIRS_TOO_MANY"]' in wanted
    assert permuted(sqlite_database, 1, bodies) == permuted(sqlite_database, 2, bodies) == wanted


def test_a_fold_by_arrival_is_caught(sqlite_database, monkeypatch):
    """The control: where the end that arrives last is the end of a run, orders give different exports."""

    def by_arrival(run, told, facets):
        run = folding.fold(run, told, facets)
        if told.type in (EventType.COMPLETE, EventType.FAIL):
            run.end = (told.time, told.key, told.type.value)
        return run

    monkeypatch.setattr(recording, "fold", by_arrival)
    bodies = everything()
    assert len({permuted(sqlite_database, number, bodies) for number in range(4)}) > 1


NAMES = st.sampled_from(["a", "b", "c"])


@st.composite
def events(draw):
    """An event that links, drops, renames, creates, reads or writes one of three names."""
    facets = {}
    if draw(st.booleans()):
        state = draw(st.sampled_from(["DROP", "CREATE", "RENAME"]))
        facets["lifecycleStateChange"] = lifecycle(state, (DB, draw(NAMES)) if state == "RENAME" else None)
    if draw(st.booleans()):
        facets["symlinks"] = symlinks((DB, draw(NAMES)))
    told = dataset(draw(NAMES), **facets)
    second = draw(st.integers(0, 6))
    if draw(st.integers(0, 4)) == 0:
        return dataset_event(second, told)
    type_ = draw(st.sampled_from(["START", "RUNNING", "COMPLETE", "COMPLETE", "FAIL"]))
    return event(
        type_, second, run=draw(st.integers(1, 4)), inputs=draw(st.lists(NAMES, max_size=1)), outputs=[told]
    )


NUMBERS = iter(range(10_000, 10_000_000))


ANY_ORDER = given(st.lists(events(), min_size=2, max_size=8), st.randoms(use_true_random=False))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@ANY_ORDER
def test_random_events_give_the_same_bytes_in_any_order(sqlite_database, bodies, order):
    assert is_same_in_any_order(lambda *told: told_in(sqlite_database, next(NUMBERS), *told), bodies, order)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@ANY_ORDER
def test_many_random_events_give_the_same_bytes_in_any_order(sqlite_database, bodies, order):
    assert is_same_in_any_order(lambda *told: told_in(sqlite_database, next(NUMBERS), *told), bodies, order)


def told_in(database, number, bodies, sizes):
    lineage = Lineage(database, number)
    lineage.record_in_batches(bodies, sizes)
    return lineage.export()
