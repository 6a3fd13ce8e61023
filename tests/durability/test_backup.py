"""A backup made while others write is one revision, whole, and restorable into either database; or there is no backup."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durability.backups import (
    done,
    impatient,
    killed,
    manifest_of,
    opened,
    operator,
    refused,
    repacked,
    rows,
    state,
)
from durability.invariants import problems, stored
from durability.test_kill import execute
from durability.writers import Ledger, writing
from lakewarden_server.storage.archives import DATABASE, MANIFEST, ArchiveError, opened_archive
from lakewarden_server.storage.migrations import current_revision, downgrade, latest_revision
from lakewarden_server.testing import serve
from storage.random_changes import CHANGES, Change, Walk

WRITES_BEFORE, WRITES_AFTER = 25, 25
STEPS = 40
FLIPS = 150
KNOWN_THEN = {
    "add_principal", "join_or_leave", "grant_or_revoke", "add_metastore_or_workspace", "add_child", "add_view_or_function",
    "redefine_function", "rename_transfer_or_attach", "delete_securable", "undrop", "bind_or_unbind", "define",
}  # fmt: skip
"""What the release with schema 0007 could change: nothing of it is lost on the way back there."""
MakeUrl = Callable[[str], str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data directory."""
    return tmp_path / "home"


@pytest.fixture
def filled(database_url: str) -> str:
    """A database, of each kind, in which something of every kind of change was written."""
    return walked(database_url)


@pytest.fixture
def archive(make_database_url: MakeUrl, home: Path, tmp_path: Path) -> Path:
    """A backup of such a database on SQLite."""
    done("backup", tmp_path / "archive", url=walked(make_database_url("sqlite")), home=home)
    return tmp_path / "archive"


@pytest.mark.parametrize("other", ["sqlite", "postgresql"])
def test_backup_during_writes_is_one_revision(
    database_url: str, other: str, make_database_url: MakeUrl, home: Path, tmp_path: Path
) -> None:
    ledger, file, target = Ledger(), tmp_path / "archive", make_database_url(other)
    home.mkdir()
    with serve(database_url=database_url, directory=home) as server:
        with writing(lambda: impatient(server), ledger, name="during") as writers:
            writers.wait_for(WRITES_BEFORE)
            acknowledged = dict(ledger.acknowledged)
            done("backup", file, url=database_url, home=home)
            writers.wait_for(WRITES_BEFORE + WRITES_AFTER)
        told = manifest_of(file)
        revision = told["revision"]
        assert max(acknowledged.values()) <= revision < max(ledger.acknowledged.values())
        done("restore", file, "--keep-tokens", url=target, home=home)
        # Compared at the archived revision: the restore itself is the one after it, and changed nothing there is to decide on.
        assert state(target, revision) == state(database_url, revision) == state(target)
    within = {name: at for name, at in ledger.acknowledged.items() if at <= revision}
    assert set(acknowledged) <= set(within) == stored(target)
    assert problems(target, Ledger(attempted=set(within), acknowledged=within)) == []
    assert "audit chain whole" in done("doctor", url=target, home=home)
    assert file.stat().st_mode & 0o777 == 0o600


def test_backup_holds_every_row_of_every_table(filled: str, home: Path, tmp_path: Path) -> None:
    done("backup", tmp_path / "archive", url=filled, home=home)
    with opened_archive(tmp_path / "archive", tmp_path) as (archived, _):
        assert archived.engines.path is not None
        copied = rows(f"sqlite:///{archived.engines.path}")
    expected = rows(filled)
    assert sum(map(bool, expected.values())) > 15
    assert copied == expected


def test_killed_backup_leaves_no_file_and_the_next_one_is_made(
    filled: str, home: Path, tmp_path: Path
) -> None:
    before, file = rows(filled), tmp_path / "archive"
    for step in ("copied", "verified", "packed"):
        killed("backup", step, file, filled, home)
        assert not file.exists()
    done("backup", file, url=filled, home=home)
    assert rows(filled) == before
    with opened_archive(file, tmp_path):
        pass


def test_backup_refuses_what_it_cannot_do(
    archive: Path, make_database_url: MakeUrl, home: Path, tmp_path: Path
) -> None:
    url, before = make_database_url("sqlite"), archive.read_bytes()
    assert "exists already" in refused("backup", archive, url=url, home=home)
    assert archive.read_bytes() == before
    nowhere = tmp_path / "nowhere"
    assert f"no directory {nowhere}" in refused("backup", nowhere / "archive", url=url, home=home)
    none = f"sqlite:///{tmp_path}/none.db"
    assert "no database" in refused("backup", tmp_path / "other", url=none, home=home)
    assert not (tmp_path / "none.db").exists()
    with opened(url) as database:
        downgrade(database, "0007")
    assert "back up with the release" in refused("backup", tmp_path / "other", url=url, home=home)
    assert not (tmp_path / "other").exists()


