"""SQLite or PostgreSQL: the head, transactions, the change log, the audit chain, migrations and repositories."""

from __future__ import annotations

from lakewarden_server.storage.audit import AuditRecord
from lakewarden_server.storage.decisions import DecisionRecord
from lakewarden_server.storage.engine import Database, create_database
from lakewarden_server.storage.snapshot import load_snapshot
from lakewarden_server.storage.unit_of_work import UnitOfWork, WriteUnit

__all__ = [
    "AuditRecord",
    "Database",
    "DecisionRecord",
    "UnitOfWork",
    "WriteUnit",
    "create_database",
    "load_snapshot",
]
