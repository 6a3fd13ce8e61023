"""Run by Alembic for every command, always on the connection `migrations._run` has locked."""

from __future__ import annotations

from alembic import context

from lakewarden_server.entities import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite's DDL is transactional too, once the driver's own transaction rules are off.
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
