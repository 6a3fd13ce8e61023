"""What the server reads from the text of a view or function: the references come from the text, or the text is refused."""

from __future__ import annotations

import pytest

from lakewarden_server.core.errors import InvalidArgument
from lakewarden_server.services.queries import Reading, read_expression, read_query

READ = {
    "SELECT * FROM orders": "main.sales.orders",
    "SELECT * FROM hr.people": "main.hr.people",
    "SELECT * FROM other.hr.people": "other.hr.people",
    'SELECT * FROM "Other"."HR"."People"': "Other.HR.People",
    "FROM orders": "main.sales.orders",
    "SELECT o.id FROM orders AS o JOIN ORDERS p USING (id)": "main.sales.orders",
    "SELECT 1 AS a": "",
    "WITH orders AS (SELECT 1 AS id) SELECT * FROM orders": "",
    "WITH orders AS (SELECT * FROM orders) SELECT * FROM orders": "main.sales.orders",
    "WITH a AS (SELECT * FROM x), x AS (SELECT 1) SELECT * FROM a, x": "main.sales.x",
    "WITH a AS (SELECT 1) SELECT * FROM main.sales.a": "main.sales.a",
    "WITH a AS (WITH b AS (SELECT * FROM c) SELECT * FROM b) SELECT * FROM a, b": "main.sales.b main.sales.c",
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i FROM r, t WHERE i < 9) SELECT * FROM r": "main.sales.t",
    "SELECT * FROM (SELECT * FROM a) AS s WHERE EXISTS (SELECT 1 FROM b WHERE b.x = s.x)": "main.sales.a main.sales.b",
    "SELECT (SELECT max(x) FROM a) FROM b ORDER BY (SELECT 1 FROM c)": "main.sales.a main.sales.b main.sales.c",
    "SELECT x FROM a UNION SELECT x FROM b EXCEPT SELECT x FROM c": "main.sales.a main.sales.b main.sales.c",
    "SELECT x FROM a UNION ALL SELECT x FROM b ORDER BY (SELECT 1 FROM c)": "main.sales.a main.sales.b main.sales.c",
    "SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.x = a.x)": "main.sales.a main.sales.b",
    "SELECT * FROM a PIVOT (sum(v) FOR k IN (1, 2))": "main.sales.a",
    "SELECT sum(x) OVER (PARTITION BY (SELECT 1 FROM b)) AS s FROM a": "main.sales.a main.sales.b",
    "SELECT main.hr.f(x) AS y FROM a": "main.hr.f() main.sales.a",
    "SELECT main.hr.f(main.hr.g((SELECT max(x) FROM b))) FROM a": "main.hr.f() main.hr.g() main.sales.a main.sales.b",
    "SELECT upper(x), no_such_builtin(x) FROM a": "main.sales.a",
    "SELECT * FROM unnest([1, 2])": "",
    "SELECT 1 -- FROM secret": "",
    "SELECT 'FROM secret' AS x /* FROM secret */": "",
}  # fmt: skip

REFUSED = [
    "",
    ";",
    "no sql at all (",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE a",
    "INSERT INTO a SELECT * FROM b",
    "DELETE FROM a",
    "DROP TABLE a",
    "CREATE TABLE x AS SELECT 1",
    "WITH x AS (INSERT INTO a VALUES (1) RETURNING *) SELECT * FROM x",
    "SELECT * INTO x FROM a",
    "SELECT * FROM a FOR UPDATE",
    "VALUES (1)",
    "1 + 1",
    "SELECT * FROM read_csv('x.csv')",
    "SELECT * FROM range(3)",
    "SELECT * FROM main.hr.f(1)",
    "SELECT * FROM a, LATERAL read_csv(a.name)",
    "SELECT * FROM 'x.csv'",
    "SELECT * FROM a.b.c.d",
    "SELECT * FROM a AT (VERSION => 1)",
    "SELECT main.hr.f(x) FILTER (WHERE TRUE) FROM a",
    "SELECT main.hr.f(x) WITHIN GROUP (ORDER BY x) FROM a",
    "SELECT main.hr.f(x) IGNORE NULLS FROM a",
    "SELECT main.hr.f(x) RESPECT NULLS OVER () FROM a",
    "SELECT main.hr.(f(x)) FROM a",
    "SELECT $1",
    "SELECT ? FROM a",
    "SELECT hr.f(x) FROM a",
    "SELECT x.upper() FROM a",
    "SELECT is_member('g')",
    "SELECT is_account_group_member(x) FROM a",
    "SELECT is_account_group_member('a', 'b')",
    # Whether the inner name is the query itself or a table is answered differently by different engines.
    "WITH RECURSIVE t AS (SELECT a FROM t) SELECT * FROM t",
    "WITH RECURSIVE t AS (SELECT a FROM t UNION ALL SELECT 1 FROM t) SELECT * FROM t",
    "DESCRIBE a",
    "SHOW TABLES",
    "PRAGMA table_info('a')",
    "SELECT " + "(" * 101 + "1" + ")" * 101,
    "SELECT " + " + ".join(["1"] * 20_000),
    "SELECT '" + "x" * 70_000 + "'",
]

