"""What each kind of statement writes, and how its columns are named; parts of queries that engines do not share."""

from __future__ import annotations

import pytest

from lakewarden_server.lineage.sql import tracing
from lakewarden_server.lineage.sql.traced import (
    STATEMENTS_MAX,
    TEXT_BYTES_MAX,
    Kind,
    Path,
    Reason,
    TableName,
)
from lakewarden_server.lineage.sql.tracing import trace
from lineage.sql.catalog import columns_of, lines, names, only, traced

TARGET = TableName("main", "sales", "t")


@pytest.mark.parametrize(
    ("sql", "kind", "columns"),
    [
        ("CREATE TABLE t AS SELECT id, amount FROM orders", Kind.CREATE_TABLE, ("id", "amount")),
        ("CREATE OR REPLACE TABLE t AS FROM customers", Kind.CREATE_TABLE, ("id", "name", "region")),
        ("CREATE VIEW t (a, b) AS SELECT id, amount FROM orders", Kind.CREATE_VIEW, ("a", "b")),
        ("CREATE OR REPLACE VIEW t AS SELECT id FROM orders", Kind.CREATE_VIEW, ("id",)),
        ("CREATE MATERIALIZED VIEW t AS SELECT id FROM orders", Kind.CREATE_VIEW, ("id",)),
        ("CREATE TABLE t (a INT, b INT)", Kind.CREATE_TABLE, ()),
        ("INSERT INTO t (a, b) SELECT id, amount FROM orders", Kind.INSERT, ("a", "b")),
        ("WITH o AS (FROM orders) INSERT INTO t (a) SELECT id FROM o", Kind.INSERT, ("a",)),
        ("SELECT id, amount INTO t FROM orders", Kind.CREATE_TABLE, ("id", "amount")),
    ],
)
def test_statements_write_their_target(sql: str, kind: Kind, columns: tuple[str, ...]) -> None:
    answer = traced(sql, "postgres" if "INTO t FROM" in sql else "duckdb")
    assert (answer.kind, answer.writes, answer.columns, answer.reason) == (kind, TARGET, columns, None)


def test_select_writes_nothing() -> None:
    answer = traced("SELECT id FROM orders")
    assert (answer.kind, answer.writes, answer.columns) == (Kind.SELECT, None, ("id",))


def test_unnamed_columns_take_the_name_the_catalog_has_if_the_others_agree() -> None:
    sql = "CREATE OR REPLACE VIEW v AS SELECT id, count(*) FROM orders GROUP BY id"
    assert traced(sql, columns=only({"orders": ["id"], "v": ["id", "count_star()"]})).columns == (
        "id",
        "count_star()",
    )
    assert traced(sql, columns=only({"orders": ["id"], "v": ["key", "n"]})).columns == ("id", "_col_1")
    assert traced(sql, columns=only({"orders": ["id"]})).columns == ("id", "_col_1")


def test_each_statement_of_a_text_has_an_answer() -> None:
    text = "CREATE TEMP TABLE x AS SELECT id FROM orders; DROP TABLE y; INSERT INTO target (id) SELECT id FROM customers;"
    answers = trace(text, dialect="duckdb", columns_of=columns_of, catalog="main", schema="sales")
    assert [answer.kind for answer in answers] == [Kind.CREATE_TABLE, Kind.OTHER, Kind.INSERT]
    assert answers[1].reason is Reason.UNSUPPORTED
    assert names(answers[2].reads) == ["customers"]


def test_tables_that_a_text_makes_are_known_to_what_follows() -> None:
    text = """CREATE TEMP TABLE x AS SELECT id, amount * 2 AS twice FROM orders; CREATE TABLE y (a INT, b INT);
    INSERT INTO y SELECT * FROM x; CREATE TABLE z AS SELECT ghost FROM x; CREATE TABLE IF NOT EXISTS target AS SELECT 1 AS one;
    SELECT one FROM target"""
    answers = trace(text, dialect="duckdb", columns_of=columns_of, catalog="main", schema="sales")
    assert lines(answers[2]) == {"a = IDENTITY x.id", "b = IDENTITY x.twice"}
    assert [answer.reason for answer in answers[3:]] == [Reason.COLUMN_UNKNOWN, None, Reason.COLUMN_UNKNOWN]


