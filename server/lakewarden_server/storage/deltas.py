"""What happened between two heads, from the change log, as the records a snapshot loses and gains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from lakewarden_policy.records import Head
from lakewarden_server.entities import ChangeLog
from lakewarden_server.storage.head import nonce_of
from lakewarden_server.storage.snapshot import SOURCES, Source, deleted_table_of

DELTA_ROWS_MAX = 10_000
"""Rows of the change log folded in one step; with more, the state is read anew, which then costs no more."""

_LOG = ChangeLog.__table__.c


class Delta(NamedTuple):
    """Records by the names of `Snapshot.build`'s lists; a changed one is in both."""

    removed: dict[str, list[Any]]
    added: dict[str, list[Any]]
    rows: int
    """Rows of the change log it was folded from."""


class _Folded(NamedTuple):
    """One row of a table over several revisions: as it was before the first and after the last; None where it was absent."""

    kind: str
    object_id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


def between(connection: Connection, held: Head, head: Head) -> Delta | None:
    """What leads from `held` to the later `head` of the same history.

    None when the log does not tell all of it: a revision is missing, it begins or ends in another history, or there is too much of it.
    """
    if nonce_of(connection, held.revision) not in (held.nonce, None):
        return None
    statement = (
        select(_LOG.revision, _LOG.kind, _LOG.object_id, _LOG.before, _LOG.after, _LOG.nonce)
        .where(_LOG.revision > held.revision, _LOG.revision <= head.revision)
        .order_by(_LOG.revision, _LOG.position)
        .limit(DELTA_ROWS_MAX + 1)
    )
    folded: dict[tuple[str, str], _Folded] = {}
    revision, nonce, count = held.revision, held.nonce, 0
    for found, kind, object_id, before, after, found_nonce in connection.execute(statement):
        if found > revision + 1:
            return None
        revision, nonce, count = found, found_nonce, count + 1
        first = folded.get((kind, object_id))
        folded[kind, object_id] = _Folded(kind, object_id, first.before if first else before, after)
    if count > DELTA_ROWS_MAX or revision != head.revision or nonce != head.nonce:
        return None
    return _delta(connection, list(folded.values()), count)


def _delta(connection: Connection, changes: list[_Folded], rows: int) -> Delta:
    delta = Delta({}, {}, rows)
    for name, source in SOURCES.items():
        for change in changes:
            if change.kind in source.kinds:
                _note(delta, name, _record(source, change.before), _record(source, change.after))
    for change in changes:
        if change.kind == "TABLE":
            before, after = (state and deleted_table_of(state) for state in (change.before, change.after))
            _note(delta, "deleted", before, after)
    if revived := _revived(changes):
        # Restored, or another kind now: what it was granted lay in the tables all the time, and no row of the log tells of it.
        grants = SOURCES["grants"]
        rows_of_them = grants.statement().where(grants.table.c.securable_id.in_(revived))
        delta.added.setdefault("grants", []).extend(map(grants.make, connection.execute(rows_of_them)))
    return delta


def _note(delta: Delta, name: str, before: Any, after: Any) -> None:
    if before == after:
        return
    if before is not None:
        delta.removed.setdefault(name, []).append(before)
    if after is not None:
        delta.added.setdefault(name, []).append(after)


def _record(source: Source, state: Mapping[str, Any] | None) -> Any:
    values = None if state is None else source.values(state)
    return None if values is None else source.make(values)


def _revived(changes: list[_Folded]) -> list[str]:
    """Ids of the securables that were there before and are now what they were not: alive, or of their kind."""
    securables = SOURCES["securables"]
    found = []
    for change in changes:
        if change.kind not in securables.kinds or change.before is None or change.after is None:
            continue
        before, after = (_record(securables, state) for state in (change.before, change.after))
        if after is not None and (before is None or before.kind != after.kind):
            found.append(change.object_id)
    return found
