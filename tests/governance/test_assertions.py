"""`lakewarden test`: expected answers pass, others fail with reason and fix, and a wrong name never passes for a denial."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from governance.conftest import Run
from lakewarden import Client
from lakewarden_server.testing import ADMIN, WORKSPACE, EmbeddedServer, serve

Write = Callable[..., Path]
BOB = "bob@example.com"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A server where bob may read one table, and the admin may ask about others."""
    with serve() as server:
        admin: Client = server.client()
        server.client_as("bob")
        admin.grants.grant("QUERY_ENGINE", "workspace", WORKSPACE, ADMIN)
        admin.catalogs.create("main")
        for name in ("orders", "salaries"):
            admin.tables.create(f"main.default.{name}", [{"name": "id", "type_text": "INT"}])
        admin.grants.grant(["USE CATALOG", "USE SCHEMA", "BROWSE"], "catalog", "main", BOB)
        admin.grants.grant("SELECT", "table", "main.default.orders", BOB)
        yield server


def asserts(name: str, expected: str, *, principal: str = BOB, more: str = "") -> str:
    return (
        f'[[assert]]\nprincipal = "{principal}"\nprivilege = "select"\nkind = "table"\n'
        f'object = "main.default.{name}"\nexpected = "{expected}"\n{more}'
    )


def test_expected_answers_pass(run: Run, server: EmbeddedServer, write: Write) -> None:
    write(
        asserts("orders", "allow") + asserts("salaries", "deny") + asserts("orders", "allow", principal=ADMIN)
    )
    done = run(server, "test governance.toml")
    assert (done.out, done.err) == ("", "3 passed, 0 failed\n")


def test_another_answer_fails_with_reason_and_fix(run: Run, server: EmbeddedServer, write: Write) -> None:
    write(asserts("salaries", "allow", more='reason = "payroll"\n') + asserts("orders", "deny"))
    done = run(server, "test governance.toml", exits=1)
    assert done.out.splitlines() == [
        f"FAILED governance.toml:1: SELECT on table main.default.salaries for {BOB}",
        "  expected allow, got deny",
        "  why: payroll",
        "  reason: SELECT denied on table main.default.salaries: no SELECT on main.default.salaries. Ask its owner.",
        f"  run: lakewarden grant SELECT table main.default.salaries {BOB}",
        f"FAILED governance.toml:8: SELECT on table main.default.orders for {BOB}",
        "  expected deny, got allow",
    ]
    assert done.err == "0 passed, 2 failed\n"


def test_a_denial_of_what_does_not_exist_is_a_failure(run: Run, server: EmbeddedServer, write: Write) -> None:
    write(asserts("salries", "deny"))
    done = run(server, "test governance.toml", exits=1)
    assert "expected deny, got absent" in done.out
    assert "there is no table main.default.salries" in done.out


def test_the_workspace_of_a_question_counts(run: Run, server: EmbeddedServer, write: Write) -> None:
    admin = server.client()
    admin.workspaces.create("other", metastore="metastore")
    admin.grants.grant("QUERY_ENGINE", "workspace", "other", ADMIN)
    elsewhere = 'workspace = "other"\n'
    write(
        asserts("orders", "allow", more=f'workspace = "{WORKSPACE}"\n')
        + asserts("orders", "deny", more=elsewhere)
    )
    # Bob is not assigned to the other workspace, and no workspace is named by default.
    assert run(server, "test governance.toml", workspace="").err == "2 passed, 0 failed\n"
    write(asserts("orders", "allow", more=elsewhere))
    assert "from workspace other" in run(server, "test governance.toml", exits=1).out


def test_outcomes_as_records(run: Run, server: EmbeddedServer, write: Write) -> None:
    write(asserts("orders", "allow") + asserts("salaries", "allow"))
    lines = run(server, "test governance.toml -o jsonl", exits=1).out.splitlines()
    first, second = map(json.loads, lines)
    assert (first["passed"], first["expected"], first["actual"]) == (True, "allow", "allow")
    assert (second["passed"], second["place"]) == (False, "governance.toml:7")
    assert second["fixes"] == [f"GRANT SELECT ON TABLE main.default.salaries TO `{BOB}`"]


def test_outcomes_as_junit_xml(run: Run, server: EmbeddedServer, write: Write, tmp_path: Path) -> None:
    # What somebody wrote into a reason must neither break the report nor pass for a part of it.
    why = r"<pay&roll> ]]> \u0001 ünï"
    write(asserts("orders", "allow") + asserts("salaries", "allow", more=f'reason = "{why}"\n'))
    done = run(server, "test governance.toml --junit report.xml", exits=1)
    assert (done.out.count("FAILED"), done.err) == (1, "1 passed, 1 failed\n")
    suites = ElementTree.parse(tmp_path / "report.xml").getroot()
    (suite,) = suites
    for element in (suites, suite):
        assert [element.get(name) for name in ("tests", "failures", "errors")] == ["2", "1", "0"]
    passed, failed = suite
    assert (passed.tag, list(passed)) == ("testcase", [])
    assert passed.get("name") == f"SELECT on table main.default.orders for {BOB} is allow"
    assert (passed.get("classname"), failed.get("classname")) == ("governance.toml:1", "governance.toml:7")
    (failure,) = failed
    assert (failure.tag, failure.get("message")) == ("failure", "expected allow, got deny")
    assert (failure.text or "").splitlines()[0] == "<pay&roll> ]]> \N{REPLACEMENT CHARACTER} ünï"
    assert f"fix: GRANT SELECT ON TABLE main.default.salaries TO `{BOB}`" in (failure.text or "")


def test_junit_is_written_whether_or_not_there_is_something_to_ask(
    run: Run, server: EmbeddedServer, write: Write, tmp_path: Path
) -> None:
    write("")
    run(server, "test governance.toml --junit report.xml")
    assert ElementTree.parse(tmp_path / "report.xml").getroot().get("tests") == "0"
    run(server, "test governance.toml --junit nowhere/report.xml", exits=74)


def test_service_principals_are_asked_about_by_display_name(
    run: Run, server: EmbeddedServer, write: Write
) -> None:
    admin = server.client()
    spark = admin.service_principals.create("spark").name
    admin.grants.grant("USER", "workspace", WORKSPACE, spark)
    admin.grants.grant(["USE CATALOG", "USE SCHEMA", "SELECT"], "catalog", "main", spark)
    write(asserts("salaries", "allow", principal="service_principal/spark"))
    run(server, "test governance.toml")


def test_who_may_not_ask_is_told_which_role_is_missing(
    run: Run, server: EmbeddedServer, write: Write
) -> None:
    write(asserts("orders", "allow", principal=ADMIN))
    err = run(server, "test governance.toml", as_user="bob", exits=4).err
    assert "Asked at governance.toml:1, about admin@example.com from workspace workspace." in err
    assert "QUERY_ENGINE" in err
    write(asserts("orders", "allow"))
    run(server, "test governance.toml", as_user="bob")


def test_more_questions_than_fit_in_one_call(run: Run, server: EmbeddedServer, write: Write) -> None:
    write(asserts("orders", "allow") * 1001)
    assert run(server, "test governance.toml").err == "1001 passed, 0 failed\n"
