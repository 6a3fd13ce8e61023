"""`lakewarden lineage …` against the real server: what a person reads, and what scripts do."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakewarden.cli import main
from lakewarden_server.testing import EmbeddedServer, serve

Run = Callable[..., tuple[str, str]]
STATEMENTS = """
INSERT INTO main.s.orders SELECT id, amount FROM main.s.raw WHERE mail IS NOT NULL;
INSERT INTO main.s.report SELECT id, amount FROM main.s.orders;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A server where `main.s.orders` was made of `main.s.raw`, and `main.s.report` of that."""
    with serve() as running:
        admin = running.client()
        running.client_as("bob")
        admin.catalogs.create("main")
        admin.schemas.create("main.s")
        for table in ("raw", "orders", "report"):
            columns = [{"name": name, "type_text": "BIGINT"} for name in ("id", "amount", "mail")]
            admin.tables.create(f"main.s.{table}", columns=columns)
        admin.grants.grant("QUERY ENGINE", "workspace", str(running.workspace), "admin@example.com")
        admin.lineage.record_sql(STATEMENTS)
        admin.grants.grant("SELECT", "table", "main.s.orders", "bob@example.com")
        yield running


@pytest.fixture
def run(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line as the admin and returns what it wrote to stdout and stderr."""
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_TOKEN", server.admin_token)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", str(server.workspace))

    def run(line: str, *, exits: int = 0) -> tuple[str, str]:
        code = main(shlex.split(line))
        captured = capsys.readouterr()
        assert code == exits, captured.err
        return captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("lineage show main.s.orders", ["main.s.orders", "main.s.raw", "main.s.report"]),
        ("lineage column main.s.orders amount --upstream", ["main.s.orders.amount", "main.s.raw.amount"]),
        ("lineage impact main.s.raw", ["main.s.orders", "main.s.report"]),
    ],
)
def test_names_are_a_line_each(run: Run, line: str, names: list[str]) -> None:
    assert sorted(run(f"{line} -o name")[0].splitlines()) == names


def test_a_column_may_be_the_fourth_part_of_the_name(run: Run) -> None:
    told, _ = run("lineage column main.s.orders.amount --upstream")
    assert told == run("lineage column main.s.orders amount --upstream")[0]
    assert "main.s.raw.amount" in told


def test_two_assets_without_a_run_between_them_have_no_history_and_perhaps_ways(run: Run) -> None:
    assert (
        "lakewarden lineage paths main.s.raw main.s.report"
        in run("lineage history main.s.raw main.s.report")[1]
    )
    assert run("lineage history main.s.raw main.s.orders")[1] == ""


@pytest.mark.parametrize("line", ["upstream dashboard", "impact dashboard", "paths main.s.raw dashboard"])
def test_what_is_no_name_of_a_table_is_told_how_it_may_be_said(run: Run, line: str) -> None:
    _, told = run(f"lineage {line}", exits=2)
    assert "--type external_metadata" in told
    assert "--namespace" in told
    assert "lakewarden lineage column" in told


def test_the_impact_of_what_is_no_table_is_asked_by_its_type_or_namespace(
    run: Run, server: EmbeddedServer
) -> None:
    admin = server.client()
    admin.external_metadata.create("dashboard", "TABLEAU", "dashboard")
    admin.external_lineage.create("main.s.report", "dashboard", target_type="external_metadata")
    admin.external_lineage.create("dashboard", "main.s.raw", source_type="external_metadata")
    told, _ = run("lineage impact dashboard --type external_metadata -o name")
    assert told.splitlines()[0] == "main.s.raw"
    told, _ = run("lineage export dashboard --type external_metadata --downstream --depth 1")
    assert told == ""
    event = {
        "eventTime": "2026-11-28T09:00:00Z",
        "producer": "urn:p",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent",
        "job": {"namespace": "n", "name": "j"},
        "inputs": [{"namespace": "kafka://broker", "name": "one.two.three.four"}],
        "outputs": [{"namespace": "unitycatalog://lake", "name": "main.s.raw"}],
    }
    admin.lineage_events.record(event)
    told, _ = run("lineage impact one.two.three.four --namespace kafka://broker -o name")
    assert told.splitlines()[0] == "main.s.raw"
    told, _ = run("lineage column one.two.three.four --namespace kafka://broker")
    assert told.startswith("kafka://broker one.two.three.four")


