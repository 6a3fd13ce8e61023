"""On which days runs made an edge."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from lakewarden import InvalidArgument
from lakewarden._lineage import asset
from lakewarden.cli import main
from lakewarden.lineage import LineageEdgeDay
from lakewarden_server.services import lineage_past
from lakewarden_server.testing import serve
from lineage.corpus import event, run_id
from lineage.lake import Lake, of

ENDS = ("main.raw.orders", "main.sales.menu")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(database_url: str) -> Iterator[Lake]:
    with serve(database_url=database_url) as server:
        yield Lake(server, ("raw.orders", "sales.menu"))


def moment(day: int, hour: float) -> datetime:
    """So many days before today."""
    return TODAY - timedelta(days=day) + timedelta(hours=hour)


def told(kind: str, when: datetime, run: int, *outputs: str, job: str = "daily") -> bytes:
    made = [of(name) for name in outputs or ("sales.menu",)]
    return event(
        kind, (when - START).total_seconds(), run=run, job=job, inputs=[of("raw.orders")], outputs=made
    )


def days(lake: Lake, count: int = 400) -> tuple[LineageEdgeDay, ...]:
    return tuple(day for edge in lake.admin.lineage.history(*ENDS, days=count) for day in edge.days)


def test_runs_belong_to_the_day_they_were_last_heard_of_in_any_order_and_repetition(lake: Lake) -> None:
    bodies = [
        told("START", moment(20, 23), 1), told("COMPLETE", moment(19, 1), 1), told("COMPLETE", moment(19, 0), 8),
        told("COMPLETE", moment(3, 8), 2), told("COMPLETE", moment(3, 9), 3), told("COMPLETE", moment(3, 7), 4),
        told("COMPLETE", moment(2, 5), 5), told("FAIL", moment(2, 6), 6), told("START", moment(2, 7), 7),
    ]  # fmt: skip
    chance = random.Random(7)
    sent = [*bodies, *chance.choices(bodies, k=8)]
    chance.shuffle(sent)
    for body in sent:
        lake.admin.lineage_events.record(body)
    expected = (
        LineageEdgeDay(moment(19, 0).date().isoformat(), 2, moment(20, 23), moment(19, 1), run_id(1)),
        LineageEdgeDay(moment(3, 0).date().isoformat(), 3, moment(3, 7), moment(3, 9), run_id(3)),
        LineageEdgeDay(moment(2, 0).date().isoformat(), 1, moment(2, 5), moment(2, 5), run_id(5)),
    )
    assert days(lake) == expected
    assert days(lake, 10) == expected[1:]
    assert days(lake, 0) == ()
    # A run that failed after all made nothing on its day.
    lake.admin.lineage_events.record(told("FAIL", moment(2, 9), 5))
    assert days(lake) == expected[:2]


def test_more_than_can_be_read_is_left_out_and_said_to_be(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what was heard of last no day is short, also where a run ended long before it was heard of again."""
    for run, day in ((1, 9), (2, 5), (3, 5), (4, 2)):
        lake.admin.lineage_events.record(told("COMPLETE", moment(day, run), run))
    lake.admin.lineage_events.record(told("OTHER", moment(2, 1), 1))
    ends = {"source": asset(ENDS[0]), "target": asset(ENDS[1])}

    def asked(limit: int) -> tuple[bool, list[tuple[str, int]]]:
        monkeypatch.setattr(lineage_past, "DAYS_READ_MAX", limit)
        answer = lake.admin.lineage._call("GetLineageHistory", **ends, days=400)
        return answer.truncated, [(day.date, day.run_count) for day in answer.edges[0].days]

    def told_by_the_client(limit: int) -> bool:
        monkeypatch.setattr(lineage_past, "DAYS_READ_MAX", limit)
        return lake.admin.lineage.history(*ENDS, days=400).truncated

    assert (told_by_the_client(4), told_by_the_client(3)) == (False, True)
    older, newer = ((moment(day, 0).date().isoformat(), 2) for day in (5, 2))
    assert asked(4) == (False, [older, newer])
    assert asked(3) == (True, [newer])
    monkeypatch.setattr(lineage_past, "monotonic", lambda: float("inf"))
    assert asked(4) == (True, [])
    assert not lake.admin.lineage._call("GetLineageHistory", **ends).truncated


def test_a_run_that_says_it_under_two_names_is_one_and_a_rename_takes_the_days_along(lake: Lake) -> None:
    symlink = {"identifiers": [{"namespace": "s3://lake", "name": "menu", "type": "TABLE"}]}
    for run in (1, 2):
        lake.admin.lineage_events.record(
            told("COMPLETE", moment(5, run), run, "sales.menu", "s3://lake|menu")
        )
    linked = of("sales.menu") | {"facets": {"symlinks": symlink}}
    lake.admin.lineage_events.record(
        event(
            "COMPLETE",
            (moment(4, 1) - START).total_seconds(),
            run=3,
            job="links",
            inputs=[],
            outputs=[linked],
        )
    )
    (day,) = days(lake)
    assert (day.run_count, day.last_run) == (2, run_id(2))
    lake.admin.tables.rename("main.sales.menu", "card")
    (edge,) = lake.admin.lineage.history("main.raw.orders", "main.sales.card", days=30)
    assert edge.days == (day,)


def test_of_a_job_of_another_workspace_no_days_are_told_and_nonsense_is_refused(lake: Lake) -> None:
    seconds = (datetime(2026, 11, 20, tzinfo=UTC) - START).total_seconds()
    body = event("COMPLETE", seconds, run=1, inputs=[of("raw.orders")], outputs=[of("sales.menu")])
    lake.record(body, workspace_id="elsewhere")
    (edge,) = lake.admin.lineage.history(*ENDS, days=400)
    assert (len(edge.versions), edge.days) == (1, ())
    for wrong in (-1, 401):
        with pytest.raises(InvalidArgument) as refused:
            lake.admin.lineage.history(*ENDS, days=wrong)
        assert refused.value.metadata["field"] == "days"


def test_the_command_line_shows_days(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", lake.server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_TOKEN", lake.server.admin_token)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", lake.server.workspace or "")
    for run, day in ((1, 3), (2, 3), (3, 50)):
        lake.admin.lineage_events.record(told("COMPLETE", moment(day, 1), run))
    assert main(["lineage", "history", *ENDS, "--days", "30"]) == 0
    shown = capsys.readouterr().out
    assert moment(3, 0).date().isoformat() in shown
    assert moment(50, 0).date().isoformat() not in shown
    assert main(["lineage", "history", *ENDS, "--days", "401"]) == 2
    monkeypatch.setattr(lineage_past, "DAYS_READ_MAX", 1)
    capsys.readouterr()
    assert main(["lineage", "history", *ENDS, "--days", "30"]) == 0
    assert "This is not all" in capsys.readouterr().err
