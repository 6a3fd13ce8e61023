"""Backups and what follows a restore: another history, in which no token lives that may have been revoked meanwhile."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from lakewarden_policy import Snapshot, Token, load_policy
from lakewarden_server.bootstrap import INITIALIZE_SECONDS, operator_record
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import Database, archives, create_database, history, load_snapshot
from lakewarden_server.storage.archives import ArchiveError, Manifest
from lakewarden_server.storage.audit import ChainHead
from lakewarden_server.storage.head import renew_epoch
from lakewarden_server.storage.migrations import current_revision, latest_revision, migrate
from lakewarden_server.storage.repositories import tokens
from lakewarden_server.storage.unit_of_work import StepHook


@dataclass(frozen=True, slots=True)
class History:
    """The history that begins with a restore."""

    epoch: str
    tokens_kept: int
    tokens_revoked: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and the history that begins with it."""

    manifest: Manifest
    history: History


def back_up(database: Database, file: Path, *, on_step: StepHook = archives.ignore) -> Manifest:
    """Writes a consistent backup of a database in use. Raises `ArchiveError`."""
    return archives.write_archive(database, file, release=version("lakewarden"), on_step=on_step)


def restore(
    file: Path,
    database_url: str,
    directory: Path,
    *,
    replace: bool,
    keep_tokens: bool,
    accept_broken_audit: bool = False,
    audit_head: ChainHead | None = None,
    on_step: StepHook = archives.ignore,
) -> Restored:
    """Makes the database what the archive holds, in one transaction; `directory` is where the archive is unpacked meanwhile.

    A token survives if the database that is replaced still holds it unchanged, or `keep_tokens` says that none was revoked since
    the backup: who was revoked after it stays so (reliability section 5). Raises `ArchiveError`; the database then is as it was.
    """
    with archives.opened_archive(file, directory) as (archived, manifest):
        if not accept_broken_audit:
            archives.verify_audit(archived, manifest, audit_head)
        database = create_database(database_url)
        try:
            _prepare(database)
            with archives.replacing(database) as connection:
                if not (replace or archives.is_unused(connection)):
                    raise ArchiveError("the database is in use: say --replace to give up what it holds")
                before = load_snapshot(connection)
                began = begin_history(
                    archived,
                    "restore",
                    kept=None if keep_tokens else _unchanged(archived, before),
                    **_origin(manifest),
                )
                with archived.reading() as source:
                    archives.copy_rows(source, connection, on_step=on_step)
                connection.commit()
        finally:
            database.close()
    return Restored(manifest, began)


def begin_history(
    database: Database, operation: str, *, kept: Collection[str] | None, **detail: str
) -> History:
    """Makes a restored database another history: a new epoch, and a revision that revokes every token but those `kept` (all, if None)."""
    with database.read() as view:
        digest = history.newest_policy_digest(view.connection) or load_policy().digest
    with database.write(
        deadline=monotonic() + INITIALIZE_SECONDS, request_id="", actor_id="", policy_digest=digest
    ) as uow:
        live = tokens.every(uow.session)
        revoked = [token for token in live if kept is not None and token.id not in kept]
        for token in revoked:
            uow.session.delete(token)
        told = {**detail, "tokens_revoked": str(len(revoked)), "tokens_kept": str(len(live) - len(revoked))}
        uow.audit(operator_record(f"lakewarden-server {operation}", operation, **told))
        uow.commit()
    with database.transaction(deadline=monotonic() + INITIALIZE_SECONDS) as connection:
        epoch = renew_epoch(connection)
        connection.commit()
    return History(epoch, len(live) - len(revoked), len(revoked))


def _prepare(database: Database) -> None:
    schema = current_revision(database)
    if schema is None:
        migrate(database)
    elif schema != latest_revision():
        raise ArchiveError(
            f"the schema of the database is {schema}, this release has {latest_revision()}: run `lakewarden-server migrate` first"
        )


def _unchanged(archived: Database, before: Snapshot) -> frozenset[str]:
    """Ids of the archived tokens that were good until now in the database that is replaced."""
    with archived.read() as view:
        held = load_snapshot(view.connection, head=view.head).tokens
    return frozenset(token.id for token in held.values() if _is_good(token, before))


def _is_good(token: Token, before: Snapshot) -> bool:
    owner = before.principals.get(token.principal_id)
    return before.tokens.get(token.id) == token and owner is not None and owner.active


def _origin(manifest: Manifest) -> dict[str, str]:
    return {"backup_time": manifest.time, "backup_revision": f"{manifest.epoch}:{manifest.revision}"}
