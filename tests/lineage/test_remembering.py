"""What is remembered is what would be found out again, and takes no more than its bound whoever sends what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakewarden_server.lineage import bindings, canonical, events, statements
from lakewarden_server.lineage import facets as facets_module
from lakewarden_server.lineage.facets import LINKS_MAX, Facets, understand
from lakewarden_server.lineage.remembering import ENTRY_BYTES, REMEMBERED_BYTES_MAX, SHARE_MAX, Remembered
from lakewarden_server.lineage.statements import Statement, statement
from lineage.corpus import dataset, event, folded, ours, read, symlinks


@pytest.fixture
def nothing_known(monkeypatch):
    """Forgets what other tests had remembered, and begins again whenever it is called."""

    def forget() -> None:
        monkeypatch.setattr(bindings, "_ANCESTORS", Remembered())
        monkeypatch.setattr(canonical, "_OWNERS", Remembered())
        monkeypatch.setattr(canonical, "_SPELT", Remembered())
        monkeypatch.setattr(events, "_DATASETS", Remembered())
        monkeypatch.setattr(facets_module, "_REMEMBERED", Remembered())
        monkeypatch.setattr(facets_module, "_OF_DATASETS", Remembered())
        monkeypatch.setattr(statements, "_REMEMBERED", Remembered())

    forget()
    return forget


def corpus() -> list[bytes]:
    """Streams whose facets repeat, facets that are wrong, and ones that depend on more than themselves."""
    by_job = {"inputs": [{"type": "JOB"}], "fields": {}}
    wrong = {"schema": {"fields": [{"type": "no name"}]}, "version": 7, "symlinks": {"_deleted": True}}
    links = symlinks(*(("postgres://db", f"other {number}") for number in range(100)))
    many = [dataset(f"linked {number}", symlinks=links) for number in range(LINKS_MAX // 100 + 2)]
    return [
        *ours("spark"), *ours("airflow"), *ours("flink"),
        event(job="one", outputs=[dataset("a", lineage=by_job)]),
        event(job="two", run=2, outputs=[dataset("a", lineage=by_job)]),
        event(run=3, inputs=[dataset("a", **wrong), dataset("b", **wrong)]),
        event(run=4, inputs=many),
    ]  # fmt: skip


def understood() -> list[Facets]:
    return [understand(read(body)) for body in corpus()]


def stated() -> dict[str, Statement]:
    return {key: statement(run) for key, run in folded(corpus()).items()}


def test_facets_say_the_same_whether_they_are_remembered_or_read(nothing_known):
    first = understood()
    assert understood() == first
    spoken = [json.dumps(each) for each in first]
    assert [json.dumps(each) for each in understood()] == spoken


def test_of_the_same_facet_two_owners_are_told_apart(nothing_known):
    found = understand(read(corpus()[-2]))
    assert [(dropped.owner, dropped.facet) for dropped in found.dropped] == [
        (owner, facet) for owner in ("a", "b") for facet in ("schema", "version")
    ]
    one, two = (found.outputs[0][1]["lineage"]["sources"] for found in understood()[-4:-2])
    assert (one[0][2], two[0][2]) == ("one", "two")


def test_of_one_text_a_job_and_a_dataset_say_each_its_own(nothing_known):
    both = {"entries": [], "inputs": [{"type": "DATASET", "namespace": "postgres://db", "name": "b"}]}
    told = read(event(job_facets={"lineage": both}, outputs=[dataset("a", lineage=both)]))
    assert told.job_facets["lineage"] is told.outputs[0].facets["lineage"]
    found = understand(told)
    assert found.job["lineage"] == []
    assert [source[2] for source in found.outputs[0][1]["lineage"]["sources"]] == ["b"]


def test_runs_state_the_same_whether_it_is_remembered_or_worked_out(nothing_known):
    first = stated()
    assert stated() == first
    nothing_known()
    assert stated() == first


def test_a_memory_that_took_names_for_nothing_would_be_caught(nothing_known, monkeypatch):
    """The control: where only what facets say were asked for, runs between other datasets would state the same."""
    wanted = stated()

    class Nameless(Remembered[Any]):
        def get(self, key):
            return super().get(key[2:])

        def keep(self, key, answer, size):
            super().keep(key[2:], answer, size)

    monkeypatch.setattr(statements, "_REMEMBERED", Nameless())
    assert stated() != wanted


def test_what_is_remembered_is_bounded_by_its_bytes_and_the_newest_stay():
    known: Remembered[int] = Remembered(bytes_max=64 * (100 + ENTRY_BYTES))
    for number in range(1_000):
        known.keep(number, number, 100)
        assert known.get(number) == number
        assert len(known._newer) + len(known._older) <= 64
    assert all(known.get(number) == number for number in range(970, 1_000))
    assert known.get(0) is None


def test_texts_that_are_short_and_names_that_are_long_count_as_what_they_take(nothing_known, monkeypatch):
    known = Remembered[Any](bytes_max=64 * ENTRY_BYTES)
    for number in range(1_000):
        known.keep(number, number, 1)
    assert len(known._newer) + len(known._older) <= 64
    statement(folded([event(inputs=["a" * 4_000], outputs=["b" * 4_000])]).popitem()[1])
    assert statements._REMEMBERED._bytes > 8_000


def test_jobs_and_datasets_count_as_the_facets_they_have(nothing_known):
    """Each is an object, however short its text."""
    for job in range(400):
        read(event(job_facets={f"f{number}": 100 * job + number for number in range(100)}))
    known = canonical._OWNERS
    kept = [owner for each in (known._newer, known._older) for owner in each.values()]
    facets = sum(len(owner.members["facets"]) for owner in kept)
    assert 0 < facets * ENTRY_BYTES <= REMEMBERED_BYTES_MAX


def test_what_is_large_is_not_remembered():
    known: Remembered[int] = Remembered(bytes_max=6_400)
    known.keep("large", 1, 6_400 // SHARE_MAX + 1)
    assert known.get("large") is None
