"""Questions about the lineage of an earlier time put to a real server: what was there then, and who sees it now."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from lakewarden import InvalidArgument, PermissionDenied
from lakewarden.cli import main
from lakewarden_server.lineage.past import PastGraph
from lakewarden_server.services import lineage_past
from lakewarden_server.testing import serve
from lineage.corpus import at, dataset, event, lifecycle, recorded
from lineage.lake import OURS, Lake, may_use, shown

TABLES = ("raw.orders", "sales.menu", "sales.dinner")
START = datetime(2026, 1, 1, tzinfo=UTC)


def second(after: float) -> datetime:
    return START + timedelta(seconds=after)


@pytest.fixture
def lake() -> Iterator[Lake]:
    with serve() as server:
        found = Lake(server, TABLES)
        found.made("raw.orders", "sales.menu", second=10)
        found.made("sales.menu", "sales.dinner", second=20)
        found.made("kafka://broker:9092|clicks", "raw.orders", second=30)
        yield found


def written(after: float, run: int, name: str, **facets: object) -> bytes:
    return event(
        "COMPLETE", after, run=run, job="writer", inputs=["source"], outputs=[dataset(name, **facets)]
    )


def test_a_past_time_shows_what_was_there_then(lake: Lake) -> None:
    def edges(after: float) -> set[tuple[str, str]]:
        return shown(lake.admin.lineage.traverse("main.sales.menu", as_of=second(after)))[1]

    first, last = ("raw.orders", "sales.menu"), ("sales.menu", "sales.dinner")
    assert edges(9.999) == set()
    assert edges(10) == {first}
    assert edges(25) == {first, last}
    assert edges(30) == {first, last, ("kafka://broker clicks", "raw.orders")}
    assert edges(10_000) == shown(lake.admin.lineage.traverse("main.sales.menu"))[1]


def test_depth_and_nodes_are_bounded_as_they_are_today(lake: Lake) -> None:
    near = lake.admin.lineage.traverse("main.sales.dinner", as_of=second(40), max_depth=1)
    few = lake.admin.lineage.traverse("main.sales.dinner", as_of=second(40), max_nodes=1)
    assert (near.truncated_by, few.truncated_by) == ("DEPTH", "NODES")
    assert (
        shown(near)
        == shown(few)
        == (
            {"sales.menu", "sales.dinner"},
            {("sales.menu", "sales.dinner")},
        )
    )


def test_who_sees_what_follows_from_what_is_granted_today(lake: Lake) -> None:
    reader = may_use(lake, "ada", "sales.menu")
    then = reader.lineage.traverse("main.sales.menu", as_of=second(25))
    assert shown(then) == (
        {"sales.menu", "(hidden)"},
        {("(hidden)", "sales.menu"), ("sales.menu", "(hidden)")},
    )
    lake.admin.grants.grant("BROWSE", "catalog", "main", "ada@example.com")
    assert "raw.orders" in shown(reader.lineage.traverse("main.sales.menu", as_of=second(25)))[0]
    lake.admin.grants.revoke("BROWSE", "catalog", "main", "ada@example.com")
    with pytest.raises(PermissionDenied):
        reader.lineage.traverse("main.raw.orders", as_of=second(25))


def test_before_a_drop_the_old_edge_shows_and_after_it_the_new_one(lake: Lake) -> None:
    gone = lifecycle("DROP")
    lake.record(
        written(50, 50, "t"), event("COMPLETE", 60, run=60, outputs=[dataset("t", lifecycleStateChange=gone)])
    )
    lake.record(written(70, 70, "t"))

    def around(after: float, **more: object) -> tuple[set[str], set[tuple[str, str]]]:
        return shown(
            lake.admin.lineage.traverse("source", namespace="postgres://db", as_of=second(after), **more)
        )

    assert around(55) == (
        {"postgres://db source", "postgres://db t (dropped)"},
        {("postgres://db source", "postgres://db t (dropped)")},
    )
    assert around(65) == ({"postgres://db source"}, set())
    assert around(65, include_states=["DROPPED"]) == around(55)
    assert around(75)[1] == {("postgres://db source", "postgres://db t")}
    old = lake.admin.lineage.traverse("t", namespace="postgres://db", as_of=second(55))
    new = lake.admin.lineage.traverse("t", namespace="postgres://db", as_of=second(75))
    assert ([node.dropped for node in old.roots], [node.dropped for node in new.roots]) == ([True], [False])


def test_the_tables_a_real_run_drops_and_makes_again_are_told_apart(lake: Lake) -> None:
    scenario = recorded("spark_dataproc_simple_producer_test_complete")
    insert = json.loads(scenario[13])
    seed = {
        **insert,
        "eventTime": "2024-10-16T00:00:00Z",
        "run": {"runId": "00000000-0000-4000-8000-0000000f0001"},
    }
    lake.record(json.dumps(seed).encode(), *scenario)
    namespace, name = insert["inputs"][0]["namespace"], insert["inputs"][0]["name"]
    drop = min(
        datetime.fromisoformat(told["eventTime"])
        for told in map(json.loads, scenario)
        for output in (*told["outputs"], *told["inputs"])
        if output.get("facets", {}).get("lifecycleStateChange", {}).get("lifecycleStateChange") == "DROP"
    )
    before = lake.admin.lineage.traverse(name, namespace=namespace, as_of=drop - timedelta(milliseconds=1))
    today = lake.admin.lineage.traverse(name, namespace=namespace)
    assert len(before.edges) == len(today.edges) == 1
    assert ([node.dropped for node in before.roots], [node.dropped for node in today.roots]) == (
        [True],
        [False],
    )


def test_an_old_name_is_found_as_of_then(lake: Lake) -> None:
    renamed = dataset("new", lifecycleStateChange=lifecycle("RENAME", ("postgres://db", "old")))
    lake.record(written(50, 50, "old"), event("COMPLETE", 60, run=60, outputs=[renamed]))
    then = lake.admin.lineage.traverse("old", namespace="postgres://db", as_of=second(55))
    assert shown(then)[1] == {("postgres://db source", "postgres://db new")}
    with pytest.raises(PermissionDenied):
        lake.admin.lineage.traverse("old", namespace="postgres://db")
    with pytest.raises(PermissionDenied):
        lake.admin.lineage.traverse("new", namespace="postgres://db", as_of=second(55))


def test_a_table_and_its_schema_are_found_by_the_names_they_had(lake: Lake) -> None:
    now = (datetime.now(UTC) - START).total_seconds()
    lake.record(
        event(
            "COMPLETE", now, run=99, job="late",
            inputs=[dataset("main.raw.orders", OURS)], outputs=[dataset("main.sales.menu", OURS)],
        )
    )  # fmt: skip
    then = datetime.now(UTC)
    time.sleep(0.01)
    lake.admin.tables.rename("main.sales.menu", "card")
    lake.admin.schemas.rename("main.sales", "food")
    found = lake.admin.lineage.traverse("main.sales.menu", as_of=then, direction="upstream", max_depth=1)
    assert shown(found)[1] == {("raw.orders", "food.card")}
    reader = may_use(lake, "ada", "raw.orders")
    words = set()
    for name in ("main.sales.menu", "main.sales.nothing"):
        with pytest.raises(PermissionDenied) as refused:
            reader.lineage.traverse(name, as_of=then)
        words.add(str(refused.value).replace(name, "X"))
    assert len(words) == 1


def test_what_had_not_ended_at_an_earlier_time_is_not_asked_for(lake: Lake) -> None:
    with pytest.raises(InvalidArgument):
        lake.admin.lineage.traverse("main.sales.menu", as_of=second(20), include_states=["PROVISIONAL"])


def test_a_graph_of_the_past_that_forgot_when_edges_ended_would_be_caught(lake: Lake, monkeypatch) -> None:
    """The control: asked about now whatever time is meant, a walk shows what was not there yet."""
    init = PastGraph.__init__
    monkeypatch.setattr(
        PastGraph,
        "__init__",
        lambda self, reader, _time, *, dropped: init(self, reader, 2**61, dropped=dropped),
    )
    with pytest.raises(AssertionError):
        test_a_past_time_shows_what_was_there_then(lake)


def test_the_history_of_an_edge_tells_its_versions_and_runs(lake: Lake) -> None:
    gone = dataset("t", lifecycleStateChange=lifecycle("DROP"))
    lake.record(written(50, 50, "t"), written(52, 52, "t"), event("COMPLETE", 60, run=60, outputs=[gone]))
    (told,) = lake.admin.lineage.history("main.raw.orders", "main.sales.menu")
    assert (told.job_namespace, told.job_name, told.state, told.run_count) == ("tests", "job 1", "LIVE", 1)
    assert told.last_run == "00000000-0000-4000-8000-000000000001"
    assert (told.first_time, told.last_time) == (second(10), second(10))
    assert told.versions == (("FIRST", second(10), None),)
    assert lake.admin.lineage.history("main.sales.menu", "main.raw.orders") == ()


def test_the_history_is_told_to_who_sees_both_ends(lake: Lake) -> None:
    reader = may_use(lake, "ada", "sales.menu")
    for ends in (("main.raw.orders", "main.sales.menu"), ("main.sales.menu", "main.sales.dinner")):
        with pytest.raises(PermissionDenied):
            reader.lineage.history(*ends)
    lake.admin.grants.grant("BROWSE", "catalog", "main", "ada@example.com")
    assert len(reader.lineage.history("main.raw.orders", "main.sales.menu")) == 1


def test_of_a_job_of_another_workspace_the_history_tells_versions_alone(lake: Lake) -> None:
    lake.record(
        event(
            "COMPLETE", 70, run=70, job="secret",
            inputs=[dataset("main.raw.orders", OURS)], outputs=[dataset("main.sales.menu", OURS)],
        ),
        workspace_id="elsewhere",
    )  # fmt: skip
    foreign, own = lake.admin.lineage.history("main.raw.orders", "main.sales.menu")
    assert own.job_name == "job 1"
    assert foreign == ("", "", "LIVE", 0, None, None, "", (("FIRST", second(70), None),), ())


def test_which_jobs_the_history_leaves_out_does_not_follow_from_the_names_of_another_workspace(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage_past, "JOBS_MAX", 2)
    ends = {
        "inputs": [dataset("main.raw.orders", OURS)],
        "outputs": [dataset("main.sales.menu", OURS)],
    }
    for run, name, workspace in ((70, "a secret", "elsewhere"), (71, "job 2", ""), (72, "zero", "elsewhere")):
        lake.record(event("COMPLETE", run, run=run, job=name, **ends), workspace_id=workspace)
    told = lake.admin.lineage.history("main.raw.orders", "main.sales.menu")
    assert [edge.job_name for edge in told] == ["job 1", "job 2"]


def test_the_command_line_asks_about_the_past(lake: Lake, monkeypatch, capsys) -> None:
    monkeypatch.setenv("LAKEWARDEN_TOKEN", lake.server.token_of("admin@example.com"))
    rest = ["--endpoint", lake.server.endpoint, "--workspace", lake.admin.workspace or ""]
    assert (
        main(["lineage", "upstream", "main.sales.dinner", "--as-of", at(15), "--format", "json", *rest]) == 0
    )
    assert json.loads(capsys.readouterr().out)["edges"] == []
    assert main(["lineage", "history", "main.raw.orders", "main.sales.menu", *rest]) == 0
    printed = capsys.readouterr().out
    assert "FIRST" in printed
    assert "2026-01-01" in printed
    assert main(["lineage", "history", "main.raw.orders", "main.sales.menu", "-o", "json", *rest]) == 0
    (version,) = json.loads(capsys.readouterr().out)
    assert (version["from_time"], version["until_time"]) == ("2026-01-01T00:00:10Z", None)
    assert main(["lineage", "upstream", "main.sales.dinner", "--as-of", "2100-01-01", *rest]) == 2
    assert "is still to come" in capsys.readouterr().err
