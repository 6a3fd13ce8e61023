"""Real server processes of a test: started, stopped, killed and started again on what was set up for them."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from durability.forks import Fork
from lakewarden import Client
from lakewarden_server.testing import WORKSPACE as WORKSPACE
from lakewarden_server.testing import serve as embedded

LAUNCHER = Path(__file__).with_name("launcher.py")
EXECUTABLE = Path(sys.executable).with_name("lakewarden-server")
START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 20.0
LISTENS = re.compile(rb"listens on (127\.0\.0\.1:\d+)")
SQLITE = "sqlite:///"
FORKED = "forked"
"""In the place of an executable."""


class ServerProcess:
    """One running server in a process group of its own."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """Starts `command` and waits until it says where it listens; raises with its output when it does not."""
        self._log = log
        log.write_bytes(b"")
        self._process = Fork("launcher", command[1:], log) if command[0] == FORKED else _started(command, log)
        try:
            self.endpoint = self._wait_for_endpoint()
        except BaseException:
            self.kill()
            raise

    @property
    def output(self) -> str:
        """What the server has printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def process_id(self) -> int:
        """The server's process, the supervisor's where it has workers."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Sends a signal to that process alone."""
        self._process.send_signal(number)

    def freeze(self) -> None:
        """Stops every process of the server where it stands; returns when none of them runs any more."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        for status in Path("/proc").glob(f"{self._process.pid}/task/*/status"):
            give_up = time.monotonic() + STOP_SECONDS_MAX
            while "T (stopped)" not in status.read_text():
                assert time.monotonic() < give_up, f"{status} does not stop"
                time.sleep(0.001)

    def kill(self) -> None:
        """kill -9 for the server and everything it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS_MAX)

    def stop(self) -> int:
        """Asks the server to stop and returns its exit code."""
        self._process.terminate()
        return self._process.wait(STOP_SECONDS_MAX)

    def wait(self) -> int:
        """The exit code of a server that ends by itself."""
        return self._process.wait(STOP_SECONDS_MAX)

    def _wait_for_endpoint(self) -> str:
        give_up = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < give_up and self._process.poll() is None:
            found = LISTENS.search(self._log.read_bytes())
            if found:
                return found[1].decode()
            time.sleep(0.01)
        raise AssertionError(f"the server did not start:\n{self.output}")


def _started(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("LAKEWARDEN_")},
                # All clients of a test call from one address and as fast as they can, some of them with tokens that were revoked.
                "LAKEWARDEN_FAILED_LOGINS_PER_MINUTE": "0",
                "LAKEWARDEN_CALLS_PER_SECOND_PER_PRINCIPAL": "0",
                "LAKEWARDEN_CALLS_PER_SECOND_PER_PEER": "0",
            },
        )


@dataclass(frozen=True)
class Installation:
    """A set-up database with its data directory and key file, and a token of its admin."""

    url: str
    directory: Path
    token: str

    @contextmanager
    def serve(
        self, *, command: Sequence[str] = (), prefix: Sequence[str] = (), log_name: str = "server.log"
    ) -> Iterator[ServerProcess]:
        """A server on this installation, killed at the end; `command` takes the place of the real executable."""
        server = ServerProcess(self.command(command, prefix), self.directory.parent / log_name)
        try:
            yield server
        finally:
            server.kill()

    def command(self, command: Sequence[str] = (), prefix: Sequence[str] = ()) -> list[str]:
        """The command line that serves this installation on a free port."""
        options = ["--database-url", self.url, "--data-dir", str(self.directory), "--listen", "127.0.0.1:0"]
        return [*prefix, *(command or (str(EXECUTABLE), "serve")), *options]

    def client(self, server: ServerProcess) -> Client:
        """The admin's client, without retries: a test counts each attempt."""
        return Client(server.endpoint, token=self.token, workspace=WORKSPACE, retries=0)


def launched(*options: str) -> tuple[str, ...]:
    """The command of a server with a defect; see `launcher.py`."""
    return (sys.executable, str(LAUNCHER), *options)


def forked(*options: str) -> tuple[str, ...]:
    """The same, of a server that is forked from a process which has imported it (`forks.py`), as tests that start many do."""
    return (FORKED, *options)


def install(url: str, directory: Path) -> Installation:
    """What `set_up` leaves. Of SQLite each test gets a copy of one that was set up once."""
    if not url.startswith(SQLITE):
        return set_up(url, directory)
    original = _original()
    shutil.copytree(original.directory, directory, dirs_exist_ok=True)
    shutil.copy(original.url.removeprefix(SQLITE), url.removeprefix(SQLITE))
    return Installation(url, directory, original.token)


@cache
def _original() -> Installation:
    directory = Path(tempfile.mkdtemp(prefix="lakewarden-installed-"))
    atexit.register(shutil.rmtree, directory)
    return set_up(f"{SQLITE}{directory / 'lakewarden.db'}", directory / "data")


def set_up(url: str, directory: Path) -> Installation:
    """A database with its admin, a metastore and a workspace, made in this process: that processes make the same is tried in tests/house."""
    directory.mkdir(parents=True, exist_ok=True)
    with embedded(database_url=url, directory=directory) as server:
        return Installation(url, directory, server.admin_token)
