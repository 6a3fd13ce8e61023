"""Paths told of before a volume or an external table was registered over them; and files of volumes as HTTP, SQL and system tables say them."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from sqlalchemy import event as event_of_sqlalchemy
from sqlalchemy import text

from lakewarden import Client
from lakewarden.lineage.open_lineage import to_open_lineage
from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage import recording, registering
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.storage import Database
from lakewarden_server.storage.migrations import downgrade, migrate
from lakewarden_server.storage.repositories.lineage_registering import RegisteringReader, Spot, Stretch
from lakewarden_server.testing import WORKSPACE, serve
from lineage.corpus import NOW, columns, dataset, event
from lineage.lake import OURS, Lake, may_use
from lineage.volume_files import FILE, NAMES, STORED, kinds, landing, read_into, registered, upstream
from storage.dialects import ON_SQLITE


def test_what_was_told_before_is_taken_along_also_below_the_place(stored_lake: Lake) -> None:
    lake = stored_lake
    for run, (namespace, name) in enumerate(
        (*NAMES, ("s3://lake", "landing-2/x"), ("s3://lake", "tables/t/a/b.parquet")), 1
    ):
        read_into(lake, namespace, name, run=run)
    assert len(upstream(lake.admin)) > 4
    landing(lake)
    lake.admin.tables.create(
        "main.sales.t", [{"name": "id", "type_text": "BIGINT"}], storage_location="s3://lake/tables/t"
    )
    registered(lake)
    assert upstream(lake.admin) == {
        (FILE, "raw.orders"),
        ("s3://lake landing-2/x", "raw.orders"),
        ("sales.t", "raw.orders"),
    }
    before = lake.sequence()
    registered(lake)
    assert lake.sequence() == before


@pytest.mark.parametrize(
    ("resource", "old", "new"),
    [
        ("volumes", "main.raw.arrivals", "landing"),
        ("schemas", "main.bronze", "raw"),
        ("catalogs", "lake", "main"),
    ],
)
def test_paths_told_by_a_name_that_a_volume_gets_by_renaming_are_taken_along(
    stored_lake: Lake, resource: str, old: str, new: str
) -> None:
    lake, admin = stored_lake, stored_lake.admin
    read_into(lake, "dbfs", FILE, "sales.report")
    if resource == "catalogs":
        admin.catalogs.rename("main", "before")
        admin.catalogs.create("lake")
        admin.schemas.create("lake.raw")
    elif resource == "schemas":
        admin.schemas.rename("main.raw", "before")
        admin.schemas.create("main.bronze")
    volume = {"volumes": old, "schemas": f"{old}.landing", "catalogs": f"{old}.raw.landing"}[resource]
    admin.volumes.create(volume, storage_location="s3://lake/landing")
    registered(lake)
    getattr(admin, resource).rename(old, new)
    registered(lake)
    report = "before.sales.report" if resource == "catalogs" else "main.sales.report"
    assert kinds(admin, STORED) == kinds(admin, FILE) == {FILE: "PATH", report: "TABLE"}


@pytest.mark.parametrize("names_max", [1, 2, 1_000])
def test_any_number_of_paths_is_taken_along_in_steps(
    stored_lake: Lake, monkeypatch: pytest.MonkeyPatch, names_max: int
) -> None:
    lake = stored_lake
    places = [("s3://lake", f"landing/{number}.csv") for number in range(5)]
    places += [
        (namespace, f"/Volumes/main/raw/landing/{number}.csv")
        for number in range(3)
        for namespace in ("dbfs", "file")
    ]
    for run, (namespace, name) in enumerate(places, 1):
        read_into(lake, namespace, name, run=run)
    read_into(lake, "s3://lake", "t/x/1.parquet", "sales.report", run=90)
    landing(lake)
    lake.admin.tables.create(
        "main.sales.t", [{"name": "id", "type_text": "BIGINT"}], storage_location="s3://lake/t"
    )
    monkeypatch.setattr(registering, "NAMES_MAX", names_max)
    steps: list[int] = []
    bind = registering._bind
    monkeypatch.setattr(registering, "_bind", lambda *of: (steps.append(len(of[2])), bind(*of)))
    registered(lake)
    assert upstream(lake.admin) == {
        (f"/Volumes/main/raw/landing/{number}.csv", "raw.orders") for number in range(5)
    }
    assert upstream(lake.admin, "main.sales.report") == {("sales.t", "sales.report")}
    assert sum(steps) == len(places) + 1
    assert max(steps) <= names_max


def test_paths_told_to_a_version_of_before_are_taken_along(stored_lake: Lake) -> None:
    """The volume was there already when its paths were told to it: it bound none of a volume."""
    lake, database = stored_lake, stored_lake.server.app.database
    landing(lake)
    with pytest.MonkeyPatch.context() as patched:
        names_of = recording.Bindings.of
        patched.setattr(
            recording.Bindings,
            "of",
            lambda self, names: names_of(self, [each for each in names if each.namespace == OURS]),
        )
        for run, (namespace, name) in enumerate(NAMES, 1):
            read_into(lake, namespace, name, run=run)
    with database.transaction(deadline=monotonic() + 60) as connection:
        head = lake.server.app.follower.at_head().head.revision
        connection.execute(text("UPDATE lineage_head SET bound_revision = :head"), {"head": head})
        connection.commit()
    registered(lake)
    assert len(upstream(lake.admin)) > 4
    downgrade(database, "0023")
    migrate(database)
    registered(lake)
    assert upstream(lake.admin) == {(FILE, "raw.orders")}


def test_a_location_that_a_server_of_before_left_out_is_added(stored_lake: Lake) -> None:
    lake, database = stored_lake, stored_lake.server.app.database
    read_into(lake, "dbfs", FILE, run=1)
    with database.transaction(deadline=monotonic() + 60) as connection:
        connection.execute(text("UPDATE lineage_names SET location = NULL"))
        connection.commit()
    read_into(lake, "dbfs", FILE, run=2)
    with database.reading() as connection:
        located = (
            connection.execute(text("SELECT location FROM lineage_names WHERE location IS NOT NULL"))
            .scalars()
            .all()
        )
    assert located == ["volumes://main/raw/landing/day/orders.csv"]


def test_a_spark_run_over_http_says_which_column_of_a_file_became_which_of_a_table() -> None:
    with serve(http=True) as server:
        lake = Lake(server, ("raw.orders",))
        lake.admin.volumes.create("main.raw.landing")
        lake.admin.grants.grant("LINEAGE PRODUCER", "workspace", WORKSPACE, "admin@example.com")
        said = columns("dbfs://adb-1.azuredatabricks.net", id=[(FILE, "number", "IDENTITY")])
        body = event(
            run=7, job="databricks_shell.execute_insert_into_hadoop_fs_relation_command",
            inputs=[dataset(FILE, "dbfs://adb-1.azuredatabricks.net")],
            outputs=[dataset("main.raw.orders", OURS, columnLineage=said)],
        )  # fmt: skip
        sent = {"Authorization": f"Bearer {server.admin_token}", "Lakewarden-Workspace": WORKSPACE}
        with httpx2.Client(base_url=server.http_url, headers=sent, timeout=30) as http:
            assert http.post("/api/v1/lineage", content=body).status_code == 201
        found = lake.admin.lineage.columns("main.raw.orders", "id", direction="upstream")
        assert {node.label for node in found.nodes} == {"main.raw.orders.id", f"{FILE}.number"}
        assert kinds(lake.admin, FILE) == {FILE: "PATH", "main.raw.orders": "TABLE"}


@ON_SQLITE
def test_sql_names_files_of_volumes(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    for sql in (
        f"COPY INTO main.raw.orders FROM '{FILE}' FILEFORMAT = CSV",
        f"INSERT INTO main.raw.orders SELECT * FROM read_files('dbfs:{FILE}', format => 'csv')",
        f"INSERT INTO main.raw.orders SELECT * FROM csv.`{STORED}`",
    ):
        answer = lake.admin.lineage.record_sql(sql, dialect="databricks")
        assert not [each for each in answer.statements if each.left_out], sql
    assert upstream(lake.admin) == {(FILE, "raw.orders")}


def test_system_tables_tell_a_file_as_a_path_and_of_a_hidden_one_nothing(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    read_into(lake, "s3://lake", "landing/day/orders.csv")
    read_into(lake, "dbfs", "/Volumes/main/raw/landing", "sales.report", run=2)
    read_into(lake, "s3://lake", "elsewhere/x.csv", "sales.report", run=3)

    def told(client: Client) -> set[tuple[Any, ...]]:
        names = ("source_path", "source_type", "source_table_full_name", "target_table_full_name")
        return {
            tuple(row[name] for name in names)
            for row in client.system_table("system.access.table_lineage").to_pylist()
        }

    assert told(lake.admin) == {
        (FILE, "PATH", None, "main.raw.orders"),
        ("/Volumes/main/raw/landing", "PATH", None, "main.sales.report"),
        ("s3://lake/elsewhere/x.csv", "PATH", None, "main.sales.report"),
    }
    ben = may_use(lake, "ben", "raw.orders", "sales.report")
    assert told(ben) == {(None, None, None, "main.raw.orders"), (None, None, None, "main.sales.report")}
    lake.admin.volumes.rename("main.raw.landing", "arrivals")
    lake.admin.grants.grant("READ VOLUME", "volume", "main.raw.arrivals", "ben@example.com")
    assert (FILE.replace("landing", "arrivals"), "PATH", None, "main.raw.orders") in told(ben)
    lake.admin.volumes.delete("main.raw.arrivals")
    assert (STORED, "PATH", None, "main.raw.orders") in told(lake.admin)


@ON_SQLITE
def test_an_export_is_recorded_again_as_the_same(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    read_into(lake, "s3://lake", "landing/day/orders.csv")
    assets = lake.admin.lineage.traverse("main.raw.orders")
    (told,) = to_open_lineage(assets, host="lake.example.com", time=NOW)
    assert told["inputs"] == [{"namespace": "dbfs", "name": FILE}]
    before = kinds(lake.admin, FILE)
    lake.record(json.dumps(told).encode())
    assert kinds(lake.admin, FILE) == before


def test_paths_below_a_place_are_found_by_an_index(sqlite_database: Database) -> None:
    """Where lineage knows many names, what is registered reads those below its place alone."""
    with sqlite_database.reading() as connection:
        compiled: list[str] = []
        listened = event_of_sqlalchemy.listens_for(connection, "before_cursor_execute")
        listened(lambda _connection, _cursor, statement, *_more: compiled.append(statement))
        reader = RegisteringReader(connection)
        stretch = Stretch("metastore", "s3://lake/landing/", "s3://lake/landing0")
        reader.unbound_at(stretch, Spot("metastore", "", 0), FOREVER, limit=10)
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {compiled[-1]}", tuple("x" for _ in range(compiled[-1].count("?")))
        ).all()
    assert "metastore_id=? AND location>? AND location<?" in str(plan)
