"""The tables of lineage say what TraverseLineage says, run by run, and of hidden assets no more; on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lakewarden import Client, PermissionDenied
from lakewarden._system_tables import SystemTables
from lakewarden_server.lineage.visibility import Sight
from lakewarden_server.services.system_tables import lineage, service
from lakewarden_server.testing import serve
from lineage.corpus import dataset, event, job_event, run_id
from lineage.lake import OURS, Lake, may_use, of

TABLES = "system.access.table_lineage"
COLUMNS = "system.access.column_lineage"
LAKE = ("raw.orders", "raw.prices", "sales.menu", "sales.dinner", "sales.report")
FLOWS = (
    ("kafka://broker:9092|clicks", "raw.orders"),
    ("s3://bucket|raw/orders", "raw.orders"),
    ("raw.orders", "sales.menu"),
    ("raw.prices", "sales.menu"),
    ("sales.menu", "sales.dinner"),
    ("sales.dinner", "sales.report"),
    ("sales.menu", "sales.report"),
)
HIDDEN = "(hidden)"
Pairs = Counter[tuple[str, str]]


@pytest.fixture
def lake(database_url: str) -> Iterator[Lake]:
    with serve(database_url=database_url) as server:
        yield _filled(server)


@pytest.fixture
def small() -> Iterator[Lake]:
    with serve() as server:
        yield _filled(server)


def _filled(server: Any) -> Lake:
    found = Lake(server, LAKE)
    found.record(*(_run(number, *flow) for number, flow in enumerate(FLOWS, 1_000)))
    return found


def _run(number: int, source: str, target: str) -> bytes:
    """The end of a run that made one of the other."""
    return event(second=number, run=number, job=f"job {number}", inputs=[of(source)], outputs=[of(target)])


def test_what_a_caller_sees_is_worked_out_anew_only_when_there_are_other_assets(
    small: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs between assets that are known come all the time: a reader's next batch must not begin with all assets."""
    made: list[int] = []
    asset = lineage._asset
    monkeypatch.setattr(lineage, "_asset", lambda node, roster: made.append(node.id) or asset(node, roster))
    before = _pairs(small.admin)
    assert len(made) == len(set(made)) == 7
    small.record(_run(2_000, "raw.prices", "sales.dinner"))
    assert _pairs(small.admin) - before == {("main.raw.prices", "main.sales.dinner"): 1}
    assert len(made) == 7
    small.record(_run(2_001, "kafka://broker:9092|new", "sales.dinner"))
    assert _pairs(small.admin) - before == {
        ("main.raw.prices", "main.sales.dinner"): 1,
        ("kafka://broker/new", "main.sales.dinner"): 1,
    }
    assert len(made) == 7 + 8


