"""Lineage that a governed connection records by itself: of what it ran, as it ran it, and at no cost to who runs it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select

import duckdb
from lakewarden import Client, LakewardenError
from lakewarden._duckdb_binder import Table
from lakewarden._duckdb_lineage import Copied, Ran, SqlLineage, in_full
from lakewarden._duckdb_volumes import Place
from lakewarden.duckdb import AccessDenied, GovernedConnection, govern
from lakewarden_server.entities import LineageMapping
from lakewarden_server.testing import EmbeddedServer, serve

LAKE = """
ATTACH ':memory:' AS lake;
CREATE SCHEMA lake.raw;
CREATE SCHEMA lake.sales;
USE lake.sales;
CREATE TABLE lake.raw.orders(id INTEGER, amount INTEGER, note VARCHAR);
INSERT INTO lake.raw.orders VALUES (1, 10, 'x'), (2, 20, '2');
CREATE TABLE customers(id INTEGER, name VARCHAR);
CREATE TABLE daily(id INTEGER, total INTEGER);
"""
TABLES = {
    "raw.orders": ("id", "amount", "note"),
    "sales.customers": ("id", "name"),
    "sales.daily": ("id", "total"),
    "sales.copy": ("id", "amount"),
    "sales.other": ("id",),
}
ADMIN, ANN = "admin@example.com", "ann@example.com"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """The catalog `main`, whose database in DuckDB is called `lake`, and an engine that sees the names in it."""
    with serve() as server:
        admin = server.client()
        admin.catalogs.create("main")
        for schema in ("raw", "sales"):
            admin.schemas.create(f"main.{schema}")
        for table, columns in TABLES.items():
            named = [{"name": column, "type_text": "INTEGER"} for column in columns]
            admin.tables.create(f"main.{table}", columns=named)
        admin.storage_credentials.create(
            "lake", "aws_iam_role", {"role_arn": "arn:aws:iam::123456789012:role/lake"}
        )
        admin.external_locations.create("lake", "s3://lake", "lake")
        for name in ("engine", "stranger", "ann"):
            server.client_as(name)
        for name in ("engine@example.com", "stranger@example.com"):
            admin.grants.grant("BROWSE", "catalog", "main", name)
        admin.grants.grant("QUERY ENGINE", "workspace", "workspace", "engine@example.com")
        yield server


@pytest.fixture
def governed(raw: duckdb.DuckDBPyConnection, server: EmbeddedServer) -> Iterator[GovernedConnection]:
    """What the engine runs for the admin, who may do anything."""
    engine = server.client_as("engine")
    with govern(raw, engine, subject=ADMIN, catalog_map={"lake": "main"}, job_name="nightly") as governed:
        yield governed


def told(governed: GovernedConnection) -> tuple[int, int, int]:
    assert governed.lineage is not None
    assert governed.lineage.flush(30)
    return governed.lineage.recorded, governed.lineage.failed, governed.lineage.dropped


def sources(client: Client, table: str) -> set[str]:
    """Of what a table was made, in one step."""
    found = client.lineage.traverse(table, direction="upstream", max_depth=1)
    return {node.label for node in found.nodes if node.distance}


def test_statements_are_lineage_of_the_tables_they_read_and_write(
    governed: GovernedConnection, server: EmbeddedServer
) -> None:
    governed.execute("CREATE TABLE copy AS SELECT id, amount FROM raw.orders WHERE note IS NOT NULL")
    governed.execute(
        "WITH customers AS (SELECT id, amount FROM copy) "
        "INSERT INTO lake.sales.daily SELECT copy.id, lake.sales.copy.amount FROM sales.copy JOIN customers USING (id)"
    )
    governed.as_subject(ADMIN).execute(
        "UPDATE customers SET name = o.note FROM lake.raw.orders AS o WHERE o.id = customers.id"
    )
    governed.execute("MERGE INTO customers USING daily ON customers.id = daily.id WHEN MATCHED THEN DELETE")
    assert told(governed) == (4, 0, 0)
    admin = server.client()
    assert sources(admin, "main.sales.copy") == {"main.raw.orders"}
    assert sources(admin, "main.sales.daily") == {"main.sales.copy"}, "the CTE is no table"
    assert sources(admin, "main.sales.customers") == {"main.raw.orders", "main.sales.daily"}


def test_what_is_made_through_a_temporary_view_is_made_of_its_tables(
    governed: GovernedConnection, server: EmbeddedServer
) -> None:
    governed.execute("CREATE TEMP VIEW recent AS SELECT id FROM raw.orders WHERE amount > 10")
    assert told(governed) == (0, 0, 0), "nobody else can read it"
    governed.execute("CREATE TABLE seen AS SELECT r.id FROM recent AS r")
    assert told(governed) == (1, 0, 0)
    found = server.client().lineage.traverse("main.raw.orders", direction="downstream", max_depth=1)
    assert any(node.label.endswith("main.sales.seen") for node in found.nodes)


def test_copies_are_lineage_between_tables_and_files(
    raw: duckdb.DuckDBPyConnection, server: EmbeddedServer, tmp_path: Path
) -> None:
    admin, engine = server.client(), server.client_as("engine")
    for volume, location in {"exports": "s3://lake/exports", "local": ""}.items():
        (tmp_path / volume).mkdir()
        admin.volumes.create(f"main.sales.{volume}", storage_location=location)
    volumes = {tmp_path / name: f"main.sales.{name}" for name in ("exports", "local")}
    with govern(raw, engine, subject=ADMIN, catalog_map={"lake": "main"}, volume_map=volumes) as governed:
        for volume in ("exports", "local"):
            governed.execute(
                f"COPY (SELECT o.id AS number FROM raw.orders AS o) TO '{tmp_path}/{volume}/o.csv'"
            )
        governed.execute(f"COPY customers (id) FROM '{tmp_path}/exports/o.csv' (HEADER)")
        governed.execute(f"COPY (SELECT 1 AS one) TO '{tmp_path}/exports/one.csv'")
        assert told(governed) == (3, 0, 0), "what reads nothing is no lineage"
    made = admin.lineage.traverse("main.raw.orders", direction="downstream", max_depth=1)
    files = {node.label for node in made.nodes if node.distance}
    assert {f"/Volumes/main/sales/{volume}/o.csv" for volume in ("exports", "local")} <= files
    assert "/Volumes/main/sales/exports/o.csv" in sources(admin, "main.sales.customers")
    with server.app.database.reading() as connection:
        stored = connection.execute(select(LineageMapping.columns)).scalars().all()
    assert ["number", "id", "IDENTITY", False] in [use for mapping in stored for use in mapping]


def test_columns_are_those_of_the_tables_the_engine_sees(
    governed: GovernedConnection, server: EmbeddedServer
) -> None:
    governed.execute("INSERT INTO daily SELECT lake.raw.orders.id, amount FROM raw.orders ORDER BY note")
    assert told(governed) == (1, 0, 0)
    with server.app.database.reading() as connection:
        stored = connection.execute(select(LineageMapping.columns)).scalars().all()
    assert [["id", "id", "IDENTITY", False], ["total", "amount", "IDENTITY", False]] in [
        [use for use in mapping if use[0] != "*" and use[2] == "IDENTITY"] for mapping in stored
    ], stored


def test_what_did_not_happen_is_no_lineage(governed: GovernedConnection, server: EmbeddedServer) -> None:
    before = sources(server.client(), "main.sales.other")
    governed.execute("CREATE TABLE other AS SELECT 1 AS id")
    for failing in (
        "INSERT INTO other SELECT CAST(note AS INTEGER) FROM raw.orders",
        "INSERT INTO other SELECT CAST(note AS INTEGER) FROM raw.orders RETURNING id",
    ):
        with pytest.raises(duckdb.ConversionException):
            governed.execute(failing)
    with pytest.raises(AccessDenied):
        governed.as_subject(ANN).execute("INSERT INTO other SELECT id FROM customers")
    governed.execute("CREATE TABLE IF NOT EXISTS other AS SELECT id FROM customers")
    governed.execute("INSERT INTO other VALUES (3)")
    governed.execute("UPDATE other SET id = id + 1")
    governed.execute("SELECT count(*) FROM raw.orders")
    assert told(governed) == (0, 0, 0)
    assert sources(server.client(), "main.sales.other") == before == set()


def test_a_new_table_is_shown_to_others_once_it_is_registered(
    governed: GovernedConnection, server: EmbeddedServer
) -> None:
    admin, ann = server.client(), server.client_as("ann")
    admin.grants.grant(["USE CATALOG", "BROWSE"], "catalog", "main", ANN)
    governed.execute("CREATE TABLE fresh AS SELECT id FROM customers")
    assert told(governed) == (1, 0, 0)

    def made(client: Client) -> set[str]:
        found = client.lineage.traverse("main.sales.customers", direction="downstream", max_depth=1)
        return {node.label for node in found.nodes if node.distance}

    assert any(label.endswith("main.sales.fresh") for label in made(admin)), "an admin of the metastore"
    assert made(ann) == {"(hidden)"}
    admin.tables.create("main.sales.fresh", columns=[{"name": "id", "type_text": "INTEGER"}])
    governed.execute("INSERT INTO fresh SELECT id FROM customers")
    assert told(governed) == (2, 0, 0)
    assert made(ann) == made(admin) == {"main.sales.fresh"}


def test_who_may_not_tell_runs_statements_all_the_same(
    raw: duckdb.DuckDBPyConnection, server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.client().grants.grant("ALL PRIVILEGES", "catalog", "main", "stranger@example.com")
    stranger = server.client_as("stranger")
    with govern(raw, stranger, catalog_map={"lake": "main"}) as governed:
        for _ in range(3):
            governed.execute("INSERT INTO daily SELECT id, amount FROM raw.orders")
            told(governed)
        assert told(governed) == (0, 3, 0)
        assert governed.execute("SELECT count(*) FROM daily").fetchall() == [(6,)]
    said = [record.message for record in caplog.records if record.name == "lakewarden.duckdb"]
    assert len([message for message in said if "LINEAGE_PRODUCER" in message or "denied" in message]) == 1, (
        said
    )


def test_lineage_can_be_left_off(raw: duckdb.DuckDBPyConnection, server: EmbeddedServer) -> None:
    with govern(raw, server.client(), catalog_map={"lake": "main"}, lineage=False) as governed:
        governed.execute("INSERT INTO daily SELECT id, amount FROM raw.orders")
        assert governed.lineage is None


def test_a_program_that_ends_without_closing_has_told_everything(
    governed: GovernedConnection, server: EmbeddedServer
) -> None:
    server.client().tables.create("main.sales.kept", columns=[{"name": "id", "type_text": "INTEGER"}])
    program = f"""
