"""Files of volumes: one asset by all their names, under the volume's name of today, seen by who may see that; and paths in external locations."""

from __future__ import annotations

import random
import threading

import pytest

from lakewarden import PermissionDenied
from lineage.corpus import dataset, event
from lineage.lake import Lake, may_use, shown
from lineage.volume_files import FILE, NAMES, STORED, kinds, landing, read_into, registered, upstream
from storage.dialects import ON_SQLITE


def test_a_file_of_a_volume_is_one_asset_by_all_its_names(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    for run, (namespace, name) in enumerate(NAMES, 1):
        read_into(lake, namespace, name, run=run)
    assert upstream(lake.admin) == {(FILE, "raw.orders")}
    for asked in (FILE, f"dbfs:{FILE}", STORED, f"file://{FILE}", "/Volumes/Main/raw/LANDING/day/orders.csv"):
        assert kinds(lake.admin, asked) == {FILE: "PATH", "main.raw.orders": "TABLE"}, asked
    for namespace, name in NAMES:
        assert shown(lake.admin.lineage.traverse(name, namespace=namespace))[1] == {(FILE, "raw.orders")}


PATTERNS = (
    "/Volumes/main/raw/landing/day/*.csv",
    "s3://lake/landing/day/part-?.csv",
    "dbfs:/Volumes/main/raw/landing/day/**",
)


@pytest.mark.parametrize("sql", [True, False])
def test_a_pattern_is_the_folder_that_all_it_matches_lies_in(stored_lake: Lake, sql: bool) -> None:
    lake = stored_lake
    landing(lake)
    folder = "/Volumes/main/raw/landing/day"
    for run, pattern in enumerate((*PATTERNS, "/Volumes/main/raw/landing/*.csv"), 1):
        if sql:
            reading = f"SELECT * FROM read_files('{pattern}')"
            lake.admin.lineage.record_sql(f"INSERT INTO main.raw.orders {reading}", dialect="databricks")
        else:
            scheme, _, path = pattern.partition("://")
            bucket, _, key = path.partition("/")
            namespace, name = (
                (f"{scheme}://{bucket}", key) if path else ("dbfs", pattern.removeprefix("dbfs:"))
            )
            read_into(lake, namespace, name, run=run)
    # The volume itself is what a pattern in its uppermost folder is.
    assert upstream(lake.admin) == {(folder, "raw.orders"), ("/Volumes/main/raw/landing", "raw.orders")}
    for pattern in PATTERNS:
        assert kinds(lake.admin, pattern) == {folder: "PATH", "main.raw.orders": "TABLE"}
    reader = may_use(lake, "ann", "raw.orders")
    assert upstream(reader) == {("(hidden)", "raw.orders")}
    lake.admin.grants.grant("READ VOLUME", "volume", "main.raw.landing", "ann@example.com")
    assert (folder, "raw.orders") in upstream(reader)


def test_a_file_that_copy_into_names_by_a_pattern_is_the_tables_that_lies_there(stored_lake: Lake) -> None:
    lake = stored_lake
    lake.admin.tables.create(
        "main.raw.days", [{"name": "id", "type_text": "BIGINT"}], storage_location="s3://lake/days"
    )
    copy = "COPY INTO main.raw.orders FROM 's3://lake/days/2026-*/x.parquet' FILEFORMAT = PARQUET"
    lake.admin.lineage.record_sql(copy, dialect="databricks")
    assert upstream(lake.admin) == {("raw.days", "raw.orders")}


@ON_SQLITE
def test_every_question_takes_a_file_by_its_name(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    read_into(lake, "dbfs", FILE, run=90)
    lake.made("raw.orders", "sales.report", second=2)
    (way,) = lake.admin.lineage.paths(FILE, "main.sales.report")
    assert [node.label for node in way] == [FILE, "main.raw.orders", "main.sales.report"]
    impact = lake.admin.lineage.impact(STORED)
    assert {each.name for each in impact.assets if each.distance} == {"main.raw.orders", "main.sales.report"}
    (history,) = lake.admin.lineage.history(FILE, "main.raw.orders")
    assert history.run_count == 1
    assert lake.admin.lineage.columns(FILE, direction="downstream").nodes


def test_a_renamed_volume_schema_or_catalog_keeps_the_files_with_no_write(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    read_into(lake, "dbfs", FILE)
    before = lake.changes()
    for resource, old, new, now in (
        ("volumes", "main.raw.landing", "arrivals", "/Volumes/main/raw/arrivals"),
        ("schemas", "main.raw", "bronze", "/Volumes/main/bronze/arrivals"),
        ("catalogs", "main", "prod", "/Volumes/prod/bronze/arrivals"),
    ):
        getattr(lake.admin, resource).rename(old, new)
        file = f"{now}/day/orders.csv"
        assert kinds(lake.admin, file) == {
            file: "PATH",
            f"{now.split('/')[2]}.{now.split('/')[3]}.orders": "TABLE",
        }
        assert kinds(lake.admin, STORED) == kinds(lake.admin, file)
    registered(lake)
    assert lake.changes() == before
    # By its name of today it is the same one when it is told of again.
    read_into(lake, "dbfs", file, "sales.elsewhere", run=2)
    assert len(lake.admin.lineage.traverse(file).nodes) == 3


@ON_SQLITE
def test_files_of_one_volume_are_not_one_another_and_the_volume_is_an_asset_too(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    root = "/Volumes/main/raw/landing"
    for run, name in enumerate((FILE, f"{root}/other.csv", root), 1):
        read_into(lake, "dbfs", name, run=run)
    read_into(lake, "s3://lake", "landing", run=4)
    assert upstream(lake.admin) == {(name, "raw.orders") for name in (FILE, f"{root}/other.csv", root)}
    assert kinds(lake.admin, root) == {root: "VOLUME", "main.raw.orders": "TABLE"}


@ON_SQLITE
def test_a_volume_without_lineage_is_there_and_a_file_nobody_told_of_is_not(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    read_into(lake, "dbfs", FILE.replace("orders", "others"))
    for asked in ("/Volumes/main/raw/landing", "s3://lake/landing"):
        assert kinds(lake.admin, asked) == {"/Volumes/main/raw/landing": "VOLUME"}
    with pytest.raises(PermissionDenied):
        lake.admin.lineage.traverse(FILE)


@ON_SQLITE
def test_paths_that_could_be_read_as_two_are_no_files_of_a_volume(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    read_into(lake, "dbfs", "/Volumes/main/raw/other/../landing/x", run=1)
    read_into(lake, "dbfs", "/Volumes/main/raw/landing/../other/x", run=2)
    read_into(lake, "dbfs", "/Volumes/main/raw/landing/a%2Fb", run=3)
    assert {source for source, _ in upstream(lake.admin)} == {
        "dbfs /Volumes/main/raw/other/../landing/x",
        "dbfs /Volumes/main/raw/landing/../other/x",
        "dbfs /Volumes/main/raw/landing/a%2Fb",
    }


@ON_SQLITE
def test_a_file_is_seen_by_who_may_see_the_volume_and_nothing_of_it_by_others(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    read_into(lake, "dbfs", FILE)
    ben, eve = may_use(lake, "ben", "raw.orders"), may_use(lake, "eve", "raw.orders")
    lake.admin.grants.grant("READ VOLUME", "volume", "main.raw.landing", "ben@example.com")
    assert upstream(ben) == {(FILE, "raw.orders")}
    assert {node.hidden for node in eve.lineage.traverse("main.raw.orders").nodes} == {True, False}
    told = eve.lineage.traverse("main.raw.orders").to_dict()
    assert "landing" not in str(told)
    # A root that is hidden answers as one that is not there.
    root = FILE.partition("/day")[0]
    for asked, not_there in (
        (root, root.replace("landing", "missing")),
        ("s3://lake/landing", "s3://other/landing"),
        (FILE, FILE.replace("landing", "missing")),
        (STORED, STORED.replace("lake", "other")),
    ):
        answers = []
        for name in (asked, not_there):
            with pytest.raises(PermissionDenied) as refused:
                eve.lineage.traverse(name)
            answers.append(str(refused.value).replace(name, "NAME").split("request")[0])
        assert answers[0] == answers[1]
        seen = {FILE: "PATH", "main.raw.orders": "TABLE"} if "day" in asked else {root: "VOLUME"}
        assert kinds(ben, asked) == seen
    lake.admin.grants.revoke("READ VOLUME", "volume", "main.raw.landing", "ben@example.com")
    with pytest.raises(PermissionDenied):
        ben.lineage.traverse(FILE)
    # Whoever may see the external location above sees no files of a volume that is hidden.
    lake.admin.grants.grant("READ FILES", "external_location", "lake", "eve@example.com")
    with pytest.raises(PermissionDenied):
        eve.lineage.traverse(STORED)


def test_a_dropped_volumes_files_are_seen_as_a_dropped_tables_lineage(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    read_into(lake, "dbfs", FILE)
    ben, eve = may_use(lake, "ben", "raw.orders"), may_use(lake, "eve", "raw.orders")
    for name in ("ben", "eve"):
        lake.admin.grants.grant("READ VOLUME", "volume", "main.raw.landing", f"{name}@example.com")
    lake.admin.grants.grant("BROWSE", "catalog", "main", "ben@example.com")
    lake.admin.volumes.delete("main.raw.landing")
    assert upstream(ben) == upstream(lake.admin) == {(f"{FILE} (dropped)", "raw.orders")}
    assert {node.hidden for node in eve.lineage.traverse("main.raw.orders").nodes} == {True, False}
    # A volume that is made anew under the name and at the place is another one.
    landing(lake)
    registered(lake)
    assert upstream(lake.admin) == {(f"{FILE} (dropped)", "raw.orders")}
    read_into(lake, "dbfs", FILE, run=9)
    assert upstream(lake.admin) == {(f"{FILE} (dropped)", "raw.orders"), (FILE, "raw.orders")}


@ON_SQLITE
def test_a_path_in_an_external_location_is_seen_by_who_may_see_that(stored_lake: Lake) -> None:
    lake = stored_lake
    lake.admin.external_locations.create("inner", "s3://else/inner", "key")
    read_into(lake, "s3://lake", "files/a.csv", run=1)
    read_into(lake, "s3://else", "inner/b.csv", run=2)
    ben = may_use(lake, "ben", "raw.orders")
    hidden = [node.hidden for node in ben.lineage.traverse("main.raw.orders").nodes]
    assert sorted(hidden) == [False, True, True]
    lake.admin.grants.grant("BROWSE", "external_location", "lake", "ben@example.com")
    assert ("s3://lake files/a.csv", "raw.orders") in upstream(ben)
    assert kinds(ben, "s3://lake/files/a.csv")
    with pytest.raises(PermissionDenied):
        ben.lineage.traverse("s3://else/inner/b.csv")
    lake.admin.external_locations.delete("lake")
    with pytest.raises(PermissionDenied):
        ben.lineage.traverse("s3://lake/files/a.csv")
    assert kinds(lake.admin, "s3://lake/files/a.csv")


@ON_SQLITE
def test_a_name_that_went_to_another_volume_is_that_ones(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    read_into(lake, "dbfs", FILE)
    lake.admin.volumes.rename("main.raw.landing", "arrivals")
    assert set(kinds(lake.admin, FILE)) == {FILE.replace("landing", "arrivals"), "main.raw.orders"}
    lake.admin.volumes.create("main.raw.landing")
    with pytest.raises(PermissionDenied):
        lake.admin.lineage.traverse(FILE)
    read_into(lake, "dbfs", FILE, "sales.report", run=2)
    assert set(kinds(lake.admin, FILE)) == {FILE, "main.sales.report"}
    assert set(kinds(lake.admin, STORED)) == {FILE.replace("landing", "arrivals"), "main.raw.orders"}


SEED = 20261127
FILES, RENAMES, READERS = 8, 30, 2
WAIT_SECONDS = 120


def test_no_answer_misses_a_file_or_tells_it_twice_while_the_volume_is_renamed(stored_lake: Lake) -> None:
    """Renamed in turn: the volume, its schema and its catalog."""
    lake, chance = stored_lake, random.Random(SEED)
    landing(lake)
    names = ["main", "raw", "landing"]
    for number in range(FILES):
        file = f"/{number}.csv"
        name = ("s3://lake", f"landing{file}") if number % 2 else ("dbfs", f"/Volumes/main/raw/landing{file}")
        read_into(lake, *name, "sales.report", run=number + 1)
        lake.record(
            event(run=50 + number, second=50 + number, inputs=[dataset(name[1], name[0])], outputs=["kafka"])
        )
    lake.admin.catalogs.create("still")
    written, over, wrong, asked = lake.changes(), threading.Event(), [], []

    def ask() -> None:
        with lake.server.client() as client:
            while not over.is_set():
                answer = client.lineage.traverse("kafka", namespace="postgres://db", direction="upstream")
                asked.append(1)
                labels = sorted(node.label.rpartition("/")[2] for node in answer.nodes if node.distance)
                if labels != [f"{number}.csv" for number in range(FILES)]:
                    wrong.append(answer)

    readers = [threading.Thread(target=ask) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        for turn in range(RENAMES):
            level = chance.randrange(3)
            resource = (lake.admin.catalogs, lake.admin.schemas, lake.admin.volumes)[level]
            resource.rename(".".join(names[: level + 1]), f"n{turn}")
            names[level] = f"n{turn}"
    finally:
        over.set()
        for reader in readers:
            reader.join(WAIT_SECONDS)
    assert wrong == []
    assert len(asked) > RENAMES / 10
    assert lake.changes() == written
    found = lake.admin.lineage.traverse("kafka", namespace="postgres://db", direction="upstream")
    today = f"/Volumes/{'/'.join(names)}"
    assert {node.label for node in found.nodes if node.distance} == {f"{today}/{n}.csv" for n in range(FILES)}
