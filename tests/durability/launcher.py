"""A server process with a defect that a test asks for: it dies at a step of a write, commits without syncing, or receives the requests of strangers.

Run as a script; takes the place of `lakewarden-server serve`. Production code has no such switches.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import event

from lakewarden_server.app import App
from lakewarden_server.config import KEY_FILE, Settings
from lakewarden_server.rpc.gate import Gate
from lakewarden_server.storage import Database, create_database

KILLED = 137


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until killed, as the arguments say, those of the command line when none are given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--crash-at", default="")
    parser.add_argument("--crash-file", type=Path)
    parser.add_argument("--synchronous", choices=("on", "off"), default="on")
    parser.add_argument("--asks-strangers", action="store_true")
    options = parser.parse_args(arguments)
    database = create_database(options.database_url, on_step=crash_at(options.crash_at, options.crash_file))
    if options.synchronous == "off":
        relax(database)
    if options.asks_strangers:
        # As if everybody had been verified before, each call as somebody else.
        Gate.remembered = lambda _gate, call: str(id(call))  # type: ignore[method-assign]
    settings = Settings(
        database_url=options.database_url,
        key_file=options.data_dir / KEY_FILE,
        data_directory=options.data_dir,
        listen=options.listen,
        failed_logins_per_minute=0,
        calls_per_second_per_principal=0,
        calls_per_second_per_peer=0,
    )
    app = App(settings, database=database)
    app.start()
    print(f"lakewarden-server listens on 127.0.0.1:{app.port}", file=sys.stderr, flush=True)
    threading.Event().wait()


def crash_at(wanted: str, armed: Path | None) -> Any:
    """A step hook that ends the process at once, without any clean-up, when `armed` exists."""

    def on_step(step: str) -> None:
        if step == wanted and armed is not None and armed.exists():
            os._exit(KILLED)

    return on_step


def relax(database: Database) -> None:
    """Commits return before they are synced: SQLite with `synchronous=NORMAL`, PostgreSQL without waiting for its WAL."""
    sqlite = database.dialect == "sqlite"
    statement = "PRAGMA synchronous = NORMAL" if sqlite else "SET synchronous_commit = off"

    @event.listens_for(database.engines.writer, "connect")
    def set_relaxed(connection: Any, _record: object) -> None:
        connection.execute(statement)
        connection.commit()


if __name__ == "__main__":
    main()
