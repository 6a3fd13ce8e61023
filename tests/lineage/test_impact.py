"""What depends on a table or a column: what is told of it, and to whom how much of it is hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lakewarden import Client
from lakewarden.cli import main
from lakewarden_server.services import lineage_impact
from lakewarden_server.testing import serve
from lineage.corpus import at
from lineage.lake import Lake, may_use

TABLES = ("raw.orders", "sales.menu", "sales.dinner", "sales.report")


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with serve() as server:
        found = Lake(server, TABLES)
        found.made_of_columns(
            "sales.menu",
            total=[("raw.orders", "amount", "IDENTITY")],
            day=[("raw.orders", "day", "IDENTITY"), ("raw.orders", "state", "FILTER")],
        )
        found.made_of_columns("sales.dinner", total=[("sales.menu", "total", "AGGREGATION")])
        found.made("sales.dinner", "sales.report")
        found.made("sales.report", "kafka://broker:9092|feed")
        yield found


@pytest.fixture(scope="module")
def owner(lake: Lake) -> Client:
    """Who owns the orders, and sees nothing made of them."""
    client = may_use(lake, "olga", "raw.orders")
    lake.admin.tables.set_owner("main.raw.orders", "olga@example.com")
    return client


def test_what_depends_on_a_table_is_told_by_distance_with_its_owner_and_when_it_was_made(lake: Lake) -> None:
    found = lake.admin.lineage.impact("main.raw.orders")
    assert [(asset.name, asset.distance, asset.kind) for asset in found.assets] == [
        ("main.sales.menu", 1, "TABLE"),
        ("main.sales.dinner", 2, "TABLE"),
        ("main.sales.report", 3, "TABLE"),
        ("kafka://broker feed", 4, "DATASET"),
    ]
    assert [asset.owner for asset in found.assets] == ["admin@example.com"] * 3 + [""]
    times = [asset.observed_time and asset.observed_time.isoformat() for asset in found.assets]
    assert times == [at(second).replace("Z", "+00:00") for second in (1, 2, 3, 4)]
    assert found.catalogs == {"main": 3}
    assert (found.hidden_consumers, found.truncated_by) == ("0", "")


def test_depth_and_number_cut_and_say_so(lake: Lake) -> None:
    assert lake.admin.lineage.impact("main.raw.orders", max_depth=2).truncated_by == "DEPTH"
    few = lake.admin.lineage.impact("main.raw.orders", max_nodes=1)
    assert (len(few.assets), few.truncated_by) == (1, "NODES")


@pytest.mark.parametrize(
    ("column", "reached"),
    [
        ("amount", ["main.sales.menu", "main.sales.dinner", "main.sales.report"]),
        ("day", ["main.sales.menu"]),
        # A filter by it chooses the rows of everything in there; whom those feed is no longer about this column.
        ("state", ["main.sales.menu"]),
        ("nothing", []),
    ],
)
def test_what_depends_on_a_column_depends_on_it_by_filters_too(
    lake: Lake, column: str, reached: list[str]
) -> None:
    assert [asset.name for asset in lake.admin.lineage.impact("main.raw.orders", column).assets] == reached


def test_the_owner_learns_roughly_how_much_is_hidden_and_nobody_else_does(lake: Lake, owner: Client) -> None:
    found = owner.lineage.impact("main.raw.orders")
    assert [(asset.name, asset.owner, asset.observed_time, asset.hidden) for asset in found.assets] == [
        ("", "", None, True)
    ]
    assert (found.catalogs, found.hidden_consumers) == ({}, "1-5")
    assert owner.lineage.impact("main.raw.orders", "amount").hidden_consumers == "1-5"
    assert owner.lineage.impact("main.raw.orders", "nothing").hidden_consumers == "0"
    reader = may_use(lake, "rita", "raw.orders")
    assert reader.lineage.impact("main.raw.orders").hidden_consumers == ""
    lake.admin.grants.grant("MANAGE", "table", "main.raw.orders", "rita@example.com")
    assert reader.lineage.impact("main.raw.orders").hidden_consumers == "1-5"


def test_what_is_not_counted_to_its_end_counts_as_much(
    owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage_impact, "CONSUMERS_WALKED_MAX", 2)
    assert owner.lineage.impact("main.raw.orders").hidden_consumers == "more than 100"


def test_who_does_not_manage_it_gets_the_same_bytes_whatever_lies_behind_what_is_hidden() -> None:
    """And the control: to its owner the number is another one."""
    told: dict[str, list[bytes]] = {"rita": [], "olga": []}
    for secret in (False, True):
        with serve() as server:
            lake = Lake(server, ("raw.orders", "sales.menu", *(f"sales.t{number}" for number in range(6))))
            for name in told:
                may_use(lake, name, "raw.orders")
            lake.admin.tables.set_owner("main.raw.orders", "olga@example.com")
            lake.made("raw.orders", "sales.menu")
            for number in range(6 if secret else 0):
                lake.made("sales.menu", f"sales.t{number}")
            for name, answers in told.items():
                asked = server.client_as(name).lineage
                answer = asked._call("AnalyzeImpact", root={"table": "main.raw.orders"})
                answers.append(answer.SerializeToString(deterministic=True))
    assert told["rita"][0] == told["rita"][1]
    assert told["olga"][0] != told["olga"][1]


def test_the_command_line_shows_what_depends_on_a_column(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", lake.server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_TOKEN", lake.server.admin_token)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", "workspace")
    assert main(["lineage", "impact", "main.raw.orders.day"]) == 0
    told = capsys.readouterr().out
    assert "main.sales.menu" in told
    assert "main.sales.dinner" not in told
    assert main(["lineage", "impact", "main.raw.orders", "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["hidden_consumers"] == "0"
    assert [asset["observed_time"] for asset in told["assets"]] == [at(second) for second in (1, 2, 3, 4)]
    assert main(["lineage", "impact", "main.raw.nothing"]) == 4
    assert main(["lineage", "impact"]) == 2
    assert main(["lineage", "impact", "main.raw.orders", "--revoke", "SELECT"]) == 2
