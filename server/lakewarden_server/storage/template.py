"""A migrated SQLite file, made once per process and copied: how embedded servers and tests start in milliseconds."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path

from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage.engine import Database, create_database
from lakewarden_server.storage.head import renew_epoch
from lakewarden_server.storage.migrations import migrate

COPY_SECONDS = 10.0


class SqliteTemplate:
    """Makes migrated SQLite databases: the first by migrating, the others by copying a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: Path | None = None

    def create(self, path: Path) -> Database:
        """A migrated, seeded database of its own epoch at `path`, which must not exist. Raises FileExistsError."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(self._migrated(), "rb") as source, os.fdopen(descriptor, "wb") as target:
            shutil.copyfileobj(source, target)
        database = create_database(f"sqlite:///{path}")
        # Two copies of one file would otherwise accept each other's revision tokens.
        with database.transaction(deadline=monotonic() + COPY_SECONDS) as connection:
            renew_epoch(connection)
            connection.commit()
        return database

    def _migrated(self) -> Path:
        with self._lock:
            if self._path is None:
                directory = tempfile.mkdtemp(prefix="lakewarden-template-")
                weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
                path = Path(directory) / "template.db"
                database = create_database(f"sqlite:///{path}")
                migrate(database)
                # Closing checkpoints, so that the one file is the whole database.
                database.close()
                self._path = path
            return self._path
