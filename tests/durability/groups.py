"""A server of several workers as a test sees it: its processes, where they run, and load that counts what it lost."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from durability.processes import EXECUTABLE, WORKSPACE, Installation, ServerProcess
from lakewarden import Client, LakewardenError

WORKERS = 2
SERVE = (str(EXECUTABLE), "serve", "--workers", str(WORKERS))
SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.05
"""Between two calls of one thread of a gentle load."""
SERVES = re.compile(r"worker (\d+) \(process (\d+)\) serves")


def impatient(**constants: object) -> tuple[str, ...]:
    """The command of a group whose supervisor has other constants, so that a test need not wait for minutes."""
    changes = "; ".join(f"supervisor.{name} = {value!r}" for name, value in constants.items())
    program = f"from lakewarden_server import cli, supervisor; {changes}; cli.main()"
    return (sys.executable, "-c", program, "serve", "--workers", str(WORKERS))


@dataclass(frozen=True)
class Group:
    """A server of several workers, and what it serves."""

    installation: Installation
    server: ServerProcess


def workers_of(server: ServerProcess) -> dict[int, int]:
    """Process ids of the newest worker that serves at each place, by its number."""
    return {int(number): int(process) for number, process in SERVES.findall(server.output)}


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition."""
    give_up = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        # The second where it went between opening and reading.
        return False


def cores_of(process: int) -> list[set[int]]:
    """The cores each thread of a process may run on."""
    return [os.sched_getaffinity(int(thread.name)) for thread in Path(f"/proc/{process}/task").iterdir()]


def connections(process: int, port: int) -> int:
    """How many connections to a port of this machine a process has accepted."""
    mine = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        try:
            mine.add(os.readlink(descriptor))
        except FileNotFoundError:
            continue
    established, local = "01", f":{port:04X}"
    tables = (Path("/proc/net/tcp").read_text(), Path("/proc/net/tcp6").read_text())
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return sum(
        row[1].endswith(local) and row[3] == established and f"socket:[{row[9]}]" in mine for row in rows
    )


@dataclass
class Load:
    """Threads with a connection each that read and write until the block ends; every call may be tried twice."""

    answered: int = 0
    errors: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    pause_seconds: float = 0.0

    @contextmanager
    def gently(self) -> Iterator[None]:
        """Few calls during the block, which waits for processes to start: they need the cores more."""
        self.pause_seconds = PAUSE_SECONDS
        try:
            yield
        finally:
            self.pause_seconds = 0.0

    def more(self, calls: int) -> None:
        """Waits until so many calls more were answered."""
        enough = self.answered + calls
        until(lambda: self.answered >= enough or bool(self.errors), f"{calls} calls more")
        assert self.errors == []

    def run(self, client: Client, name: str) -> None:
        """One thread."""
        number = 0
        while not self.stopping.wait(self.pause_seconds):
            number += 1
            try:
                if number % 5:
                    client.authorization.check("CREATE CATALOG", "metastore", "metastore")
                else:
                    client.groups.create(f"{name}_{number}")
            except LakewardenError as error:
                self.errors.append(repr(error))
                return
            self.answered += 1


@contextmanager
def load_on(installation: Installation, server: ServerProcess, *, threads: int = 4) -> Iterator[Load]:
    """Load during the block; no call may fail in it."""
    load = Load()
    clients = [
        Client(server.endpoint, token=installation.token, workspace=WORKSPACE, retries=1)
        for _ in range(threads)
    ]
    running = [threading.Thread(target=load.run, args=(client, f"load{uuid4().hex}")) for client in clients]
    for thread in running:
        thread.start()
    try:
        yield load
    finally:
        load.stopping.set()
        for thread in running:
            thread.join()
        for client in clients:
            client.close()
    assert load.errors == []
