"""A run is the same whatever order its events came in, and what it states follows from it alone."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden_server.lineage import folding, folds
from lakewarden_server.lineage.compression import decompressed
from lakewarden_server.lineage.events import DATASETS_MAX, PAIRS_MAX
from lakewarden_server.lineage.facets import understand
from lakewarden_server.lineage.folding import Run, RunState, Stamped, fold
from lakewarden_server.lineage.folds import pack, unpack
from lakewarden_server.lineage.mapping import WHOLE
from lakewarden_server.lineage.names import AssetKind, dataset_name
from lakewarden_server.lineage.remembering import Remembered
from lakewarden_server.lineage.statements import edges, endings, meant, statement
from lineage.corpus import (
    columns,
    dataset,
    dataset_event,
    event,
    facet_examples,
    folded,
    job_event,
    lifecycle,
    microseconds,
    ours,
    read,
    recorded,
    run_id,
)


def only(bodies: list[bytes]) -> Run:
    (run,) = folded(bodies).values()
    return run


def pairs(run: Run) -> set[tuple[str, str]]:
    return {(edge.source.name, edge.target.name) for edge in edges(run)}


def texts(runs: dict[str, Run]) -> list[str]:
    return sorted(run.to_json() for run in runs.values())


def corpus() -> list[bytes]:
    """Our streams, with events of every kind that are about the same jobs and datasets."""
    more = [
        dataset_event(1, dataset("a", version={"datasetVersion": "1"})),
        dataset_event(2, dataset("a", version={"datasetVersion": "2"})),
        dataset_event(3, dataset("a", lifecycleStateChange=lifecycle("TRUNCATE"))),
        job_event(1, "declared", ["a"], ["b"]),
        job_event(2, "declared", ["a", "c"], ["b"]),
        event("COMPLETE", 5, run=9, inputs=["a"], outputs=["b"]),
        event("COMPLETE", 5, run=9, inputs=["a"], outputs=["c"]),
        event("FAIL", 5, run=9),
    ]
    return [*ours("spark"), *ours("airflow"), *ours("flink"), *more]


def test_any_order_and_repetition_gives_the_same_runs():
    bodies = corpus()
    wanted = texts(folded(bodies))
    for seed in range(50):
        shuffled = random.Random(seed).sample(bodies * 3, len(bodies) * 3)
        assert texts(folded(shuffled)) == wanted


def test_folding_by_arrival_would_be_caught():
    """The control: a fold whose last event to arrive wins is told apart by the corpus above."""

    def last_wins(bodies: list[bytes]) -> list[str]:
        runs: dict[str, str] = {}
        for body in bodies:
            run = only([body])
            runs[run.key] = run.to_json()
        return sorted(runs.values())

    bodies = corpus()
    assert any(
        last_wins(random.Random(seed).sample(bodies, len(bodies))) != last_wins(bodies) for seed in range(5)
    )


DATASETS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2)
EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from(["START", "RUNNING", "COMPLETE", "FAIL", "OTHER"]),
        st.integers(0, 3),
        run=st.integers(1, 2),
        job=st.sampled_from(["x", "y"]),
        inputs=DATASETS,
        outputs=DATASETS,
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.randoms())
def test_random_events_fold_to_the_same_in_any_order(bodies, random):
    shuffled = [*bodies, random.choice(bodies)]
    random.shuffle(shuffled)
    assert texts(folded(shuffled)) == texts(folded(bodies))


def test_a_run_is_stored_and_read_back_whole():
    for run in folded(corpus()).values():
        assert Run.from_json(run.to_json()) == run


def test_a_remembered_run_is_the_one_that_is_read_and_its_callers_own(monkeypatch):
    for run in folded(corpus()).values():
        packed = pack(run)
        mine = unpack(packed.fold)
        assert mine == run == Run.from_json(decompressed(packed.fold))
        later = read(event(second=99, run=1, inputs=["more"], outputs=["even more"]))
        fold(mine, later, understand(later))
        for facets in (mine.run_facets, mine.job_facets, *mine.inputs.values(), *mine.outputs.values()):
            facets["x"] = Stamped(1, "k", None, 1)
        assert unpack(packed.fold) == run
        with monkeypatch.context() as forgetful:
            forgetful.setattr(folds, "_RUNS", Remembered())
            assert unpack(packed.fold) == run


def test_remembered_runs_count_for_what_they_are_made_of_however_short_their_text(monkeypatch):
    remembered = Remembered(folds.RUNS_BYTES_MAX)
    monkeypatch.setattr(folds, "_RUNS", remembered)
    names = [f"{number:x}" for number in range(100)]
    for number in range(1_000):
        (run,) = folded([event(run=number, inputs=names)]).values()
        assert len(pack(run).fold) < folds.PART_BYTES * len(names)
    kept = [*remembered._newer.values(), *remembered._older.values()]
    assert 100 < len(kept) <= folds.RUNS_BYTES_MAX // (folds.PART_BYTES * len(names))


@pytest.mark.parametrize(
    ("types", "state"),
    [
        (["START"], RunState.PROVISIONAL),
        (["START", "RUNNING"], RunState.PROVISIONAL),
        (["START", "COMPLETE"], RunState.LIVE),
        (["START", "FAIL"], RunState.DROPPED),
        (["START", "ABORT"], RunState.DROPPED),
        (["OTHER", "START"], RunState.PROVISIONAL),
        (["START", "FAIL", "COMPLETE"], RunState.LIVE),
        (["START", "COMPLETE", "FAIL"], RunState.DROPPED),
    ],
)
def test_the_last_terminal_event_says_what_the_edges_are_worth(types, state):
    bodies = [event(type_, second, inputs=["a"], outputs=["b"]) for second, type_ in enumerate(types)]
    assert only(bodies).state is state


def test_a_stream_is_live_while_it_runs_and_after_it_was_stopped():
    bodies = ours("flink")
    assert only(bodies[:1]).state is RunState.PROVISIONAL
    assert only(bodies).state is RunState.LIVE
    assert only(bodies).last_time == microseconds(480)
    stopped = json.loads(bodies[-1]) | {"eventType": "ABORT"}
    assert only([*bodies, json.dumps(stopped).encode()]).state is RunState.LIVE


def test_events_add_inputs_and_outputs_to_a_run():
    run = only([event("START", inputs=["a"]), event("RUNNING", 1, outputs=["b"]), event("COMPLETE", 2)])
    assert pairs(run) == {("a", "b")}


def test_an_input_without_an_output_makes_no_edge():
    assert edges(only([event(inputs=["a"])])) == []


def test_the_newest_job_event_replaces_what_was_declared():
    run = only([job_event(1, "j", ["a"], ["b"]), job_event(2, "j", ["c"], ["b"])])
    assert pairs(run) == {("c", "b")}
    assert run.state is RunState.LIVE


def test_columns_say_which_input_feeds_which_output():
    outputs = [
        dataset("x", columnLineage=columns(k=[("a", "k", "IDENTITY")])),
        dataset("y", columnLineage=columns(k=[("b", "k", "IDENTITY")])),
    ]
    assert pairs(only([event(inputs=["a", "b"], outputs=outputs)])) == {("a", "x"), ("b", "y")}


def test_an_input_that_no_column_names_feeds_every_output():
    output = dataset("x", columnLineage=columns(k=[("a", "k", "IDENTITY")]))
    assert pairs(only([event(inputs=["a", "counted"], outputs=[output])])) == {("a", "x"), ("counted", "x")}


def test_a_facet_of_a_later_event_replaces_the_earlier_one():
    def told(second, column):
        return event(
            "RUNNING",
            second,
            inputs=["a"],
            outputs=[dataset("x", columnLineage=columns(k=[("a", column, "IDENTITY")]))],
        )

    (edge,) = edges(only([told(2, "new"), told(1, "old")]))
    assert [column for _target, column, _subtype, _masking in edge.columns] == ["new"]


def lineage(*entries):
    return {"lineage": {"entries": list(entries)}}


def entry(name, *sources, kind="DATASET", **more):
    inputs = [{"type": "DATASET", "namespace": "postgres://db", "name": source} for source in sources]
    return {"type": kind, "namespace": "postgres://db", "name": name, "inputs": inputs, **more}


def test_lineage_said_outright_allows_no_product():
    facets = lineage(
        entry("customer_summary", "customers"),
        entry("order_summary", "orders"),
    )
    outputs = [
        dataset("customer_summary", columnLineage=columns(k=[("orders", "k", "IDENTITY")])),
        "order_summary",
    ]
    run = only([event(inputs=["customers", "orders"], outputs=outputs, job_facets=facets)])
    assert pairs(run) == {("customers", "customer_summary"), ("orders", "order_summary")}


def test_a_datasets_own_lineage_beats_its_columns():
    told = {"inputs": [{"type": "DATASET", "namespace": "postgres://db", "name": "b"}]}
    output = dataset("x", lineage=told, columnLineage=columns(k=[("a", "k", "IDENTITY")]))
    assert pairs(only([event(inputs=["a", "b"], outputs=[output])])) == {("b", "x")}


def test_no_inputs_means_there_is_no_source():
    assert edges(only([event(inputs=["a"], outputs=["x"], job_facets=lineage(entry("x")))])) == []


def test_a_job_can_be_a_source_and_a_target():
    facets = lineage(
        {"type": "DATASET", "namespace": "postgres://db", "name": "x", "inputs": [{"type": "JOB"}]},
        {
            "type": "JOB",
            "inputs": [{"type": "JOB", "namespace": "airflow", "name": "before"}],
        },
    )
    found = {(edge.source[0::2], edge.target[0::2]) for edge in edges(only([event(job_facets=facets)]))}
    assert found == {
        ((AssetKind.JOB, "job"), (AssetKind.DATASET, "x")),
        ((AssetKind.JOB, "before"), (AssetKind.JOB, "job")),
    }


def test_the_specifications_lineage_facets_give_the_edges_they_describe():
    found = []
    for body in facet_examples("LineageFacet"):
        facet = body["lineage"]
        if "entries" in facet:
            run = only([event(job_facets={"lineage": facet})])
        else:
            run = only([event(inputs=["noise"], outputs=[dataset("mart", lineage=facet)])])
        found.append(sorted((edge.source.name, edge.target.name) for edge in edges(run)))
    # In the order of the files: dataset-to-dataset, dataset-to-job, generator, implicit-job, job-to-dataset, job-to-job, mixed.
    assert found == [
        [("public.customers", "mart")],
        [("public.staging_orders", "daily.load")],
        [("job", "public.extracted_data")],
        [("public.transactions", "job")],
        [("daily.extract", "public.daily_summary")],
        [("daily.transform", "daily.load")],
        [("daily.enrichment", "public.enriched_orders"), ("public.orders", "public.enriched_orders")],
    ]


def test_a_real_run_states_its_two_edges_once():
    runs = folded(recorded("CLL"))
    stating = [run for run in runs.values() if edges(run)]
    assert [pairs(run) for run in stating] == [
        {
            ("/tmp/cll_test/cll_source1", "/tmp/cll_test/tbl1"),
            ("/tmp/cll_test/cll_source2", "/tmp/cll_test/tbl1"),
        }
    ]
    targets = {target for edge in edges(stating[0]) for target, *_rest in edge.columns}
    assert targets == {WHOLE, "ident", "trans", "agg"}


def test_a_run_means_one_incarnation_of_what_it_drops_creates_and_renames():
    dropped, created, renamed, old = (
        dataset_name("postgres://db", name) for name in ("dropped", "created", "renamed", "old")
    )
    bodies = [
        event(
            type_,
            second,
            inputs=["read"],
            outputs=[
                dataset("dropped", lifecycleStateChange=lifecycle("DROP")),
                dataset("created", lifecycleStateChange=lifecycle("CREATE")),
                dataset("renamed", lifecycleStateChange=lifecycle("RENAME", ("postgres://db", "old"))),
            ],
        )
        for type_, second in (("START", 1), ("COMPLETE", 2))
    ]
    run = only(bodies)
    end = microseconds(2)
    read = dataset_name("postgres://db", "read")
    assert meant(run, [read, dropped, created, old, renamed]) == {
        read: microseconds(1), dropped: end, created: end, old: end, renamed: end + 1,
    }  # fmt: skip
    assert [(ending.name, ending.time, ending.renamed_to) for ending in endings(run)] == [
        (dropped, end, None),
        (old, end, renamed),
    ]


def test_a_run_that_failed_dropped_nothing():
    output = dataset("a", lifecycleStateChange=lifecycle("DROP"))
    assert endings(only([event("START", outputs=[output]), event("FAIL", 1, outputs=[output])])) == []
    assert endings(only([event("START", outputs=[output])])) == []


def test_the_run_above_is_kept():
    run = folded(ours("spark"))["run:01900000-0000-7000-8000-000000000002"]
    parent = run.run_facets["parent"].value
    assert parent == {"run": "01900000-0000-7000-8000-000000000001", "job": ["nightly", "app"]}
    assert run_id(1) != parent["run"]


def test_of_too_many_datasets_of_a_run_the_first_by_name_are_kept_in_any_order():
    bodies = [
        event("RUNNING", n, inputs=[f"{i:04}" for i in range(n, 1_400, 7)], outputs=[f"o{n}"])
        for n in range(7)
    ]
    wanted = only(bodies)
    assert statement(wanted).flags == ["DATASETS_TOO_MANY"]
    assert sorted(name.name for name in wanted.inputs) == [f"{i:04}" for i in range(DATASETS_MAX)]
    assert not wanted.outputs
    for seed in range(10):
        assert only(random.Random(seed).sample(bodies * 2, 14)).to_json() == wanted.to_json()


def test_what_is_said_of_the_datasets_of_a_run_is_bounded_in_any_order(monkeypatch):
    monkeypatch.setattr(folding, "RUN_CHARACTERS_MAX", 1_000)

    def told(second, name, characters):
        facets = {"documentation": {"description": "x" * characters}}
        return event("RUNNING", second, inputs=["a"], outputs=[dataset(name, **facets)])

    # What was long once takes its room for good: else what fits would hang on what came first.
    bodies = [told(1, "b", 500), told(2, "c", 300), told(3, "d", 400), told(4, "c", 10), told(5, "b", 20)]
    wanted = only(bodies)
    assert [name.name for name in sorted(wanted.outputs)] == ["b", "c"]
    assert wanted.is_cut
    for seed in range(20):
        assert only(random.Random(seed).sample(bodies * 2, 10)).to_json() == wanted.to_json()


def test_of_too_many_inputs_and_outputs_no_product_is_inferred():
    count = 51
    inputs, outputs = ([f"{side}{n}" for n in range(count)] for side in "io")
    assert count**2 > PAIRS_MAX
    outright = dataset("x", columnLineage=columns(k=[("i0", "k", "IDENTITY")]))
    run = only([event(inputs=inputs, outputs=[*outputs, outright])])
    assert pairs(run) == {("i0", "x")}
    assert statement(run).flags == ["PAIRS_TOO_MANY"]
    run = only([event(inputs=inputs[:50], outputs=outputs[:50])])
    assert (len(edges(run)), statement(run).flags) == (50 * 50, [])


def test_of_too_many_edges_said_outright_the_first_are_kept():
    told = [
        dataset(f"o{n}", lineage={"inputs": entry("", *(f"s{m}" for m in range(60)))["inputs"]})
        for n in range(60)
    ]
    run = only([event(inputs=["a"], outputs=[*told, "z"])])
    found = edges(run)
    assert (len(found), statement(run).flags) == (PAIRS_MAX, ["PAIRS_TOO_MANY"])
    everything = sorted((f"s{m}", f"o{n}") for m in range(60) for n in range(60))
    assert [(edge.source.name, edge.target.name) for edge in found] == everything[:PAIRS_MAX]
