"""What becomes of events in the tables: edges, incarnations, names and merges, on both databases."""

from __future__ import annotations

import json

import pytest

from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.lineage.nodes import Node
from lakewarden_server.storage import Database
from lineage.corpus import (
    columns,
    dataset,
    dataset_event,
    event,
    job_event,
    lifecycle,
    microseconds,
    ours,
    recorded,
    symlinks,
)
from lineage.stored import Lineage

DB = "postgres://db"


def write(source: str, target: str, second: float, run: int, type_: str = "COMPLETE", **more) -> bytes:
    return event(type_, second, run=run, inputs=[source], outputs=[target], **more)


def test_a_real_runs_events_are_one_live_edge_from_each_source(lineage):
    lineage.record_in_batches(recorded("CLL"), [1])
    one, two, target = (f"/tmp/cll_test/{name}" for name in ("cll_source1", "cll_source2", "tbl1"))
    assert lineage.edges() == {(one, target), (two, target)}
    told = lineage.edge(one, target)
    assert (told["runs"], told["state"]) == (1, "LIVE")
    assert [(column[0], column[1], column[2]) for column in told["columns"]] == [
        ("", "a", "FILTER"),
        ("", "a", "GROUP_BY"),
        ("", "a", "JOIN"),
        ("", "b", "GROUP_BY"),
        ("ident", "a", "IDENTITY"),
        ("trans", "b", "TRANSFORMATION"),
    ]
    assert ["agg", "c", "AGGREGATION", False] in lineage.edge(two, target)["columns"]


def test_an_asset_is_found_under_its_path_and_its_table_name(lineage):
    lineage.record(*recorded("CLL"))
    assert lineage.meaning("/tmp/cll_test/tbl1") == lineage.meaning("default.tbl1")


def test_a_symlink_that_comes_afterwards_merges_two_graphs(lineage):
    lineage.record(write("a", "path", 1, 1), write("table", "c", 2, 2))
    assert lineage.meaning("path") != lineage.meaning("table")
    lineage.record(dataset_event(3, dataset("path", symlinks=symlinks((DB, "table")))))
    merged = lineage.meaning("path")
    assert lineage.meaning("table") == merged
    shown = merged["name"][1]
    assert lineage.edges() == {("a", shown), (shown, "c")}


def test_a_table_made_again_under_its_name_is_another_table(lineage):
    scenario = recorded("spark_dataproc_simple_producer_test_complete")
    insert = json.loads(scenario[13])
    seed = {
        **insert,
        "eventTime": "2024-10-16T00:00:00Z",
        "run": {"runId": "00000000-0000-4000-8000-000000000001"},
    }
    lineage.record(json.dumps(seed).encode())
    lineage.record_in_batches(scenario, [1])
    one, two = "/user/hive/warehouse/t1", "/user/hive/warehouse/t2"
    states = sorted((line["state"], line["runs"]) for line in lineage.lines("edge"))
    assert states == [("DROPPED", 1), ("LIVE", 1)]
    # The CREATE of t2 ended after the insert into it; it is one incarnation nevertheless.
    assert lineage.edges("LIVE") == {(one, two)}
    dropped = [line for line in lineage.lines("asset") if line["state"] == "DROPPED"]
    assert {line["name"][1] for line in dropped} >= {one, two}


def test_our_dropped_renamed_and_failing_tables_end_as_they_should(lineage):
    lineage.record_in_batches(ours("spark"), [1])
    orders, customers = "sales.orders", "sales.customers"
    first, second = lineage.meaning("warehouse/revenue", 50), lineage.meaning("warehouse/revenue", 125)
    assert first["state"] == "DROPPED"
    assert second["state"] == "LIVE"
    # Renamed to income: the same asset, and the old name finds it as of then.
    assert lineage.meaning("warehouse/income") == second
    assert lineage.meaning("sales.revenue", 125) == second
    assert lineage.meaning("sales.income") == second
    live = {pair for pair in lineage.edges() if pair[1] == second["name"][1]}
    assert {source for source, _target in live} == {orders, customers}
    assert "warehouse/never" not in {
        target for _source, target in lineage.edges() | lineage.edges("PROVISIONAL")
    }


def test_our_chain_of_tasks_is_followed_from_the_file_to_the_result(lineage):
    lineage.record(*ours("airflow"))
    edges = lineage.edges()
    assert {
        ("/data/test.csv", "upload"),
        ("upload", "copied.csv"),
        ("copied.csv", "/data/result.csv"),
    } <= edges
    assert {source for source, target in edges if target == "composed.csv"} == {
        f"part-{n}.csv" for n in range(4)
    }
    # The task that deletes reads and writes nothing.
    assert len(edges) == 7


