"""The benchmarks measure what they say: worlds have the shape promised, questions the mix, reports what was measured."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench.catalogue import DECLARED
from bench.decisions import measure
from bench.figures import Figure, percentile, rounded
from bench.growth import BOTTOM, HEIGHT
from bench.profiles import PATHS
from bench.reports import PROFILES, as_table, results, write, write_reports
from bench.stock import StockEnforcer
from bench.worlds import METASTORE, WORKSPACE, Question, Size, World, ask, make_world

from lakewarden_policy import Decider, load_policy

SMALL = Size(
    users=100, groups=40, catalogs=10, schemas_per_catalog=10, tables_per_schema=40, grants=1_500, closure=12
)

BENCH = Path(__file__).parents[2] / "bench"
SVG = "{http://www.w3.org/2000/svg}"
ASSIGNMENT = 1
"""The one grant beside those asked for: everybody works in the workspace."""


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SMALL)


@pytest.fixture(scope="module")
def decider(world: World) -> Decider:
    return Decider(load_policy(), world.snapshot())


def test_world_has_the_size_asked_for(world: World) -> None:
    kinds = Counter(row.kind for row in world.securables)
    assert (kinds["CATALOG"], kinds["SCHEMA"], kinds["TABLE"]) == (10, 100, 4_000)
    assert len(world.grants) == len(set(world.grants)) == SMALL.grants + ASSIGNMENT
    assert make_world(SMALL).grants == world.grants


@pytest.mark.parametrize("closure", [12, 25])
def test_users_stand_for_as_many_principals_as_asked(closure: int) -> None:
    snapshot = make_world(SMALL._replace(closure=closure)).snapshot()
    users = [row.id for row in snapshot.principals.values() if row.kind == "USER"]
    assert sum(len(snapshot.closure(user)) for user in users) / len(users) == pytest.approx(closure, rel=0.15)


def test_questions_have_a_quarter_of_each_outcome_and_lack_every_gate(world: World, decider: Decider) -> None:
    questions = ask(world, 1_000, seed=3)
    rounds = measure(decider, [questions])
    assert 0.25 <= rounds.allowed_share <= 0.75
    shares = Counter(held(decider, question) for question in questions)
    for atoms in ("", "CATALOG", "SCHEMA CATALOG", "TABLE SCHEMA CATALOG"):
        assert shares[atoms] >= 50, atoms
    assert questions != ask(world, 1_000, seed=4)


def test_stock_casbin_agrees_with_every_timed_decision(world: World, decider: Decider) -> None:
    stock = StockEnforcer(decider)
    for question in ask(world, 20, seed=5):
        subject = decider.snapshot.principal_named(question.user)
        table = decider.snapshot.resolve("TABLE", question.table, METASTORE)
        assert subject is not None
        assert table is not None
        row = decider.atom(subject.id, WORKSPACE, table.id, "TABLE:SELECT")
        assert stock.allows(subject.id, WORKSPACE, table.id, "TABLE:SELECT") is (row is not None)


def test_figures_say_whether_they_reach_their_bar() -> None:
    figures = [
        Figure("check_full_pg_vs_echo_latency", 1.5),
        Figure("check_full_pg_vs_echo_throughput_32", 0.6),
        Figure("filter_growth_1k_to_1m", 12_345.6, {"both": [1.23456, 2]}),
    ]
    written = json.loads(json.dumps(results(figures)))
    assert [written[figure.key]["met"] for figure in figures] == [False, True, None]
    assert written["filter_growth_1k_to_1m"]["value"] == 12_346
    assert written["filter_growth_1k_to_1m"]["raw"] == {"both": [1.23, 2]}
    assert set(written["measured"]) >= {"time", "cpu_count", "versions", "python"}
    assert "MISSED" in figures[0].as_lines()[0]
    light = Figure("check_p50_under_lineage_load_vs_idle", 0.5, has_load=False)
    assert (light.met, "LOAD NOT REACHED" in light.as_lines()[0]) == (False, True)
    assert Figure("filter_growth_1k_to_1m", 1.0, has_load=False).met is None


def test_percentile_and_rounding() -> None:
    assert percentile([float(number) for number in range(100)], 0.99) == 99
    assert percentile([7.0], 0.5) == 7
    assert rounded(0.123456) == 0.123


def test_every_declared_figure_is_measured_somewhere() -> None:
    text = "".join(path.read_text() for path in BENCH.glob("*.py") if path.name != "catalogue.py")
    assert [key for key in DECLARED if f'"{key}"' not in text] == []


def test_bars_are_those_of_the_design() -> None:
    wanted = {
        "decision_us_1m": "<= 10",
        "decision_us_1m_closure50": "<= 25",
        "decision_growth_1k_to_1m": "<= 2",
        "stock_casbin_vs_ours_at_10k": ">= 3000",
        "check_vs_echo_throughput": ">= 0.9",
        "check_vs_echo_latency": "<= 1.15",
        "check_full_pg_vs_echo_latency": "<= 1.35",
        "check_full_pg_vs_echo_throughput_32": ">= 0.6",
        "check_full_sqlite_vs_echo_throughput_32": ">= 0.85",
        "batch_decisions_per_s_cold": ">= 60000",
        "batch_decisions_per_s_warm": ">= 150000",
        "authorize_plan_10x250_ms": "<= 3",
        "list_10k_owner_on_vs_off": "<= 1.2",
        "list_10k_one_percent_vs_off": "<= 0.2",
        "filter_100k_ms": "<= 150",
        "revoke_to_denied_bounded_ms": "<= 50",
        "check_p50_with_24_writers_vs_idle": "<= 2",
        "cold_start_s_1m": "<= 5",
        "rss_mb_1m": "<= 1024",
        "replica_snapshot_s_1m": "<= 1",
        "replica_check_us": "<= 10",
        "embedded_start_ms": "<= 100",
        "cli_help_ms": "<= 250",
        "sql_lineage_p95_ms": "<= 25",
        "lineage_depth10_1k_nodes_p99_ms": "<= 10",
        "lineage_20k_nodes_ms": "<= 60",
        "lineage_unknown_root_ms": "<= 2",
        "lineage_200k_first_level_ms": "<= 20",
        "lineage_200k_ms": "<= 1500",
        "rename_10k_edges_ms": "<= 20",
        "as_of_5k_nodes_ms": "<= 60",
        "ol_events_per_s": ">= 2000",
        "ol_ack_p99_ms": "<= 25",
        "check_p50_under_lineage_load_vs_idle": "<= 1.1",
    }
    assert {key: str(DECLARED[key].bar) for key in wanted} == wanted


def test_checked_in_results_hold_declared_figures_only_and_their_table() -> None:
    written = json.loads((BENCH / "results.json").read_text())
    figures = {key: figure for key, figure in written.items() if key not in {"measured", PROFILES}}
    assert set(figures) <= set(DECLARED)
    for key, figure in figures.items():
        title, unit, bar = DECLARED[key]
        assert (figure["title"], figure["unit"]) == (title, unit)
        assert figure["bar"] == (str(bar) if bar else None)
        assert figure["raw"]
        assert figure["met"] is (bar.met_by(figure["value"]) if bar else None)
    assert (BENCH / "results.md").read_text() == as_table(written)


def test_table_tells_missed_bars_and_what_was_not_measured() -> None:
    table = as_table(results([Figure("cold_start_s_1m", 6.0), Figure("rss_mb_1m", 500.0)]))
    rows = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    assert list(rows) == list(DECLARED)
    assert rows["cold_start_s_1m"].endswith("| 6 s | <= 5 | **missed** |")
    assert rows["rss_mb_1m"].endswith("| 500 MB | <= 1024 | met |")
    assert rows["decision_us_1m"].endswith("| not yet | <= 10 |  |")


def test_missed_figures_have_the_profile_of_their_path_and_met_ones_none() -> None:
    assert {key for _, figures in PATHS.values() for key in figures} <= set(DECLARED)
    profile = {
        "what": "one plan",
        "figures": ["authorize_plan_10x250_ms"],
        "us_under_the_profiler": 4_321.9,
        "lines": [[0.5, 0.25, 10.0, "services/plan_rules.py: add_rules"]],
    }
    missed, met = (
        as_table(results([Figure("authorize_plan_10x250_ms", value)], {"plan": profile}))
        for value in (9.0, 1.0)
    )
    assert "## Where the time goes: one plan" in missed
    assert "Of `authorize_plan_10x250_ms`:" in missed
    assert "4,322 us" in missed
    assert "| 50% | 25% | 10 | `services/plan_rules.py: add_rules` |" in missed
    assert "Where the time goes" not in met


def test_curve_is_drawn_from_the_results(tmp_path: Path) -> None:
    growth = Figure(
        "decision_growth_1k_to_1m",
        2.0,
        {"grants": [1_000, 10_000, 1_000_000], "decision_us": [4.0, 5.0, 8.0]},
    )
    output, curve = tmp_path / "some.json", tmp_path / "curve.svg"
    write(output, results([growth]))
    assert write_reports(output, curve) == [tmp_path / "some.md", curve]
    drawn = ElementTree.parse(curve).getroot()
    points = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in drawn.iter(f"{SVG}circle")]
    # Twice as high for twice the cost, a decade apart for ten times the grants.
    (left, first), (middle, second), (right, third) = points
    base = HEIGHT - BOTTOM
    assert (base - third) / (base - first) == pytest.approx(2, rel=0.01)
    assert (base - second) / (base - first) == pytest.approx(1.25, rel=0.01)
    assert (right - left) / (middle - left) == pytest.approx(3, rel=0.01)
    texts = {text.text for text in drawn.iter(f"{SVG}text")}
    assert texts >= {"1 k", "10 k", "1 M", "bar: 10 µs", "8"}


def test_results_without_a_curve_leave_the_old_one(tmp_path: Path) -> None:
    output, curve = tmp_path / "some.json", tmp_path / "curve.svg"
    write(output, results([Figure("rss_mb_1m", 1.0)]))
    assert write_reports(output, curve) == [tmp_path / "some.md"]
    assert not curve.exists()


def held(decider: Decider, question: Question) -> str:
    """The kinds of object, from the table up, on which the user holds what reading the table takes."""
    snapshot = decider.snapshot
    subject = snapshot.principal_named(question.user)
    table = snapshot.resolve("TABLE", question.table, METASTORE)
    assert subject is not None
    assert table is not None
    schema, catalog, *_ = snapshot.ancestors(table.id)
    atoms = ((table.id, "TABLE:SELECT"), (schema, "SCHEMA:USE_SCHEMA"), (catalog, "CATALOG:USE_CATALOG"))
    return " ".join(
        act.partition(":")[0] for place, act in atoms if decider.atom(subject.id, WORKSPACE, place, act)
    )
