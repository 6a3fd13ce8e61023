"""What edges said of columns goes once nothing says it any more: no edge, no version of one and no run.

What says a mapping has no index by it, so all of it is read through, by a reader that nobody waits for. What is recorded meanwhile may
say what was found to be unsaid: so it is marked first, under the head, recording takes the mark away where it finds one, and what is
deleted is what was found a second time with the mark from before, and still has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from lakewarden_server.core.clock import microseconds_of, monotonic
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.repositories.lineage import LineageStore, batches
from lakewarden_server.storage.repositories.lineage_mappings import LineageMappings

LOOKED_EVERY: Final = timedelta(days=1)
"""It is read through for them once in this time, by one server."""
UNUSED_MAX: Final = 100_000
"""Mappings looked at together; the rest waits for the next time."""
MAPPINGS_DELETED_MAX: Final = 500
"""Of one step, marked or deleted; recorders wait while it lasts."""
STEP_SECONDS_MAX: Final = 10.0


def forget_mappings(database: Database, now: datetime) -> int:
    """Deletes mappings that nothing said a day ago and nothing says now, and marks others; how many were deleted."""
    time, before = microseconds_of(now), microseconds_of(now - LOOKED_EVERY)
    with database.reading() as connection:
        if LineageMappings(connection).looked_time() >= before:
            return 0
    with database.transaction(deadline=monotonic() + STEP_SECONDS_MAX) as connection:
        is_mine = LineageMappings(connection).look(time, before)
        connection.commit()
    if not is_mine:
        return 0
    with database.reading() as connection:
        found = LineageMappings(connection).unused(UNUSED_MAX)
    deleted = _in_steps(database, found.marked, lambda mappings, step: mappings.delete(step))

    def mark(mappings: LineageMappings, step: Sequence[str]) -> int:
        mappings.mark(step, time)
        return 0

    _in_steps(database, found.unmarked, mark)
    return deleted


def _in_steps(
    database: Database, hashes: Sequence[str], act: Callable[[LineageMappings, Sequence[str]], int]
) -> int:
    """Does it with some at a time, with recorders waiting; how many were deleted together."""
    done = 0
    for step in batches(hashes, MAPPINGS_DELETED_MAX):
        deadline = monotonic() + STEP_SECONDS_MAX
        with database.transaction(deadline=deadline) as connection:
            LineageStore(connection, deadline=deadline).take()
            done += act(LineageMappings(connection), step)
            connection.commit()
    return done
