"""Lineage declared of paths that lie in a volume or a table: whose privileges count, and what is shown of them."""

from __future__ import annotations

from typing import Any

import pytest

from lakewarden import AlreadyExists, Client, InvalidArgument, PermissionDenied
from lakewarden._external_lineage import shown as end_shown
from lakewarden.cli import main
from lineage.lake import Lake, may_use, shown
from lineage.volume_files import FILE, STORED, kinds, landing

ANN = "ann@example.com"
ORDERS, REPORT = "main.raw.orders", "main.sales.report"
MISSING = "/Volumes/main/raw/nothing/day/orders.csv"


def ends(client: Client, name: str) -> list[tuple[str, str]]:
    """What is declared of an object, as it is told."""
    return [(end_shown(each.source), end_shown(each.target)) for each in client.external_lineage.list(name)]


def test_a_file_of_a_volume_is_declared_by_either_name_and_told_by_that_of_today(stored_lake: Lake) -> None:
    lake, declared = stored_lake, stored_lake.admin.external_lineage
    landing(lake)
    made = declared.create(FILE, ORDERS, columns=[("key", "id")])
    assert (end_shown(made.source), end_shown(made.target)) == (FILE, ORDERS)
    with pytest.raises(AlreadyExists):
        declared.create(STORED, ORDERS)
    assert ends(lake.admin, FILE) == ends(lake.admin, STORED) == [(FILE, ORDERS)]
    assert kinds(lake.admin, FILE) == {FILE: "PATH", ORDERS: "TABLE"}
    lake.admin.volumes.rename("main.raw.landing", "arrivals")
    now = FILE.replace("landing", "arrivals")
    assert shown(lake.admin.lineage.traverse(now))[1] == {(now, "raw.orders")}
    assert ends(lake.admin, ORDERS) == [(now, ORDERS)]
    declared.update(STORED, ORDERS, properties={"a": "b"})
    # The volume as a whole is an end of its own.
    declared.create(ORDERS, "/Volumes/main/raw/arrivals")
    assert ends(lake.admin, "/Volumes/main/raw/arrivals/") == [(ORDERS, "/Volumes/main/raw/arrivals")]
    declared.delete(ORDERS, "/Volumes/main/raw/arrivals")
    lake.admin.volumes.delete("main.raw.arrivals")
    (left,) = declared.list(ORDERS)
    assert (left.source.dropped, end_shown(left.source), left.id) == (True, "", made.id)
    declared.delete_by_id(made.id)
    assert ends(lake.admin, ORDERS) == []


def test_a_path_in_a_table_is_the_table(stored_lake: Lake) -> None:
    lake, declared = stored_lake, stored_lake.admin.external_lineage
    lake.admin.tables.create(
        "main.raw.days", [{"name": "id", "type_text": "BIGINT"}], storage_location="s3://lake/days"
    )
    made = declared.create("s3://lake/days/2026/part.parquet", ORDERS, columns=[("ID", "id")])
    assert (end_shown(made.source), made.columns[0].source) == ("main.raw.days", "id")
    assert ends(lake.admin, "main.raw.days") == [("main.raw.days", ORDERS)]


@pytest.mark.parametrize("name", [FILE, STORED])
def test_it_takes_the_volume_s_privileges_and_not_the_location_s(stored_lake: Lake, name: str) -> None:
    lake = stored_lake
    landing(lake)
    ann = may_use(lake, "ann", "raw.orders")
    grants: list[tuple[Any, str, str]] = [
        ("MODIFY", "table", ORDERS),
        ("READ VOLUME", "volume", "main.raw.landing"),
        ("WRITE VOLUME", "volume", "main.raw.landing"),
    ]
    lake.admin.grants.grant(["READ FILES", "WRITE FILES"], "external_location", "lake", ANN)
    both = ((name, ORDERS), (ORDERS, name))

    def refusals() -> list[tuple[str, str]]:
        refused = []
        for source, target in both:
            try:
                ann.external_lineage.create(source, target)
            except PermissionDenied as error:
                refused.append((source, error.reason or ""))
            else:
                lake.admin.external_lineage.delete(source, target)
        return refused

    hidden = [(name, "ACCESS_DENIED"), (ORDERS, "ACCESS_DENIED")]
    assert refusals() == hidden
    for grant in grants:
        lake.admin.grants.grant(*grant, ANN)
    assert refusals() == []
    lake.admin.grants.revoke(*grants[1], ANN)
    assert refusals() == [(name, "PRIVILEGE_MISSING")]
    lake.admin.grants.revoke(*grants[2], ANN)
    lake.admin.grants.grant(*grants[1], ANN)
    assert refusals() == [(ORDERS, "PRIVILEGE_MISSING")]


def test_a_hidden_volume_is_like_one_that_is_not_there(stored_lake: Lake) -> None:
    lake = stored_lake
    landing(lake)
    ann = may_use(lake, "ann", "raw.orders")

    def refusals(name: str) -> list[str]:
        told = []
        for call in (
            lambda: ann.external_lineage.create(name, ORDERS),
            lambda: ann.external_lineage.delete(ORDERS, name),
            lambda: list(ann.external_lineage.list(name)),
        ):
            with pytest.raises(PermissionDenied) as denied:
                call()
            told.append(f"{denied.value.reason} {denied.value}".replace(name, "NAME"))
        return told

    assert refusals(FILE) == refusals(MISSING)
    # By its URL, of which Ann sees no location, it is like a path anywhere.
    assert refusals(STORED) == refusals("s3://elsewhere/orders.csv")
    for unclear in ("/Volumes/main/raw", "/Volumes/main/raw/landing/../other", "dbfs:/Volumes/a.b/c/d/e"):
        with pytest.raises(InvalidArgument):
            lake.admin.external_lineage.create(unclear, ORDERS)


def test_the_command_takes_paths_of_volumes(stored_lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    lake = stored_lake
    landing(lake)
    server = lake.server
    told = ["--endpoint", server.endpoint, "--token", server.admin_token, "--workspace", "workspace"]
    assert main(["lineage", "declare", FILE, ORDERS, *told]) == 0
    capsys.readouterr()
    assert main(["lineage", "declared", f"dbfs:{FILE}", *told]) == 0
    assert FILE in capsys.readouterr().out
    assert main(["lineage", "undeclare", FILE, ORDERS, *told]) == 0
    assert ends(lake.admin, ORDERS) == []
