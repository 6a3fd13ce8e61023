"""Functions of a real server, called in governed queries; and attempts to make a call mean something else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import duckdb
from lakewarden import Client
from lakewarden._duckdb_calls import CALLS_MAX
from lakewarden.duckdb import AccessDenied, GovernanceError, GovernedConnection, StatementRefused, govern
from lakewarden_server.testing import EmbeddedServer, serve

ANN, BOSS = "ann@example.com", "boss@example.com"
LAKE = """
ATTACH ':memory:' AS lake;
USE lake;
CREATE TABLE people(id INTEGER, ssn VARCHAR, x INTEGER, y INTEGER, governed_arguments INTEGER);
INSERT INTO people VALUES (1, 'secret-11', 10, 20, 7), (2, 'secret-22', 30, 40, 8);
CREATE TABLE sink(id INTEGER, ssn VARCHAR);
CREATE TABLE vault(id INTEGER, ssn VARCHAR);
INSERT INTO vault VALUES (9, 'secret-99');
CREATE MACRO pair(a, b) AS (SELECT max(ssn) FROM lake.main.vault);
CREATE MACRO stolen(a) AS (SELECT max(ssn) FROM lake.main.vault);
CREATE TEMP MACRO who() AS (SELECT max(ssn) FROM lake.main.vault);
CREATE TEMP TABLE same AS SELECT 'secret-temp' AS x;
"""
FUNCTIONS: dict[str, tuple[list[str], str, str]] = {
    "lake.main.pair": (["x INTEGER", "y INTEGER"], "INTEGER", "x * 1000 + y + x - x"),
    "lake.main.same": (["x DOUBLE"], "BOOLEAN", "x = x"),
    "lake.main.who": ([], "VARCHAR", "current_user() || CASE WHEN is_account_group_member('payroll') THEN '!' ELSE '' END"),
    "lake.main.itself": (["v INTEGER"], "INTEGER", "v"),
    "lake.main.lower": (["v VARCHAR"], "VARCHAR", "'ours ' || v"),
    "lake.main.swapped": (["x INTEGER", "y INTEGER"], "INTEGER", "lake.main.pair(y, x)"),
    "lib.fns.tail": (["ssn VARCHAR"], "VARCHAR", "right(ssn, 2)"),
    "lake.main.Two-Words": (["v INTEGER"], "INTEGER", "v + 2"),
    "lake.main.asks": (["v INTEGER"], "VARCHAR", "getenv('HOME')"),
    "lake.main.quotes": (["v VARCHAR"], "VARCHAR", "v || '''; DROP TABLE people; --'"),
    "lake.main.hidden": (["v INTEGER"], "INTEGER", "v"),
    "lib.fns.salt": (["v VARCHAR"], "VARCHAR", "md5(v || 'pepper-secret')"),
    "lake.main.salted": (["v VARCHAR"], "VARCHAR", "left(lib.fns.salt(v), 4)"),
    "lake.main.reads": (["v INTEGER"], "VARCHAR", "(SELECT max(ssn) FROM lake.main.vault WHERE id > v)"),
    "lake.main.deeper": (["v INTEGER"], "VARCHAR", "lake.main.reads(v)"),
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """ann and boss read `people`, whose ssn is masked, and execute every function but `hidden`; boss is in `payroll`."""
    with serve() as server:
        admin = server.client()
        for schema in ("lake.main", "lib.fns"):
            admin.catalogs.create(schema.split(".")[0])
            admin.schemas.create(schema)
        admin.groups.create("payroll")
        for name in (ANN, BOSS):
            server.client_as(name)
        admin.groups.update_members("payroll", add=[BOSS])
        for name in ("people", "sink", "vault"):
            columns = [{"name": "id", "type_text": "INT"}, {"name": "ssn", "type_text": "STRING"}]
            admin.tables.create(f"lake.main.{name}", columns)
        for name, (parameters, returned, body) in FUNCTIONS.items():
            admin.functions.create(name, parameters, returned, body)
        admin.tables.set_column_mask("lake.main.people", "ssn", "lib.fns.tail")
        for name in (ANN, BOSS):
            _grant(admin, name)
        yield server


def _grant(admin: Client, name: str) -> None:
    for schema in ("lake.main", "lib.fns"):
        admin.grants.grant("USE CATALOG", "catalog", schema.split(".")[0], name)
        admin.grants.grant("USE SCHEMA", "schema", schema, name)
    admin.grants.grant("CREATE TABLE", "schema", "lake.main", name)
    for table in ("people", "sink"):
        admin.grants.grant(["SELECT", "MODIFY"], "table", f"lake.main.{table}", name)
    for function in FUNCTIONS.keys() - {"lake.main.hidden", "lib.fns.salt"}:
        admin.grants.grant("EXECUTE", "function", function, name)


@pytest.fixture
def ann(raw: duckdb.DuckDBPyConnection, server: EmbeddedServer) -> GovernedConnection:
    return govern(raw, server.client_as(ANN))


CALLS = {
    "SELECT lake.main.pair(1, 2)": [(1002,)],
    "SELECT LAKE.main.PAIR(x, id) FROM people ORDER BY id": [(10001,), (30002,)],
    'SELECT "lake"."main"."Two-Words"(id) FROM people ORDER BY 1': [(3,), (4,)],
    "SELECT lake /* a */ . main . pair ( -- b\n 1 /* c, */ , (2) -- d\n )": [(1002,)],
    "SELECT lake.main.pair(lake.main.pair(0, 1), lake.main.itself(lake.main.itself(2)))": [(1002,)],
    "SELECT lake.main.swapped(1, 2), lake.main.swapped(x + 0, y) FROM people WHERE id = 1": [(2001, 20010)],
    # Parameters are named as columns of the query; all are replaced at once, and arguments are not looked at again.
    "SELECT lake.main.pair(y, x), lake.main.pair(y + 0, x + 0) FROM people WHERE id = 1": [(20010, 20010)],
    "SELECT lake.main.pair(people.y, (SELECT x)) FROM people WHERE id = 1": [(20010,)],
    "SELECT lake.main.pair(governed_arguments, governed_arguments + id) FROM people WHERE id = 1": [(7008,)],
    "SELECT lake.main.pair(governed_arguments.x, 0 + governed_arguments.y) FROM people AS governed_arguments WHERE id = 1": [(10020,)],
    "SELECT list_transform([1, 2], lambda governed_arguments: lake.main.pair(governed_arguments, governed_arguments + 1)) AS l": [([1002, 2003],)],
    "SELECT list_transform([1], lambda x: lake.main.pair(x, x)) AS l": [([1001],)],
    # A mask stays in the place of its column, whoever calls what on it.
    "SELECT lib.fns.tail(ssn), lib.fns.tail('x' || ssn) FROM people WHERE id = 1": [("11", "11")],
    "SELECT lake.main.lower(ssn), lower(ssn), people.ssn.upper(), lake.main.lower('A').upper() AS u FROM people WHERE id = 1": [("ours 11", "11", "11", "OURS A")],
    "SELECT lake.main.quotes('it''s'), lake.main.quotes(e'\\x41' || $$b,)$$)": [("it's'; DROP TABLE people; --", "Ab,)'; DROP TABLE people; --")],
    "SELECT id FROM people WHERE lake.main.itself(id) = 2": [(2,)],
    "SELECT id FROM people ORDER BY lake.main.pair(-id, 0), lake.main.itself(9)": [(2,), (1,)],
    "SELECT lake.main.itself(max(id)), lake.main.itself(count(*)), lake.main.itself(sum(id) + 1)::INT AS s FROM people GROUP BY lake.main.itself(1)": [(2, 2, 4)],
    "SELECT lake.main.itself(x % 2 + 1), count(*) FROM people GROUP BY lake.main.itself(x % 2 + 1)": [(1, 2)],
    "SELECT lake.main.itself(row_number() OVER (ORDER BY id DESC)) FROM people ORDER BY id": [(2,), (1,)],
    "SELECT a.id FROM people a JOIN people b ON lake.main.pair(a.id, b.id + 0) = 1002": [(1,)],
    "SELECT v FROM people, LATERAL (SELECT lake.main.pair(people.id, people.x + 1) AS v) ORDER BY v": [(1011,), (2031,)],
    "SELECT (SELECT lake.main.itself(people.id + 1)) AS v FROM people ORDER BY id": [(2,), (3,)],
    "WITH lake AS (SELECT 5 AS main), pair AS (SELECT 6 AS x) SELECT lake.main.pair(lake.main, pair.x) FROM lake, pair": [(5006,)],
    "WITH itself AS (SELECT lake.main.itself(id) AS v FROM people) SELECT lake.main.itself(v + v) FROM itself ORDER BY 1": [(2,), (4,)],
    "SELECT lake.main.pair(id, id + 1) FROM people AS lake(id) WHERE id = 1": [(1002,)],
    "SELECT lake.main.itself(NULL), lake.main.itself(NULL + 1)": [(None, None)],
    "SELECT lake.main.itself(v) FROM (VALUES (1), (2)) t(v) UNION SELECT lake.main.itself(3) ORDER BY 1": [(1,), (2,), (3,)],
    "SELECT lake.main.itself((SELECT max(id) FROM people) + 0)": [(2,)],
    "SELECT sum(id) FILTER (lake.main.itself(id) > 1) AS s FROM people": [(2,)],
    "SELECT lake.main.who()": [(ANN,)],
}  # fmt: skip


@pytest.mark.parametrize("sql", CALLS, ids=lambda sql: ascii(sql[:70]))
def test_call_gives_what_the_body_says(ann: GovernedConnection, sql: str) -> None:
    assert ann.execute(sql).fetchall() == CALLS[sql]


def test_values_of_a_prepared_statement_stay_where_they_are(ann: GovernedConnection) -> None:
    assert ann.execute("SELECT lake.main.swapped(?, ?), ?", [1, 2, 3]).fetchall() == [(2001, 3)]
    named = {"a": 1, "b": 2}
    assert ann.execute("SELECT lake.main.pair($b, $a + 0)", named).fetchall() == [(2001,)]
    evil = "x'); DROP TABLE people; --"
    assert ann.execute("SELECT lib.fns.tail(?)", [evil]).fetchall() == [("--",)]
    with pytest.raises(StatementRefused, match="PREPARE"):
        ann.execute("PREPARE p AS SELECT lake.main.hidden(1)")
    with pytest.raises(StatementRefused, match="EXECUTE"):
        ann.execute("EXECUTE p")


def test_argument_is_computed_once_for_each_call(
    ann: GovernedConnection, raw: duckdb.DuckDBPyConnection
) -> None:
    """The control writes the argument into each place of its parameter."""
    sql = "SELECT DISTINCT lake.main.same({}) FROM range(1000)"
    for argument in ("random()", "(SELECT random())", "random() + (SELECT count(*) FROM people)"):
        assert ann.execute(sql.format(argument)).fetchall() == [(True,)]
    assert raw.execute("SELECT DISTINCT random() = random() FROM range(1000)").fetchall() == [(False,)]
    values = ann.execute(
        "SELECT count(DISTINCT lake.main.itself(CAST(random() * 1000000 AS INT))) AS n FROM range(100)"
    )
    assert values.fetchall()[0][0] > 90, "once for each row, not once for all"


def test_writes_call_functions_too(ann: GovernedConnection, raw: duckdb.DuckDBPyConnection) -> None:
    shown = ann.execute(
        "INSERT INTO sink SELECT lake.main.itself(id + 1), lib.fns.tail(ssn) FROM people RETURNING lake.main.itself(id)"
    )
    assert sorted(shown.fetchall()) == [(2,), (3,)]
    ann.execute("UPDATE sink SET id = lake.main.pair(id, 0) WHERE lake.main.itself(id) = 2")
    ann.execute("DELETE FROM sink WHERE lake.main.itself(id + 0) = 3")
    assert raw.execute("FROM sink").fetchall() == [(2000, "11")]
    ann.execute("CREATE TABLE made AS SELECT lake.main.itself(id + 1) AS v, lake.main.itself(id) FROM people")
    assert [name for name, *_ in raw.execute("FROM made").description or ()] == ["v", "lake.main.itself(id)"]


def test_body_asks_about_whoever_the_connection_acts_for(
    raw: duckdb.DuckDBPyConnection, server: EmbeddedServer
) -> None:
    sql = "SELECT lake.main.who()"
    ann = govern(raw, server.client_as(ANN))
    assert govern(raw, server.client_as(BOSS)).execute(sql).fetchall() == [(f"{BOSS}!",)]
    assert ann.execute(sql).fetchall() == [(ANN,)]
    server.client().groups.update_members("payroll", add=[ANN])
    assert ann.execute(sql).fetchall() == [(f"{ANN}!",)]
    server.client().groups.update_members("payroll", remove=[ANN])


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT lake.main.salted('a')",
        "SELECT lake.main.salted('a' || ssn), lake.main.lower(lake.main.salted(ssn)) FROM people",
        "SELECT * FROM (SELECT lake.main.salted(ssn) || 'b' AS s FROM people)",
        "INSERT INTO sink VALUES (1, 'a') RETURNING lake.main.salted(ssn)",
        "FROM people SELECT * REPLACE (lake.main.salted(ssn) || 'b' AS ssn)",
    ],
)
def test_names_of_the_result_tell_no_body(ann: GovernedConnection, sql: str) -> None:
    """The body of a function that another one calls may hold what the caller is not shown, such as a salt."""
    ann.execute(sql).fetchall()
    assert "pepper" not in str(ann.description)


def test_error_of_a_binding_tells_no_body(ann: GovernedConnection) -> None:
    for sql in (
        "SELECT id FROM people UNION ALL SELECT id FROM people ORDER BY lake.main.salted('a' || 'b')",
        "SELECT count(*) FROM people GROUP BY id HAVING lake.main.salted(ssn) = 'a'",
        "SELECT lake.main.salted(no_such_column) FROM people",
    ):
        with pytest.raises(StatementRefused) as refused:
            ann.execute(sql)
        assert str(refused.value) == "DuckDB cannot bind the statement with its functions put in"


def test_control_a_name_would_tell_the_body(ann: GovernedConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakewarden.duckdb.check_named", lambda references: None)
    ann.execute("SELECT lake.main.salted('a') || 'b'").fetchall()
    assert "pepper" in str(ann.description)


def test_accesses_are_asked_for_at_once(ann: GovernedConnection) -> None:
    sql = "SELECT lake.main.itself(lib.fns.tail(ssn)::INT), lake.main.ITSELF(1) FROM people"
    assert ("lake.main.people", "SELECT", "TABLE") in ann.explain_access(sql)
    assert ("lib.fns.tail", "EXECUTE", "FUNCTION") in ann.explain_access(sql)
    with pytest.raises(AccessDenied) as denied:
        ann.execute("SELECT lake.main.hidden(id) FROM vault")
    assert {denial.full_name for denial in denied.value.denials} == {"lake.main.hidden", "lake.main.vault"}


def test_function_one_may_not_execute_is_as_absent_as_any(ann: GovernedConnection) -> None:
    told = []
    for name in ("hidden", "absent"):
        with pytest.raises(AccessDenied) as denied:
            ann.execute(f"SELECT lake.main.{name}(id) FROM people")
        told.append(str(denied.value).replace(name, "it"))
    assert told[0] == told[1]


def test_revoked_execute_denies_the_very_next_call(ann: GovernedConnection, server: EmbeddedServer) -> None:
    admin, name = server.client(), "lake.main.itself"
    sql = "SELECT lake.main.itself(1)"
    ann.execute(sql)
    admin.grants.revoke("EXECUTE", "function", name, ANN)
    with pytest.raises(AccessDenied):
        ann.execute(sql)
    admin.grants.grant("EXECUTE", "function", name, ANN)
    ann.execute(sql)


# None of these may be run, whatever the words are; none shows a secret.
REFUSED = [
    "SELECT lake.main.reads(1)",
    "SELECT lake.main.deeper(1)",
    "SELECT lake.main.stolen(1)",
    "SELECT stolen(1)",
    "SELECT main.stolen(1)",
    "SELECT pair(1, 2)",
    "SELECT main.pair(1, 2)",
    "SELECT who()",
    "SELECT temp.main.who()",
    "SELECT temp.who()",
    "SELECT lake.who()",
    "SELECT memory.main.pair(1, 2)",
    "SELECT lake.main.stolen(lake.main.itself(1))",
    "SELECT lake.main.salted('a') || 'b'",
    "SELECT * FROM (SELECT lower(lake.main.salted('a' || 'b')))",
    "SELECT (SELECT lake.main.salted('a'))",
    "SELECT (SELECT lake.main.salted('a') AS s)",
    "SELECT lake.main.salted('a').upper()",
    "SELECT people.ssn.replace(lake.main.salted('a'), 'b') FROM people",
    "SELECT * FROM people PIVOT (max(lake.main.salted(ssn)), min(id) FOR id IN (1, 2))",
    "INSERT INTO sink VALUES (1, 'a') RETURNING lake.main.salted(ssn) || 'b'",
    "CREATE TABLE made AS SELECT lake.main.salted('a') || 'b'",
    "SELECT lake.main.itself(stolen(1))",
    "SELECT lake.main.itself(id.stolen()) FROM people",
    "SELECT people.id.stolen() FROM people",
    "SELECT lake.main.stolen(1) OVER () FROM people",
    "SELECT lake.main.stolen(1) FILTER (WHERE true) FROM people",
    'SELECT lake.main."stolen"(1) FILTER (WHERE true) FROM people',
    "SELECT lake.main.itself(1) FILTER (WHERE true) FROM people",
    "SELECT lake.main.itself(DISTINCT id) FROM people",
    "SELECT lake.main.itself(v := 1)",
    "SELECT lake.main.itself(v => 1)",
    "SELECT lake.main.itself(id ORDER BY id) FROM people",
    "SELECT lake.main.itself(*) FROM people",
    "SELECT lake.main.pair(COLUMNS(*), 1) FROM people",
    "SELECT lake.main.itself(people.*) FROM people",
    "SELECT lake.main.itself()",
    "SELECT lake.main.itself(1, 2)",
    "SELECT lake.main.itself(1,)",
    "SELECT lake.main.who(1)",
    "SELECT lake.main.asks(1)",
    "SELECT lake.main.getenv('HOME')",
    "SELECT people.id.getenv() FROM people",
    "SELECT x FROM same",
    "SELECT lake.main.same(x) FROM same",
    "FROM lake.main.itself(1)",
    "SELECT * FROM people, lake.main.stolen(1)",
    "SELECT * FROM people, LATERAL lake.main.stolen(1)",
    "SELECT * FROM people, LATERAL (SELECT lake.main.stolen(people.id))",
    "SELECT lake.main.itself((SELECT max(ssn) FROM vault))",
    "SELECT lake.main.itself((WITH RECURSIVE vault AS (SELECT ssn FROM vault) SELECT max(ssn) FROM vault)) FROM people",
    "SELECT lake.main.itself(1), (WITH RECURSIVE people AS (SELECT ssn FROM people) SELECT max(ssn) FROM people) FROM people",
    "SELECT lib.fns.tail((WITH RECURSIVE people AS (SELECT ssn FROM people) SELECT max(ssn) || '  ' FROM people)) FROM people",
    'SELECT lake.main."stolen(1)"(1)',
    'SELECT lake."main.pair"(1, 2)',
    'SELECT "lake.main.pair"(1, 2)',
    'SELECT lake.main."itself.x"(1)',
    "SELECT lake.main.it\u017felf(1)",
    "SELECT lake.main.pair(1, 2) -- lake.main.stolen(1)\n, stolen(1)",
    "CREATE MACRO lake.main.itself(v) AS 1",
    "CALL lake.main.itself(1)",
]  # fmt: skip


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: ascii(sql[:70]))
def test_call_that_is_not_one_of_a_granted_function_is_not_run(ann: GovernedConnection, sql: str) -> None:
    with pytest.raises((GovernanceError, duckdb.Error)) as refused:
        ann.execute(sql).fetchall()
    assert "secret" not in str(refused.value)
    assert "getenv('HOME')" not in str(refused.value)


def test_control_the_macros_show_a_secret_without_a_guard(raw: duckdb.DuckDBPyConnection) -> None:
    for call in ("lake.main.pair(1, 2)", "lake.main.stolen(1)", "who()"):
        assert raw.execute(f"SELECT {call}").fetchall() == [("secret-99",)]
    assert raw.execute("FROM same").fetchall() == [("secret-temp",)]


def test_recursion_and_size_end(ann: GovernedConnection, server: EmbeddedServer) -> None:
    admin = server.client()
    admin.functions.create("lake.main.ping", ["v INTEGER"], "INTEGER", "v")
    admin.functions.create("lake.main.pong", ["v INTEGER"], "INTEGER", "lake.main.ping(v)")
    admin.functions.redefine("lake.main.ping", "lake.main.pong(v)")
    admin.functions.create("lake.main.doubled0", ["v VARCHAR"], "VARCHAR", "v || v")
    for step in range(1, 12):
        body = f"lake.main.doubled{step - 1}(v) || lake.main.doubled{step - 1}(v)"
        admin.functions.create(f"lake.main.doubled{step}", ["v VARCHAR"], "VARCHAR", body)
    admin.grants.grant("EXECUTE", "schema", "lake.main", ANN)
    try:
        with pytest.raises(AccessDenied):
            ann.execute("SELECT lake.main.ping(1)")
        with pytest.raises(AccessDenied, match=r"too long|deep"):
            ann.execute("SELECT lake.main.doubled11('x')")
        assert ann.execute("SELECT length(lake.main.doubled3('x')) AS n").fetchall() == [(16,)]
        for call in ("lake.main.doubled6('" + "x" * 200 + "')", "lake.main.doubled6('x' || '')"):
            assert ann.execute(f"SELECT length({call}) AS n").fetchall()[0][0] % 128 == 0
            with pytest.raises(StatementRefused, match="too long with its functions"):
                ann.execute(f"SELECT {', '.join([call] * 200)}")
        many = ", ".join(["lake.main.itself(1)"] * (CALLS_MAX + 1))
        with pytest.raises(StatementRefused, match="more than"):
            ann.execute(f"SELECT {many}")
        deep = "lake.main.itself(" * 3_000 + "1" + ")" * 3_000
        with pytest.raises((StatementRefused, duckdb.Error)):
            ann.execute(f"SELECT {deep}").fetchall()
    finally:
        admin.grants.revoke("EXECUTE", "schema", "lake.main", ANN)


def test_functions_are_named_by_the_catalog_a_database_stands_for(server: EmbeddedServer) -> None:
    with duckdb.connect() as raw:
        raw.execute("ATTACH ':memory:' AS pond; CREATE SCHEMA pond.fns; USE pond")
        ann = govern(raw, server.client_as(ANN), catalog_map={"pond": "lib"})
        sql = "SELECT pond.fns.tail('abc')"
        assert ann.explain_access(sql) == (("lib.fns.tail", "EXECUTE", "FUNCTION"),)
        assert ann.execute(sql).fetchall() == [("bc",)]
        raw.execute("USE pond.fns")
        for name in ("tail", "fns.tail"):
            with pytest.raises(StatementRefused):
                govern(raw, server.client_as(ANN), catalog_map={"pond": "lib"}).execute(
                    f"SELECT {name}('abc')"
                )
