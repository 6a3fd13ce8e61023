"""When tokens were last used, written in batches beside the head; and the end of those that nobody used for long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, delete, select, text
from sqlalchemy.orm import Session

from lakewarden_policy import ACCOUNT_ID
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import Token, TokenUse, UtcDateTime
from lakewarden_server.storage.audit import AuditRecord
from lakewarden_server.storage.engine import Database

IDLE_MAX: Final = timedelta(days=90)
"""A token that was not used for so long, by the database's clock, is revoked (semantics 5.4)."""
RETIRED_MAX: Final = 1_000
"""Tokens one run revokes: it holds the head, so the rest waits for the next run."""
RETIRE_SECONDS_MAX = 10.0

# Replicas write their batches in any order, so a time only ever moves forward.
_NOTE = text(
    "INSERT INTO token_uses (token_id, last_used_time) VALUES (:token_id, :time) "
    "ON CONFLICT (token_id) DO UPDATE SET last_used_time = excluded.last_used_time "
    "WHERE excluded.last_used_time > token_uses.last_used_time"
).bindparams(bindparam("time", type_=UtcDateTime()))


def note(connection: Connection, used: Mapping[str, datetime]) -> None:
    """Notes the time each token was last used, in the caller's transaction, which should be `Database.transaction`: without the head."""
    # Always in the same order: two replicas that note the same tokens must not wait for each other.
    rows = [{"token_id": token_id, "time": used[token_id]} for token_id in sorted(used)]
    if rows:
        connection.execute(_NOTE, rows)


def last_used(session: Session, token_ids: Sequence[str]) -> dict[str, datetime]:
    """When tokens were last used, by id; one that never was is left out."""
    statement = select(TokenUse).where(TokenUse.token_id.in_(token_ids))
    return {row.token_id: row.last_used_time for row in session.scalars(statement)}


def retire(database: Database, *, policy_digest: str) -> int:
    """Revokes the tokens that nobody used for `IDLE_MAX`, and forgets the uses of tokens that are gone; returns how many it revoked."""
    with database.read(deadline=monotonic() + RETIRE_SECONDS_MAX) as view:
        # A write is a revision that every process follows, so there is none without something to revoke.
        if view.session.scalars(_idle(view.time).limit(1)).first() is None:
            return 0
    with database.write(
        deadline=monotonic() + RETIRE_SECONDS_MAX, request_id="", actor_id="", policy_digest=policy_digest
    ) as uow:
        doomed = uow.session.scalars(_idle(uow.time).limit(RETIRED_MAX)).all()
        for token in doomed:
            uow.session.delete(token)
        uow.session.flush()
        uow.session.execute(delete(TokenUse).where(TokenUse.token_id.not_in(select(Token.id))))
        uow.audit(_record([token.id for token in doomed]))
        uow.commit()
    return len(doomed)


def _idle(now: datetime) -> Select[Any]:
    used = select(TokenUse.token_id).where(TokenUse.last_used_time > now - IDLE_MAX)
    # Client secrets are kept for programs that may sleep for long, one-time tokens end within a day.
    idle = (Token.kind == "PAT", Token.create_time <= now - IDLE_MAX, Token.id.not_in(used))
    return select(Token).where(*idle).order_by(Token.id)


def _record(token_ids: list[str]) -> AuditRecord:
    return AuditRecord(
        actor_id="",
        actor_name="lakewarden",
        request_id="",
        method="lakewarden-server retire",
        operation="token.retire",
        object_kind="ACCOUNT",
        object_id=ACCOUNT_ID,
        object_name=ACCOUNT_ID,
        outcome="DONE",
        detail={"token_ids": token_ids},
    )
