"""Every part of the benchmarks measures, on worlds so small that its figures mean nothing."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench.batches import batch_figures
from bench.catalogue import DECLARED
from bench.cedar import CedarEngine, agreed, cedar_figures, deciding_atom
from bench.decisions import decision_figures
from bench.events import COLUMNS, events
from bench.figures import Figure
from bench.heads import head_figures
from bench.lineage import Effort as LineageEffort
from bench.lineage import lineage_figures
from bench.lineage_large import LargeEffort, lineage_large_figures
from bench.lineage_times import TimesEffort, lineage_times_figures
from bench.options import CHANGES, Served, option_figures
from bench.options import Effort as OptionEffort
from bench.plans import plan_figures
from bench.processes import Callers, Target, bench_server, callers_of, producers_of
from bench.profiles import PATHS, profiles
from bench.recording import LOAD_SHARE_MIN, recording_figures, require_recorded
from bench.recording import Effort as RecordingEffort
from bench.replicas import Effort as ReplicaEffort
from bench.replicas import figures_of
from bench.revokes import revoke_figures
from bench.rpc import BOUNDED, FULL_SQLITE, compare, rpc_figures
from bench.rpc import Effort as RpcEffort
from bench.scale import NOTHING, scale_figures, starts
from bench.shared_heads import SharedRead, shared_head_figures
from bench.sql_lineage import sql_lineage_figures
from bench.worlds import WORKSPACE, Size, ask, make_world
from bench.writers import Effort as WriterEffort
from bench.writers import beside_writers, writer_figures

from lakewarden_policy import Decider, load_policy
from lakewarden_server.lineage.events import read_event
from lakewarden_server.lineage.facets import understand
from lakewarden_server.testing import serve

TINY = Size(users=200, groups=40, catalogs=10, schemas_per_catalog=4, tables_per_schema=20, grants=1_500)
LITTLE = RpcEffort(rounds=1, calls=20, seconds=0.2)
WRITTEN = WriterEffort(rounds=1, seconds=1.5, calls=10)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with bench_server(None, TINY, plan=True) as running:
        yield running


@pytest.fixture(scope="module")
def callers(target: Target) -> Iterator[Callers]:
    with callers_of(target) as running:
        yield running


def by_key(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.key: figure for figure in figures}


@pytest.mark.parametrize(
    ("method", "low", "high"),
    [
        ("echo", 1, 1),
        ("check", 0.2, 0.9),
        ("check_bounded", 0.2, 0.9),
        ("batch_cold", 0.2, 0.9),
        ("batch_warm", 0.2, 0.9),
        ("plan", 1, 1),
        ("grant", 1, 1),
    ],
)
def test_server_answers_each_method_with_the_mix_it_should(
    callers: Callers, method: str, low: float, high: float
) -> None:
    answer = callers.measure("latency", method=method, count=20)
    assert low <= answer["allowed_share"] <= high
    assert len(answer["seconds"]) == 20
    answer = callers.measure("rate", method=method, callers=4, count=60)
    assert low <= answer["allowed_share"] <= high
    assert answer["per_second"] > 0


def test_check_is_compared_with_the_echo_of_the_same_server(callers: Callers) -> None:
    figures = by_key(compare(callers, [BOUNDED, FULL_SQLITE], LITTLE))
    assert set(figures) == {*BOUNDED[1:], *FULL_SQLITE[1:]}
    for figure in figures.values():
        check, echo = (value for name, value in figure.raw.items() if name.endswith(("p50_us", "per_second")))
        assert figure.value == check / echo > 0


def test_decisions_are_timed_along_the_curve() -> None:
    few, many = TINY._replace(grants=500), TINY
    figures = by_key(decision_figures({500: few, 1_500: many}, TINY._replace(closure=20), questions=50))
    growth = figures["decision_growth_1k_to_1m"]
    assert growth.raw["grants"] == [500, 1_500]
    assert growth.raw["decision_us"][1] == figures["decision_us_1m"].value
    wide, narrow = (
        figures[key].raw["mean_closure"] for key in ("decision_us_1m_closure50", "decision_us_1m")
    )
    assert (narrow, wide) == (pytest.approx(12, rel=0.15), pytest.approx(20, rel=0.15))


def test_revoke_holds_on_the_other_server() -> None:
    figures = by_key(revoke_figures(TINY, rounds=3))
    assert 0 < figures["revoke_to_denied_bounded_ms"].value < 5_000
    assert figures["revoke_stale_allows_full"].value == 0


def test_checks_are_timed_while_writers_write(target: Target) -> None:
    figure = beside_writers("check_p50_with_24_writers_vs_idle_sqlite", target, WRITTEN)
    assert figure.value == figure.raw["busy_p50_us"] / figure.raw["idle_p50_us"]
    assert figure.raw["writes_per_second"] > 0


def test_replica_is_timed_on_what_the_server_sends_and_watchers_receive_what_is_written(
    target: Target,
) -> None:
    few = ReplicaEffort(snapshots=1, rounds=1, questions=100, calls=400)
    figures = by_key(figures_of(target, few, watchers=3))
    snapshot = figures["replica_snapshot_s_1m"]
    # Grants of one principal on one object count once, owners and implicit rows too.
    assert snapshot.raw["holders"] >= TINY.grants
    assert snapshot.value > 0
    assert 0.25 <= figures["replica_check_us"].raw["allowed_share"] <= 0.9
    watched = figures["check_p50_with_50_watchers_vs_idle"].raw
    assert watched["writes"] > 0
    # Each gets the whole state first.
    assert watched["changes_received"] >= watched["watchers"] == 3


def test_cedar_is_asked_what_ours_answers() -> None:
    (figure,) = cedar_figures(TINY, rounds=1)
    assert figure.value == figure.raw["cedar_cpu_us"] / figure.raw["ours_cpu_us"] > 0
    assert 0.2 <= figure.raw["allowed_share"] <= 0.95


def test_cedar_that_has_other_policies_is_found_out() -> None:
    world = make_world(TINY)
    decider = Decider(load_policy(), world.snapshot())
    world.grants.clear()
    atoms = [deciding_atom(decider, question) for question in ask(world, 50, seed=1)]
    allowed = next(
        atom for atom in atoms if decider.atom(atom.subject_id, WORKSPACE, atom.object_id, atom.act)
    )
    cedar = CedarEngine(world)
    with pytest.raises(AssertionError, match="disagree"):
        agreed(cedar, decider, allowed)


def test_head_is_compared_with_the_bare_drivers() -> None:
    figures = by_key(head_figures(rounds=1, reads=20))
    assert set(figures) == {"full_read_vs_raw_driver_sqlite", "full_read_vs_raw_driver_pg"}
    assert all(
        figure.value == figure.raw["ours_us"] / figure.raw["driver_us"] > 0 for figure in figures.values()
    )


def test_sql_is_traced_by_the_process_for_it() -> None:
    (figure,) = sql_lineage_figures(rounds=1, benchmarks=["tpch"])
    assert figure.raw["queries"] == 22
    assert figure.raw["uses"] > 200
    assert 0 < figure.raw["p50_ms"] <= figure.value <= figure.raw["max_ms"]


def test_a_shared_read_is_no_older_than_who_asked_for_it() -> None:
    reads, gate = itertools.count(1), threading.Event()

    def read() -> int:
        number = next(reads)
        if number == 1:
            assert gate.wait(10)
        return number

    shared = SharedRead(read)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(shared)
        while not shared._reading:
            time.sleep(0.001)
        later = [threads.submit(shared) for _ in range(3)]
        gate.set()
        assert first.result(10) == 1
        assert all(answer.result(10) >= 2 for answer in later)


def test_reading_the_head_together_is_compared_with_reading_it_alone() -> None:
    found = by_key(shared_head_figures(rounds=1, seconds=0.1))
    assert set(found) == {"head_shared_vs_each_sqlite", "head_shared_vs_each_pg"}
    for figure in found.values():
        assert figure.value == figure.raw["shared_us"] / figure.raw["each_us"] > 0


def test_profiles_tell_the_functions_of_their_path() -> None:
    found = profiles(TINY, share_of_calls=0.01)
    assert set(found) == set(PATHS)
    told = {name: {line[3] for line in profile["lines"]} for name, profile in found.items()}
    assert "lakewarden_policy/decide.py: privilege" in told["decision"]
    assert "storage/snapshot.py: load_snapshot" in told["load"]
    for name in ("check", "check_bounded", "batch_cold", "batch_warm", "plan"):
        assert "pipeline/pipeline.py: handle" in told[name]
    for profile in found.values():
        assert profile["us_under_the_profiler"] > 0
        assert all(0 <= share <= 1.01 for line in profile["lines"] for share in line[:2])


@pytest.mark.parametrize(
    "names",
    [["grpc_gzip"], pytest.param(["grpc_gzip", "grpc_not_pinned", "grpc_no_limits"], marks=pytest.mark.slow)],
)
def test_options_are_compared_with_the_echo_as_it_is_served(names: list[str]) -> None:
    few = {name: CHANGES[name] for name in names}
    found = by_key(option_figures(OptionEffort(rounds=1, calls=10, seconds=0.2), few))
    assert set(found) == set(few)
    for figure in found.values():
        assert figure.value == figure.raw["server_cpu_us"] / figure.raw["as_served_server_cpu_us"]
        assert 0 < figure.raw["server_cpu_us"] < 20_000


def test_every_option_has_its_place_in_the_catalogue_and_changes_one_thing() -> None:
    assert set(CHANGES) <= set(DECLARED)
    for name, served in CHANGES.items():
        changed = [
            field
            for field, here, there in zip(Served._fields, served, Served(), strict=True)
            if here != there
        ]
        assert len(changed) == 1, name


def test_questions_about_lineage_are_answered_and_refused() -> None:
    effort = LineageEffort(edges=1_600, near=1, far=2, small_calls=3, large_calls=2, refused_calls=2)
    found = by_key(lineage_figures(TINY, effort))
    large = {"lineage_200k_first_level_ms", "lineage_200k_ms", "lineage_leaks_ms"}
    assert set(found) == {key for key in DECLARED if key.startswith("lineage_")} - large
    small = found["lineage_depth10_1k_nodes_p99_ms"]
    assert 0 < small.raw["p50_ms"] <= small.value
    # Each table feeds the next one only: ten steps are ten tables besides the root.
    assert small.raw["nodes"] == 11
    assert small.raw["edges_told"] >= 10
    assert found["lineage_first_question_s"].value > 0


def test_large_answers_about_lineage_are_told_level_by_level_and_table_by_table() -> None:
    found = by_key(lineage_large_figures(TINY, LargeEffort(edges=1_600, reach=20, after=1_000, answers=3)))
    assert set(found) == {
        "lineage_200k_first_level_ms",
        "lineage_200k_ms",
        "lineage_leaks_ms",
        *(
            f"{table}_lineage_{what}"
            for table in ("table", "column")
            for what in ("first_batch_ms", "rows_per_s")
        ),
    }
    assert found["lineage_200k_ms"].raw["nodes"] > 10
    assert 0 < found["lineage_200k_first_level_ms"].value <= found["lineage_200k_ms"].value
    tables, columns = (found[f"{table}_lineage_rows_per_s"].raw["rows"] for table in ("table", "column"))
    # Of each run two columns of each of its sources.
    assert columns == 2 * tables > 1_000


def test_a_past_time_is_walked_and_a_rename_writes_no_edge() -> None:
    effort = TimesEffort(edges=4_000, past=3, nodes=500, walks=3, renamed_edges=1_500, renames=2)
    found = by_key(lineage_times_figures(effort))
    assert set(found) == {"rename_10k_edges_ms", "as_of_5k_nodes_ms"}
    # At each time each of the 1,000 assets leads to four others, so many are met before there are no more.
    assert found["as_of_5k_nodes_ms"].raw["nodes"] == 500
    assert 500 < found["as_of_5k_nodes_ms"].raw["edges"] < 4_000
    assert found["rename_10k_edges_ms"].value > 0


def test_recording_is_timed_and_check_beside_it() -> None:
    effort = RecordingEffort(
        http_workers=0,
        jobs=5,
        clients=2,
        batch=10,
        rounds=1,
        events=40,
        singles=12,
        singles_per_second=60,
        load_per_second=50,
        load_seconds=1.5,
        calls=5,
    )
    found = by_key(recording_figures(TINY, effort))
    assert set(found) == {"ol_events_per_s", "ol_ack_p99_ms", "check_p50_under_lineage_load_vs_idle"}
    recorded, acknowledged, beside = found.values()
    assert recorded.value > 0
    assert recorded.raw["sent_bytes"] < recorded.raw["event_bytes"] / 3
    assert 0 < acknowledged.raw["p50_ms"] <= acknowledged.value <= acknowledged.raw["max_ms"]
    # Twelve at sixty a second: the last is due after eleven sixtieths.
    assert 0 < acknowledged.raw["per_second"] < 66
    assert beside.value == beside.raw["loaded_p50_us"] / beside.raw["idle_p50_us"] > 0
    assert 0 < beside.raw["events_per_second"] < 65
    assert beside.has_load is (beside.raw["events_per_second"] >= 50 * LOAD_SHARE_MIN)
    assert beside.raw["loaded_calls"] > 0


def test_events_that_are_known_or_not_recorded_are_found_out(tmp_path: Path) -> None:
    with serve(directory=tmp_path, http=True) as server, ExitStack() as stack:
        target = Target(
            endpoint=server.endpoint,
            directory=tmp_path,
            workspace=server.workspace or "",
            token=server.admin_token,
            admin_token=server.admin_token,
            size=TINY,
            process_id=os.getpid(),
            http_url=server.http_url,
            pinned=False,
        )
        producers = stack.enter_context(producers_of(target, 3))
        producers.measure("prepare", count=6, batch=2)
        for _ in range(2):
            producers.measure("send", clients=2)
        require_recorded(target, 6)
        with pytest.raises(AssertionError, match="12 events were acknowledged, 6 are recorded"):
            require_recorded(target, 12)


def test_every_part_of_an_event_is_understood_and_every_run_is_another() -> None:
    jobs = 3
    now = datetime.now(UTC)
    told = [read_event(body, now=now) for body in itertools.islice(events(TINY, jobs), 4 * jobs)]
    for event in told:
        facets = understand(event)
        assert (facets.dropped, event.flags) == ((), frozenset())
        ((_name, made),) = facets.outputs
        assert len(made["schema"]) == COLUMNS
        # Each column is made of two, and one decides which rows there are.
        assert len(made["columnLineage"]["uses"]) == 2 * COLUMNS + 1
    assert [event.type for event in told] == (["START"] * jobs + ["COMPLETE"] * jobs) * 2
    assert len({event.key for event in told}) == 12
    assert len({event.run_id for event in told}) == 6
    assert len({event.job for event in told}) == jobs


def test_start_and_memory_are_those_of_the_served_process() -> None:
    (start,) = starts(NOTHING, 1)
    assert 0 < start.seconds < 60
    # Less would be another process than a Python with gRPC and SQLAlchemy in it.
    assert 40 < start.serving_mb < 1_000
    assert start.used_mb > 40


@pytest.mark.slow
def test_all_parts_write_figures_of_the_catalogue() -> None:
    figures = [
        *rpc_figures(TINY, LITTLE),
        *batch_figures(TINY, rounds=1, calls=4),
        *plan_figures(TINY, rounds=1, calls=5),
        *writer_figures(TINY, WRITTEN),
        *scale_figures(TINY, few=500, rounds=1),
    ]
    keys = [figure.key for figure in figures]
    assert len(keys) == len(set(keys)) == 13
    assert set(keys) <= set(DECLARED)
