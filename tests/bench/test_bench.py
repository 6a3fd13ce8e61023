"""The benchmarks measure what they say: worlds have the shape promised, questions the mix, figures their verdict."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from bench.__main__ import results
from bench.decisions import measure
from bench.figures import Figure, at_least, at_most, percentile, rounded
from bench.processes import load_test
from bench.stock import StockEnforcer
from bench.worlds import METASTORE, WORKSPACE, Question, Size, World, ask, make_world

from lakewarden_policy import Decider, load_policy

SMALL = Size(
    users=100, groups=40, catalogs=10, schemas_per_catalog=10, tables_per_schema=40, grants=1_500, closure=12
)

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


def test_load_test_answers_check_and_echo() -> None:
    with load_test(None, SMALL) as callers:
        check = callers.measure("latency", method="check", count=60)
        echo = callers.measure("latency", method="echo", count=10)
        busy = callers.measure("throughput", method="check", callers=4, seconds=0.2)
    assert 0.2 <= check["allowed_share"] <= 0.8
    assert echo["allowed_share"] == 1
    assert len(check["seconds"]) == 60
    assert busy["per_second"] > 0


def test_figures_say_whether_they_reach_their_bar() -> None:
    figures = [
        Figure("slow", "t", 1.5, "x", at_most(1.35)),
        Figure("fast", "t", 0.6, "x", at_least(0.6)),
        Figure("free", "t", 12_345.6, "us", raw={"both": [1.23456, 2]}),
    ]
    written = json.loads(json.dumps(results(figures)))
    assert [written[figure.key]["met"] for figure in figures] == [False, True, None]
    assert written["free"]["value"] == 12_346
    assert written["free"]["raw"] == {"both": [1.23, 2]}
    assert set(written["measured"]) >= {"time", "cpu_count", "versions", "python"}
    assert "MISSED" in figures[0].as_lines()[0]


def test_percentile_and_rounding() -> None:
    assert percentile([float(number) for number in range(100)], 0.99) == 99
    assert percentile([7.0], 0.5) == 7
    assert rounded(0.123456) == 0.123


def test_checked_in_results_have_the_keys_and_bars() -> None:
    written = json.loads((Path(__file__).parents[2] / "bench" / "results.json").read_text())
    wanted = {
        "check_vs_echo_latency": "<= 1.35",
        "check_vs_echo_throughput": ">= 0.6",
        "decision_us_100k": "<= 10",
        "stock_casbin_vs_ours_at_10k": ">= 3000",
    }
    assert {key: written[key]["bar"] for key in wanted} == wanted
    assert all(isinstance(written[key]["met"], bool) and written[key]["raw"] for key in wanted)


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
