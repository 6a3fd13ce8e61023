"""The sums of an edge are counted on, and are those that summing up all its runs gives."""

from __future__ import annotations

import random

import pytest

from lakewarden_server.lineage import weaving
from lakewarden_server.lineage.tallies import Said, tallied
from lakewarden_server.storage import create_database
from lakewarden_server.storage.repositories.lineage import LineageStore
from lineage.corpus import dataset, event, symlinks
from lineage.stored import Lineage
from lineage.test_permutations import everything

EDGE = {"id": 1, "state": "LIVE", "first_time": 5, "last_time": 9, "run_count": 2, "mapping_hash": "x"}


def row(run: int, **more: object) -> dict[str, object]:
    said = {
        "run_id": run,
        "edge_id": 1,
        "live": True,
        "first_time": 6,
        "last_time": 7,
        "mapping_hash": "x",
        "defines": False,
    }
    return said | more


def test_a_new_run_is_counted_and_widens_the_times():
    found = tallied(EDGE, [Said(None, row(3, first_time=1, last_time=12)), Said(None, row(4))], ())
    assert found == EDGE | {"first_time": 1, "last_time": 12, "run_count": 4}


def test_a_run_counted_before_is_counted_once_also_by_other_names():
    assert tallied(EDGE, [Said(row(3), row(3, last_time=12))], {3}) == EDGE | {"last_time": 12}
    assert tallied(EDGE, [Said(None, row(3))], {3}) == EDGE


def test_what_has_not_ended_adds_nothing_until_it_has():
    begun = row(3, live=False)
    assert tallied(EDGE, [Said(None, begun)], ()) == EDGE
    assert tallied(EDGE, [Said(begun, row(3))], ()) == EDGE | {"run_count": 3}


@pytest.mark.parametrize(
    "said",
    [
        Said(row(3), None),
        Said(row(3), row(3, edge_id=2)),
        Said(row(3), row(3, live=False)),
        Said(row(3), row(3, first_time=7)),
        Said(row(3), row(3, last_time=6)),
        Said(None, row(3, mapping_hash="y")),
    ],
    ids=["taken back", "moved", "not ended", "begun later", "ended earlier", "other columns"],
)
def test_what_does_not_only_add_is_summed_up_again(said):
    assert tallied(EDGE, [said], {3}) is None


def test_an_edge_that_is_not_live_is_summed_up_again():
    assert tallied(EDGE | {"state": "PROVISIONAL"}, [Said(None, row(3))], ()) is None


@pytest.fixture
def database(make_database_url):
    opened = create_database(make_database_url("sqlite"))
    yield opened
    opened.close()


def test_counting_on_gives_what_summing_up_gives(database, monkeypatch):
    bodies = everything()
    for seed in range(3):
        shuffled = random.Random(seed).sample(bodies * 2, len(bodies) * 2)
        one, other = Lineage(database, 2 * seed), Lineage(database, 2 * seed + 1)
        one.record_in_batches(shuffled, [1, 7])
        with monkeypatch.context() as patched:
            patched.setattr(weaving, "tallied", lambda *_arguments: None)
            other.record_in_batches(shuffled, [1, 7])
        assert one.export() == other.export()


def test_a_run_like_those_before_reads_none_of_them(database, monkeypatch):
    lineage = Lineage(database)

    def made(run: int, target: str = "b") -> bytes:
        return event(run=run, second=run, inputs=["a"], outputs=[target])

    lineage.record(*map(made, range(1, 4)))
    asked = []
    summaries = LineageStore.summaries
    monkeypatch.setattr(
        LineageStore,
        "summaries",
        lambda store, edge_ids: asked.extend(edge_ids) or summaries(store, edge_ids),
    )
    lineage.record(made(9))
    assert asked == []
    assert lineage.edge("a", "b")["runs"] == 4
    lineage.record(made(10, "c"))
    assert len(asked) == 1


def test_a_run_that_says_it_of_two_names_found_to_be_one_is_counted_once(database):
    lineage = Lineage(database)
    lineage.record(event(run=1, second=1, inputs=["a", "a2"], outputs=["b"]))
    one = dataset("a", symlinks=symlinks(("postgres://db", "a2")))
    lineage.record(event(run=2, second=2, inputs=[one]))
    (edge,) = lineage.lines("edge")
    assert edge["runs"] == 1