def test_insert_into_several_tables_is_several_statements() -> None:
    text = "FROM orders INSERT INTO target (id) SELECT id INSERT INTO other (a) SELECT amount"
    answers = trace(text, dialect="spark", columns_of=columns_of, catalog="main", schema="sales")
    assert [(answer.writes[-1], lines(answer)) for answer in answers if answer.writes] == [
        ("target", {"id = IDENTITY orders.id"}),
        ("other", {"a = IDENTITY orders.amount"}),
    ]


def test_static_partitions_take_no_position() -> None:
    answer = traced("INSERT OVERWRITE target PARTITION (id = 1) SELECT customer, amount FROM orders", "spark")
    assert lines(answer) == {"name = IDENTITY orders.customer", "amount = IDENTITY orders.amount"}


def test_replace_where_and_on_conflict_see_the_target() -> None:
    answer = traced(
        "INSERT INTO target REPLACE WHERE amount > 5 SELECT id, name, 1 FROM customers", "databricks"
    )
    assert "* = FILTER target.amount" in lines(answer)
    answer = traced(
        "INSERT INTO target (id, amount) SELECT id, amount FROM orders"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.amount || target.name",
        "postgres",
    )
    assert lines(answer) == {
        "id = IDENTITY orders.id",
        "amount = IDENTITY orders.amount",
        "name = TRANSFORMATION orders.amount",
        "name = TRANSFORMATION target.name",
        "* = JOIN orders.id",
    }


def test_assignments_of_several_columns_and_of_fields() -> None:
    answer = traced("UPDATE target SET (id, name) = (SELECT c.id, c.name FROM customers c WHERE c.region = target.name)", "postgres")  # fmt: skip
    assert lines(answer) == {
        "id = IDENTITY customers.id",
        "name = IDENTITY customers.name",
        "* = FILTER customers.region",
        "* = FILTER target.name",
    }
    answer = traced("UPDATE orders SET address.city = status WHERE id = 1", "databricks")
    assert answer.columns == ("address",)


def test_merge_inserts_rows_whole_and_insert_takes_a_table() -> None:
    answer = traced(
        "MERGE target USING customers c ON target.id = c.id WHEN NOT MATCHED THEN INSERT ROW", "bigquery"
    )
    assert {"id = IDENTITY customers.id", "amount = IDENTITY customers.region"} <= lines(answer)
    assert "name = IDENTITY customers.name" in lines(traced("INSERT INTO target TABLE customers", "spark"))


def test_clauses_that_are_not_followed_are_told() -> None:
    answer = traced(
        "SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY id ORDER BY amount MEASURES first(id) AS f PATTERN (x) DEFINE x AS id > 1)",
        "snowflake",
    )
    assert answer.reason is Reason.UNSUPPORTED
    assert traced("SELECT * FROM my_function(1)").reason is Reason.FUNCTION_UNKNOWN
    assert traced("SELECT posexplode(address) FROM orders", "spark").reason is Reason.COLUMNS_UNKNOWN


