"""What one name meant when, as it is stored, and when that became something else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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


def names_by_asset(spans: Mapping[int, Sequence[Span]]) -> Mapping[int | None, set[int]]:
    """The names that each asset has or had, none where it has none, of what names meant when."""
    found: dict[int | None, set[int]] = defaultdict(set)
    for name_id, of_name in spans.items():
        for span in of_name:
            found[span.asset_id].add(name_id)
    return found