@pytest.mark.parametrize("chunk", [1, 2])
def test_edges_are_looked_up_for_some_assets_at_a_time(
    small: Lake, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    whole = _pairs(small.admin)
    monkeypatch.setattr(lineage, "ASSETS_CHUNK", chunk)
    assert _pairs(small.admin) == whole
    assert sum(whole.values()) == len(FLOWS)


def _end(row: dict[str, Any], end: str) -> str:
    return row[f"{end}_table_full_name"] or row[f"{end}_path"] or HIDDEN


def _pairs(client: Client) -> Pairs:
    rows = client.system_table(TABLES).to_pylist()
    return Counter((_end(row, "source"), _end(row, "target")) for row in rows)


def _traversed(client: Client) -> Pairs:
    """The same by asking about each asset the caller sees and its neighbours: an edge is met from both of its ends."""
    pairs: dict[tuple[str, str], int] = {}
    hidden: Pairs = Counter()
    roots = [f"main.{table}" for table in LAKE]
    for root in (*roots, "s3://bucket/raw/orders"):
        try:
            found = client.lineage.traverse(
                root, max_depth=1, include_states=["DROPPED"], include_self_edges=True
            )
        except PermissionDenied:
            continue
        labels = {node.id: HIDDEN if node.hidden else node.name.replace(" ", "/") for node in found.nodes}
        for edge in found.edges:
            pair = (labels[edge.source_id], labels[edge.target_id])
            if HIDDEN in pair:
                hidden[pair] += 1
            else:
                pairs[pair] = 1
    return Counter(pairs) + hidden


def test_the_owner_sees_every_flow_with_what_made_it(lake: Lake) -> None:
    rows = lake.admin.system_table(TABLES).to_pylist()
    assert {(_end(row, "source"), _end(row, "target")) for row in rows} == {
        ("kafka://broker/clicks", "main.raw.orders"),
        ("s3://bucket/raw/orders", "main.raw.orders"),
        ("main.raw.orders", "main.sales.menu"),
        ("main.raw.prices", "main.sales.menu"),
        ("main.sales.menu", "main.sales.dinner"),
        ("main.sales.dinner", "main.sales.report"),
        ("main.sales.menu", "main.sales.report"),
    }
    row = next(row for row in rows if row["target_table_name"] == "dinner")
    assert {name: row[name] for name in row if name.startswith(("source_", "target_"))} == {
        "source_table_full_name": "main.sales.menu",
        "source_table_catalog": "main",
        "source_table_schema": "sales",
        "source_table_name": "menu",
        "source_path": None,
        "source_type": "TABLE",
        "target_table_full_name": "main.sales.dinner",
        "target_table_catalog": "main",
        "target_table_schema": "sales",
        "target_table_name": "dinner",
        "target_path": None,
        "target_type": "TABLE",
    }
    assert row["entity_type"] == "JOB"
    assert row["created_by"] == "admin@example.com"
    assert row["entity_metadata"]["job_info"] == {
        "job_id": row["entity_id"],
        "job_run_id": row["entity_run_id"],
    }
    assert row["entity_run_id"] == run_id(1_004)
    assert row["event_date"] == row["event_time"].date()
    assert (row["account_id"], row["event_id"], row["statement_id"]) == (None, None, None)
    assert len({row["record_id"] for row in rows}) == len(rows)
    kinds = {_end(row, "source"): row["source_type"] for row in rows}
    assert (kinds["kafka://broker/clicks"], kinds["s3://bucket/raw/orders"]) == ("DATASET", "PATH")


def test_what_no_run_told_has_no_run(lake: Lake) -> None:
    said = {"inputs": [dataset("main.sales.menu", OURS)], "outputs": [dataset("main.sales.report", OURS)]}
    body = json.loads(job_event(100, "declared", [], []))
    lake.record(json.dumps({**body, **said}).encode())
    rows = lake.admin.system_table("system.access.table_lineage").to_pylist()
    (row,) = [row for row in rows if row["entity_id"] == "tests/declared"]
    assert (row["entity_run_id"], row["entity_metadata"]["job_info"]["job_run_id"]) == (None, None)


def test_each_caller_is_told_what_traversing_tells_it(lake: Lake) -> None:
    lake.admin.tables.delete("main.raw.prices")
    callers = [lake.admin, lake.server.client_as("stranger")]
    for number, tables in enumerate(
        (("sales.menu",), ("sales.menu", "sales.report"), ("raw.orders", "sales.report"), LAKE[:1], LAKE[2:])
    ):
        callers.append(may_use(lake, f"user{number}", *tables))
    for client in callers:
        assert _pairs(client) == _traversed(client)
    assert _pairs(callers[1]) == {}
    assert _pairs(callers[2])[HIDDEN, "main.sales.menu"] == 2


def test_of_a_hidden_end_nothing_is_told_but_that_it_is_there(small: Lake) -> None:
    reader = may_use(small, "ada", "sales.menu")
    before = reader.system_table(TABLES)
    for row in before.to_pylist():
        told = {name for name, value in row.items() if value is not None}
        end = "source" if row["source_type"] else "target"
        assert told == {f"{end}_table_{part}" for part in ("full_name", "catalog", "schema", "name")} | {
            f"{end}_type"
        }
    assert reader.system_table(COLUMNS).num_rows == 0
    # Whatever runs between what is hidden, or again over the same hidden end, changes nothing.
    again = (("sales.dinner", "sales.report"), ("sales.menu", "sales.report"), ("raw.orders", "sales.menu"))
    small.record(*(_run(number, *again[number % 3]) for number in range(3_000, 3_009)))
    assert reader.system_table(TABLES).equals(before)
    assert small.admin.system_table(TABLES).num_rows == len(FLOWS) + 9


def test_the_comparison_fails_where_a_hidden_asset_is_taken_for_visible(
    small: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    reader = may_use(small, "ada", "sales.menu")
    traversed = _traversed(reader)
    assert _pairs(reader) == traversed
    sees = Sight._sees
    monkeypatch.setattr(
        Sight, "_sees", lambda self, asset: self._nodes[asset].name.endswith("report") or sees(self, asset)
    )
    small.admin.catalogs.create("other")
    assert _pairs(reader) != traversed


def test_a_run_of_another_workspace_is_told_without_what_it_was(small: Lake) -> None:
    small.admin.workspaces.create("elsewhere", metastore="metastore", omit_catalog=True)
    there = small.server.client(workspace="elsewhere")
    rows = there.system_table(TABLES).to_pylist()
    assert len(rows) == len(FLOWS)
    hidden = ("workspace_id", "entity_id", "entity_run_id", "entity_metadata", "created_by")
    assert {row[name] for row in rows for name in hidden} == {None}
    assert {row["entity_type"] for row in rows} == {"JOB"}
    small.admin.workspace_bindings.update("catalog", "main", isolated=True)
    assert not any(
        row["source_table_name"] or row["target_table_name"] for row in there.system_table(TABLES).to_pylist()
    )


def test_renamed_tables_have_the_names_of_today_in_rows_of_before(small: Lake) -> None:
    before = small.admin.system_table(TABLES, columns=["record_id"]).to_pylist()
    small.admin.tables.rename("main.raw.orders", "purchases")
    small.admin.schemas.rename("main.sales", "shop")
    rows = small.admin.system_table(TABLES).to_pylist()
    pairs = {(_end(row, "source"), _end(row, "target")) for row in rows}
    assert ("main.raw.purchases", "main.shop.menu") in pairs
    assert not any("orders" in end or "sales" in end for pair in pairs for end in pair if "bucket" not in end)
    assert {row["record_id"] for row in rows} == {row["record_id"] for row in before}


def test_runs_that_failed_or_have_not_ended_are_not_told(small: Lake) -> None:
    before = _pairs(small.admin)
    small.made("raw.prices", "sales.report", kind="FAIL")
    small.made("raw.orders", "sales.report", kind="START")
    assert _pairs(small.admin) == before


def test_rows_come_run_by_run_in_batches_of_any_size_and_within_times(small: Lake) -> None:
    small.record(*(_run(2_000 + number, "raw.orders", "sales.menu") for number in range(20)))
    whole = small.admin.system_table(TABLES)
    assert whole.num_rows == len(FLOWS) + 20
    for rows in (4, 7):
        _, batches = SystemTables(small.admin._connection).batches(TABLES, batch_rows=rows)
        read = list(batches)
        assert [row for batch in read for row in batch.to_pylist()] == whole.to_pylist()
        assert max(batch.num_rows for batch in read) == rows
    menu = {"target_table_full_name": "main.sales.menu"}
    times = sorted(row["event_time"] for row in small.admin.system_table(TABLES, equal_to=menu).to_pylist())
    assert len(times) == 22
    within = small.admin.system_table(TABLES, since=times[5], until=times[9])
    assert sorted(row["event_time"] for row in within.to_pylist()) == times[5:9]
    assert small.admin.system_table(TABLES, since=datetime(2100, 1, 1, tzinfo=UTC)).num_rows == 0


def test_a_batch_ends_in_time_where_there_is_nothing_to_tell(
    small: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH_SECONDS_MAX", 0.0)
    for table in (TABLES, COLUMNS):
        _, batches = SystemTables(small.admin._connection).batches(
            table, since=datetime(2100, 1, 1, tzinfo=UTC)
        )
        # One for each asset that is looked at, and the last.
        assert [batch.num_rows for batch in batches] == [0] * (len(LAKE) + 3)


def test_columns_are_told_where_both_ends_are_seen(small: Lake) -> None:
    sources = [
        {"namespace": OURS, "name": "main.raw.orders", "field": "amount", "transformations": [{"type": "DIRECT", "subtype": "AGGREGATION"}]},
        {"namespace": OURS, "name": "main.raw.prices", "field": "price", "transformations": [{"type": "DIRECT", "subtype": "TRANSFORMATION"}]},
    ]  # fmt: skip
    filtered = [
        {"namespace": OURS, "name": "main.raw.orders", "field": "day", "transformations": [{"type": "INDIRECT", "subtype": "FILTER"}]},
    ]  # fmt: skip
    facet = {"fields": {"total": {"inputFields": sources}}, "dataset": filtered}
    inputs = [dataset("main.raw.orders", OURS), dataset("main.raw.prices", OURS)]
    output = dataset("main.sales.report", OURS, columnLineage=facet)
    small.record(event("COMPLETE", 500, run=500, job="total", inputs=inputs, outputs=[output]))
    wanted = {"target_table_full_name": "main.sales.report"}

    def told(client: Client) -> list[tuple[str, str, str]]:
        rows = client.system_table(COLUMNS, equal_to=wanted).to_pylist()
        assert len({row["record_id"] for row in rows}) == len(rows)
        ends = ("source_table_name", "source_column_name", "target_column_name")
        return sorted(tuple(str(row[name]) for name in ends) for row in rows)  # type: ignore[misc]

    assert told(small.admin) == [
        ("orders", "amount", "total"),
        ("orders", "day", "None"),
        ("prices", "price", "total"),
    ]
    assert told(may_use(small, "ada", "raw.prices", "sales.report")) == [("prices", "price", "total")]
    assert told(may_use(small, "bea", "raw.orders")) == []