def test_clones_and_copies_take_every_column() -> None:
    expected = {
        "id = IDENTITY customers.id",
        "name = IDENTITY customers.name",
        "region = IDENTITY customers.region",
    }
    assert lines(traced("CREATE TABLE t CLONE customers", "databricks")) == expected
    answer = traced("COPY customers TO 'x.csv'")
    assert (answer.writes, lines(answer)) == (Path("x.csv"), expected)
    answer = traced("COPY INTO target (id) FROM (SELECT k::INT FROM 's3://lake/x')", "databricks")
    assert {(use.target, use.source, use.column) for use in answer.uses} == {("id", Path("s3://lake/x"), "k")}


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("databricks", "COPY INTO target FROM 's3://lake/x' FILEFORMAT = PARQUET"),
        ("spark", "COPY INTO target FROM 's3://lake/x' FILEFORMAT = JSON FILES = ('a.json', 'b.json')"),
        (
            "databricks",
            "COPY INTO target FROM 's3://lake/x' FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'true')",
        ),
        ("databricks", "COPY INTO target FROM (SELECT name, id, amount FROM 's3://lake/x') FILEFORMAT = CSV"),
        ("snowflake", "COPY INTO target FROM 's3://lake/x' MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"),
        ("duckdb", "COPY target FROM 's3://lake/x' (FORMAT json)"),
        ("duckdb", "COPY target FROM 's3://lake/x.jsonl'"),
    ],
)
def test_columns_of_files_that_are_matched_by_name_are_those_of_the_table(dialect: str, sql: str) -> None:
    answer = traced(sql, dialect)
    (file,) = answer.reads
    assert (answer.kind, answer.reason) == (Kind.COPY, None)
    assert lines(answer) == {f"{name} = IDENTITY {file[-1]}.{name}" for name in ("id", "name", "amount")}


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("databricks", "COPY INTO target BY POSITION FROM 's3://lake/x' FILEFORMAT = PARQUET"),
        ("databricks", "COPY INTO target FROM 's3://lake/x' FILEFORMAT = CSV"),
        (
            "databricks",
            "COPY INTO target FROM 's3://lake/x' FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'false')",
        ),
        ("snowflake", "COPY INTO target FROM 's3://lake/x' FILE_FORMAT = (TYPE = PARQUET)"),
        ("duckdb", "COPY target FROM 's3://lake/x' (FORMAT parquet)"),
    ],
)
def test_columns_of_files_that_are_matched_by_position_are_not_guessed(dialect: str, sql: str) -> None:
    answer = traced(sql, dialect)
    assert (answer.reads, names([answer.writes or Path("")])) == ((Path("s3://lake/x"),), ["target"])
    assert (answer.uses, answer.reason) == ((), Reason.COLUMNS_UNKNOWN)


def test_what_a_text_wrote_into_a_file_is_known_where_it_reads_the_file() -> None:
    made = "COPY (SELECT id AS a, customer AS b FROM orders) TO 's3://lake/x'; "
    for reading, expected in {
        "COPY target (name, id) FROM 's3://lake/x'": {"name = IDENTITY x.a", "id = IDENTITY x.b"},
        "COPY target FROM 's3://lake/x'": {"id = IDENTITY x.a", "name = IDENTITY x.b"},
    }.items():
        _, answer = trace(
            made + reading, dialect="duckdb", columns_of=columns_of, catalog="main", schema="sales"
        )
        assert {line.replace("s3://lake/", "") for line in lines(answer)} == expected
    by_position = "COPY INTO target BY POSITION FROM (SELECT customer, status FROM orders) FILEFORMAT = CSV"
    assert lines(traced(by_position, "databricks")) == {
        "id = IDENTITY orders.customer",
        "name = IDENTITY orders.status",
    }


@pytest.mark.parametrize("sql", ["DROP TABLE t", "CALL f()", "SET x = 1", "DESCRIBE orders", "nonsense"])
def test_what_moves_no_data_says_so(sql: str) -> None:
    answer = traced(sql)
    assert (answer.kind, answer.reads, answer.writes, answer.reason) == (
        Kind.OTHER,
        (),
        None,
        Reason.UNSUPPORTED,
    )


def test_parts_that_are_not_followed_leave_the_tables() -> None:
    answer = traced(
        "WITH x AS (DELETE FROM orders RETURNING id) INSERT INTO target (id) SELECT x.id FROM x, customers",
        "postgres",
    )
    assert (answer.kind, answer.writes, answer.reason) == (
        Kind.INSERT,
        TableName("main", "sales", "target"),
        Reason.UNSUPPORTED,
    )
    assert (names(answer.reads), answer.uses) == (["customers", "orders"], ())


@pytest.mark.parametrize(
    ("sql", "reads", "writes"),
    [
        ("MERGE WITH SCHEMA EVOLUTION INTO target USING orders o ON o.id = target.id WHEN MATCHED THEN UPDATE SET *", ["orders"], "target"),
        ("CREATE TABLE t DEEP CLONE sales.customers VERSION AS OF 3", ["customers"], None),
        ("WITH orders AS (SELECT 1) SELECT ) FROM orders JOIN `main`.`sales`.`customers` c", ["customers"], None),
        ("INSERT INTO TABLE target SELECT extract(day FROM id) ) FROM orders, nowhere", ["orders"], "target"),
        ("SELECT id FROM (" * 1_000 + "SELECT id FROM orders" + ")" * 1_000, ["orders"], None),
        ("SHOW COLUMNS FROM orders", [], None),
        ("EXPLAIN SELECT id FROM orders", [], None),
    ],
)  # fmt: skip
def test_known_tables_are_told_of_what_does_not_parse(sql: str, reads: list[str], writes: str | None) -> None:
    answer = traced(sql, "databricks")
    assert (answer.kind, names(answer.reads), answer.uses) == (Kind.OTHER, reads, ())
    assert (answer.writes[-1] if answer.writes else None) == writes
    assert answer.reason in {Reason.SYNTAX, Reason.UNSUPPORTED, Reason.NESTED_TOO_DEEP}