import duckdb
from lakewarden import Client
from lakewarden.duckdb import govern
client = Client({server.endpoint!r}, token={server.token_of("engine")!r}, workspace="workspace")
raw = duckdb.connect()
raw.execute({LAKE!r})
governed = govern(raw, client, subject={ADMIN!r}, catalog_map={{"lake": "main"}})
governed.execute("CREATE TABLE kept AS SELECT id FROM customers")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert sources(server.client(), "main.sales.kept") == {"main.sales.customers"}


class Slow:
    """A server that answers when it is let."""

    def __init__(self, error: LakewardenError | None = None) -> None:
        self.told: list[str] = []
        self.let = threading.Event()
        self.error = error

    def record_sql(
        self, sql: str, *, dialect: str, job_name: str, run_id: str, event_time: datetime
    ) -> object:
        assert self.let.wait(30)
        if self.error is not None:
            raise self.error
        self.told.append(sql)
        return None


T, S = (Table("lake", "main", "t"), "main.s.t"), (Table("lake", "main", "s"), "main.s.s")
COPY = "INSERT INTO t SELECT * FROM s"
PLACES = {COPY.index("s", 15): S}


def test_statements_that_do_not_fit_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Slow()
    lineage = SqlLineage(recorder, queue_statements_max=2)
    started = time.monotonic()
    lineage.add(COPY, PLACES, T)
    while lineage._queue:
        time.sleep(0.001)
    for _ in range(5):
        lineage.add(COPY, PLACES, T)
    assert not lineage.flush(0.01)
    assert time.monotonic() - started < 5, "nobody waits for the server"
    assert (lineage.recorded, lineage.dropped) == (0, 3)
    recorder.let.set()
    assert lineage.flush(30)
    assert (lineage.recorded, lineage.failed, lineage.dropped) == (3, 0, 3)
    assert len([record for record in caplog.records if "more wait than are kept" in record.message]) == 1
    lineage.close()
    lineage.add(COPY, PLACES, T)
    assert lineage.dropped == 4, "after closing nothing is taken"