def test_a_stream_is_live_before_it_ends_and_is_seen_again_with_each_checkpoint(lineage):
    lineage.record(*ours("flink")[:2])
    assert lineage.edge("clicks.raw", "clicks.clean")["last"] == microseconds(360)
    lineage.record(*ours("flink")[2:])
    told = lineage.edge("clicks.raw", "clicks.clean")
    assert (told["state"], told["runs"], told["last"]) == ("LIVE", 1, microseconds(480))


def test_edges_are_provisional_until_the_run_completes_and_gone_when_it_fails(lineage):
    lineage.record(write("a", "b", 1, 1, "START"), write("a", "c", 1, 2, "START"))
    assert (lineage.edges(), lineage.edges("PROVISIONAL")) == (set(), {("a", "b"), ("a", "c")})
    lineage.record(event("COMPLETE", 2, run=1), event("FAIL", 2, run=2))
    assert (lineage.edges(), lineage.edges("PROVISIONAL")) == ({("a", "b")}, set())


def test_a_failure_that_is_told_late_takes_the_edge_back(lineage):
    lineage.record(write("a", "b", 1, 1))
    lineage.record(write("a", "b", 2, 1, "FAIL"))
    assert lineage.edges() == set()
    assert lineage.changes()[-1].state == "RETRACTED"


def test_a_job_that_writes_one_table_after_another_is_linked_to_both(lineage):
    lineage.record(write("a", "t_a", 1, 1), write("a", "t_b", 2, 2))
    assert lineage.edges() == {("a", "t_a"), ("a", "t_b")}


def test_runs_are_counted_and_not_events(lineage):
    for run in (1, 2, 3):
        lineage.record(*[write("a", "b", run * 10 + second, run) for second in range(4)] * 2)
    told = lineage.edge("a", "b")
    assert (told["runs"], told["first"], told["last"]) == (3, microseconds(10), microseconds(33))


def test_the_newest_live_run_says_the_columns(lineage):
    def told(second, run, column, type_="COMPLETE"):
        output = dataset("b", columnLineage=columns(k=[("a", column, "IDENTITY")]))
        return event(type_, second, run=run, inputs=["a"], outputs=[output])

    lineage.record(told(2, 2, "new"))
    lineage.record(told(1, 1, "old"))
    lineage.record(told(3, 3, "unfinished", "START"))
    assert lineage.edge("a", "b")["columns"] == [["k", "new", "IDENTITY", False]]
    lineage.record(event("FAIL", 4, run=2))
    assert lineage.edge("a", "b")["columns"] == [["k", "old", "IDENTITY", False]]


def test_an_event_sent_again_changes_nothing_and_is_told_to_be_known(lineage):
    body = write("a", "b", 1, 1)
    assert lineage.record(body, body) == [True, False]
    before, sequence = lineage.export(), lineage.sequence()
    assert lineage.record(body) == [False]
    assert (lineage.export(), lineage.sequence()) == (before, sequence)


def test_a_rename_writes_no_edge(lineage):
    lineage.record(write("a", "old", 1, 1), write("old", "c", 2, 2))
    asset, sequence = lineage.meaning("old"), lineage.sequence()
    renamed = dataset("new", lifecycleStateChange=lifecycle("RENAME", (DB, "old")))
    lineage.record(event("COMPLETE", 3, run=3, outputs=[renamed]))
    assert [change for change in lineage.changes(sequence) if change.kind == "EDGE"] == []
    assert lineage.meaning("new") == lineage.meaning("old", 2)
    assert lineage.meaning("new")["name"][1] == "new"
    assert {alias[0][2] for alias in asset["aliases"]} == {"old"}
    lineage.record(write("new", "d", 4, 4))
    assert lineage.edges() == {("a", "new"), ("new", "c"), ("new", "d")}


def test_names_that_a_run_made_one_are_two_again_when_it_failed_after_all(lineage):
    """Which is so where its later end comes after one that was a success."""
    renamed = dataset("new", lifecycleStateChange=lifecycle("RENAME", (DB, "old")))
    lineage.record(write("a", "old", 1, 1), write("b", "new", 2, 2))
    lineage.record(event("COMPLETE", 3, run=3, outputs=[renamed]))
    assert lineage.meaning("new", 9) == lineage.meaning("old", 2)
    lineage.record(event("FAIL", 4, run=3))
    assert lineage.edges() == {("a", "old"), ("b", "new")}
    assert {alias[0][2] for alias in lineage.meaning("new")["aliases"]} == {"new"}
    assert {alias[0][2] for alias in lineage.meaning("old")["aliases"]} == {"old"}