def test_statement_that_does_not_parse_takes_no_other_along() -> None:
    text = "SELECT id FROM orders; SELECT ) FROM customers; SELECT name FROM customers"
    answers = trace(text, dialect="duckdb", columns_of=columns_of, catalog="main", schema="sales")
    assert [answer.reason for answer in answers] == [None, Reason.SYNTAX, None]
    assert [names(answer.reads) for answer in answers] == [["orders"], ["customers"], ["customers"]]


def test_what_does_not_parse_or_is_too_much_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert traced("SELECT FROM WHERE").reason is Reason.SYNTAX
    assert traced("SELECT 1", "oracle").reason is Reason.DIALECT_UNKNOWN
    assert traced(f"SELECT '{'x' * TEXT_BYTES_MAX}'").reason is Reason.TEXT_TOO_LONG
    assert traced("SELECT 1;" * (STATEMENTS_MAX + 1)).reason is Reason.TOO_MANY_STATEMENTS
    # As many as it really takes half a minute to write down.
    monkeypatch.setattr(tracing, "USES_MAX", 4_000)
    wide = [f"c{number}" for number in range(400)]
    every = " + ".join(wide)
    many = ", ".join(f"{every} AS s{number}" for number in range(11))
    answer = traced(f"CREATE TABLE t AS SELECT {many} FROM wide", columns=only({"wide": wide}))
    assert (answer.uses, names(answer.reads), answer.reason) == ((), ["wide"], Reason.TOO_MANY_USES)


