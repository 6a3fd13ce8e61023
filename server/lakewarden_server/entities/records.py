"""The tables that remember rather than govern: heads, change log, audit, decisions, idempotency, bootstrap.

Only the storage package writes them, with Core statements; nothing here goes to the change log.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import Base, JsonObject


class AuthzHead(Base):
    """The single row every mutating transaction takes first: revision order is commit order."""

    __tablename__ = "authz_head"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[str]
    revision: Mapped[int] = mapped_column(BigInteger)
    nonce: Mapped[str]
    previous_nonce: Mapped[str]


class ChangeLog(Base):
    """What each revision changed, with full before and after state; never updated, never deleted."""

    __tablename__ = "change_log"
    __table_args__ = (
        CheckConstraint("operation IN ('CREATE', 'UPDATE', 'DELETE')", name="operation"),
        Index("ix_change_log_object_id_revision", "object_id", "revision"),
        Index("ix_change_log_time_revision", "time", "revision"),
    )

    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    object_id: Mapped[str]
    operation: Mapped[str]
    before: Mapped[dict[str, Any] | None] = mapped_column(JsonObject)
    after: Mapped[dict[str, Any] | None] = mapped_column(JsonObject)
    nonce: Mapped[str]
    policy_digest: Mapped[str]
    request_id: Mapped[str]
    actor_id: Mapped[str]
    time: Mapped[datetime]


class PolicyText(Base):
    """The policy files some revisions were decided by; `first_revision` is the newest there was when they came."""

    __tablename__ = "policies"

    digest: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    privileges: Mapped[str]
    operations: Mapped[str]
    levels: Mapped[str] = mapped_column(default="")
    first_revision: Mapped[int] = mapped_column(BigInteger)


class AuditHead(Base):
    """The last link of the audit chain."""

    __tablename__ = "audit_head"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sequence: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str]


class AuditLog(Base):
    """One audited change; `hash` covers the record and the hash before it."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_time_sequence", "time", "sequence"),)

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    previous_hash: Mapped[str]
    hash: Mapped[str]
    revision: Mapped[int] = mapped_column(BigInteger)
    time: Mapped[datetime]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    subject_name: Mapped[str | None]
    workspace_id: Mapped[str | None]
    request_id: Mapped[str] = mapped_column(index=True)
    method: Mapped[str]
    operation: Mapped[str]
    object_kind: Mapped[str]
    object_id: Mapped[str]
    object_name: Mapped[str]
    outcome: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(JsonObject)


class DecisionLog(Base):
    """One denial or decision; written in batches beside the authorization head, without a chain.

    `nonce` says which history `revision` is of; `objects` are the ids a refused operation spoke of; `capabilities` what the engine
    that planned can apply.
    """

    __tablename__ = "decision_log"
    __table_args__ = (Index("ix_decision_log_time_id", "time", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    time: Mapped[datetime]
    revision: Mapped[int] = mapped_column(BigInteger)
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    subject_name: Mapped[str | None]
    workspace_id: Mapped[str | None]
    request_id: Mapped[str] = mapped_column(index=True)
    method: Mapped[str]
    operation: Mapped[str]
    object_name: Mapped[str]
    outcome: Mapped[str]
    reason: Mapped[str]
    nonce: Mapped[str | None]
    policy_digest: Mapped[str | None]
    subject_id: Mapped[str | None]
    privilege: Mapped[str | None]
    object_kind: Mapped[str | None]
    object_id: Mapped[str | None]
    objects: Mapped[dict[str, Any] | None] = mapped_column(JsonObject)
    capabilities: Mapped[list[int] | None] = mapped_column(JsonObject)


class Idempotency(Base):
    """The stored response of a request that named itself, kept 24 hours."""

    __tablename__ = "idempotency"

    principal_id: Mapped[str] = mapped_column(primary_key=True)
    method: Mapped[str] = mapped_column(primary_key=True)
    request_id: Mapped[str] = mapped_column(primary_key=True)
    payload_hash: Mapped[str]
    response: Mapped[bytes]
    revision: Mapped[int] = mapped_column(BigInteger)
    create_time: Mapped[datetime] = mapped_column(index=True)


class Bootstrap(Base):
    """The row that can exist once: whoever inserts it is the first administrator."""

    __tablename__ = "bootstrap"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    principal_id: Mapped[str]
    create_time: Mapped[datetime]
