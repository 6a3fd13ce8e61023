"""Which databases and tables can be governed at all, and what is told of those that can."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

import duckdb
from lakewarden._duckdb_parse import parse_statement
from lakewarden.duckdb import AccessDenied, StatementRefused, govern

# The fixture's class lives in conftest.py, which cannot be imported.
Lake: TypeAlias = Any


class FixedAnswer:
    """Gives every plan the same answer."""

    def __init__(self, *, allowed: bool, denials: tuple[Any, ...] = ()) -> None:
        self.answer = SimpleNamespace(allowed=allowed, denials=denials, revision=1)

    def authorize_plan(
        self, accesses: object, *, subject: str | None = None, capabilities: object = ()
    ) -> Any:
        """That answer."""
        return self.answer


@pytest.mark.parametrize(
    "preparation",
    [
        "CREATE MACRO upper(x) AS (SELECT max(id) FROM secrets)",
        'CREATE MACRO "+"(a, b) AS (SELECT max(id) FROM secrets)',
        "CREATE MACRO range(x) AS TABLE FROM secrets",
        "SET allowed_paths = ['/etc/passwd']",
        "CREATE SCHEMA second; SET search_path = 'main,second'",
        "CREATE TYPE pay AS ENUM (SELECT DISTINCT id::VARCHAR FROM secrets)",
        "CREATE SCHEMA other; CREATE TYPE other.pay AS INTEGER",
        'CREATE SCHEMA "\u017fales"; USE "\u017fales"',
        'ATTACH \':memory:\' AS "la\u212ae"; USE "la\u212ae"',
    ],
)
def test_database_the_guard_cannot_see_through_is_not_governed(preparation: str) -> None:
    with duckdb.connect() as raw:
        raw.execute("CREATE TABLE secrets(id INTEGER)")
        raw.execute(preparation)
        with pytest.raises(ValueError, match=r"."):
            govern(raw, FixedAnswer(allowed=True))
        raw.execute("SET threads = 1")  # nothing was locked


def test_control_an_enum_shows_the_table_it_was_made_from_to_whoever_reads_no_table(lake: Lake) -> None:
    sql = "SELECT enum_range(NULL::pay)"
    lake.raw.execute("CREATE TYPE pay AS ENUM (SELECT amount::VARCHAR FROM lake.main.salaries ORDER BY ALL)")
    assert parse_statement(sql).reads == frozenset()
    assert lake.raw.execute(sql).fetchall() == [(["1000", "2000"],)]
    with pytest.raises(ValueError, match="user-defined types"):
        govern(lake.raw, lake.policy)


@pytest.mark.parametrize(
    "catalog_map",
    [
        {"memory": "main", "sea": "main"},
        {"memory": "main", "sea": "MAIN"},
        {"memory": "straße", "sea": "STRASSE"},
        {"memory": "main", "MEMORY": "other"},
        {"memory": "sea"},  # which the database `sea` stands for as well
        {"memory": "absent", "absent": "absent"},
    ],
)
def test_two_databases_never_share_a_catalog(catalog_map: dict[str, str]) -> None:
    with duckdb.connect() as raw:
        raw.execute("ATTACH ':memory:' AS sea")
        with pytest.raises(ValueError, match="a catalog of its own"):
            govern(raw, FixedAnswer(allowed=True), catalog_map=catalog_map)
        raw.execute("SET threads = 1")  # nothing was locked
        govern(raw, FixedAnswer(allowed=True), catalog_map={"memory": "sea", "sea": "memory"}).close()


@pytest.mark.parametrize("name", ["order\u017f", "\uff4frders", "la\u212ae", "straße", "ÉTÉ", "e\u0301te"])
def test_table_the_server_takes_for_another_one_is_refused_whoever_may(name: str) -> None:
    with duckdb.connect() as raw:
        raw.execute(f'CREATE TABLE orders(id INTEGER); CREATE TABLE "{name}" AS SELECT 1 AS id')
        with govern(raw, FixedAnswer(allowed=True)) as governed:
            for statement in (
                f'FROM "{name}"',
                f'DELETE FROM "{name}"',
                f'CREATE TABLE "{name}" AS SELECT 1',
            ):
                with pytest.raises(StatementRefused, match="cannot be the name of a governed table"):
                    governed.execute(statement)
            assert governed.execute("FROM orders").fetchall() == []


def test_mistyped_column_is_told_without_the_statement_the_guard_made_of_it(lake: Lake) -> None:
    with pytest.raises(duckdb.BinderException) as failed:
        lake.analyst.execute("SELECT amuont FROM orders")
    assert '"amuont" not found' in str(failed.value)
    assert "EXPLAIN" not in str(failed.value)
    assert "LINE" not in str(failed.value)


@pytest.mark.parametrize("sql", ["SELECT CAST(1 AS intt)", "SELECT CAST(amount AS integerr) FROM orders"])
def test_name_duckdb_does_not_have_is_refused_without_its_proposals(lake: Lake, sql: str) -> None:
    with pytest.raises(duckdb.CatalogException, match="Did you mean"):
        lake.raw.execute(sql)
    with pytest.raises(StatementRefused) as refused:
        lake.analyst.execute(sql)
    assert str(refused.value) == "the statement names something DuckDB does not have"


def test_denial_of_the_server_is_told_once() -> None:
    fix = "GRANT SELECT ON TABLE memory.main.orders TO `ann@example.com`"
    reason = f"SELECT denied on table memory.main.orders: no SELECT on memory.main.orders. Ask its owner for: {fix}"
    denial = SimpleNamespace(full_name="memory.main.orders", privilege="SELECT", reason=reason, fix=fix)
    with duckdb.connect() as raw:
        raw.execute("CREATE TABLE orders(id INTEGER)")
        with (
            govern(raw, FixedAnswer(allowed=False, denials=(denial,))) as governed,
            pytest.raises(AccessDenied) as denied,
        ):
            governed.execute("FROM orders")
    assert str(denied.value).splitlines()[1:] == [reason]
