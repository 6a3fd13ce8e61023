"""What edges of lineage were when, as it is told."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class LineageEdgeVersion(NamedTuple):
    """What an edge was from one time until another."""

    reason: str
    """FIRST, CHANGED or REOPENED; from DROPPED or RETIRED on there was no edge."""
    from_time: datetime | None
    until_time: datetime | None
    """None for the newest."""


class LineageEdgeDay(NamedTuple):
    """The runs that made an edge on one day in UTC, on which they were last heard of."""

    date: str
    """As in `2026-11-27`."""
    run_count: int
    first_time: datetime | None
    last_time: datetime | None
    last_run: str


class LineageEdgeHistory(NamedTuple):
    """What one job's edge between two assets was when. Of a job of another workspace there are only the state and the versions."""

    job_namespace: str
    job_name: str
    state: str
    """Empty where it is no more."""
    run_count: int
    first_time: datetime | None
    last_time: datetime | None
    last_run: str
    versions: tuple[LineageEdgeVersion, ...]
    days: tuple[LineageEdgeDay, ...] = ()
    """Of the days asked for those on which runs made it, in order."""


class LineageHistory(tuple[LineageEdgeHistory, ...]):
    """What the edges between two assets were when, one for each job that made the one of the other."""

    truncated: bool = False
    """Whether there are more jobs than these 100, or more runs than could be counted by day."""