EXPRESSIONS_REFUSED = [
    "",
    "SELECT 1",
    "*",
    "x AS y",
    "x; x",
    "t.x",
    "(SELECT max(y) FROM t)",
    "(SELECT max(y) FROM hr.t)",
    "f.g(x)",
    "DROP TABLE x",
    "$1",
    "x = ?",
]


def _found(reading: Reading) -> set[str]:
    return {found.full_name + ("()" if found.privilege == "EXECUTE" else "") for found in reading.references}


@pytest.mark.parametrize("sql", READ)
def test_references_are_read_from_the_text(sql: str) -> None:
    assert _found(read_query(sql, "", schema="main.sales")) == set(READ[sql].split())


@pytest.mark.parametrize("sql", READ)
def test_text_in_full_reads_the_same_in_any_schema(sql: str) -> None:
    """What engines are given names everything in full: read again elsewhere, it means the same."""
    reading = read_query(sql, "", schema="main.sales")
    assert _found(read_query(reading.text, "", schema="elsewhere.quite")) == _found(reading)


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: ascii(sql[:50]))
def test_what_is_no_plain_query_is_refused(sql: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_query(sql, "", schema="main.sales")
    assert refused.value.reason == "DEFINITION_INVALID"


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("snowflake", "SELECT * FROM TABLE(f(1))"),
        ("snowflake", "SELECT * FROM @stage"),
        ("snowflake", "SELECT * FROM IDENTIFIER('a.b.c')"),
        ("spark", "SELECT TRANSFORM(a) USING 'script' FROM t"),
        ("spark", "SELECT * FROM parquet.`/etc/data`"),
        ("databricks", "SELECT * FROM read_files('x')"),
        ("databricks", "SELECT * FROM STREAM(t)"),
        ("trino", "SELECT * FROM TABLE(system.query('x'))"),
        ("postgres", "SELECT * FROM ROWS FROM (generate_series(1, 2))"),
    ],
)
def test_what_only_one_dialect_has_in_from_is_refused(dialect: str, sql: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_query(sql, dialect, schema="main.sales")
    assert refused.value.reason == "DEFINITION_INVALID"


def test_arrays_are_exploded_in_sparks_words() -> None:
    reading = read_query("SELECT y FROM t LATERAL VIEW explode(xs) e AS y", "spark", schema="main.sales")
    assert _found(reading) == {"main.sales.t"}


@pytest.mark.parametrize(("dialect", "sql"), [
    ("sqlite", "SELECT id FROM a WHERE id IN secret"),
    ("sqlite", "SELECT id FROM a WHERE id IN hr.secret"),
    ("bigquery", "SELECT `main.hr.f`(id) FROM a"),
    ("spark", "SELECT TRANSFORM(id) USING 'cat /etc/passwd' AS (x) FROM a"),
    ("hive", "SELECT TRANSFORM(id) USING 'cat /etc/passwd' AS (x) FROM a"),
])  # fmt: skip
def test_what_a_dialect_would_read_or_run_beyond_its_references_is_refused(dialect: str, sql: str) -> None:
    with pytest.raises(InvalidArgument):
        read_query(sql, dialect, schema="main.sales")


def test_in_with_a_list_is_read_in_every_dialect() -> None:
    for right in ("(1, 2)", "(SELECT id FROM b)"):
        assert read_query(f"SELECT id FROM a WHERE id IN {right}", "sqlite", schema="main.sales").references
    assert read_query("SELECT id FROM a WHERE id IN tags", "duckdb", schema="main.sales").references


def test_dialects_are_read_as_such() -> None:
    spark = read_query("SELECT `a b` FROM `sales`.`orders`", "spark", schema="main.sales")
    assert _found(spark) == {"main.sales.orders"}
    with pytest.raises(InvalidArgument, match="dialect"):
        read_query("SELECT 1", "cobol", schema="main.sales")


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT id, amount AS price FROM a", ("id", "price")),
        ("SELECT id FROM a UNION SELECT x FROM b", ("id",)),
        ("WITH c AS (SELECT 1 AS x) SELECT x FROM c", ("x",)),
        ("SELECT * FROM a", ()),
        ("SELECT id, count(*) FROM a GROUP BY id", ()),
        ("SELECT a.* FROM a", ()),
    ],
)
def test_columns_are_named_where_the_text_names_all(sql: str, names: tuple[str, ...]) -> None:
    assert read_query(sql, "", schema="main.sales").columns == names


def test_expression_says_which_names_and_functions_it_uses() -> None:
    reading = read_expression("CASE WHEN current_user() = y THEN X ELSE main.hr.f(x, upper(x)) END")
    assert sorted(map(str.lower, reading.columns)) == ["x", "y"]
    assert _found(reading) == {"main.hr.f()"}
    subquery = read_expression("(SELECT max(y) FROM main.hr.t WHERE t.id = x)")
    assert _found(subquery) == {"main.hr.t"}


@pytest.mark.parametrize("sql", EXPRESSIONS_REFUSED)
def test_what_is_no_expression_of_parameters_is_refused(sql: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_expression(sql)
    assert refused.value.reason == "DEFINITION_INVALID"