@pytest.mark.parametrize("known_first", ["old", "new"])
def test_who_follows_knows_the_names_of_what_is_two_again(database, lineage, known_first):
    """A path that was another one's too is seen with the location over itself alone from then on, whichever of the two goes on."""
    bucket, follower = "s3://lake", LineageFollower()
    renamed = dataset("new", bucket, lifecycleStateChange=lifecycle("RENAME", (bucket, "old")))
    told = {
        "old": event(second=1, run=1, inputs=[dataset("old", bucket)], outputs=["b"]),
        "new": event(second=5, run=2, inputs=[dataset("new", bucket)], outputs=["b"]),
    }
    for name in sorted(told, key=lambda name: name != known_first):
        lineage.record(told[name])
    lineage.record(event(second=3, run=3, outputs=[renamed]))
    assert {node.other_paths for node in nodes(database, follower)} == {(), (f"{bucket}/old",)}
    lineage.record(event("FAIL", 4, run=3))
    assert nodes(database, follower) == nodes(database, LineageFollower())
    assert {node.other_paths for node in nodes(database, follower)} == {()}


def nodes(database: Database, follower: LineageFollower) -> list[Node]:
    """The assets as a server has them in memory."""
    with database.read() as uow:
        return sorted(follower.at_head(uow).nodes.values())


@pytest.mark.parametrize("state", ["TRUNCATE", "OVERWRITE", "ALTER", "CREATE"])
def test_what_leaves_a_table_there_leaves_its_edges(lineage, state):
    changed = dataset("b", lifecycleStateChange=lifecycle(state))
    lineage.record(
        write("a", "b", 1, 1), event("COMPLETE", 2, run=2, outputs=[changed]), write("a", "b", 3, 3)
    )
    assert lineage.edges() == {("a", "b")}
    assert lineage.edge("a", "b")["runs"] == 2


def test_a_drop_closes_the_edges_and_tells_it(lineage):
    lineage.record(write("a", "b", 1, 1))
    sequence = lineage.sequence()
    lineage.record(
        event("COMPLETE", 2, run=2, outputs=[dataset("b", lifecycleStateChange=lifecycle("DROP"))])
    )
    assert lineage.edge("a", "b")["state"] == "DROPPED"
    assert lineage.edge("a", "b")["end"] == microseconds(2)
    assert [(change.kind, change.state) for change in lineage.changes(sequence)] == [
        ("ASSET", "DROPPED"),
        ("EDGE", "DROPPED"),
    ]


def test_a_drop_told_late_parts_what_came_before_it_from_what_came_after(lineage):
    lineage.record(write("a", "b", 1, 1), write("c", "b", 9, 2))
    lineage.record(
        event("COMPLETE", 5, run=3, outputs=[dataset("b", lifecycleStateChange=lifecycle("DROP"))])
    )
    assert lineage.edges("DROPPED") == {("a", "b")}
    assert lineage.edges() == {("c", "b")}


def test_a_drop_that_failed_after_all_is_taken_back(lineage):
    dropped = dataset("b", lifecycleStateChange=lifecycle("DROP"))
    lineage.record(
        write("a", "b", 1, 1), event("COMPLETE", 5, run=3, outputs=[dropped]), write("c", "b", 9, 2)
    )
    lineage.record(event("FAIL", 6, run=3, outputs=[dropped]))
    assert lineage.edges() == {("a", "b"), ("c", "b")}
    assert lineage.meaning("b", 1) == lineage.meaning("b", 9)


def test_declared_lineage_is_replaced_whole(lineage):
    lineage.record(job_event(1, "j", ["a", "b"], ["c"]))
    lineage.record(job_event(2, "j", ["b"], ["c"]))
    lineage.record(job_event(1.5, "j", ["z"], ["c"]))
    assert lineage.edges() == {("b", "c")}


def test_a_dataset_event_declares_its_sources(lineage):
    told = {"inputs": [{"type": "DATASET", "namespace": DB, "name": "a"}]}
    lineage.record(dataset_event(1, dataset("b", lineage=told)))
    assert lineage.edges() == {("a", "b")}
    assert lineage.edge("a", "b")["job"] is None


def test_a_table_can_be_made_of_itself(lineage):
    lineage.record(write("a", "a", 1, 1))
    assert lineage.edges() == {("a", "a")}


def test_a_run_id_of_another_workspace_is_another_run(database):
    one, two = Lineage(database, 1), Lineage(database, 2, metastore_id="metastore-1")
    one.record(write("a", "b", 1, 1))
    two.record(event("FAIL", 2, run=1))
    assert one.edges() == {("a", "b")}


def test_metastores_have_nothing_in_common(database):
    one, two = Lineage(database, 1), Lineage(database, 2)
    one.record(write("a", "b", 1, 1))
    two.record(write("a", "b", 1, 1))
    assert one.export() == two.export()
    assert {line["runs"] for line in one.lines("edge")} == {1}


def test_ids_are_dense(lineage):
    lineage.record(*ours("airflow"), *ours("flink"))
    edges = sorted({change.edge_id for change in lineage.changes() if change.kind == "EDGE"})
    ends = {
        end for change in lineage.changes() for end in (change.source_asset_id, change.target_asset_id)
    } - {None}
    assert edges == list(range(1, len(edges) + 1))
    assert ends == set(range(1, len(ends) + 1))
