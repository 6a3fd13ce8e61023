"""Lineage of SQL text through a real server: what is recorded of it, what is not, and what is not told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psutil
import pytest
from sqlalchemy import func, select

from lakewarden import Client, LakewardenError, PermissionDenied, Unavailable
from lakewarden.cli import main
from lakewarden_server.entities import LineageEvent
from lakewarden_server.lineage.sql.tracer import MODULE
from lakewarden_server.testing import serve
from lineage.lake import Lake, shown

RUN = "01890000-0000-7000-8000-00000000000a"


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with serve() as server:
        found = Lake(
            server,
            (
                "raw.orders",
                "raw.secret",
                "sales.menu",
                "sales.view",
                "sales.dinner",
                "sales.copy",
                "sales.anew",
            ),
        )
        yield found


@pytest.fixture(scope="module")
def producer(lake: Lake) -> Client:
    """A scheduler that may tell of lineage and sees one table."""
    client = lake.server.client_as("airflow")
    grants = lake.admin.grants
    grants.grant("LINEAGE PRODUCER", "workspace", "workspace", "airflow@example.com")
    grants.grant("USE CATALOG", "catalog", "main", "airflow@example.com")
    for schema in ("raw", "sales"):
        grants.grant("USE SCHEMA", "schema", f"main.{schema}", "airflow@example.com")
    for table in ("raw.orders", "sales.menu", "sales.view", "sales.dinner", "sales.copy"):
        grants.grant("SELECT", "table", f"main.{table}", "airflow@example.com")
    return client


def edges(lake: Lake, table: str, direction: str) -> set[tuple[str, str]]:
    return shown(lake.admin.lineage.traverse(f"main.{table}", direction=direction))[1]


def events(lake: Lake) -> int:
    """How many are recorded."""
    with lake.server.app.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(LineageEvent)).scalar_one()


def test_what_statements_make_is_shown_upstream_and_downstream(lake: Lake, producer: Client) -> None:
    reply = producer.lineage.record_sql(
        """
        CREATE TABLE sales.menu AS SELECT id FROM raw.orders WHERE id > 1;
        CREATE OR REPLACE VIEW sales.view AS SELECT id + 1 AS id FROM sales.menu;
        INSERT INTO sales.dinner (id) SELECT id FROM sales.view;
        """,
        catalog="main",
    )
    told = [(each.kind, list(each.reads), each.writes, each.reason) for each in reply.statements]
    assert told == [
        ("CREATE_TABLE", ["main.raw.orders"], "main.sales.menu", ""),
        ("CREATE_VIEW", ["main.sales.menu"], "main.sales.view", ""),
        ("INSERT", ["main.sales.view"], "main.sales.dinner", ""),
    ]
    assert all(each.recorded and each.is_new for each in reply.statements)
    # The value and the filter; the value alone.
    assert [each.column_pairs for each in reply.statements] == [2, 1, 1]
    made = {("raw.orders", "sales.menu"), ("sales.menu", "sales.view"), ("sales.view", "sales.dinner")}
    assert edges(lake, "sales.dinner", "upstream") == made
    assert edges(lake, "raw.orders", "downstream") == made


def test_a_view_defined_anew_is_made_of_what_it_says_now_and_was_of_what_it_said(
    lake: Lake, producer: Client
) -> None:
    start = lake.server.app.follower.at_head().now - timedelta(hours=1)
    orders, menu, copy = ((table, "sales.anew") for table in ("raw.orders", "sales.menu", "sales.copy"))

    def told(minutes: int, sql: str) -> set[tuple[str, str]]:
        time = start + timedelta(minutes=minutes)
        (statement,) = producer.lineage_events.record_sql(sql, catalog="main", event_time=time).statements
        assert statement.recorded
        return direct()

    def direct(**more: Any) -> set[tuple[str, str]]:
        return shown(
            lake.admin.lineage.traverse("main.sales.anew", direction="upstream", max_depth=1, **more)
        )[1]

    both = (
        "CREATE OR REPLACE VIEW sales.anew AS SELECT o.id FROM raw.orders o JOIN sales.menu m ON o.id = m.id"
    )
    assert told(1, both) == {orders, menu}
    assert told(2, "INSERT INTO sales.anew SELECT id FROM sales.copy") == {orders, menu, copy}
    assert told(3, "CREATE TABLE IF NOT EXISTS sales.anew AS SELECT id FROM sales.copy") == {
        orders,
        menu,
        copy,
    }
    assert told(4, "CREATE TEMPORARY VIEW sales.anew AS SELECT id FROM sales.copy") == {orders, menu, copy}
    assert told(5, "CREATE OR REPLACE VIEW sales.anew AS SELECT id FROM raw.orders") == {orders, copy}
    assert direct(as_of=start + timedelta(minutes=4, seconds=30)) == {orders, menu, copy}
    assert told(4, "CREATE OR REPLACE VIEW sales.anew AS SELECT id FROM sales.menu") == {orders, copy}
    assert told(6, "CREATE OR REPLACE TABLE sales.anew AS SELECT id FROM sales.menu") == {menu, copy}
    ended = [
        (edge.versions[-1].reason, edge.versions[-1].from_time - start)
        for edge in lake.admin.lineage.history("main.raw.orders", "main.sales.anew")
    ]
    assert sorted(ended) == [("RETIRED", timedelta(minutes=4)), ("RETIRED", timedelta(minutes=6))]


def test_the_same_run_is_recorded_once(lake: Lake, producer: Client) -> None:
    at = lake.server.app.follower.at_head().now

    def record() -> tuple[str, bool, bool]:
        reply = producer.lineage_events.record_sql(
            "INSERT INTO main.sales.copy SELECT id FROM main.raw.orders", run_id=RUN, event_time=at
        )
        return reply.run_id, reply.statements[0].recorded, reply.statements[0].is_new

    assert record() == (RUN, True, True)
    before = events(lake)
    assert record() == (RUN, True, False)
    assert events(lake) == before


def test_neither_a_dry_run_nor_a_syntax_error_records_anything(lake: Lake, producer: Client) -> None:
    before = events(lake)
    sql = "INSERT INTO main.sales.copy SELECT id FROM main.sales.view"
    (dry,) = producer.lineage.record_sql(sql, dry_run=True).statements
    assert (dry.recorded, dry.column_pairs, dry.writes) == (False, 1, "main.sales.copy")
    (wrong,) = producer.lineage.record_sql(
        "INSERT INTO main.sales.copy SELEC id FROM FROM main.sales.view ("
    ).statements
    assert (wrong.recorded, wrong.reason) == (False, "SYNTAX")
    (short,) = producer.lineage.record_sql("SELECT * FROM orders").statements
    assert (short.recorded, list(short.left_out)) == (False, ["orders"])
    assert events(lake) == before
    producer.lineage.record_sql(sql)
    assert events(lake) > before


def test_a_hidden_table_is_answered_like_one_that_does_not_exist(lake: Lake, producer: Client) -> None:
    def answer(table: str, sql: str) -> str:
        reply = producer.lineage.record_sql(sql.format(table), dry_run=True)
        return str(list(reply.statements)).replace(table, "X")

    for sql in (
        "CREATE TABLE main.sales.copy AS SELECT * FROM {}",
        "CREATE TABLE main.sales.copy AS SELECT id FROM {}",
        "CREATE TABLE main.sales.copy AS SELECT other FROM {}",
        "INSERT INTO {} SELECT id FROM main.raw.orders",
        "CREATE VIEW main.sales.v AS SELECT * FROM {}; CREATE TABLE main.sales.t AS SELECT * FROM main.sales.v",
        "SELECT FROM WHERE {} (",
    ):
        assert answer("main.raw.secret", sql) == answer("main.raw.nothing", sql)
    star = "CREATE TABLE main.sales.copy AS SELECT * FROM main.raw.secret"
    (by_producer,) = producer.lineage.record_sql(star, dry_run=True).statements
    (by_owner,) = lake.admin.lineage.record_sql(star, dry_run=True).statements
    assert (by_producer.column_pairs, by_producer.reason != "") == (0, True)
    assert (by_owner.column_pairs, by_owner.reason) == (1, "")


def test_who_may_not_tell_of_lineage_may_not_with_sql(lake: Lake) -> None:
    with pytest.raises(PermissionDenied):
        lake.server.client_as("ada").lineage.record_sql("SELECT 1", dry_run=True)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"dialect": "cobol"}, "dialect"),
        ({"run_id": "one"}, "run_id"),
        ({"sql": " "}, "sql"),
        ({"sql": "x" * 1_048_577}, "sql"),
    ],
)
def test_what_cannot_be_read_is_refused(producer: Client, said: dict[str, str], field: str) -> None:
    with pytest.raises(LakewardenError) as refused:
        producer.lineage.record_sql(**{"sql": "SELECT 1", **said})
    assert (refused.value.reason, refused.value.metadata["field"]) == ("FIELD_INVALID", field)


def _workers() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if MODULE in each.cmdline()]


def test_a_worker_that_is_killed_meanwhile_records_nothing_and_the_next_text_is_read(
    lake: Lake, producer: Client
) -> None:
    sql = "INSERT INTO main.sales.copy SELECT id FROM main.raw.orders"
    producer.lineage.record_sql(sql, dry_run=True)
    (worker,) = _workers()
    before = events(lake)
    worker.suspend()
    once = Client(
        lake.server.endpoint, token=lake.server.token_of("airflow"), workspace="workspace", retries=0
    )
    killing = threading.Timer(0.5, worker.kill)
    killing.start()
    with once, pytest.raises(Unavailable) as refused:
        once.lineage.record_sql(sql)
    killing.join()
    assert refused.value.reason == "TRACING_UNAVAILABLE"
    assert events(lake) == before
    assert producer.lineage.record_sql(sql).statements[0].recorded


def test_the_worker_ends_with_its_server() -> None:
    before = {each.pid for each in _workers()}
    with serve() as server:
        server.client().lineage.record_sql("SELECT 1", dry_run=True)
        assert {each.pid for each in _workers()} > before
    assert {each.pid for each in _workers()} == before


def test_the_command_records_a_file_and_says_what_does_not_parse(
    lake: Lake, producer: Client, tmp_path, capsys, monkeypatch
) -> None:
    file = tmp_path / "job.sql"
    file.write_text("INSERT INTO copy SELECT id FROM raw.orders; SELEC FROM (")
    monkeypatch.setenv("LAKEWARDEN_TOKEN", lake.server.admin_token)
    arguments = ["lineage", "from-sql", str(file), "--catalog", "main", "--schema", "sales", "-o", "json"]
    assert main([*arguments, "--endpoint", lake.server.endpoint, "--workspace", "workspace"]) == 1
    told, hints = capsys.readouterr()
    assert '"main.sales.copy"' in told
    assert '"SYNTAX"' in told
    assert "--dialect" in hints
