"""What is understood of each facet; a wrong one is dropped with a reason and the event kept."""

from __future__ import annotations

import pytest

from lakewarden_server.lineage.column_facets import read_uses
from lakewarden_server.lineage.facets import DATASET, JOB, LINKS_MAX, RUN, Dropped, understand
from lakewarden_server.lineage.mapping import WHOLE, Subtype
from lineage.corpus import columns, dataset, event, facet_examples, lifecycle, read, recorded, symlinks

EXAMPLES = {
    "ColumnLineageDatasetFacet": DATASET,
    "DatasetTypeDatasetFacet": DATASET,
    "DatasetVersionDatasetFacet": DATASET,
    "DatasourceDatasetFacet": DATASET,
    "DocumentationDatasetFacet": DATASET,
    "LifecycleStateChangeDatasetFacet": DATASET,
    "OwnershipDatasetFacet": DATASET,
    "SchemaDatasetFacet": DATASET,
    "StorageDatasetFacet": DATASET,
    "SymlinksDatasetFacet": DATASET,
    "TagsDatasetFacet": DATASET,
    "DocumentationJobFacet": JOB,
    "JobTypeJobFacet": JOB,
    "OwnershipJobFacet": JOB,
    "SQLJobFacet": JOB,
    "SourceCodeLocationJobFacet": JOB,
    "TagsJobFacet": JOB,
    "ErrorMessageRunFacet": RUN,
    "ExternalQueryRunFacet": RUN,
    "NominalTimeRunFacet": RUN,
    "ParentRunFacet": RUN,
    "ProcessingEngineRunFacet": RUN,
    "TagsRunFacet": RUN,
}


def understood(facets, of="outputs"):
    """What is understood of an output's facets, and what was dropped."""
    found = understand(read(event(outputs=[dataset("out", **facets)])))
    return found.outputs[0][1], found.dropped


@pytest.mark.parametrize(("facet", "readers"), EXAMPLES.items(), ids=list(EXAMPLES))
def test_the_specifications_own_examples_are_understood(facet, readers):
    bodies = facet_examples(facet)
    assert bodies
    for body in bodies:
        (name,) = body
        assert readers[name](body[name], None) is not None


def test_what_holds_for_all_columns_is_said_once_of_the_whole_set():
    facets = columns(
        x=[("a", "x", "IDENTITY"), ("a", "f", "FILTER"), ("b", "k", "JOIN")],
        y=[("a", "y", "AGGREGATION"), ("a", "f", "FILTER")],
    )
    said, dropped = understood({"columnLineage": facets})
    assert not dropped
    assert [(use.target, use.source.name, use.column, use.subtype) for use in read_uses(said["columnLineage"]["uses"])] == [
        (WHOLE, "a", "f", Subtype.FILTER),
        ("x", "a", "x", Subtype.IDENTITY),
        ("x", "b", "k", Subtype.JOIN),
        ("y", "a", "y", Subtype.AGGREGATION),
    ]  # fmt: skip


def test_a_value_of_the_only_column_is_still_that_columns():
    said, _ = understood({"columnLineage": columns(x=[("a", "x", "IDENTITY")])})
    assert [use.target for use in read_uses(said["columnLineage"]["uses"])] == ["x"]


def test_the_columns_of_a_real_producer_are_understood():
    complete = understand(read(recorded("CLL")[7]))
    uses = read_uses(complete.outputs[0][1]["columnLineage"]["uses"])
    direct = {(use.target, use.source.name, use.column, use.subtype) for use in uses if use.subtype.is_direct}
    one, two = "/tmp/cll_test/cll_source1", "/tmp/cll_test/cll_source2"
    assert direct == {
        ("ident", one, "a", Subtype.IDENTITY),
        ("trans", one, "b", Subtype.TRANSFORMATION),
        ("agg", two, "c", Subtype.AGGREGATION),
    }
    assert {(use.target, use.source.name, use.column, use.subtype) for use in uses} - direct == {
        (WHOLE, one, "a", Subtype.FILTER),
        (WHOLE, one, "a", Subtype.JOIN),
        (WHOLE, one, "a", Subtype.GROUP_BY),
        (WHOLE, one, "b", Subtype.GROUP_BY),
        (WHOLE, two, "a", Subtype.FILTER),
        (WHOLE, two, "a", Subtype.JOIN),
    }