def test_closing_does_not_wait_for_ever() -> None:
    recorder = Slow()
    lineage = SqlLineage(recorder)
    for _ in range(3):
        lineage.add(COPY, PLACES, T)
    started = time.monotonic()
    lineage.close(0.05)
    assert time.monotonic() - started < 5
    assert lineage.dropped == 2
    recorder.let.set()


def test_what_the_server_does_not_take_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Slow(LakewardenError("no such luck"))
    recorder.let.set()
    lineage = SqlLineage(recorder)
    with caplog.at_level(logging.WARNING, "lakewarden.duckdb"):
        for _ in range(3):
            lineage.add(COPY, PLACES, T)
        lineage.add("no SQL at (all", {}, T)
        assert lineage.flush(30)
    assert (lineage.recorded, lineage.failed) == (0, 4)
    assert [record.message for record in caplog.records] == ["lineage is not recorded: no such luck"]
    lineage.close()


def test_a_file_is_told_of_by_its_volume() -> None:
    recorder = Slow()
    recorder.let.set()
    lineage = SqlLineage(recorder)
    place = Place("/srv/shown/d/o.json", "main.s.shown", "/srv/shown")
    query = "SELECT a FROM s"
    lineage.add(query, {query.index("s", 10): S}, None, Copied(place, "csv", True))
    lineage.add("INSERT INTO t DEFAULT VALUES", {}, T, Copied(place, "json", False, ("a", 'b"')))
    assert lineage.flush(30)
    lineage.close()
    assert recorder.told == [
        """COPY (SELECT a FROM "main"."s"."s") TO '/Volumes/main/s/shown/d/o.json'""",
        '''COPY "main"."s"."t" ("a", "b""") FROM '/Volumes/main/s/shown/d/o.json' (FORMAT json)''',
    ]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (COPY, 'INSERT INTO "main"."s"."t" SELECT * FROM "main"."s"."s"'),
        (
            "INSERT INTO t (a) SELECT lake.main.s.a FROM s AS x, s",
            'INSERT INTO "main"."s"."t" (a) SELECT "main"."s"."s".a FROM "main"."s"."s" AS x, "main"."s"."s"',
        ),
        (
            "INSERT INTO t WITH s AS (SELECT 1 AS a) SELECT s.a FROM s",
            'INSERT INTO "main"."s"."t" WITH s AS (SELECT 1 AS a) SELECT s.a FROM s',
        ),
    ],
)
def test_names_become_those_of_lakewarden(sql: str, expected: str) -> None:
    # Where `s` is a table, and not where it is what WITH names.
    places = {} if "WITH" in sql else {place: S for place, letter in enumerate(sql) if letter == "s"}
    written = in_full(Ran(sql, places, T, "", datetime.now()))
    assert written == expected


def test_a_table_made_here_has_its_lineage_once_it_is_registered(
    governed: GovernedConnection, server: EmbeddedServer
) -> None:
    governed.execute("CREATE TABLE lake.sales.made AS SELECT id, amount AS total FROM lake.raw.orders")
    assert governed.lineage is not None
    assert governed.lineage.flush()
    admin = server.client()
    columns = [{"name": name, "type_text": "INTEGER"} for name in ("id", "total")]
    admin.tables.create("main.sales.made", columns=columns)
    deadline = time.monotonic() + 20
    while not (found := admin.lineage.columns("main.sales.made", "total", direction="upstream")).edges:
        assert time.monotonic() < deadline
    assert {node.label for node in found.nodes} == {"main.sales.made.total", "main.raw.orders.amount"}
