"""What the tests of backup and restore share: the commands of an operator, and ways to look at and to spoil an archive."""

from __future__ import annotations

import json
import signal
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from sqlalchemy import select

from durability.forks import Fork
from lakewarden import Client
from lakewarden_server.cli import main
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import Base
from lakewarden_server.storage import Database, create_database, history, load_snapshot
from lakewarden_server.storage.archives import DATABASE, MANIFEST
from lakewarden_server.testing import EmbeddedServer

DEATH_SECONDS_MAX = 60.0


def operator(*arguments: object, url: str = "", home: Path) -> Result:
    """Runs `lakewarden-server` with the data directory `home`."""
    options = ["--data-dir", str(home), *(["--database-url", url] if url else [])]
    return CliRunner().invoke(main, [*map(str, arguments), *options])


def done(*arguments: object, url: str = "", home: Path) -> str:
    """The same for a command that must succeed; its output."""
    answer = operator(*arguments, url=url, home=home)
    assert answer.exit_code == 0, answer.output
    return answer.output


def refused(*arguments: object, url: str = "", home: Path) -> str:
    """The same for a command that must fail with one line; that line."""
    answer = operator(*arguments, url=url, home=home)
    assert answer.exit_code == 1, answer.output
    assert answer.output.startswith("Error: ")
    assert answer.output.count("\n") == 1, answer.output
    return answer.output


def killed(command: str, step: str, file: Path, url: str, directory: Path) -> None:
    """Runs a backup or restore that kills itself at a step."""
    directory.mkdir(exist_ok=True)
    log = directory.with_name("killed.log")
    process = Fork("dying", [command, step, str(file), url, str(directory)], log)
    assert process.wait(DEATH_SECONDS_MAX) == -signal.SIGKILL, log.read_text()


def manifest_of(file: Path) -> dict[str, Any]:
    """What an archive says of itself."""
    with zipfile.ZipFile(file) as archive:
        told: dict[str, Any] = json.loads(archive.read(MANIFEST))
        return told


def repacked(file: Path, target: Path, change: Callable[[dict[str, Any], Path], None]) -> Path:
    """A copy of an archive after `change` was made to its manifest and database file."""
    place = target.with_name(f"{target.name}.unpacked")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(place)
    told = manifest_of(file)
    change(told, place / DATABASE)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(MANIFEST, json.dumps(told))
        archive.write(place / DATABASE, DATABASE)
    return target


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A database for the length of a block."""
    database = create_database(url)
    try:
        yield database
    finally:
        database.close()


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in some order that both databases agree on."""
    with opened(url) as database, database.read(deadline=monotonic() + 60) as uow:
        return {
            table.name: sorted(map(tuple, uow.connection.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


def state(url: str, revision: int | None = None) -> str:
    """The digest of the live state, or of that of a revision by the change log, judged at one time of the database's clock."""
    with opened(url) as database, database.read() as uow:
        if revision is None:
            return load_snapshot(uow.connection, head=uow.head, now=uow.time).digest()
        moment = history.at_revision(uow.connection, uow.head, revision, now=uow.time)
        return history.load_past(uow.connection, moment).at(uow.time.timestamp()).digest()


def impatient(server: EmbeddedServer) -> Client:
    """A client of the admin that makes one attempt."""
    return Client(server.endpoint, token=server.admin_token, workspace=server.workspace or "", retries=0)