@pytest.mark.parametrize(
    ("sql", "dialect", "expected"),
    [
        ("SELECT id, tag FROM orders LATERAL VIEW explode(address) e AS tag", "spark", {"tag = TRANSFORMATION orders.address"}),
        ("SELECT tag FROM orders, UNNEST(address) AS u (tag)", "trino", {"tag = TRANSFORMATION orders.address"}),
        ("SELECT f.value FROM orders, LATERAL flatten(input => address) f", "snowflake", {"value = TRANSFORMATION orders.address"}),
        ("SELECT explode(address) AS (k, v) FROM orders", "spark", {"k = TRANSFORMATION orders.address", "v = TRANSFORMATION orders.address"}),
        ("SELECT m FROM orders o, LATERAL (SELECT max(c.id) AS m FROM customers c WHERE c.name = o.customer)", "duckdb", {"m = AGGREGATION customers.id", "* = FILTER orders.customer"}),
        ("SELECT * FROM (SELECT id, amount, status FROM orders) PIVOT (sum(amount) FOR status IN ('a', 'b'))", "duckdb", {"a = AGGREGATION orders.amount", "a = CONDITIONAL orders.status", "* = GROUP_BY orders.id"}),
        ("SELECT * FROM (SELECT id, amount, customer FROM orders) UNPIVOT (v FOR n IN (amount, customer))", "duckdb", {"v = TRANSFORMATION orders.amount", "id = IDENTITY orders.id"}),
        ("SELECT * EXCLUDE (address, status) REPLACE (amount * 2 AS amount) FROM orders", "duckdb", {"amount = TRANSFORMATION orders.amount", "id = IDENTITY orders.id"}),
        ("SELECT * FROM STREAM(main.sales.customers)", "databricks", {"name = IDENTITY customers.name"}),
        ("SELECT string_agg(status, ',' ORDER BY amount) AS s, max(id) AS m FROM orders", "postgres", {"s = AGGREGATION orders.status", "s = SORT orders.amount"}),
        ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) AS p FROM orders", "postgres", {"p = AGGREGATION orders.amount"}),
        ("SELECT sum(amount) FILTER (WHERE status = 'a') AS s, max(id) AS m FROM orders", "duckdb", {"s = AGGREGATION orders.amount", "s = FILTER orders.status"}),
        ("SELECT sum(amount) OVER w AS s, status FROM orders WINDOW w AS (PARTITION BY customer ORDER BY id)", "duckdb", {"s = AGGREGATION orders.amount", "s = WINDOW orders.customer", "s = WINDOW orders.id"}),
        ("SELECT id FROM orders QUALIFY row_number() OVER (PARTITION BY customer ORDER BY amount) = 1", "snowflake", {"* = FILTER orders.customer", "* = FILTER orders.amount"}),
        ("SELECT id FROM orders SEMI JOIN customers ON customers.id = orders.customer", "duckdb", {"* = JOIN customers.id", "id = IDENTITY orders.id"}),
        ("SELECT DISTINCT status FROM orders", "duckdb", {"* = GROUP_BY orders.status"}),
        ("SELECT id FROM orders EXCEPT SELECT id FROM customers", "duckdb", {"* = FILTER customers.id", "id = IDENTITY orders.id"}),
        ("SELECT id AS a FROM orders UNION ALL BY NAME SELECT name AS b, id AS a FROM customers", "duckdb", {"a = IDENTITY customers.id", "b = IDENTITY customers.name"}),
        ("WITH RECURSIVE r (a, b) AS (SELECT id, amount FROM orders UNION ALL SELECT b, a + 1 FROM r WHERE a < 9) SELECT * FROM r", "duckdb", {"a = IDENTITY orders.amount", "b = TRANSFORMATION orders.id", "* = FILTER orders.id", "* = FILTER orders.amount"}),
        ("SELECT list_transform(address, x -> x || status) AS l FROM orders", "duckdb", {"l = TRANSFORMATION orders.address", "l = TRANSFORMATION orders.status"}),
        ("SELECT a.lower() AS l, main.sales.f(id) AS g FROM (SELECT status AS a, id FROM orders)", "duckdb", {"l = TRANSFORMATION orders.status", "g = TRANSFORMATION orders.id"}),
        ("SELECT id FROM (orders JOIN customers c ON orders.customer = c.id) j WHERE name = 'x'", "postgres", {"* = FILTER customers.name"}),
        ("SELECT o.id, c.name FROM orders o ASOF JOIN customers c MATCH_CONDITION (o.amount >= c.region) ON o.id = c.id", "snowflake", {"* = JOIN orders.amount", "* = JOIN customers.region"}),
        ("SELECT posexplode(address) AS (p, v) FROM orders", "spark", {"p = TRANSFORMATION orders.address", "v = TRANSFORMATION orders.address"}),
        ("SELECT o FROM orders o", "postgres", {"o = TRANSFORMATION orders.id", "o = TRANSFORMATION orders.address"}),
    ],
)  # fmt: skip
def test_parts_of_queries(sql: str, dialect: str, expected: set[str]) -> None:
    answer = traced(sql, dialect)
    assert expected <= lines(answer)


def test_hashes_mask_unless_the_value_is_shown_too() -> None:
    answer = traced(
        "SELECT md5(customer) AS a, md5(customer) || customer AS b, hash(id + 1) AS c FROM orders"
    )
    assert lines(answer) == {
        "a = TRANSFORMATION orders.customer masked",
        "b = TRANSFORMATION orders.customer",
        "c = TRANSFORMATION orders.id masked",
    }


def test_what_holds_for_all_columns_stands_once() -> None:
    answer = traced(
        "SELECT sum(id) OVER (ORDER BY status) AS a, sum(amount) OVER (ORDER BY status) AS b FROM orders"
    )
    assert lines(answer) == {
        "a = AGGREGATION orders.id",
        "b = AGGREGATION orders.amount",
        "* = WINDOW orders.status",
    }


def test_what_one_reader_of_a_common_table_filters_is_not_said_of_another() -> None:
    answer = traced(
        """WITH c AS (SELECT id FROM customers WHERE region = 'EU')
        SELECT id, (SELECT max(c.id) FROM orders o JOIN orders p ON true JOIN c ON true WHERE o.amount > 1) AS m FROM c"""
    )
    assert lines(answer) == {
        "id = IDENTITY customers.id",
        "m = AGGREGATION customers.id",
        "m = FILTER orders.amount",
        "* = FILTER customers.region",
    }


def test_common_tables_that_nobody_reads_are_not_read() -> None:
    assert names(traced("WITH c AS (FROM customers) SELECT id FROM orders").reads) == ["orders"]
