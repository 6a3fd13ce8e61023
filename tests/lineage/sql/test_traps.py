"""What tracing SQL is known to get wrong: each trap has a test, with what must come out."""

from __future__ import annotations

import time

import pytest

from lakewarden_server.lineage.sql.traced import Kind, Path, Reason, TableName
from lineage.sql.catalog import lines, names, only, traced


@pytest.mark.parametrize("tables", [10, 60])
def test_chains_of_stars_over_wide_tables_take_linear_time(tables: int) -> None:
    columns = [f"c{number}" for number in range(300)]
    chain = [f"x{n} AS (SELECT * FROM {f'x{n - 1}' if n else 'wide'})" for n in range(tables)]
    began = time.process_time()
    answer = traced(
        f"CREATE TABLE t AS WITH {', '.join(chain)} SELECT * FROM x{tables - 1}",
        columns=only({"wide": columns}),
    )
    assert time.process_time() - began < 2
    assert list(answer.columns) == columns
    assert lines(answer) == {f"{name} = IDENTITY wide.{name}" for name in columns}


def test_aliases_that_double_each_other_take_linear_time() -> None:
    doubled = ", ".join(f"a{n - 1} + a{n - 1} AS a{n}" for n in range(1, 200))
    assert "a199 = TRANSFORMATION orders.id" in lines(traced(f"SELECT id AS a0, {doubled} FROM orders"))


def test_outputs_of_one_name_are_all_kept_and_map_by_position() -> None:
    joined = "SELECT o.id, c.id, o.amount FROM orders o, customers c"
    assert lines(traced(joined)) == {
        "id = IDENTITY orders.id",
        "id_1 = IDENTITY customers.id",
        "amount = IDENTITY orders.amount",
    }
    assert lines(traced(f"INSERT INTO target {joined}")) == {
        "id = IDENTITY orders.id",
        "name = IDENTITY customers.id",
        "amount = IDENTITY orders.amount",
    }
    assert lines(traced(f"INSERT INTO target SELECT * FROM ({joined})")) == lines(
        traced(f"INSERT INTO target {joined}")
    )


def test_insert_maps_by_list_by_position_and_by_name() -> None:
    query = "SELECT customer AS amount, id FROM orders"
    expected = {
        "INSERT INTO target (name, id)": {"name = IDENTITY orders.customer", "id = IDENTITY orders.id"},
        "INSERT INTO target": {"id = IDENTITY orders.customer", "name = IDENTITY orders.id"},
        "INSERT INTO target BY NAME": {"amount = IDENTITY orders.customer", "id = IDENTITY orders.id"},
    }
    for insert, uses in expected.items():
        answer = traced(f"{insert} {query}")
        assert (answer.kind, answer.writes) == (Kind.INSERT, TableName("main", "sales", "target"))
        assert {line for line in lines(answer) if not line.startswith("*")} == uses, insert


def test_values_are_sourceless_and_copy_knows_both_ends() -> None:
    answer = traced("INSERT INTO target VALUES (1, 'x', (SELECT max(amount) FROM orders))")
    assert answer.sourceless == ("id", "name")
    assert lines(answer) == {"amount = AGGREGATION orders.amount"}
    answer = traced("COPY (SELECT id AS key FROM orders) TO 's3://lake/out.parquet'")
    assert (answer.writes, lines(answer)) == (Path("s3://lake/out.parquet"), {"key = IDENTITY orders.id"})
    answer = traced("COPY target FROM 's3://lake/in.csv'")
    assert (answer.reads, names([answer.writes or Path("")])) == ((Path("s3://lake/in.csv"),), ["target"])
    assert answer.reason is Reason.COLUMNS_UNKNOWN


def test_merge_is_its_branches_and_not_the_query_inside() -> None:
    answer = traced(
        """MERGE INTO target t USING (SELECT id, customer, amount FROM orders WHERE status = 'open') s ON t.id = s.id
        WHEN MATCHED AND s.amount > 10 THEN UPDATE SET amount = t.amount + s.amount
        WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, upper(s.customer))"""
    )
    assert (answer.kind, names(answer.reads)) == (Kind.MERGE, ["orders", "target"])
    assert lines(answer) == {
        "amount = TRANSFORMATION target.amount",
        "amount = TRANSFORMATION orders.amount",
        "id = IDENTITY orders.id",
        "name = TRANSFORMATION orders.customer",
        "* = FILTER orders.status",
        "* = FILTER orders.amount",
        "* = JOIN orders.id",
        "* = JOIN target.id",
    }


def test_merge_with_stars_assigns_every_column_by_name() -> None:
    answer = traced(
        "MERGE INTO target USING (SELECT id, customer AS name, amount FROM orders) s ON target.id = s.id"
        " WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
        "databricks",
    )
    assert {line for line in lines(answer) if line[0] != "*"} == {
        "id = IDENTITY orders.id",
        "name = IDENTITY orders.customer",
        "amount = IDENTITY orders.amount",
    }


