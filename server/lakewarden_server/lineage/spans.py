"""What one name meant when, as it is stored, and when that became something else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """A stored alias: what a name meant after one time and until another."""

    after: int
    until: int
    asset_id: int | None


class Moved(NamedTuple):
    """After one time and until another a name does not mean the asset any more that it meant."""

    name_id: int
    after: int
    until: int


def moved(name_id: int, before: Sequence[Span], now: Sequence[Span]) -> set[Moved]:
    """When a name meant an asset and means another now, or none: what was said of it then is said of something else."""
    return {
        Moved(name_id, max(was.after, span.after), min(was.until, span.until))
        for was in before
        for span in now
        if was.asset_id is not None
        and was.asset_id != span.asset_id
        and max(was.after, span.after) < min(was.until, span.until)
    }
