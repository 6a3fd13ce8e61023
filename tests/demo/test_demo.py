"""The demo as the function it is: it succeeds as it stands, and fails as soon as one outcome is not the expected one."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakewarden_server.demo.acts import DemoFailed
from lakewarden_server.demo.expected import ALLOW, ANALYST, DENY, EXPECTED, PEOPLE, differences
from lakewarden_server.demo.lineage import DRAWING, DRAWING_OF_ANALYST, show_lineage
from lakewarden_server.demo.screen import Screen
from lakewarden_server.demo.show import Stage, open_stage, run_show

TABLES_BY_PERSON = (
    {"customer", "orders", "lineitem", "nation", "region"},
    {"part", "partsupp", "supplier", "lineitem", "nation", "region"},
    {"customer", "orders", "lineitem", "nation", "region", "part", "partsupp", "supplier"},
)


class Terminal(io.StringIO):
    """Text that was written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen() -> Screen:
    return Screen(io.StringIO(), io.StringIO(), width=80)


@pytest.fixture
def stage(screen: Screen) -> Iterator[Stage]:
    with open_stage(screen) as stage:
        yield stage


def printed(screen: Screen) -> str:
    assert isinstance(screen.output, io.StringIO)
    return screen.output.getvalue()


@dataclass
class Shown:
    """One whole show: where it was given, what was seen, and the drawings it left."""

    stage: Stage
    screen: Screen
    last_line: str
    drawings: Path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    screen = Screen(io.StringIO(), io.StringIO(), width=80)
    with open_stage(screen) as stage:
        last_line = run_show(stage, screen)
        drawings = tmp_path_factory.mktemp("drawings")
        show_lineage(stage.world, screen, drawings)
        yield Shown(stage, screen, last_line, drawings)


def test_demo_shows_what_it_expects_and_ends_with_the_line(shown: Shown) -> None:
    assert re.fullmatch(r"demo ok: 41 allowed, 25 denied, \d+\.\d µs per decision", shown.last_line)
    seen = printed(shown.screen)
    assert len(re.findall(r"^q\d\d  +(allowed|denied)", seen, re.MULTILINE)) == len(EXPECTED)
    assert "GRANT SELECT ON TABLE tpch.main.supplier" in seen
    assert "denied: no USE SCHEMA on tpch.main" in seen
    assert seen.count("finance.books.margins\n") == 1, "the owner alone is shown what the report is made of"
    assert "    3 principals of lake-users\n" in seen
    drawings = [(shown.drawings / drawing).read_text() for drawing in (DRAWING, DRAWING_OF_ANALYST)]
    assert ["finance.books.margins" in drawing for drawing in drawings] == [True, False]
    assert all(drawing.startswith("<svg") for drawing in drawings)


def test_no_line_is_wider_than_the_terminal(shown: Shown) -> None:
    assert max(map(len, printed(shown.screen).splitlines())) <= shown.screen.width


def test_one_grant_too_many_fails_the_demo(stage: Stage, screen: Screen) -> None:
    stage.world.admin.grants.grant("SELECT", "table", "tpch.main.part", ANALYST)
    with pytest.raises(DemoFailed) as failed:
        run_show(stage, screen)
    assert str(failed.value).splitlines() == [
        "3 of 66 outcomes are not the expected ones:",
        *(f"q{query} as {ANALYST}: expected denied, got allowed" for query in (14, 17, 19)),
    ]


def test_one_grant_too_few_fails_the_demo(stage: Stage, screen: Screen) -> None:
    stage.world.admin.grants.revoke("SELECT", "table", "tpch.main.orders", "sales")
    with pytest.raises(DemoFailed, match=r"q04 as ann@example\.com: expected allowed, got denied"):
        run_show(stage, screen)


def test_outcomes_are_compared_one_by_one() -> None:
    outcomes = {
        (query, person): outcome
        for query, row in EXPECTED.items()
        for person, outcome in zip(PEOPLE, row, strict=True)
    }
    assert len(outcomes) == 66
    assert differences(outcomes) == []
    for question, outcome in outcomes.items():
        changed = {**outcomes, question: DENY if outcome == ALLOW else ALLOW}
        assert len(differences(changed)) == 1
    assert len(differences({})) == 66
    assert len(differences({**outcomes, (23, ANALYST): ALLOW})) == 1


def test_expected_outcomes_agree_with_the_tables_duckdb_reads(shown: Shown) -> None:
    """The hand-written rows against DuckDB's own binder: a slip of the pen must not hide a wrong decision."""
    lake = shown.stage.lake
    for query, row in EXPECTED.items():
        read = {name.rpartition(".")[2] for name in lake.connection.get_table_names(lake.queries[query])}
        assert row == tuple(ALLOW if read <= tables else DENY for tables in TABLES_BY_PERSON), query


def test_progress_is_for_terminals_only(screen: Screen) -> None:
    with screen.step("working"):
        pass
    assert isinstance(screen.progress, io.StringIO)
    assert screen.progress.getvalue() == ""
    watched = Screen(io.StringIO(), Terminal())
    with watched.step("working"):
        pass
    assert watched.progress.getvalue().startswith("working ...")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colors_are_for_terminals_that_want_them(
    environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("sys.stdout", Terminal())
    assert Screen.of_process().color is wanted
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert Screen.of_process().color is False