def test_update_and_delete_are_not_the_query_inside() -> None:
    answer = traced(
        "UPDATE target SET name = c.name FROM customers c WHERE c.id = target.id AND region = 'EU'"
    )
    assert (answer.kind, answer.columns) == (Kind.UPDATE, ("name",))
    assert lines(answer) == {
        "name = IDENTITY customers.name",
        "* = FILTER customers.id",
        "* = FILTER customers.region",
        "* = FILTER target.id",
    }
    answer = traced("DELETE FROM target WHERE id IN (SELECT id FROM orders WHERE status = 'void')")
    assert (answer.kind, answer.columns) == (Kind.DELETE, ())
    assert lines(answer) == {"* = FILTER target.id", "* = FILTER orders.id", "* = FILTER orders.status"}


def test_clauses_are_told_apart() -> None:
    answer = traced(
        """SELECT region, sum(amount) AS total, CASE WHEN status = 'open' THEN o.id END AS open_id,
            rank() OVER (PARTITION BY name ORDER BY amount) AS place
        FROM orders o JOIN customers c ON o.customer = c.id
        WHERE address IS NOT NULL GROUP BY region HAVING sum(amount) > 5 ORDER BY region"""
    )
    assert lines(answer) == {
        "region = IDENTITY customers.region",
        "total = AGGREGATION orders.amount",
        "open_id = TRANSFORMATION orders.id",
        "open_id = CONDITIONAL orders.status",
        "place = WINDOW customers.name",
        "place = WINDOW orders.amount",
        "* = JOIN orders.customer",
        "* = JOIN customers.id",
        "* = FILTER orders.address",
        "* = GROUP_BY customers.region",
        "* = FILTER orders.amount",
        "* = SORT customers.region",
    }


def test_predicates_of_correlated_subqueries_are_kept() -> None:
    answer = traced(
        "SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer = c.id AND amount > 5)"
    )
    assert lines(answer) == {
        "name = IDENTITY customers.name",
        "* = FILTER customers.id",
        "* = FILTER orders.customer",
        "* = FILTER orders.amount",
    }


def test_aliases_in_order_by_and_group_by_lead_through_the_projection() -> None:
    answer = traced("SELECT upper(status) AS s, amount * 2 AS d FROM orders GROUP BY s, 2 ORDER BY d DESC, 1")
    assert {line for line in lines(answer) if line[0] == "*"} == {
        "* = GROUP_BY orders.status",
        "* = GROUP_BY orders.amount",
        "* = SORT orders.amount",
        "* = SORT orders.status",
    }


def test_columns_the_catalog_does_not_have_are_never_invented() -> None:
    answer = traced("SELECT id, nonsense, amount + nonsense AS sum FROM orders WHERE ghost > 1")
    assert lines(answer) == {"id = IDENTITY orders.id", "sum = TRANSFORMATION orders.amount"}
    assert (answer.reason, answer.unresolved) == (Reason.COLUMN_UNKNOWN, ("nonsense", "ghost"))
    assert answer.sourceless == ()
    answer = traced("INSERT INTO target (id, nonsense) SELECT id, amount FROM orders")
    assert (lines(answer), answer.reason) == ({"id = IDENTITY orders.id"}, Reason.COLUMN_UNKNOWN)


def test_tables_the_catalog_does_not_have_are_read_without_columns() -> None:
    answer = traced("SELECT a, orders.id FROM elsewhere.unknown, orders")
    assert answer.reads == (TableName("main", "elsewhere", "unknown"), TableName("main", "sales", "orders"))
    assert (lines(answer), answer.reason) == ({"id = IDENTITY orders.id"}, Reason.TABLE_UNKNOWN)
    answer = traced("CREATE TABLE t AS SELECT o.id, u.*, amount AS last FROM orders o, unknown u")
    assert (answer.columns, answer.reason) == (("id", "last"), Reason.COLUMNS_UNKNOWN)


def test_positions_behind_an_unknown_star_are_not_guessed() -> None:
    answer = traced("INSERT INTO target SELECT id, u.*, amount FROM orders, unknown u")
    assert (lines(answer), answer.reason) == ({"id = IDENTITY orders.id"}, Reason.COLUMNS_UNKNOWN)


