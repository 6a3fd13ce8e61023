"""`lakewarden-server backup`, `restore` and `restored`."""

from __future__ import annotations

from pathlib import Path

import click

from lakewarden_server.authn.keys import load_key_file
from lakewarden_server.backups import History, back_up, begin_history
from lakewarden_server.backups import restore as restore_archive
from lakewarden_server.cli.options import data_options
from lakewarden_server.config import Settings, SettingsError, is_missing, read_settings
from lakewarden_server.storage import create_database
from lakewarden_server.storage.audit import ChainHead

_ARCHIVE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_KEEP_TOKENS = click.option(
    "--keep-tokens",
    is_flag=True,
    help="Revoke no token: only when none was revoked since the backup, as in a move of a stopped server.",
)


@click.command()
@_ARCHIVE
@data_options
def backup(file: Path, **options: object) -> None:
    """Write the database, at one revision and while servers use it, to FILE.

    FILE has mode 0600: it holds names, grants, audit, token digests and sealed secrets. It does not hold the key file, without which tokens and
    secrets are void: keep that one elsewhere.

    \b
    Example:
      lakewarden-server backup /backup/lakewarden-2026-11-26.backup
    """
    settings = read_settings(options)
    if is_missing(settings.database_url):
        raise SettingsError("there is no database to back up")
    if not file.absolute().parent.is_dir():
        raise SettingsError(
            f"there is no directory {file.parent} for the backup: make it, or name another file"
        )
    database = create_database(settings.database_url)
    try:
        manifest = back_up(database, file)
    finally:
        database.close()
    click.echo(
        f"{file}: revision {manifest.revision}, schema {manifest.schema}, audit head {manifest.audit_sequence}:{manifest.audit_hash}"
    )
    click.echo(
        f"The key file ({', '.join(manifest.key_ids) or 'no token was made with one'}) is not in it: keep it elsewhere."
    )


@click.command()
@_ARCHIVE
@data_options
@click.option("--replace", is_flag=True, help="Give up what the database holds now.")
@_KEEP_TOKENS
@click.option(
    "--audit-head",
    metavar="SEQUENCE:HASH",
    help="A head of the audit from before the backup, kept off the machine.",
)
@click.option(
    "--accept-broken-audit", is_flag=True, help="Restore although the audit chain in FILE is broken."
)
def restore(
    file: Path, replace: bool, keep_tokens: bool, audit_head: str | None, accept_broken_audit: bool, **options: object
) -> None:  # fmt: skip
    """Make the database, SQLite or PostgreSQL, what FILE holds; servers may run meanwhile.

    All of it or nothing. Revision tokens from before are refused from then on. A token survives only if the database that is replaced still holds it
    unchanged; into an empty database none does, and `lakewarden-server recover` makes an admin's new one. Grants, members
    and all else are as they were at the backup: revoke again what was revoked since.

    \b
    Example:
      lakewarden-server restore /backup/lakewarden-2026-11-26.backup --replace
      lakewarden-server restore old.backup --database-url postgresql://lakewarden@db/lakewarden --keep-tokens
    """
    settings = read_settings(options)
    if not file.exists():
        raise SettingsError(f"there is no file {file}: name one that `lakewarden-server backup` wrote")
    settings.data_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    restored = restore_archive(
        file,
        settings.database_url,
        settings.data_directory,
        replace=replace,
        keep_tokens=keep_tokens,
        accept_broken_audit=accept_broken_audit,
        audit_head=_chain_head(audit_head),
    )
    manifest = restored.manifest
    click.echo(f"restored revision {manifest.revision} as of {manifest.time}")
    _tell(restored.history)
    _compare_key(settings, manifest.key_ids)


@click.command()
@data_options
@_KEEP_TOKENS
def restored(keep_tokens: bool, **options: object) -> None:
    """Declare a database that was restored by other means than `restore` another history than the one clients remember.

    Revision tokens from before are refused from now on, and every token is revoked, because it may have been before.

    \b
    Example:
      lakewarden-server restored
    """
    settings = read_settings(options)
    if is_missing(settings.database_url):
        raise SettingsError("there is no database yet")
    database = create_database(settings.database_url)
    try:
        began = begin_history(database, "restored", kept=None if keep_tokens else ())
    finally:
        database.close()
    _tell(began)


def _tell(history: History) -> None:
    click.echo(f"epoch {history.epoch}: revision tokens from before the restore are refused")
    click.echo(f"tokens: {history.tokens_kept} kept, {history.tokens_revoked} revoked")
    if history.tokens_kept == 0:
        click.echo(
            "No token is left: `lakewarden-server recover --admin EMAIL` makes an account admin a new one."
        )
    click.echo("Grants, members and all else revoked since the backup are back: revoke them again.")


def _compare_key(settings: Settings, key_ids: tuple[str, ...]) -> None:
    if not key_ids:
        return
    peppers = load_key_file(settings.key_file).peppers if settings.key_file.exists() else ()
    found = [pepper.id for pepper in peppers]
    if not set(key_ids) <= set(found):
        click.echo(
            f"WARN  the key file here is {', '.join(found) or 'missing'}, the backup was made with {', '.join(key_ids)}: put that one to {settings.key_file}",
            err=True,
        )


def _chain_head(text: str | None) -> ChainHead | None:
    if text is None:
        return None
    sequence, _, digest = text.partition(":")
    if not (sequence.isdecimal() and digest):
        raise SettingsError(
            f"--audit-head {text!r}: give SEQUENCE:HASH, as `lakewarden audit head -o name` prints it"
        )
    return ChainHead(int(sequence), digest)
