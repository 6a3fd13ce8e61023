"""What a name means in the catalog after it was dropped and made again is decided by what is there, by no time that an event says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lakewarden import Client
from lineage.corpus import dataset, event
from lineage.lake import OURS, Lake, of
from lineage.volume_files import FILE, landing, registered, upstream

TABLE = "main.raw.orders"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def eve(stored_lake: Lake) -> Client:
    """Who may tell of lineage, and has no right on anything."""
    client = stored_lake.server.client_as("eve")
    stored_lake.admin.grants.grant("LINEAGE PRODUCER", "workspace", "workspace", "eve@example.com")
    return client


def made_again(lake: Lake) -> None:
    lake.admin.tables.delete(TABLE)
    lake.admin.tables.create(TABLE, columns=[{"name": "id", "type_text": "BIGINT"}])


def told_of(client: Client, *names: dict[str, object], second: float) -> None:
    outputs = [dataset("junk", "eve")]
    client.lineage_events.record(event(run=99, second=second, inputs=list(names), outputs=outputs))


def test_an_event_of_long_ago_takes_nothing_from_what_has_the_name_now(
    stored_lake: Lake, eve: Client
) -> None:
    lake = stored_lake
    landing(lake)
    file, table = dataset(FILE, "dbfs"), of("raw.orders")
    lake.record(event(run=1, second=10, inputs=[file], outputs=[table]))
    made_again(lake)
    lake.admin.volumes.delete("main.raw.landing")
    landing(lake)
    lake.record(event(run=2, second=20, inputs=[file], outputs=[table]))
    assert upstream(lake.admin) == {(FILE, "raw.orders")}
    told_of(eve, file, table, second=-1_000)
    lake.record(event(run=3, second=30, inputs=["kafka"], outputs=[table]))
    assert upstream(lake.admin) == {(FILE, "raw.orders"), ("postgres://db kafka", "raw.orders")}
    (history,) = lake.admin.lineage.history(FILE, TABLE)
    assert history.run_count == 1


def test_an_event_of_long_ago_gives_no_lineage_of_what_was_dropped(stored_lake: Lake, eve: Client) -> None:
    lake, new = stored_lake, dataset("main.raw.fresh", OURS)
    lake.record(event(run=1, second=5, inputs=["payroll"], outputs=[new]))
    for _ in range(2):
        lake.admin.tables.create("main.raw.fresh", columns=[{"name": "id", "type_text": "BIGINT"}])
        registered(lake)
        lake.admin.tables.delete("main.raw.fresh")
    lake.admin.tables.create("main.raw.fresh", columns=[{"name": "id", "type_text": "BIGINT"}])
    told_of(eve, new, second=1)
    assert upstream(lake.admin, "main.raw.fresh") == set()


def test_a_clock_ahead_keeps_no_name_for_what_is_dropped(stored_lake: Lake, eve: Client) -> None:
    lake = stored_lake
    told_of(eve, of("raw.orders"), second=now() + timedelta(hours=23).total_seconds())
    made_again(lake)
    told = event(run=2, second=now(), inputs=["kafka"], outputs=[of("raw.orders")])
    lake.admin.lineage_events.record(told)
    assert upstream(lake.admin) == {("postgres://db kafka", "raw.orders")}


def now() -> float:
    """As seconds of events are counted."""
    return (datetime.now(UTC) - START).total_seconds()