def test_archive_of_an_older_release_is_migrated(
    make_database_url: MakeUrl, home: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    former = walked(
        make_database_url("sqlite"),
        without=tuple(each for each in CHANGES if each.__name__ not in KNOWN_THEN),
    )
    done("backup", archive, url=former, home=home)

    def age(told: dict[str, Any], path: Path) -> None:
        with opened(f"sqlite:///{path}") as database:
            downgrade(database, "0007")
        told.update(schema="0007", sha256=digest(path))

    target = make_database_url("sqlite")
    done("restore", repacked(archive, tmp_path / "old", age), "--keep-tokens", url=target, home=home)
    with opened(target) as database:
        assert current_revision(database) == latest_revision()
    assert state(target, manifest_of(archive)["revision"]) == state(target)


def test_damaged_archives_are_refused_or_mean_the_same(archive: Path, tmp_path: Path) -> None:
    whole, chance, found = archive.read_bytes(), random.Random(20261126), 0
    expected = contents(archive)
    for number in range(FLIPS):
        spoiled = bytearray(whole)
        if number % 3:
            spoiled[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        else:
            del spoiled[chance.randrange(len(whole)) :]
        (tmp_path / "spoiled").write_bytes(spoiled)
        try:
            with opened_archive(tmp_path / "spoiled", tmp_path):
                pass
        except ArchiveError:
            found += 1
        else:
            # A bit of the zip's own times and attributes, which say nothing of the contents.
            assert contents(tmp_path / "spoiled") == expected
    assert found > FLIPS * 0.9


def test_foreign_and_newer_archives_are_refused(
    archive: Path, make_database_url: MakeUrl, home: Path, tmp_path: Path
) -> None:
    target = make_database_url("sqlite")
    before = rows(target)

    def reason(change: Callable[[dict[str, Any], Path], None]) -> str:
        return refused("restore", repacked(archive, tmp_path / "changed", change), url=target, home=home)

    (tmp_path / "text").write_text("no archive at all")
    with zipfile.ZipFile(tmp_path / "zip", "w") as other:
        other.writestr("readme", "a zip of something else")
    for foreign in ("text", "zip"):
        assert "is no backup of Lakewarden" in refused("restore", tmp_path / foreign, url=target, home=home)
    assert f"no file {tmp_path / 'none'}" in refused("restore", tmp_path / "none", url=target, home=home)
    assert "newer release" in reason(lambda told, _: told.update(format=2))
    assert f"newer than {latest_revision()}" in reason(
        lambda told, _: told.update(schema="0999", release="9.9")
    )
    assert "another schema" in reason(lambda told, _: told.update(schema="0007"))
    assert "same revision" in reason(lambda told, _: told.update(revision=told["revision"] - 1))
    assert "is damaged" in reason(lambda told, _: told.update(sha256="0" * 64))
    assert "is damaged" in reason(lambda told, _: told.pop("nonce") and None)
    assert "is no backup" in reason(lambda told, _: told.clear())
    assert rows(target) == before


def test_changed_audit_is_refused_unless_accepted(
    archive: Path, make_database_url: MakeUrl, home: Path, tmp_path: Path
) -> None:
    target = make_database_url("sqlite")

    def tamper(told: dict[str, Any], path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE audit_log SET actor_name = 'eve' WHERE sequence = 1")
        connection.close()
        told.update(sha256=digest(path))

    changed = repacked(archive, tmp_path / "changed", tamper)
    assert "broken at record 1" in refused("restore", changed, url=target, home=home)
    done("restore", changed, "--accept-broken-audit", url=target, home=home)
    assert "audit chain is broken at record 1" in operator("doctor", url=target, home=home).output


def test_audit_is_compared_with_a_head_kept_elsewhere(
    archive: Path, make_database_url: MakeUrl, home: Path
) -> None:
    told, target = manifest_of(archive), make_database_url("sqlite")
    head = f"{told['audit_sequence']}:{told['audit_hash']}"
    later = f"{told['audit_sequence'] + 1}:{told['audit_hash']}"
    other = f"{told['audit_sequence']}:{'0' * 64}"
    assert "from before the backup" in refused(
        "restore", archive, "--audit-head", later, url=target, home=home
    )
    assert "gone or differs" in refused("restore", archive, "--audit-head", other, url=target, home=home)
    assert "SEQUENCE:HASH" in refused("restore", archive, "--audit-head", "abc", url=target, home=home)
    done("restore", archive, "--audit-head", head, url=target, home=home)


def test_backup_of_a_broken_audit_is_made(make_database_url: MakeUrl, home: Path, tmp_path: Path) -> None:
    url = walked(make_database_url("sqlite"))
    execute(url, "UPDATE audit_log SET actor_name = 'eve' WHERE sequence = 1")
    done("backup", tmp_path / "evidence", url=url, home=home)


def walked(url: str, *, without: tuple[Change, ...] = ()) -> str:
    """Makes many random changes in a database."""
    with opened(url) as database:
        walk = Walk(database, 7, without=without)
        for _ in range(STEPS):
            walk.step()
    return url


def digest(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents(file: Path) -> tuple[bytes, bytes]:
    """The two members of an archive."""
    with zipfile.ZipFile(file) as archive:
        return archive.read(MANIFEST), archive.read(DATABASE)
