"""What an edge's runs say together, counted on from what they said before, so that an edge of many runs costs no more than one of few."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

Row = dict[str, Any]


class Said(NamedTuple):
    """A row of what a run says of two names, before and now."""

    before: Row | None
    now: Row | None


def tallied(edge: Row, said: Iterable[Said], counted: Collection[int]) -> Row | None:
    """A live edge with what more runs say of it; None where that is not what they add, and has to be summed up again.

    `counted` are the runs among them that said it before.
    """
    if edge["state"] != "LIVE":
        return None
    row = dict(edge)
    runs: set[int] = set()
    for before, now in said:
        was, is_now = _live(before, edge), _live(now, edge)
        if is_now is None:
            if was is not None:
                return None
            continue
        if is_now["mapping_hash"] != edge["mapping_hash"]:
            return None
        if was is not None and not _grown(was, is_now):
            return None
        row["first_time"] = min(row["first_time"], is_now["first_time"])
        row["last_time"] = max(row["last_time"], is_now["last_time"])
        runs.add(is_now["run_id"])
    row["run_count"] += len(runs.difference(counted))
    return row


def _live(said: Row | None, edge: Row) -> Row | None:
    return said if said is not None and said["live"] and said["edge_id"] == edge["id"] else None


def _grown(was: Row, now: Row) -> bool:
    """Whether a run says the same of a longer time."""
    return bool(
        was["mapping_hash"] == now["mapping_hash"]
        and was["defines"] == now["defines"]
        and was["first_time"] >= now["first_time"]
        and was["last_time"] <= now["last_time"]
    )
