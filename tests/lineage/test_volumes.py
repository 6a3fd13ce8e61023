"""Files of volumes and what lies in external locations: one asset by all its names, under the volume's name of today, seen by who may see that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lakewarden import Client, PermissionDenied
from lakewarden_server.lineage import registering
from lakewarden_server.lineage.registering import Registrar
from lakewarden_server.testing import serve
from lineage.corpus import dataset, event
from lineage.lake import Lake, may_use, of, shown

FILE = "/Volumes/main/raw/landing/day/orders.csv"
STORED = "s3://lake/landing/day/orders.csv"
NAMES = [
    ("dbfs", FILE),
    ("file", FILE),
    ("dbfs:/", FILE),
    ("dbfs", "/Volumes/MAIN/Raw/landing/day/orders.csv/dt=2026-01-01/part-0.parquet"),
    ("s3a://lake", "landing/day/orders.csv"),
    ("s3://lake", "/landing/day/orders.csv/dt=2026-01-01/"),
]
ROLE = {"role_arn": "arn:aws:iam::123456789012:role/lake"}


@pytest.fixture
def lake(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """Tables, and `s3://lake` as an external location; registrations are looked for when a test says so."""
    monkeypatch.setattr(registering, "LOOK_SECONDS", 3_600.0)
    with serve(database_url=database_url) as server:
        lake = Lake(server, ("raw.orders", "sales.report"))
        lake.admin.storage_credentials.create("key", "aws_iam_role", ROLE)
        lake.admin.external_locations.create("lake", "s3://lake", "key")
        yield lake


def landing(lake: Lake) -> None:
    lake.admin.volumes.create("main.raw.landing", storage_location="s3://lake/landing")


def read_into(lake: Lake, namespace: str, name: str, table: str = "raw.orders", run: int = 1) -> None:
    lake.record(event(second=run, run=run, inputs=[dataset(name, namespace)], outputs=[of(table)]))


def upstream(client: Client, name: str = "main.raw.orders", **asked: Any) -> set[tuple[str, str]]:
    return shown(client.lineage.traverse(name, direction="upstream", **asked))[1]


def registered(lake: Lake) -> None:
    Registrar(lake.server.app.database, lake.server.app.follower, frozenset()).catch_up()


def kinds(client: Client, name: str) -> dict[str, str]:
    return {node.label: node.kind for node in client.lineage.traverse(name).nodes}


def test_a_file_of_a_volume_is_one_asset_by_all_its_names(lake: Lake) -> None:
    landing(lake)
    for run, (namespace, name) in enumerate(NAMES, 1):
        read_into(lake, namespace, name, run=run)
    assert upstream(lake.admin) == {(FILE, "raw.orders")}
    for asked in (FILE, f"dbfs:{FILE}", STORED, f"file://{FILE}", "/Volumes/Main/raw/LANDING/day/orders.csv"):
        assert kinds(lake.admin, asked) == {FILE: "PATH", "main.raw.orders": "TABLE"}, asked
    for namespace, name in NAMES:
        assert shown(lake.admin.lineage.traverse(name, namespace=namespace))[1] == {(FILE, "raw.orders")}


def test_every_question_takes_a_file_by_its_name(lake: Lake) -> None:
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


def test_a_renamed_volume_schema_or_catalog_keeps_the_files_with_no_write(lake: Lake) -> None:
    landing(lake)
    read_into(lake, "dbfs", FILE)
    before = lake.sequence()
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
    assert lake.sequence() == before
    # By its name of today it is the same one when it is told of again.
    read_into(lake, "dbfs", file, "sales.elsewhere", run=2)
    assert len(lake.admin.lineage.traverse(file).nodes) == 3


def test_files_of_one_volume_are_not_one_another_and_the_volume_is_an_asset_too(lake: Lake) -> None:
    landing(lake)
    root = "/Volumes/main/raw/landing"
    for run, name in enumerate((FILE, f"{root}/other.csv", root), 1):
        read_into(lake, "dbfs", name, run=run)
    read_into(lake, "s3://lake", "landing", run=4)
    assert upstream(lake.admin) == {(name, "raw.orders") for name in (FILE, f"{root}/other.csv", root)}
    assert kinds(lake.admin, root) == {root: "VOLUME", "main.raw.orders": "TABLE"}


def test_a_volume_without_lineage_is_there_and_a_file_nobody_told_of_is_not(lake: Lake) -> None:
    landing(lake)
    assert kinds(lake.admin, "/Volumes/main/raw/landing") == {"/Volumes/main/raw/landing": "VOLUME"}
    with pytest.raises(PermissionDenied):
        lake.admin.lineage.traverse(FILE)


def test_paths_that_could_be_read_as_two_are_no_files_of_a_volume(lake: Lake) -> None:
    landing(lake)
    read_into(lake, "dbfs", "/Volumes/main/raw/other/../landing/x", run=1)
    read_into(lake, "dbfs", "/Volumes/main/raw/landing/../other/x", run=2)
    read_into(lake, "dbfs", "/Volumes/main/raw/landing/a%2Fb", run=3)
    assert {source for source, _ in upstream(lake.admin)} == {
        "dbfs /Volumes/main/raw/other/../landing/x",
        "dbfs /Volumes/main/raw/landing/../other/x",
        "dbfs /Volumes/main/raw/landing/a%2Fb",
    }


def test_a_file_is_seen_by_who_may_see_the_volume_and_nothing_of_it_by_others(lake: Lake) -> None:
    landing(lake)
    read_into(lake, "dbfs", FILE)
    ben, eve = may_use(lake, "ben", "raw.orders"), may_use(lake, "eve", "raw.orders")
    lake.admin.grants.grant("READ VOLUME", "volume", "main.raw.landing", "ben@example.com")
    assert upstream(ben) == {(FILE, "raw.orders")}
    assert {node.hidden for node in eve.lineage.traverse("main.raw.orders").nodes} == {True, False}
    told = eve.lineage.traverse("main.raw.orders").to_dict()
    assert "landing" not in str(told)
    # A root that is hidden answers as one that is not there.
    for asked, not_there in (
        (FILE, FILE.replace("landing", "missing")),
        (STORED, STORED.replace("lake", "other")),
    ):
        answers = []
        for name in (asked, not_there):
            with pytest.raises(PermissionDenied) as refused:
                eve.lineage.traverse(name)
            answers.append(str(refused.value).replace(name, "NAME").split("request")[0])
        assert answers[0] == answers[1]
        assert kinds(ben, asked) == {FILE: "PATH", "main.raw.orders": "TABLE"}
    lake.admin.grants.revoke("READ VOLUME", "volume", "main.raw.landing", "ben@example.com")
    with pytest.raises(PermissionDenied):
        ben.lineage.traverse(FILE)
    # Whoever may see the external location above sees no files of a volume that is hidden.
    lake.admin.grants.grant("READ FILES", "external_location", "lake", "eve@example.com")
    with pytest.raises(PermissionDenied):
        eve.lineage.traverse(STORED)


def test_a_dropped_volumes_files_are_seen_as_a_dropped_tables_lineage(lake: Lake) -> None:
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


def test_a_path_in_an_external_location_is_seen_by_who_may_see_that(lake: Lake) -> None:
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


def test_what_was_told_before_is_taken_along_also_below_the_place(lake: Lake) -> None:
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
