"""Statements that must not run: each is refused or denied, has no effect, and gives nothing to fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import pytest

import duckdb
from lakewarden._duckdb_binder import named_tables
from lakewarden._duckdb_parse import parse_statement
from lakewarden.duckdb import AccessDenied, GovernanceError, StatementRefused

# The fixture's class lives in conftest.py, which cannot be imported.
Lake: TypeAlias = Any


def _shortened(sql: str) -> str:
    return ascii(sql[:60])


REFUSED_KINDS = [
    "PREPARE p AS SELECT * FROM salaries",
    "EXECUTE p",
    "ATTACH ':memory:' AS z",
    "ATTACH 'z.db' AS z",
    "DETACH memory",
    "USE memory",
    "SET threads = 1",
    "SET SESSION schema = 'hr'",
    "SET search_path = 'hr,main'",
    "SET VARIABLE hidden = 'other'",
    "RESET ALL",
    "PRAGMA table_info('salaries')",
    "PRAGMA enable_profiling",
    "COPY salaries TO 'out.csv'",
    "COPY orders FROM 'x.csv'",
    "COPY FROM DATABASE lake TO memory",
    "EXPORT DATABASE 'out'",
    "IMPORT DATABASE 'out'",
    "LOAD json",
    "INSTALL httpfs",
    "FORCE INSTALL httpfs FROM community",
    "UPDATE EXTENSIONS",
    "CALL pragma_version()",
    "CALL duckdb_tables()",
    "CALL all_salaries()",
    "CREATE TABLE new(id INTEGER)",
    "CREATE TEMP TABLE new AS SELECT * FROM orders",
    "CREATE OR REPLACE TABLE orders AS SELECT 1 AS id",
    "CREATE VIEW new AS SELECT * FROM salaries",
    "CREATE MACRO new() AS 1",
    "CREATE TYPE mood AS ENUM (SELECT name FROM hr.people)",
    "CREATE SECRET new (TYPE s3)",
    "CREATE SCHEMA new",
    "CREATE SEQUENCE new",
    "CREATE INDEX new ON orders(amount)",
    "ALTER TABLE orders ADD COLUMN secret INTEGER",
    "ALTER TABLE orders RENAME TO other_orders",
    "DROP TABLE orders",
    "DROP VIEW IF EXISTS orders_view",
    "DROP MACRO plus_one",
    "TRUNCATE orders",
    "TRUNCATE salaries",
    "COMMENT ON TABLE orders IS 'x'",
    "EXPLAIN SELECT * FROM salaries",
    "EXPLAIN ANALYZE SELECT * FROM orders",
    "EXPLAIN ANALYZE DELETE FROM orders",
    "VACUUM",
    "ANALYZE",
    "CHECKPOINT",
    "FORCE CHECKPOINT lake",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "DESCRIBE salaries",
    "SUMMARIZE salaries",
    "SHOW TABLES",
    "SELECT * FROM (DESCRIBE salaries)",
    "SELECT * FROM (SHOW TABLES)",
    "SELECT * FROM (SUMMARIZE salaries)",
    "PIVOT orders ON customer USING sum(amount)",
    "PIVOT salaries ON id IN (1, 2) USING sum(amount)",
    "SELECT id INTO new FROM orders",
    "SELECT * FROM orders FOR UPDATE",
    "",
    ";",
    "-- nothing",
    "not sql at all",
]

REFUSED_FUNCTIONS = [
    "SELECT * FROM read_csv('x.csv')",
    "SELECT * FROM READ_CSV ('x.csv')",
    "SELECT * FROM \"read_csv\"('x.csv')",
    "SELECT * FROM read_csv/* */('x.csv')",
    "SELECT * FROM read_csv -- \n ('x.csv')",
    "SELECT * FROM system.main.read_csv('x.csv')",
    "SELECT * FROM main.read_text('x.csv')",
    "SELECT * FROM parquet_metadata('x.csv')",
    "SELECT * FROM read_json('x.csv')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('x.csv')",
    "SELECT * FROM read_duckdb('x.csv')",
    "SELECT * FROM glob('*')",
    "SELECT * FROM sniff_csv('x.csv')",
    "FROM query('SELECT * FROM salaries')",
    "FROM query('DELETE FROM orders')",
    "FROM query_table('salaries')",
    "FROM query_table(['orders', 'salaries'])",
    "FROM histogram(salaries, amount)",
    "FROM summary((FROM salaries))",
    "FROM seq_scan('salaries')",
    "FROM repeat('x', 3)",
    "FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM salaries'))",
    "SELECT json_serialize_plan('SELECT * FROM salaries')",
    "SELECT * FROM duckdb_tables()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_columns() WHERE table_name = 'salaries'",
    "SELECT * FROM duckdb_variables()",
    "SELECT * FROM pragma_table_info('salaries')",
    "SELECT * FROM which_secret('s3://x', 's3')",
    "FROM checkpoint('lake')",
    "FROM enable_logging()",
    "FROM orders, read_csv('x.csv')",
    "FROM orders, LATERAL (FROM read_csv('x.csv'))",
    "WITH c AS (FROM read_text('x.csv')) FROM c",
    "SELECT (SELECT content FROM read_text('x.csv'))",
    "INSERT INTO orders SELECT * FROM read_csv('x.csv')",
    "UPDATE orders SET amount = (SELECT max(id) FROM read_csv('x.csv'))",
    "CREATE TABLE new AS FROM read_csv('x.csv')",
    "SELECT current_setting('threads')",
    "SELECT getvariable('hidden')",
    "SELECT getenv('HOME')",
    "SELECT nextval('counter')",
    "SELECT currval('counter')",
    "SELECT amount, nextval('counter') FROM orders",
    "SELECT 'counter'.nextval()",
    "SELECT sleep_ms(1)",
    "SELECT write_log('x')",
    "SELECT stats(amount) FROM orders",
    "SELECT pg_get_viewdef(1)",
    "SELECT top_salary()",
    "SELECT main.top_salary()",
    'SELECT "TOP_SALARY"()',
    "SELECT amount FROM orders WHERE amount < top_salary()",
    "SELECT plus_one(amount) FROM orders",
    "SELECT amount.plus_one() FROM orders",
    "FROM all_salaries()",
    "FROM lake.main.all_salaries()",
    "INSERT INTO orders VALUES (9, 9, top_salary())",
    "DELETE FROM orders WHERE amount < top_salary()",
    "MERGE INTO orders USING all_salaries() s USING (id) WHEN MATCHED THEN DELETE",
]

REFUSED_TABLES = [
    "SELECT * FROM 'x.csv'",
    'SELECT * FROM "x.csv"',
    "SELECT * FROM './x.csv'",
    "SELECT * FROM 'https://example.com/x.parquet'",
    "INSERT INTO orders FROM 'x.csv'",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM information_schema.columns WHERE table_name = 'salaries'",
    "SELECT * FROM system.information_schema.tables",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM pg_class",
    "SELECT * FROM duckdb_tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM orders, duckdb_settings",
    "SELECT * FROM salaries_view",
    "SELECT * FROM orders_view",
    "SELECT * FROM orders_view, orders",
    "SELECT * FROM other.orders",
    "SELECT * FROM lake.other.orders",
    'SELECT * FROM "lake"."other"."ORDERS"',
    "WITH c AS (FROM salaries_view) SELECT * FROM c",
    "SELECT (SELECT max(amount) FROM salaries_view) FROM orders",
    "UPDATE orders SET amount = (SELECT max(amount) FROM salaries_view)",
    "INSERT INTO orders_view VALUES (9, 9, 9)",
    "INSERT INTO salaries_view VALUES (9, 9)",
    "DELETE FROM orders_view",
    "SELECT * FROM scratch",
    "SELECT * FROM temp.main.scratch",
    "INSERT INTO scratch VALUES (1)",
    "CREATE TABLE temp.new AS SELECT 1 AS id",
    "SELECT * FROM orders AT (VERSION => 1)",
    "SELECT * FROM a.b.c.d",
    'SELECT * FROM "main.salaries"',
    "SELECT * FROM salaries_relation",
    'SELECT * FROM "order\u017f"',
]

REFUSED_TRICKS = [
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE orders",
    "SELECT * FROM orders; DELETE FROM orders;",
    "SELECT 1 /* ; */; DELETE FROM orders",
    "SELECT ';'; DELETE FROM orders",
    "SELECT $$;$$; DELETE FROM orders",
    "SELECT E'\\''; DELETE FROM orders --'",
    "SELECT 1 -- \n; DELETE FROM orders",
    "SELECT\u00a0* FROM orders",
    "SELECT * FROM\u2003salaries",
    "SELECT * FROM orders\u200b",
    "SELECT * FROM orders \u202e",
    "SELECT * FROM orders -- \f UNION SELECT id, id, amount FROM salaries",
    "SELECT * FROM orders \x00",
    # sqlglot takes the inner name for the CTE itself; DuckDB, without a UNION, for the table.
    "WITH RECURSIVE salaries AS (SELECT amount FROM salaries) SELECT * FROM salaries",
    "WITH RECURSIVE salaries AS (SELECT id, amount FROM salaries UNION ALL SELECT 1, 1 FROM salaries WHERE false)"
    " SELECT * FROM salaries",
    "WITH RECURSIVE salaries AS (SELECT 9 AS id, 9 AS a, amount FROM salaries) INSERT INTO orders FROM salaries",
    "WITH RECURSIVE salaries AS (SELECT max(amount) AS top FROM salaries)"
    " UPDATE orders SET amount = salaries.top FROM salaries",
    "SELECT * FROM salaries /* /* nested */ FROM orders */",
    # DuckDB's list of names forgets what REPLACE and an unused WINDOW read.
    "SELECT * REPLACE ((SELECT max(amount) FROM salaries) AS amount) FROM orders",
    "SELECT amount FROM orders WINDOW w AS (ORDER BY (SELECT max(amount) FROM salaries))",
    "SELECT enum_range(NULL::pay)",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT 1" + " " * 200_000,
]

DENIED = [
    "SELECT * FROM salaries",
    "TABLE salaries",
    "FROM salaries",
    "FROM salaries SELECT amount",
    "(FROM salaries)",
    'SELECT * FROM "salaries"',
    "SELECT * FROM SALARIES",
    "SELECT * FROM main.salaries",
    "SELECT * FROM lake.salaries",
    'SELECT * FROM lake."main"."Salaries"',
    "SELECT * FROM hr.people",
    "SELECT * FROM lake.hr.people",
    "SELECT * FROM memory.main.elsewhere",
    "SELECT * FROM memory.elsewhere",
    "SELECT * FROM does_not_exist",
    "SELECT * FROM hr.orders",
    "/* SELECT */ SELECT * FROM/**/salaries -- FROM orders",
    "SELECT * FROM orders -- \r UNION ALL SELECT id, id, amount FROM salaries",
    "SELECT amount FROM orders WHERE '$$' <> '' UNION ALL SELECT amount FROM salaries --$$",
    "SELECT '\\', amount FROM salaries --'",
    "SELECT o.id FROM orders o, salaries",
    "SELECT salaries.id FROM orders AS salaries, salaries AS orders",
    "SELECT * FROM orders JOIN salaries USING (id)",
    "SELECT * FROM orders NATURAL JOIN salaries",
    "SELECT * FROM orders POSITIONAL JOIN salaries",
    "SELECT * FROM orders ASOF JOIN salaries ON orders.id >= salaries.id",
    "SELECT * FROM orders SEMI JOIN salaries USING (id)",
    "SELECT * FROM orders, LATERAL (SELECT * FROM salaries WHERE salaries.id = orders.id)",
    "SELECT amount FROM orders UNION ALL SELECT amount FROM salaries",
    "SELECT amount FROM orders UNION ALL BY NAME SELECT amount FROM salaries",
    "SELECT amount FROM orders EXCEPT SELECT amount FROM salaries",
    "SELECT amount FROM orders WHERE id IN (SELECT id FROM salaries WHERE amount > 1000)",
    "SELECT EXISTS (FROM salaries WHERE amount = 1000)",
    "SELECT amount FROM orders ORDER BY (SELECT max(amount) FROM salaries)",
    "SELECT amount FROM orders LIMIT (SELECT max(id) FROM salaries)",
    "SELECT max(amount) FILTER (WHERE id IN (SELECT id FROM salaries)) FROM orders",
    "SELECT id FROM orders GROUP BY id HAVING sum(amount) < (SELECT max(amount) FROM salaries)",
    "SELECT id FROM orders QUALIFY row_number() OVER (ORDER BY (SELECT max(amount) FROM salaries)) = 1",
    "SELECT {'a': (SELECT max(amount) FROM salaries)}",
    "SELECT [x FOR x IN (SELECT list(amount) FROM salaries)]",
    "SELECT ARRAY(SELECT amount FROM salaries)",
    "SELECT unnest((SELECT list(amount) FROM salaries))",
    "FROM range((SELECT max(amount) FROM salaries))",
    "VALUES ((SELECT max(amount) FROM salaries))",
    "SELECT * FROM salaries TABLESAMPLE 50%",
    "SELECT * FROM salaries PIVOT (sum(amount) FOR id IN (1, 2))",
    "SELECT * FROM salaries UNPIVOT (v FOR k IN (id, amount))",
    "WITH c AS (SELECT * FROM salaries) SELECT * FROM c",
    "WITH c AS MATERIALIZED (SELECT * FROM salaries) SELECT * FROM c",
    "WITH salaries AS (SELECT * FROM salaries) SELECT * FROM salaries",
    "WITH a AS (WITH salaries AS (SELECT 1) FROM salaries) SELECT * FROM a, salaries",
    "(WITH salaries AS (SELECT 1 AS amount) FROM salaries) UNION ALL SELECT amount FROM salaries",
    "WITH a AS (FROM salaries), salaries AS (SELECT 1) SELECT * FROM a",
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT amount FROM r, salaries WHERE i < 2) SELECT * FROM r",
    "WITH orders AS (SELECT * FROM customers) INSERT INTO salaries SELECT id, id FROM orders",
    "INSERT INTO salaries VALUES (3, 3000)",
    "INSERT INTO salaries DEFAULT VALUES",
    "INSERT INTO orders SELECT id, id, amount FROM salaries",
    "INSERT INTO orders VALUES (9, 9, (SELECT max(amount) FROM salaries))",
    "INSERT INTO customers VALUES (3, 'eve')",
    "INSERT INTO customers VALUES (3, 'eve') RETURNING *",
    "INSERT OR REPLACE INTO customers VALUES (1, 'eve')",
    "UPDATE salaries SET amount = 1",
    "UPDATE customers SET name = 'eve'",
    "UPDATE orders SET amount = salaries.amount FROM salaries",
    "UPDATE orders SET amount = (SELECT max(amount) FROM salaries)",
    "UPDATE orders SET amount = 1 WHERE id IN (SELECT id FROM salaries)",
    "WITH update AS (FROM salaries) UPDATE orders SET amount = update.amount FROM update",
    "DELETE FROM salaries",
    "DELETE FROM customers RETURNING *",
    "DELETE FROM orders USING salaries WHERE orders.id = salaries.id",
    "DELETE FROM orders WHERE amount < (SELECT max(amount) FROM salaries)",
    "MERGE INTO salaries USING orders USING (id) WHEN MATCHED THEN DELETE",
    "MERGE INTO orders USING salaries USING (id) WHEN MATCHED THEN DELETE",
    "MERGE INTO orders USING customers USING (id) WHEN MATCHED THEN UPDATE"
    " SET amount = (SELECT max(amount) FROM salaries)",
    "CREATE TABLE new AS SELECT * FROM salaries",
    "CREATE TABLE IF NOT EXISTS new AS WITH c AS (FROM salaries) FROM c",
    "CREATE TABLE hr.new AS SELECT * FROM orders",
    "CREATE TABLE memory.new AS SELECT * FROM orders",
    "CREATE TABLE memory.main.new AS SELECT 1 AS id",
    "CREATE TEMP VIEW orders AS SELECT * FROM salaries",
]

REFUSED = REFUSED_KINDS + REFUSED_FUNCTIONS + REFUSED_TABLES + REFUSED_TRICKS


def _stop(lake: Lake, sql: str) -> GovernanceError:
    """Run what must not run, check that nothing came of it, and return what was raised."""
    before, files = lake.contents(), sorted(Path().iterdir())
    # In scope for a replacement scan, which would make this relation readable by its variable's name.
    salaries_relation = lake.raw.sql("SELECT * FROM lake.main.salaries")
    with pytest.raises(GovernanceError) as stopped:
        lake.analyst.execute(sql)
    with pytest.raises(duckdb.InvalidInputException, match="no result"):
        lake.analyst.fetchall()
    assert lake.contents() == before
    assert sorted(Path().iterdir()) == files
    assert salaries_relation.columns == ["id", "amount"]
    return stopped.value


@pytest.mark.parametrize("sql", REFUSED_KINDS + REFUSED_FUNCTIONS, ids=_shortened)
def test_hostile_statement_is_refused_before_anybody_is_asked(lake: Lake, sql: str) -> None:
    assert isinstance(_stop(lake, sql), StatementRefused)
    assert lake.policy.asked == []


@pytest.mark.parametrize("sql", REFUSED_TABLES + REFUSED_TRICKS, ids=_shortened)
def test_hostile_name_or_trick_is_refused_or_denied(lake: Lake, sql: str) -> None:
    # Which of the two comes first depends on whether the subject could read what the trick pretends to read.
    _stop(lake, sql)


@pytest.mark.parametrize("sql", DENIED, ids=_shortened)
def test_statement_beyond_the_grants_is_denied_with_one_question(lake: Lake, sql: str) -> None:
    stopped = _stop(lake, sql)
    assert isinstance(stopped, AccessDenied)
    assert stopped.denials
    assert len(lake.policy.asked) == 1


def test_hostile_statements_are_distinct_and_many() -> None:
    assert len(set(REFUSED + DENIED)) == len(REFUSED) + len(DENIED) >= 60


READS_UNSEEN_BY_SQLGLOT = (
    "WITH RECURSIVE salaries AS (SELECT amount FROM salaries) SELECT * FROM salaries",
    "SELECT top_salary()",
)
READS_UNSEEN_BY_BINDER_NAMES = (
    "SELECT * REPLACE ((SELECT max(amount) FROM salaries) AS amount) FROM orders",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM information_schema.tables",
    "INSERT INTO salaries VALUES (3, 3000)",
)
GRANTED_READS = {("orders",), ("customers",)}


@pytest.mark.parametrize("sql", READS_UNSEEN_BY_SQLGLOT)
def test_control_an_analyzer_that_trusts_sqlglot_alone_lets_hostile_statements_through(
    lake: Lake, sql: str
) -> None:
    assert sql in REFUSED
    assert parse_statement(sql).reads <= GRANTED_READS, "the control would ask for nothing it does not have"
    assert (2000,) in lake.raw.execute(sql).fetchall(), "and salaries would be read"


@pytest.mark.parametrize("sql", READS_UNSEEN_BY_BINDER_NAMES)
def test_control_an_analyzer_that_trusts_the_binder_alone_lets_hostile_statements_through(
    lake: Lake, sql: str
) -> None:
    assert sql in REFUSED + DENIED
    names = named_tables(lake.raw, sql)
    assert names is not None
    assert names <= GRANTED_READS, "the control would ask for nothing it does not have"
    lake.raw.execute(sql)  # DuckDB itself has no objection


EFFECTS = [
    "DELETE FROM lake.main.orders WHERE id = 1",
    "UPDATE lake.main.customers SET name = 'eve'",
    "SELECT nextval('lake.main.counter')",
    "SET VARIABLE hidden = 'other'",
    "CREATE VIEW lake.main.new AS SELECT 1",
    "ATTACH ':memory:' AS z",
]


@pytest.mark.parametrize("sql", EFFECTS, ids=_shortened)
def test_control_the_comparison_sees_the_effect_of_an_ungoverned_statement(lake: Lake, sql: str) -> None:
    before = lake.contents()
    lake.raw.execute(sql).fetchall()
    assert lake.contents() != before
