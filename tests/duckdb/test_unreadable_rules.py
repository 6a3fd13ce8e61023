"""A row filter or column mask that the governed connection does not understand is no permission."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import duckdb
from lakewarden.duckdb import GovernanceError, govern

LAKE = """
ATTACH ':memory:' AS lake;
USE lake;
CREATE SCHEMA hr;
CREATE TABLE people(id INTEGER, ssn VARCHAR);
CREATE TABLE orders(id INTEGER, person INTEGER);
CREATE TABLE hr.vault(id INTEGER, ssn VARCHAR);
INSERT INTO people VALUES (1, 'secret-11'), (2, 'secret-22');
INSERT INTO orders VALUES (10, 1);
INSERT INTO hr.vault VALUES (1, 'secret-99');
"""


@pytest.fixture
def raw() -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables, ungoverned."""
    with duckdb.connect() as connection:
        connection.execute(LAKE)
        yield connection


class OneAnswer:
    """Allows everything under fixed conditions."""

    def __init__(self, **demands: object) -> None:
        self.__dict__.update({"allowed": True, "denials": (), "revision": 1, **demands})

    def authorize_plan(
        self, accesses: object, *, subject: str | None = None, capabilities: object = ()
    ) -> Any:
        return self


@pytest.mark.parametrize(
    "demands",
    [
        {"row_filters": {"lake.main.people": "id IN (SELECT id FROM hr.vault)"}},
        {"row_filters": {"lake.main.people": "max(id) = 1"}},
        {"row_filters": {"lake.main.people": "no_such_column = 1"}},
        {"row_filters": {"lake.main.people": "orders.id = 1"}},
        {"row_filters": {"lake.main.people": "id = 1) OR (1 = 1"}},
        {"row_filters": {"lake.main.people": "getenv('HOME') = id"}},
        {"row_filters": {"lake.main.people": 1}},
        {"row_filters": {"lake.main.other": "id = 1"}},
        {"row_filters": {"lake.main.people": "id = 1", "LAKE.main.people": "id = 2"}},
        {"row_filters": ["id = 1"]},
        {"column_masks": {"lake.main.people": {"nothing": "1"}}},
        {"column_masks": {"lake.main.people": {"ssn": "(SELECT ssn FROM hr.vault)"}}},
        {"column_masks": {"lake.main.people": {"ssn": "ssn AS x, ssn"}}},
        {"column_masks": {"lake.main.people": {"ssn": "x -> x"}}},
        {"column_masks": {"lake.main.people": {"ssn": ""}}},
    ],
    ids=repr,
)
def test_condition_that_is_not_understood_is_no_permission(
    raw: duckdb.DuckDBPyConnection, demands: dict[str, object]
) -> None:
    guarded = govern(raw, OneAnswer(**demands))
    with pytest.raises((GovernanceError, duckdb.Error)) as refused:
        guarded.execute("SELECT * FROM people, orders WHERE people.id = 1").fetchall()
    assert "secret" not in str(refused.value)
