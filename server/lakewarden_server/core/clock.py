"""The one place that asks the operating system for the time, so that a test can hold another clock; and times as numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

Clock = Callable[[], datetime]
"""Returns an aware UTC time; `utc_now` in production."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds that never go back: for deadlines and durations only."""
    return time.monotonic()


def microseconds_of(time: datetime) -> int:
    """An aware time in microseconds since 1970."""
    return (time - EPOCH) // _MICROSECOND


def time_at(microseconds: int) -> datetime:
    """The aware time, in UTC, so many microseconds since 1970."""
    return EPOCH + microseconds * _MICROSECOND
