"""`explain`, `who-can`, `what-can`, `can-access`, `simulate` and `grants effective` as people and scripts read them."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Iterator

import pytest

from lakewarden.cli import main
from lakewarden_server.testing import EmbeddedServer, serve

BOB = "bob@example.com"
TABLE = "main.sales.orders"
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """Bob, an analyst, may enter main and main.sales and read one of two tables."""
    with serve() as server:
        admin = server.client()
        server.client_as("bob")
        admin.groups.create("analysts")
        admin.groups.update_members("analysts", add=[BOB])
        admin.catalogs.create("main")
        admin.schemas.create("main.sales")
        for name in (TABLE, "main.sales.parts"):
            admin.tables.create(name)
        admin.grants.grant(["USE CATALOG", "USE SCHEMA", "BROWSE"], "catalog", "main", "analysts")
        admin.grants.grant("SELECT", "table", TABLE, BOB)
        admin.metastores.create("elsewhere")
        admin.workspaces.create("remote", metastore="elsewhere")
        yield server


@pytest.fixture
def run(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line; its exit code and what it prints."""
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", "workspace")

    def run(line: str, *, as_user: str = "", stdin: str = "") -> tuple[int, str]:
        token = server.token_of(as_user) if as_user else server.admin_token
        monkeypatch.setenv("LAKEWARDEN_TOKEN", token)
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = main(shlex.split(line))
        return code, capsys.readouterr().out

    return run


def test_explain_shows_the_proof_of_a_yes(run: Run) -> None:
    code, out = run(f"explain {BOB} SELECT table {TABLE}")
    assert code == 0
    assert out.splitlines() == [
        f"ALLOW SELECT on table {TABLE} for {BOB}",
        f"  {BOB} has SELECT on table {TABLE}: SELECT on table {TABLE} to {BOB}",
        f"  {BOB} has USE SCHEMA on schema main.sales: USE SCHEMA on catalog main to analysts (through analysts)",
        f"  {BOB} has USE CATALOG on catalog main: USE CATALOG on catalog main to analysts (through analysts)",
    ]


def test_explain_of_a_no_prints_commands_and_who_runs_them(run: Run) -> None:
    code, out = run(f"explain {BOB} SELECT table main.sales.parts")
    assert code == 1
    assert out.splitlines() == [
        f"DENY SELECT on table main.sales.parts for {BOB}",
        f"  missing: {BOB} has no SELECT on table main.sales.parts",
        f"  run: lakewarden grant SELECT table main.sales.parts {BOB}",
        "   by: admin@example.com (owner of table main.sales.parts)",
    ]
    code, out = run(f"explain {BOB} SELECT table main.sales.parts -o name")
    assert (code, out) == (1, "DENY\n")


def test_explain_says_when_nothing_would_help(run: Run) -> None:
    code, out = run(f"explain {BOB} SELECT table {TABLE} --in remote")
    assert code == 1
    assert out.splitlines()[1:] == [
        f"  missing: {BOB} is not assigned to workspace remote",
        f"  missing: workspace remote is not attached to the metastore of table {TABLE}",
        "  no change that you may be told of would help",
    ]


def test_effective_grants_and_who_can_are_tables_for_people(run: Run) -> None:
    code, out = run(f"grants effective schema main.sales --principal {BOB}")
    assert code == 0
    assert "USE_SCHEMA  true    USE SCHEMA on catalog main to analysts (through analysts)" in out
    code, out = run(f"who-can SELECT table {TABLE}")
    assert [line.split()[0] for line in out.splitlines()] == ["PRINCIPAL", "admin@example.com", BOB]


def test_what_can_and_can_access_print_names(run: Run) -> None:
    assert run(f"what-can {BOB} --privilege SELECT -o name", as_user="bob") == (0, f"{TABLE}\n")
    both = f"{TABLE}\nmain.sales.parts\n"
    assert run(f"what-can {BOB} --under main.sales -o name", as_user="bob") == (0, both)
    assert run(f"can-access {BOB} SELECT table - -o name", as_user="bob", stdin=both) == (0, f"{TABLE}\n")
    assert run(f"can-access {BOB} see table {TABLE} main.x.y -o name", as_user="bob") == (0, f"{TABLE}\n")
    assert run(f"what-can {BOB}")[0] == 4


def test_simulate_ends_with_the_command_to_run_and_no_statement(run: Run) -> None:
    code, out = run(f"simulate {BOB} SELECT table main.sales.parts")
    assert code == 1
    assert out.splitlines()[-1] == f"  run: lakewarden grant SELECT table main.sales.parts {BOB}"
    assert "GRANT" not in out
    assert "fixes" in run(f"simulate {BOB} SELECT table main.sales.parts -o json")[1]


def test_simulate_answers_yes_and_no_by_its_exit_code(run: Run) -> None:
    question = f"simulate {BOB} SELECT table main.sales.parts -o name"
    assert run(question) == (1, "DENY\n")
    assert run(f"{question} --grant SELECT table main.sales.parts analysts") == (0, "ALLOW\n")
    assert run(f"{question} --grant SELECT table main.sales.parts analysts --leave analysts {BOB}") == (
        1,
        "DENY\n",
    )
    assert run(f"simulate {BOB} SELECT table {TABLE} -o name --revoke SELECT table {TABLE} {BOB}") == (
        1,
        "DENY\n",
    )
    assert run(f"{question} --join analysts nobody@example.com")[0] == 2