@pytest.mark.parametrize(
    ("dialect", "source", "url"),
    [
        ("databricks", "read_files('s3://lake/raw', format => 'csv')", "s3://lake/raw"),
        ("databricks", "delta.`abfss://c@a.dfs.core.windows.net/t`", "abfss://c@a.dfs.core.windows.net/t"),
        ("spark", "parquet.`/data/x`", "/data/x"),
        ("duckdb", "read_parquet('x.parquet')", "x.parquet"),
        ("duckdb", "read_csv('s3://lake/x.csv', header = true)", "s3://lake/x.csv"),
        ("duckdb", "'x.parquet'", "x.parquet"),
        ("snowflake", "@stage/x.csv", "@stage/x.csv"),
    ],
)
def test_files_are_paths_whose_columns_are_those_the_text_names(dialect: str, source: str, url: str) -> None:
    answer = traced(
        f"CREATE TABLE t AS WITH f AS (SELECT * FROM {source}) SELECT a, f.b + 1 AS b FROM f", dialect
    )
    assert answer.reads == (Path(url),)
    assert {(use.target, use.column, use.source) for use in answer.uses} == {
        ("a", "a", Path(url)),
        ("b", "b", Path(url)),
    }
    assert traced(f"CREATE TABLE t AS SELECT * FROM {source}", dialect).reason is Reason.COLUMNS_UNKNOWN


def test_schemas_named_like_a_format_are_schemas() -> None:
    answer = traced("SELECT 1 FROM delta.orders, main.csv.x", "databricks")
    assert answer.reads == (TableName("main", "delta", "orders"), TableName("main", "csv", "x"))


def test_counts_and_literals_are_sourceless() -> None:
    answer = traced("SELECT count(*) AS n, 'x' AS x, current_date AS d, count(id) AS ids FROM orders")
    assert (answer.sourceless, answer.reason) == (("n", "x", "d"), None)


def test_ambiguous_columns_are_told_and_left_out() -> None:
    answer = traced("SELECT id, amount FROM orders, customers")
    assert (answer.reason, answer.unresolved) == (Reason.COLUMN_AMBIGUOUS, ("id",))
    assert lines(answer) == {"amount = IDENTITY orders.amount"}


@pytest.mark.parametrize("join", ["JOIN customers USING (id)", "NATURAL JOIN customers"])
def test_using_and_natural_give_both_sides_once(join: str) -> None:
    answer = traced(f"SELECT * FROM orders {join}")
    assert answer.columns == ("id", "customer", "amount", "status", "address", "name", "region")
    assert {"id = IDENTITY orders.id", "id = IDENTITY customers.id"} <= lines(answer)
    assert {"* = JOIN orders.id", "* = JOIN customers.id"} <= lines(answer)
    assert "id = IDENTITY customers.id" in lines(traced(f"SELECT id FROM orders {join}"))


def test_fields_of_structs_are_the_column() -> None:
    for field in ("address.city", "orders.address.city", "address.geo.lat", "sales.orders.address.city"):
        answer = traced(f"SELECT {field} AS x FROM orders", "databricks")
        assert lines(answer) == {"x = TRANSFORMATION orders.address"}, field
    assert lines(traced("SELECT address:geo.lat AS x FROM orders", "snowflake")) == {
        "x = TRANSFORMATION orders.address"
    }


@pytest.mark.parametrize("dialect", ["postgres", "snowflake", "duckdb", "databricks", "mysql"])
def test_names_are_found_whatever_their_case_and_quotes(dialect: str) -> None:
    quote = "`" if dialect in ("databricks", "mysql") else '"'
    answer = traced(
        f"SELECT {quote}ID{quote} AS Key, Größe FROM Orders, SALES.{quote}Accents{quote}", dialect
    )
    assert names(answer.reads) == ["accents", "orders"]
    assert lines(answer) == {"Key = IDENTITY orders.id", "Größe = IDENTITY accents.Größe"}


def test_names_that_differ_by_case_are_told_apart_where_the_dialect_does() -> None:
    sql = 'SELECT x AS plain, "X" AS big FROM (SELECT id AS x, amount AS "X" FROM orders) q'
    assert lines(traced(sql, "postgres")) == {
        "plain = IDENTITY orders.id",
        "big = IDENTITY orders.amount",
    }
    assert traced(sql, "duckdb").reason is Reason.COLUMN_AMBIGUOUS


@pytest.mark.parametrize("opening", ["SELECT id FROM (", "SELECT ("])
def test_what_nests_too_deep_has_a_reason(opening: str) -> None:
    closing = ") q" if "FROM" in opening else ")"
    answer = traced(opening * 1_000 + "SELECT id FROM orders" + closing * 1_000)
    assert answer.reason is Reason.NESTED_TOO_DEEP


def test_long_chains_are_followed() -> None:
    unions = " UNION ALL ".join(f"SELECT id, {n} FROM orders" for n in range(300))
    assert lines(traced(f"INSERT INTO target (id, amount) {unions}")) == {"id = IDENTITY orders.id"}
    conditions = " AND ".join(f"amount <> {n}" for n in range(2_000))
    assert "* = FILTER orders.amount" in lines(traced(f"SELECT id FROM orders WHERE {conditions}"))
