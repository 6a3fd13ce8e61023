"""The body that an answer gives of a function is an expression over its parameters, or no permission."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import duckdb
from lakewarden.duckdb import AccessDenied, GovernanceError, govern

LAKE = """
ATTACH ':memory:' AS lake;
USE lake;
CREATE TABLE people(id INTEGER, ssn VARCHAR, x INTEGER);
INSERT INTO people VALUES (1, 'secret-11', 10), (2, 'secret-22', 20);
CREATE TABLE vault AS SELECT 9 AS id, 'secret-99' AS ssn;
CREATE MACRO stolen(a) AS (SELECT max(ssn) FROM lake.main.vault);
"""


@pytest.fixture
def raw() -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables and a macro that reads one, ungoverned."""
    with duckdb.connect() as connection:
        connection.execute(LAKE)
        yield connection


class OneBody:
    """Allows everything and says one body of every function."""

    def __init__(self, **body: object) -> None:
        self._body = SimpleNamespace(**body)

    def authorize_plan(self, accesses: Any, *, subject: str | None = None, capabilities: object = ()) -> Any:
        functions = {name: self._body for name, privilege, _ in accesses if privilege == "EXECUTE"}
        return SimpleNamespace(allowed=True, denials=(), revision=1, functions=functions)


@pytest.mark.parametrize(
    "definition",
    [
        "(SELECT max(ssn) FROM lake.main.vault)",
        "(SELECT max(ssn) FROM vault WHERE id > v)",
        "v) FROM vault --",
        "v), (SELECT ssn FROM vault",
        "ssn",
        "people.ssn",
        'v + "x"',
        "max(v)",
        "lake.main.other(v)",
        "stolen(v)",
        "getenv('HOME')",
        "*",
        "$1",
        "list_transform([v], x -> x)",
        "row_number() OVER ()",
        "",
    ],
    ids=repr,
)
@pytest.mark.parametrize("argument", ["id", "id + 1"])
def test_body_that_is_no_expression_over_its_parameters_is_no_permission(
    raw: duckdb.DuckDBPyConnection, definition: str, argument: str
) -> None:
    with pytest.raises((GovernanceError, duckdb.Error)) as refused:
        govern(raw, OneBody(parameters=["v"], definition=definition)).execute(
            f"SELECT lake.main.f({argument}) FROM people"
        ).fetchall()
    assert "secret" not in str(refused.value)


def test_control_a_body_over_its_parameters_is_computed(raw: duckdb.DuckDBPyConnection) -> None:
    governed = govern(raw, OneBody(parameters=["v"], definition='("v" + 1)'))
    assert governed.execute("SELECT lake.main.f(id) FROM people ORDER BY 1").fetchall() == [(2,), (3,)]


def test_answer_without_a_body_is_no_permission(raw: duckdb.DuckDBPyConnection) -> None:
    class Silent(OneBody):
        def authorize_plan(self, accesses: Any, **options: Any) -> Any:
            return SimpleNamespace(allowed=True, denials=(), revision=1)

    with pytest.raises(AccessDenied, match="does not say what"):
        govern(raw, Silent()).execute("SELECT lake.main.pair(1, 2)")
