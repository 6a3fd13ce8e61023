"""Ways and histories that begin or end at what is no table: external metadata, paths, models and datasets of other systems."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lakewarden import Client, PermissionDenied
from lakewarden.cli import main
from lakewarden_server.testing import serve
from lineage.lake import Lake, may_use

RAW, REPORT = "main.raw.orders", "main.sales.report"
TOPIC = {"source_namespace": "kafka://broker:9093"}
DASHBOARD = {"target_type": "external_metadata"}


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    """A topic feeds the orders, these the report, and that by declaration a dashboard, which nobody but the admin sees."""
    with serve() as server:
        lake = Lake(server, ("raw.orders", "sales.report"))
        for name in ("dashboard", "unused"):
            lake.admin.external_metadata.create(name, "TABLEAU", "dashboard")
            lake.admin.grants.revoke("BROWSE", "external_metadata", name, "account users")
        lake.made("kafka://broker:9093|orders", "raw.orders")
        lake.made("raw.orders", "sales.report")
        lake.admin.external_lineage.create(REPORT, "dashboard", **DASHBOARD)
        may_use(lake, "ann", "raw.orders", "sales.report")
        yield lake


def ways(client: Client, source: str, target: str, **ends: Any) -> list[list[str]]:
    return [[node.label for node in way] for way in client.lineage.paths(source, target, **ends)]


def test_ways_lead_to_and_from_what_is_no_table(lake: Lake) -> None:
    assert ways(lake.admin, RAW, "dashboard", **DASHBOARD) == [[RAW, REPORT, "dashboard"]]
    assert ways(lake.admin, "orders", "dashboard", **TOPIC, **DASHBOARD) == [
        ["kafka://broker:9093 orders", RAW, REPORT, "dashboard"]
    ]
    assert ways(lake.admin, RAW, "unused", **DASHBOARD) == []
    assert ways(lake.admin, "unused", RAW, source_type="external_metadata") == []


def test_their_history_is_told(lake: Lake) -> None:
    (declared,) = lake.admin.lineage.history(REPORT, "dashboard", **DASHBOARD)
    assert (declared.state, declared.run_count, len(declared.versions)) == ("LIVE", 1, 1)
    (read,) = lake.admin.lineage.history("orders", RAW, **TOPIC)
    assert (read.job_name, read.run_count) == ("job 1", 1)
    assert list(lake.admin.lineage.history(RAW, "unused", **DASHBOARD)) == []


@pytest.mark.parametrize(
    "asked", [lambda client: client.lineage.paths, lambda client: client.lineage.history]
)
def test_one_that_is_hidden_is_refused_like_one_that_is_not_there(
    lake: Lake, asked: Callable[[Client], Any]
) -> None:
    ann = lake.server.client_as("ann")
    for source, target, ends in (
        (RAW, "{}", {"target_type": "external_metadata"}),
        ("{}", RAW, {"source_type": "external_metadata"}),
        ("{}", RAW, TOPIC),
    ):
        refusals = set()
        for name in ("dashboard" if "type" in str(ends) else "orders", "nothing"):
            with pytest.raises(PermissionDenied) as refused:
                asked(ann)(source.format(name), target.format(name), **ends)
            refusals.add((refused.value.reason, str(refused.value).replace(name, "NAME")))
        assert len(refusals) == 1
    lake.admin.grants.grant("BROWSE", "external_metadata", "dashboard", "ann@example.com")
    assert asked(ann)(REPORT, "dashboard", **DASHBOARD)
    lake.admin.grants.revoke("BROWSE", "external_metadata", "dashboard", "ann@example.com")


def test_the_commands_take_the_type_or_namespace_of_each_end(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    server = lake.server
    told = ["--endpoint", server.endpoint, "--token", server.admin_token, "--workspace", "workspace"]
    ends = ["orders", "dashboard", "--source-namespace", "kafka://broker:9093"]
    ends += ["--target-type", "external_metadata"]
    assert main(["lineage", "paths", *ends, *told]) == 0
    assert capsys.readouterr().out == f"kafka://broker:9093 orders → {RAW} → {REPORT} → dashboard\n"
    line = ["lineage", "history", REPORT, *ends[1:2], *ends[4:], *told, "-o", "json"]
    assert main(line) == 0
    assert [row["reason"] for row in json.loads(capsys.readouterr().out)] == ["FIRST"]
    assert main(["lineage", "history", *ends, *told]) == 0
    # What is told to be asked next finds the same ends.
    assert f"lakewarden lineage paths {' '.join(ends)}" in capsys.readouterr().err