def test_a_way_is_told_once_however_many_jobs_made_it_and_that_there_are_more(
    run: Run, server: EmbeddedServer
) -> None:
    admin = server.client()
    for name in ("first", "middle", "last"):
        admin.tables.create(f"main.s.{name}", columns=[{"name": "id", "type_text": "BIGINT"}])
    for number in range(3):
        for source, target in (("first", "middle"), ("middle", "last")):
            text = f"INSERT INTO main.s.{target} SELECT id FROM main.s.{source}"
            admin.lineage.record_sql(text, job_name=f"{source} {number}")
    assert run("lineage paths main.s.first main.s.last") == (
        "main.s.first → main.s.middle → main.s.last\n",
        "",
    )
    admin.lineage.record_sql("INSERT INTO main.s.last SELECT id FROM main.s.first")
    told, said = run("lineage paths main.s.first main.s.last --limit 1")
    assert told == "main.s.first → main.s.last\n"
    assert "may not be all" in said


def test_a_file_holds_json_where_that_is_asked_for_in_either_way(run: Run, tmp_path: Path) -> None:
    for number, asked in enumerate(("--format json", "-o json")):
        path = tmp_path / f"{number}.json"
        run(f"lineage upstream main.s.report --to {path} {asked}")
        assert json.loads(path.read_text())["edges"]


def test_that_nothing_depends_on_a_table_is_said(run: Run, server: EmbeddedServer) -> None:
    server.client().tables.create("main.s.unused")
    _, said = run("lineage impact main.s.unused")
    assert said == "Nothing that you may see depends on main.s.unused.\n"


def test_a_revoke_is_asked_about_without_what_is_about_a_name(run: Run, server: EmbeddedServer) -> None:
    server.client_as("carol")
    privileges = ["USE CATALOG", "USE SCHEMA", "SELECT"]
    server.client().grants.grant(privileges, "catalog", "main", "carol@example.com")
    line = "lineage impact --revoke SELECT --on catalog main --from carol@example.com"
    _, said = run(line)
    assert "Nothing downstream that you may know of would change." in said
    _, said = run(f"{line} --namespace kafka://broker", exits=2)
    assert "about NAME" in said


def test_a_name_that_a_row_has_not_is_an_empty_line(run: Run) -> None:
    told, _ = run("system-table read system.access.table_lineage --limit 1 -o name")
    assert told == "\n"


def test_a_revoke_that_takes_nothing_is_said_to(run: Run) -> None:
    line = "lineage impact --revoke SELECT --on table main.s.orders --from bob@example.com"
    assert "Nobody that you may know of would lose anything." in run(line)[1]


def test_names_that_are_not_in_full_are_told_how_to_be(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "job.sql"
    file.write_text("CREATE TABLE a AS SELECT * FROM b")
    assert "say --catalog and --schema" in run(f"lineage from-sql {file} --dry-run")[1]


def test_types_are_listed_without_an_empty_one(run: Run) -> None:
    for command in ("show", "paths", "history", "declare", "undeclare", "declared"):
        assert "[table|path|" in run(f"lineage {command} --help")[0]


@pytest.mark.parametrize(
    "line",
    [
        "lineage upstream main.s.orders",
        "lineage upstream main.s.orders --format jsonl",
        "lineage paths main.s.raw main.s.orders",
        "lineage history main.s.raw main.s.orders",
        "lineage impact main.s.orders",
        "lineage leaks",
        "lineage declared main.s.orders",
        "lineage declare main.s.raw main.s.report",
        "lineage from-sql -",
        "system-table list",
    ],
)
def test_who_named_no_workspace_is_told_how_to(run: Run, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert "WORKSPACE_REQUIRED" in run(f"{line} --workspace ''", exits=2)[1]
