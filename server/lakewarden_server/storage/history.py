"""The past from the change log alone: the state at a revision, and the policy it was decided by.

The log carries the full state of every row after each change, so the newest row of each object up to a revision is what
the tables held then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select

from lakewarden_policy import Policy, PolicyError, Snapshot
from lakewarden_policy.records import Head
from lakewarden_server.core.errors import FailedPrecondition, Reason
from lakewarden_server.entities import ChangeLog, PolicyText
from lakewarden_server.storage.snapshot import SOURCES, Source, build, deleted_table_of

RETENTION = timedelta(days=365)
"""How far back questions are answered. Nothing is deleted before that; what is older may be archived by the operator."""

_LOG = ChangeLog.__table__
_POLICIES = PolicyText.__table__
_KINDS = sorted({kind for source in SOURCES.values() for kind in source.kinds})


class Moment(NamedTuple):
    """A state of the past, the time it is judged at (for what expires), and the policy it was decided by."""

    head: Head
    stamp: datetime
    """When the revision was made."""
    time: datetime
    policy_digest: str


def at_revision(connection: Connection, head: Head, revision: int, *, now: datetime) -> Moment:
    """The state a revision made, judged at its own time. `head` and `now` are the present.

    Raises FailedPrecondition (HISTORY_UNAVAILABLE) for one that is not in the log, or too long ago.
    """
    oldest = _newest_until(connection, now - RETENTION)
    if revision > head.revision:
        raise _unavailable(f"revision {revision} is not reached yet: the newest is {head.revision}")
    if oldest is not None and revision < oldest:
        raise _unavailable(
            f"revision {revision} is longer ago than the {RETENTION.days} days that are answered: ask for {oldest} or later"
        )
    statement = select(_LOG.c.nonce, _LOG.c.time, _LOG.c.policy_digest).where(_LOG.c.revision == revision)
    row = connection.execute(statement.limit(1)).one_or_none()
    if row is None:
        raise _unavailable(f"revision {revision} is not in the change log, which begins with revision 1")
    return Moment(Head(head.epoch, revision, row.nonce), row.time, row.time, row.policy_digest)


def at_time(connection: Connection, head: Head, time: datetime, *, now: datetime) -> Moment:
    """The state at a time by the database's clock: what the newest revision up to it made.

    Raises FailedPrecondition (HISTORY_UNAVAILABLE) for a time to come, before the first change, or too long ago.
    """
    if time > now:
        raise _unavailable(f"{time.isoformat()} is still to come")
    if time < now - RETENTION:
        raise _unavailable(
            f"{time.isoformat()} is longer ago than the {RETENTION.days} days that are answered"
        )
    revision = _newest_until(connection, time)
    if revision is None:
        first = connection.execute(select(_LOG.c.time).order_by(_LOG.c.revision).limit(1)).scalar_one()
        raise _unavailable(
            f"{time.isoformat()} is before the first change, which was at {first.isoformat()}: ask for that or later"
        )
    return at_revision(connection, head, revision, now=now)._replace(time=time)


def load_past(connection: Connection, moment: Moment) -> Snapshot:
    """The state of a moment's revision, with every grant it held: `Snapshot.at` leaves out those that had expired at a time."""
    folded: dict[str, list[dict[str, Any]]] = {}
    for kind, after in connection.execute(_fold(moment.head.revision)):
        folded.setdefault(kind, []).append(after)
    return build(
        moment.head,
        lambda source: map(source.make, _rows(source, folded)),
        deleted=[deleted for deleted in map(deleted_table_of, folded.get("TABLE", ())) if deleted],
        now=float("-inf"),
    )


def remember_policy(connection: Connection, texts: tuple[str, str, str, str], digest: str) -> None:
    """Keeps the texts of a policy, so that what was decided by it can be decided again; does nothing when they are there."""
    known = connection.execute(select(_POLICIES.c.digest).where(_POLICIES.c.digest == digest))
    if known.one_or_none() is None:
        model, privileges, operations, levels = texts
        first = select(func.coalesce(func.max(_LOG.c.revision), 0)).scalar_subquery()
        connection.execute(
            insert(PolicyText).values(
                digest=digest,
                model=model,
                privileges=privileges,
                operations=operations,
                levels=levels,
                first_revision=first,
            )
        )


def newest_policy_digest(connection: Connection) -> str | None:
    """The policy the newest revision was decided by; None before the first."""
    statement = select(_LOG.c.policy_digest).order_by(_LOG.c.revision.desc()).limit(1)
    return connection.execute(statement).scalar_one_or_none()


def load_policy_of(connection: Connection, digest: str) -> Policy:
    """The policy with this digest. Raises FailedPrecondition (HISTORY_UNAVAILABLE) where it is unknown or unreadable."""
    statement = select(*(_POLICIES.c[name] for name in ("model", "privileges", "operations", "levels")))
    row = connection.execute(statement.where(_POLICIES.c.digest == digest)).one_or_none()
    if row is None:
        raise _unavailable(f"the policy of that time ({digest[:16]}) is not kept here")
    try:
        policy = Policy(*row)
    except (ValueError, PolicyError) as error:
        raise _unavailable(
            f"this release cannot read the policy of that time ({digest[:16]}): {error}"
        ) from None
    if policy.digest != digest:
        raise _unavailable(f"the stored policy of that time ({digest[:16]}) was changed")
    return policy


def _fold(revision: int) -> Any:
    """Kind and state of every object that existed at a revision: its newest row up to it, unless that one removed it."""
    newest = (
        select(
            _LOG.c.revision,
            _LOG.c.position,
            func.row_number()
            .over(
                partition_by=(_LOG.c.object_id, _LOG.c.kind),
                order_by=(_LOG.c.revision.desc(), _LOG.c.position.desc()),
            )
            .label("age"),
        )
        .where(_LOG.c.revision <= revision, _LOG.c.kind.in_(_KINDS))
        .subquery()
    )
    # Numbered by their keys alone and joined then: sorting whole states would move the whole log.
    same = (_LOG.c.revision == newest.c.revision) & (_LOG.c.position == newest.c.position)
    return (
        select(_LOG.c.kind, _LOG.c.after)
        .join(newest, same)
        .where(newest.c.age == 1, _LOG.c.after.is_not(None))
    )


def _rows(source: Source, folded: dict[str, list[dict[str, Any]]]) -> Iterator[Sequence[Any]]:
    """The values of a source's columns in every state of its kinds that it wants."""
    states = (after for kind in source.kinds for after in folded.get(kind, ()))
    return (values for values in map(source.values, states) if values is not None)


def _newest_until(connection: Connection, time: datetime) -> int | None:
    """The newest revision stamped with this time or an earlier one."""
    statement = select(func.max(_LOG.c.revision)).where(_LOG.c.time <= time)
    revision: int | None = connection.execute(statement).scalar_one()
    return revision


def _unavailable(problem: str) -> FailedPrecondition:
    return FailedPrecondition(Reason.HISTORY_UNAVAILABLE, problem)