def test_the_deprecated_transformation_type_is_understood():
    facet = {
        "fields": {
            "a": {
                "inputFields": [{"namespace": "n", "name": "t", "field": "x"}],
                "transformationType": "MASKED",
            },
            "b": {
                "inputFields": [{"namespace": "n", "name": "t", "field": "x"}],
                "transformationType": "IDENTITY",
            },
            "c": {"inputFields": [{"namespace": "n", "name": "t", "field": "x"}]},
        }
    }
    said, _ = understood({"columnLineage": facet})
    assert [(use.target, use.subtype, use.masking) for use in read_uses(said["columnLineage"]["uses"])] == [
        ("a", Subtype.TRANSFORMATION, True),
        ("b", Subtype.IDENTITY, False),
        ("c", Subtype.TRANSFORMATION, False),
    ]


WRONG = {
    "no object": ({"schema": []}, "schema", "FACET_NOT_OBJECT"),
    "fields that are text": ({"schema": {"fields": "a"}}, "schema", "FIELD_INVALID"),
    "a column without a name": ({"schema": {"fields": [{"type": "int"}]}}, "schema", "FIELD_MISSING"),
    "a change nobody knows": ({"lifecycleStateChange": lifecycle("VANISH")}, "lifecycleStateChange", "VALUE_UNKNOWN"),
    "a rename of nothing": ({"lifecycleStateChange": lifecycle("RENAME")}, "lifecycleStateChange", "FIELD_MISSING"),
    "a symlink without a name": (
        {"symlinks": {"identifiers": [{"namespace": "a"}]}}, "symlinks", "FIELD_MISSING",
    ),
    "a symlink nobody can store": ({"symlinks": symlinks(("a", "\x00"))}, "symlinks", "NAME_INVALID"),
    "too many symlinks": (
        {"symlinks": symlinks(*[("a", str(n)) for n in range(101)])}, "symlinks", "TOO_MANY",
    ),
    "columns of no field": (
        {"columnLineage": {"fields": {"x": {"inputFields": [{"namespace": "a", "name": "b"}]}}}},
        "columnLineage", "FIELD_MISSING",
    ),
    "fields that are numbers": ({"columnLineage": {"fields": {"x": 1}}}, "columnLineage", "FACET_NOT_OBJECT"),
    "a source of no kind": ({"lineage": {"inputs": [{"type": "TABLE"}]}}, "lineage", "VALUE_UNKNOWN"),
}  # fmt: skip


@pytest.mark.parametrize(("facets", "name", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_facet_is_dropped_with_a_reason_and_the_others_kept(facets, name, reason):
    said, dropped = understood({**facets, "version": {"datasetVersion": "7"}})
    assert dropped == (Dropped("out", name, reason),)
    assert said == {"version": {"datasetVersion": "7"}}


def test_facets_nobody_knows_are_passed_by():
    said, dropped = understood({"vendor": {"anything": [1, {}]}, "other": 7})
    assert (said, dropped) == ({}, ())


def test_a_deleted_facet_says_nothing_from_then_on():
    said, _ = understood({"columnLineage": {"_deleted": True}})
    assert said == {"columnLineage": None}


def test_symlinks_after_too_many_of_one_event_are_dropped():
    outputs = [
        dataset(f"o{n}", symlinks=symlinks(*(("postgres://db", f"{n}.{m}") for m in range(100))))
        for n in range(12)
    ]
    facets = understand(read(event(outputs=outputs)))
    assert sum(len(told.get("symlinks", ())) for _name, told in facets.outputs) == LINKS_MAX
    assert facets.dropped == (Dropped("o10", "symlinks", "TOO_MANY"), Dropped("o11", "symlinks", "TOO_MANY"))


def test_a_jobs_lineage_of_too_many_targets_is_dropped():
    entries = [{"type": "DATASET", "namespace": "a://b", "name": f"t{n}", "inputs": []} for n in range(1_001)]
    facets = [
        understand(read(event(job_facets={"lineage": {"entries": told}}))) for told in (entries, entries[1:])
    ]
    assert [len(told.job.get("lineage", ())) for told in facets] == [0, 1_000]
