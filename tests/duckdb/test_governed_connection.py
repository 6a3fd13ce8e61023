"""What a governed connection does for those who may: every allowed kind of statement, and the edges around it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

import duckdb
from lakewarden.duckdb import Access, AccessDenied, StatementRefused, connect, govern

# The fixture's class lives in conftest.py, which cannot be imported.
Lake: TypeAlias = Any
ANALYST = "ann@example.com"
SELECT_ORDERS = Access("lake.main.orders", "SELECT", "TABLE")
SELECT_CUSTOMERS = Access("lake.main.customers", "SELECT", "TABLE")
MODIFY_ORDERS = Access("lake.main.orders", "MODIFY", "TABLE")
CREATE_IN_MAIN = Access("lake.main", "CREATE_TABLE", "SCHEMA")

READS = [
    ("SELECT sum(amount) FROM orders", [(60,)]),
    ("FROM orders SELECT max(amount)", [(30,)]),
    ('SELECT count(*) FROM lake.main."ORDERS" AS "weird name"', [(3,)]),
    ("SELECT count(*) FROM lake.orders", [(3,)]),
    ("WITH salaries AS (SELECT 5 AS amount) SELECT amount FROM salaries", [(5,)]),
    ("WITH orders AS (SELECT * FROM orders WHERE id = 1) SELECT amount FROM orders", [(10,)]),
    ("WITH unused AS (SELECT * FROM salaries) SELECT max(id) FROM orders", [(3,)]),
    (
        "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 3) SELECT max(i) FROM r, orders",
        [(3,)],
    ),
    ("SELECT amount FROM orders WHERE id = 1 UNION ALL SELECT id FROM customers ORDER BY ALL", [(1,), (2,), (10,)]),
    ("SELECT name FROM customers NATURAL JOIN (SELECT customer AS id, amount FROM orders) WHERE amount = 30", [("bob",)]),
    ("SELECT name FROM customers c JOIN orders o ON c.id = o.customer ORDER BY o.id LIMIT 1", [("ann",)]),
    ("SELECT name FROM customers c WHERE EXISTS (FROM orders WHERE customer = c.id AND amount = 30)", [("bob",)]),
    ("SELECT o.amount FROM orders o ASOF JOIN customers c ON o.id >= c.id WHERE o.id = 3", [(30,)]),
    ("SELECT c.name, o.a FROM customers c, LATERAL (SELECT max(amount) FROM orders WHERE customer = c.id) o(a) ORDER BY 2",
     [("ann", 20), ("bob", 30)]),
    ("SELECT amount FROM orders QUALIFY row_number() OVER (ORDER BY amount DESC) = 1", [(30,)]),
    ("SELECT \"1\" FROM orders PIVOT (sum(amount) FOR customer IN (1, 2) GROUP BY id) ORDER BY id LIMIT 1", [(10,)]),
    ("SELECT columns('^am') FROM orders WHERE id = 1", [(10,)]),
    ("SELECT list_transform([1, 2], lambda x: x + 1)", [([2, 3],)]),
    ("SELECT upper(name) || date_trunc('year', DATE '2026-05-01')::VARCHAR FROM customers WHERE id = 1",
     [("ANN2026-01-01 00:00:00",)]),
    ("VALUES (1), (2)", [(1,), (2,)]),
    ("FROM range(2)", [(0,), (1,)]),
    ("SELECT * FROM unnest([7, 8])", [(7,), (8,)]),
    ("SELECT 'SELECT * FROM read_csv(''x'')'", [("SELECT * FROM read_csv('x')",)]),
    ("(FROM orders SELECT id) ORDER BY id LIMIT 1", [(1,)]),
    ("SELECT 1; -- done", [(1,)]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "rows"), READS, ids=lambda value: ascii(value)[:60])
def test_reading_what_is_granted_gives_rows(lake: Lake, sql: str, rows: list[tuple[object, ...]]) -> None:
    assert lake.analyst.execute(sql).fetchall() == rows


WRITES = [
    ("INSERT INTO orders VALUES (9, 1, 90)", [MODIFY_ORDERS], 150),
    ("INSERT INTO orders(id) VALUES (9) RETURNING amount", [MODIFY_ORDERS], 67),
    ("INSERT INTO orders BY NAME SELECT 9 AS id, 40 AS amount", [MODIFY_ORDERS], 100),
    ("INSERT INTO orders SELECT id + 10, id, 5 FROM customers", [MODIFY_ORDERS, SELECT_CUSTOMERS], 70),
    ("INSERT INTO orders SELECT id + 10, customer, amount FROM orders", [MODIFY_ORDERS, SELECT_ORDERS], 120),
    ("WITH c AS (FROM customers) INSERT INTO orders SELECT id + 10, id, 5 FROM c", [MODIFY_ORDERS, SELECT_CUSTOMERS], 70),
    ("INSERT OR REPLACE INTO orders VALUES (1, 1, 100)", [MODIFY_ORDERS], 150),
    ("INSERT OR IGNORE INTO orders VALUES (1, 1, 100)", [MODIFY_ORDERS], 60),
    ("INSERT INTO orders VALUES (1, 1, 5) ON CONFLICT DO UPDATE SET amount = excluded.amount", [MODIFY_ORDERS], 55),
    ("UPDATE orders SET amount = 0 WHERE id = 1", [MODIFY_ORDERS], 50),
    ("UPDATE orders SET amount = c.id FROM customers c WHERE customer = c.id", [MODIFY_ORDERS, SELECT_CUSTOMERS], 4),
    ("UPDATE orders SET amount = (SELECT max(id) FROM customers)", [MODIFY_ORDERS, SELECT_CUSTOMERS], 6),
    ("DELETE FROM orders WHERE id = 3 RETURNING *", [MODIFY_ORDERS], 30),
    ("DELETE FROM orders USING customers c WHERE customer = c.id AND name = 'ann'", [MODIFY_ORDERS, SELECT_CUSTOMERS], 30),
    (
        "MERGE INTO orders o USING (FROM customers) c ON o.id = c.id WHEN MATCHED THEN UPDATE SET amount = 1"
        " WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.id, 1)",
        [MODIFY_ORDERS, SELECT_CUSTOMERS],
        32,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "accesses", "total"), WRITES, ids=lambda value: ascii(value)[:60])
def test_writing_what_is_granted_asks_for_the_target_and_each_source(
    lake: Lake, sql: str, accesses: list[Access], total: int
) -> None:
    lake.analyst.execute(sql)
    assert lake.policy.asked == [(ANALYST, tuple(sorted(accesses)))]
    assert lake.raw.execute("SELECT sum(amount) FROM lake.main.orders").fetchone() == (total,)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE new AS SELECT * FROM orders",
        "CREATE TABLE lake.main.new AS FROM orders",
        "CREATE TABLE IF NOT EXISTS main.new(a, b, c) AS FROM orders WITH DATA",
    ],
)
def test_create_table_as_asks_for_the_schema_and_each_source(lake: Lake, sql: str) -> None:
    lake.analyst.execute(sql)
    assert lake.policy.asked == [(ANALYST, (CREATE_IN_MAIN, SELECT_ORDERS))]
    assert lake.raw.execute("SELECT count(*) FROM lake.main.new").fetchone() == (3,)


def test_keyword_as_table_name_is_read(lake: Lake) -> None:
    lake.policy.grants[ANALYST] |= {("lake.main.secret", "SELECT")}
    lake.raw.execute('CREATE TABLE lake.main."secret" AS SELECT 1 AS id')
    assert lake.analyst.execute("SELECT id FROM secret").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "sql", ["SELECT amount FROM orders WHERE id = ?", "SELECT amount FROM orders WHERE id = $1"]
)
def test_positional_parameter_is_a_value(lake: Lake, sql: str) -> None:
    assert lake.analyst.execute(sql, [2]).fetchall() == [(20,)]


def test_named_parameter_is_a_value_never_sql(lake: Lake) -> None:
    rows = lake.analyst.execute("SELECT $text AS t", {"text": "1; DROP TABLE orders"}).fetchall()
    assert rows == [("1; DROP TABLE orders",)]


def test_explain_access_asks_and_runs_nothing(lake: Lake) -> None:
    before = lake.contents()
    accesses = lake.analyst.explain_access("DELETE FROM salaries WHERE id IN (SELECT id FROM orders)")
    assert accesses == (SELECT_ORDERS, Access("lake.main.salaries", "MODIFY", "TABLE"))
    assert lake.policy.asked == []
    assert lake.contents() == before


def test_denial_names_every_access_with_reason_and_fix(lake: Lake) -> None:
    with pytest.raises(AccessDenied) as denied:
        lake.analyst.execute("INSERT INTO customers SELECT id, 'x' FROM salaries")
    assert isinstance(denied.value, PermissionError)
    assert {(denial.full_name, denial.privilege) for denial in denied.value.denials} == {
        ("lake.main.customers", "MODIFY"),
        ("lake.main.salaries", "SELECT"),
    }
    message = str(denied.value)
    assert "MODIFY denied on lake.main.customers: not granted" in message
    assert f"Fix: GRANT SELECT ON lake.main.salaries TO {ANALYST}" in message


def test_revoked_grant_denies_the_very_next_statement(lake: Lake) -> None:
    lake.analyst.execute("SELECT * FROM orders")
    lake.policy.grants[ANALYST] -= {("lake.main.orders", "SELECT")}
    with pytest.raises(AccessDenied):
        lake.analyst.execute("SELECT * FROM orders")


def test_rows_of_an_earlier_statement_are_gone_after_a_denial(lake: Lake) -> None:
    lake.analyst.execute("SELECT * FROM orders")
    with pytest.raises(AccessDenied):
        lake.analyst.execute("SELECT * FROM salaries")
    assert lake.analyst.description is None
    for fetch in (lake.analyst.fetchone, lake.analyst.fetchall, lake.analyst.fetchmany, lake.analyst.df):
        with pytest.raises(duckdb.InvalidInputException, match="no result"):
            fetch()


def test_each_subject_has_its_own_rights_and_rows(lake: Lake) -> None:
    lake.policy.grants["payroll"] = frozenset({("lake.main.salaries", "SELECT")})
    payroll = lake.analyst.as_subject("payroll")
    lake.analyst.execute("SELECT id FROM orders ORDER BY id")
    payroll.execute("SELECT amount FROM salaries ORDER BY amount")
    assert lake.analyst.fetchone() == (1,)
    assert payroll.fetchmany(2) == [(1000,), (2000,)]
    with pytest.raises(AccessDenied):
        payroll.execute("SELECT * FROM orders")
    assert [subject for subject, _ in lake.policy.asked] == [ANALYST, "payroll", "payroll"]
    payroll.close()
    assert lake.analyst.fetchone() == (2,)


def test_statement_that_touches_no_table_asks_nothing(lake: Lake) -> None:
    assert lake.analyst.execute("SELECT 1 + 1").fetchone() == (2,)
    assert lake.policy.asked == []


class FixedAnswer:
    """Gives one answer to everything."""

    def __init__(self, **answer: object) -> None:
        self.answer = SimpleNamespace(**{"denials": (), "revision": 1, **answer})

    def authorize_plan(
        self, accesses: object, *, subject: str | None = None, capabilities: object = ()
    ) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        {"allowed": False},
        {"allowed": None},
        {"allowed": "yes"},
        {"allowed": 1},
        {"allowed": True, "row_filters": {"lake.main.orders": "amount < 10"}},
        {"allowed": True, "column_masks": ["amount"]},
        {
            "allowed": True,
            "denials": [SimpleNamespace(full_name="x", privilege="SELECT", reason="r", fix="")],
        },
    ],
    ids=repr,
)
def test_anything_but_an_unconditional_yes_is_a_denial(answer: dict[str, object]) -> None:
    raw = duckdb.connect()
    raw.execute("CREATE TABLE orders AS SELECT 1 AS id")
    with raw, govern(raw, FixedAnswer(**answer)) as governed, pytest.raises(AccessDenied):
        governed.execute("SELECT * FROM orders")


def test_unconditional_yes_is_an_allow() -> None:
    raw = duckdb.connect()
    raw.execute("CREATE TABLE orders AS SELECT 1 AS id")
    with raw, govern(raw, FixedAnswer(allowed=True, row_filters=(), column_masks=())) as governed:
        assert governed.execute("SELECT * FROM orders").fetchall() == [(1,)]


def test_failing_client_stops_the_statement(lake: Lake) -> None:
    class Unreachable:
        def authorize_plan(
            self, accesses: object, *, subject: str | None = None, capabilities: object = ()
        ) -> Any:
            raise ConnectionError("unavailable")

    raw = duckdb.connect()
    raw.execute("CREATE TABLE orders AS SELECT 1 AS id")
    with raw, govern(raw, Unreachable()) as governed:
        with pytest.raises(ConnectionError):
            governed.execute("DELETE FROM orders")
        assert raw.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_granted_table_that_duckdb_lacks_is_refused_only_after_the_answer(lake: Lake) -> None:
    lake.policy.grants[ANALYST] |= {("lake.main.future", "SELECT")}
    with pytest.raises(StatementRefused, match=r"no table lake\.main\.future"):
        lake.analyst.execute("SELECT * FROM future")
    assert len(lake.policy.asked) == 1


def test_denied_subject_learns_no_column_names(lake: Lake) -> None:
    with pytest.raises(AccessDenied) as denied:
        lake.analyst.execute("SELECT no_such_column FROM salaries")
    assert "amount" not in str(denied.value)


def test_name_that_is_both_schema_and_database_is_refused(lake: Lake) -> None:
    lake.raw.execute("CREATE SCHEMA lake.memory")
    with pytest.raises(StatementRefused, match="both a database and a schema"):
        lake.analyst.execute("SELECT * FROM memory.elsewhere")


def test_catalog_map_names_the_catalog_of_a_database() -> None:
    policy = FixedAnswer(allowed=True)
    with connect(policy, catalog_map={"MEMORY": "main_catalog"}) as governed:
        accesses = governed.explain_access("CREATE TABLE new AS SELECT * FROM old")
    assert accesses == (
        Access("main_catalog.main", "CREATE_TABLE", "SCHEMA"),
        # What DuckDB does not have may be a view.
        Access("main_catalog.main.old", "SELECT", "VIEW"),
    )


def test_connect_opens_a_database_file(tmp_path: Path) -> None:
    path = tmp_path / "sales.db"
    with duckdb.connect(str(path)) as raw:
        raw.execute("CREATE TABLE orders AS SELECT 1 AS id")
    with connect(FixedAnswer(allowed=True), database=path, config={"threads": 1}) as governed:
        assert governed.explain_access("FROM orders") == (Access("sales.main.orders", "SELECT", "TABLE"),)
        governed.execute("INSERT INTO orders VALUES (2)")
    with duckdb.connect(str(path)) as raw:
        assert raw.execute("SELECT count(*) FROM orders").fetchone() == (2,)


@pytest.mark.parametrize(
    "setting",
    ["enable_external_access = true", "lock_configuration = false", "python_enable_replacements = true",
     "allow_community_extensions = true", "autoload_known_extensions = true", "explain_output = 'physical_only'"],
)  # fmt: skip
def test_configuration_is_locked_even_for_the_loader(lake: Lake, setting: str) -> None:
    with pytest.raises(duckdb.Error):
        lake.raw.execute(f"SET {setting}")


def test_locked_database_can_be_governed_once_more(lake: Lake) -> None:
    with govern(lake.raw, lake.policy, subject="nobody") as second, pytest.raises(AccessDenied):
        second.execute("SELECT * FROM orders")


def test_external_files_are_out_of_reach_even_for_the_loader(lake: Lake) -> None:
    assert Path("x.csv").exists()
    with pytest.raises(duckdb.PermissionException):
        lake.raw.execute("FROM read_csv('x.csv')")


def test_governed_connection_shows_no_ungoverned_one(lake: Lake) -> None:
    public = [getattr(lake.analyst, name) for name in dir(lake.analyst) if not name.startswith("_")]
    assert public
    assert not [value for value in public if isinstance(value, duckdb.DuckDBPyConnection)]


@pytest.mark.parametrize("current", ["lake.main", "lake.hr", "sea.main", "sea.hr"])
@pytest.mark.parametrize(
    "name",
    [
        "t",
        "main.t",
        "hr.t",
        "lake.t",
        "sea.t",
        '"LAKE".T',
        "lake.main.t",
        "lake.hr.t",
        "sea.main.t",
        "sea.hr.t",
    ],
)
@pytest.mark.parametrize("verb", ["INSERT INTO {} VALUES (1)", "UPDATE {} SET id = 1", "DELETE FROM {}"])
def test_written_table_is_the_one_that_was_asked_for(current: str, name: str, verb: str) -> None:
    tables = [f"{database}.{schema}.t" for database in ("lake", "sea") for schema in ("main", "hr")]
    with duckdb.connect() as raw:
        raw.execute(
            "ATTACH ':memory:' AS lake; ATTACH ':memory:' AS sea; CREATE SCHEMA lake.hr; CREATE SCHEMA sea.hr"
        )
        for table in tables:
            raw.execute(f"CREATE TABLE {table} AS SELECT 0 AS id")
        raw.execute(f"USE {current}")
        governed = govern(raw, FixedAnswer(allowed=True))
        (access,) = governed.explain_access(verb.format(name))
        governed.execute(verb.format(name))
        changed = [
            table for table in tables if raw.execute(f"SELECT list(id) FROM {table}").fetchall() != [([0],)]
        ]
    assert changed == [access.full_name]


@pytest.mark.parametrize("current", ["lake.main", "lake.hr", "sea.hr"])
@pytest.mark.parametrize("name", ["new", "main.new", "hr.new", "lake.new", "sea.new", "sea.hr.new"])
def test_table_is_created_in_the_schema_that_was_asked_for(current: str, name: str) -> None:
    with duckdb.connect() as raw:
        raw.execute(
            "ATTACH ':memory:' AS lake; ATTACH ':memory:' AS sea; CREATE SCHEMA lake.hr; CREATE SCHEMA sea.hr"
        )
        raw.execute(f"USE {current}")
        governed = govern(raw, FixedAnswer(allowed=True))
        (access,) = governed.explain_access(f"CREATE TABLE {name} AS SELECT 1 AS id")
        governed.execute(f"CREATE TABLE {name} AS SELECT 1 AS id")
        created = raw.execute("SELECT database_name || '.' || schema_name FROM duckdb_tables()").fetchall()
    assert created == [(access.full_name,)]
