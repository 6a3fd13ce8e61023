"""What of lineage is out of date: edges are retired, and what nobody needs any longer is deleted, in bounded steps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from lakewarden_server.core.clock import microseconds_of, monotonic
from lakewarden_server.entities import LineageEdge
from lakewarden_server.lineage.forgetting import forget_unresolved
from lakewarden_server.lineage.rollups import Rollup, roll_up
from lakewarden_server.lineage.unused_mappings import forget_mappings
from lakewarden_server.lineage.versions import History
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.repositories.lineage import LineageStore, values_of
from lakewarden_server.storage.repositories.lineage_retention import LineageRetention

UNMADE_RUNS: Final = 3
"""Runs of its job that completed in a row without an edge, after which it is retired (reference/lineage.md 5) …"""
UNMADE: Final = timedelta(days=30)
"""… once it was not seen for so long."""
EVENTS_KEPT: Final = timedelta(days=14)
"""Events as they came; what they said stays. One that comes again later is folded again, which changes nothing."""
CHANGES_KEPT: Final = timedelta(days=1)
"""Changes of the graph for who follows them; who comes later reads the graph anew."""

EDGES_RETIRED_MAX: Final = 1_000
EVENTS_DELETED_MAX: Final = 10_000
SEQUENCES_DELETED_MAX: Final = 10_000
"""Of one step; recorders wait while it lasts."""
STEPS_MAX: Final = 100
"""Of each kind in one run; the rest waits for the next."""
ROLLUP_STEPS_MAX: Final = 1_000
"""In which runs are purged in one run, as small ones: many more runs than this are not told of in an hour."""
STEP_SECONDS_MAX: Final = 10.0


class Aged(NamedTuple):
    """What one run did: edges retired, events and changes deleted, runs purged, days of them made versions, and assets and mappings forgotten."""

    edges: int
    events: int
    changes: int
    runs: int
    days: int
    assets: int
    mappings: int


def age(database: Database, now: datetime) -> Aged:
    """Retires and deletes what is out of date at `now`. Raises what a transaction can raise; what was done until then stays."""
    edges = _in_steps(lambda: _retire(database, now), EDGES_RETIRED_MAX)
    changes = _in_steps(lambda: _delete_changes(database, now), 1)
    events = _in_steps(lambda: _delete_events(database, now), EVENTS_DELETED_MAX)
    # What is retired by what runs said is retired before they are purged.
    runs = _in_steps(lambda: roll_up(database, now, Rollup.DAY), 1, ROLLUP_STEPS_MAX)
    days = _in_steps(lambda: roll_up(database, now, Rollup.VERSION), 1, ROLLUP_STEPS_MAX)
    assets = _forget(database, now)
    return Aged(edges, events, changes, runs, days, assets, forget_mappings(database, now))


def _forget(database: Database, now: datetime) -> int:
    """Forgets assets in no catalog; how many."""
    done, steps, after = 0, 0, 0
    while steps < STEPS_MAX:
        step = forget_unresolved(database, now, after)
        if step.after is None:
            break
        # What is only looked at nobody waits for.
        done, steps, after = done + step.assets, steps + bool(step.assets), step.after
    return done


def _in_steps(step: Callable[[], int], least: int, steps: int = STEPS_MAX) -> int:
    """Takes steps until one does less than `least`; how much they did together."""
    done = 0
    for _ in range(steps):
        count = step()
        done += count
        if count < least:
            break
    return done


def _retire(database: Database, now: datetime) -> int:
    """Retires edges as of when the run ended that was one too many, or when they had not been seen for too long."""
    seen_before = microseconds_of(now - UNMADE)
    with database.reading() as connection:
        found = LineageRetention(connection).unmade(seen_before, UNMADE_RUNS, EDGES_RETIRED_MAX)
    if not found:
        return 0
    deadline = monotonic() + STEP_SECONDS_MAX
    with database.transaction(deadline=deadline) as connection:
        store = LineageStore(connection, deadline=deadline)
        store.take()
        # What was seen since is not out of date any more.
        sure = LineageRetention(connection).unmade(
            seen_before, UNMADE_RUNS, EDGES_RETIRED_MAX, [each.edge_id for each in found]
        )
        times = {each.edge_id: each.time for each in sure}
        before = {row.id: values_of(row) for row in store.find(LineageEdge, "id", times)}
        rows = {edge_id: dict(row) for edge_id, row in before.items()}
        history = History(store)
        for edge_id, row in rows.items():
            unseen = row["last_time"] + UNMADE // timedelta(microseconds=1)
            history.retire(row, max(times[edge_id], unseen))
        history.write(before, rows, ())
        store.put(LineageEdge, list(rows.values()))
        store.tell(edges=list(rows.values()))
        connection.commit()
    return len(rows)


def _delete_changes(database: Database, now: datetime) -> int:
    deadline = monotonic() + STEP_SECONDS_MAX
    with database.transaction(deadline=deadline) as connection:
        retention = LineageRetention(connection)
        until = retention.newest_sequence(now - CHANGES_KEPT)
        if not until:
            return 0
        LineageStore(connection, deadline=deadline).take()
        deleted = retention.delete_changes(until, SEQUENCES_DELETED_MAX)
        connection.commit()
    return deleted


def _delete_events(database: Database, now: datetime) -> int:
    deadline = monotonic() + STEP_SECONDS_MAX
    with database.transaction(deadline=deadline) as connection:
        deleted = LineageRetention(connection).delete_events(now - EVENTS_KEPT, EVENTS_DELETED_MAX)
        connection.commit()
    return deleted
