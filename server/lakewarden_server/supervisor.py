"""Keeps the workers of `lakewarden-server serve --workers N` running: starts, restarts, replaces and stops them.

It serves nothing itself and never forks a process that has gRPC in it: each worker is a new interpreter on the shared port.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import FrameType

from lakewarden_server.config import Settings, SettingsError
from lakewarden_server.core.addresses import AddressUnavailable
from lakewarden_server.processes import EXIT_FAILED, READY, Serves, Task, cores

BACKOFF_SECONDS = 0.2
BACKOFF_SECONDS_MAX = 30.0
STABLE_SECONDS = 60.0
"""A worker that served so long was well: its next end is the first of a new row."""
FAILURES_MAX = 10
"""Ends in a row, of each worker, after which nobody serves any more and the supervisor gives up."""
STOP_SECONDS_MARGIN = 10.0
"""Above the grace period, for what a worker does after its calls have ended."""
TICK_SECONDS = 1.0
MODULE = "lakewarden_server.worker"

Tell = Callable[[str], None]


@dataclass(eq=False)
class Worker:
    """One process."""

    number: int
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    ready: bool = False
    told: bytes = b""

    def read(self) -> None:
        """Takes what the process wrote; call it when its stdout is readable."""
        self.told += os.read(self.output, 64)
        self.ready = READY in self.told

    @property
    def output(self) -> int:
        """The descriptor of its stdout."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"

    def release(self) -> None:
        """Closes our ends of its pipes."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass(eq=False)
class Slot:
    """A place for one worker, and for the one that replaces it in a rolling restart."""

    number: int
    serves: Serves = Serves.ALL
    worker: Worker | None = None
    successor: Worker | None = None
    failures: int = 0
    start_time: float = 0.0


def reserve(listen: str) -> tuple[str, list[socket.socket]]:
    """Binds `host:port` and keeps it, so that it is ours while no worker listens; returns it with the port chosen for 0.

    It is bound alone first, which fails where anybody else has it, and only then opened to sockets of this user that share.
    Raises `AddressUnavailable`, `SettingsError`.
    """
    host, _, port = listen.rpartition(":")
    if listen.startswith("unix:") or not hasattr(socket, "SO_REUSEPORT"):
        raise SettingsError(
            f"several workers cannot share {listen}: give HOST:PORT, or one worker (--workers 1 --http-workers 0)"
        )
    held: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            one = socket.socket(family, kind, protocol)
            held.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            chosen = held[0].getsockname()[1] if len(held) > 1 else address[1]
            one.bind((address[0], chosen, *address[2:]))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        for one in held:
            one.close()
        raise AddressUnavailable.at(listen) from error
    return f"{host}:{held[0].getsockname()[1]}", held


class Supervisor:
    """Runs the workers until a signal ends it. One thread; everything happens in `_tick`."""

    def __init__(
        self, settings: Settings, options: Mapping[str, object], *, verbose: bool, tell: Tell
    ) -> None:
        """`options` are those of the command line: the workers read the same settings, anew at each start.

        Raises `SettingsError` for a port of metrics: the workers, and a worker and its successor, cannot all have it.
        """
        if settings.metrics and not settings.metrics.endswith(":0"):
            raise SettingsError(
                f"several workers cannot share {settings.metrics}: say --metrics 127.0.0.1:0, and each tells its own port"
            )
        self._options = {name: str(value) for name, value in options.items() if value is not None}
        self._verbose = verbose
        self._tell = tell
        self._listen = settings.listen
        self._http = settings.http
        self._patience = settings.grace_seconds + STOP_SECONDS_MARGIN
        self._slots = [Slot(number, serves) for number, serves in enumerate(_places(settings))]
        self._leaving: dict[Worker, float] = {}
        self._to_replace: deque[Slot] = deque()
        self._allowed = cores()
        self._wake, self._woken = socket.socketpair()

    def run(self) -> int:
        """Serves until SIGTERM or SIGINT and returns the exit code: 0 after a clean stop.

        SIGHUP replaces the workers one after the other, each only when its successor serves.
        """
        with ExitStack() as stack:
            self._listen, held = reserve(self._listen)
            if self._http:
                self._http, more = reserve(self._http)
                held += more
            for one in (*held, self._wake, self._woken):
                stack.callback(one.close)
            stack.callback(self._kill)
            self._listen_to_signals()
            if not self._start():
                return EXIT_FAILED
            self._tell(f"lakewarden-server listens on {self._listen}")
            if self._http:
                self._tell(f"SCIM, the Databricks API and OpenLineage over HTTP on {self._http}")
            while True:
                signals = self._wait()
                if signals & {signal.SIGTERM, signal.SIGINT}:
                    return self._stop()
                if signal.SIGHUP in signals:
                    self._to_replace = deque(self._slots)
                if not self._tick():
                    self._tell("no worker can serve any more: giving up")
                    return EXIT_FAILED

    def _start(self) -> bool:
        """Starts all workers; false when one of them cannot or a signal came first."""
        for slot in self._slots:
            slot.worker = self._spawn(slot)
        while not all(slot.worker and slot.worker.ready for slot in self._slots):
            if self._wait() & {signal.SIGTERM, signal.SIGINT}:
                return False
            for slot in self._slots:
                if slot.worker and slot.worker.process.poll() is not None:
                    self._tell(f"worker {slot.number} {slot.worker.ending} before it could serve")
                    return False
        return True

    def _tick(self) -> bool:
        """Looks at every worker once; false when none serves and none will."""
        now = time.monotonic()
        for slot in self._slots:
            self._follow_successor(slot, now)
            self._notice_end(slot, now)
            if slot.worker is None and now >= slot.start_time:
                slot.worker = self._spawn(slot)
        for worker, until in list(self._leaving.items()):
            if worker.process.poll() is not None:
                worker.release()
                del self._leaving[worker]
            elif now >= until:
                worker.process.kill()
        if self._to_replace and not self._leaving and not any(slot.successor for slot in self._slots):
            slot = self._to_replace.popleft()
            slot.successor = self._spawn(slot)
        return not all(
            slot.failures > FAILURES_MAX and not (slot.worker and slot.worker.ready) for slot in self._slots
        )

    def _follow_successor(self, slot: Slot, now: float) -> None:
        successor = slot.successor
        if successor is None:
            return
        if successor.ready:
            if slot.worker is not None:
                slot.worker.process.terminate()
                self._leaving[slot.worker] = now + self._patience
            slot.worker, slot.successor, slot.failures = successor, None, 0
        elif successor.process.poll() is not None:
            self._tell(f"worker {slot.number} is not replaced: its successor {successor.ending}")
            successor.release()
            slot.successor = None
            self._to_replace.clear()

    def _notice_end(self, slot: Slot, now: float) -> None:
        worker = slot.worker
        if worker is None or worker.process.poll() is None:
            return
        lasted = now - worker.started
        slot.failures = 1 if worker.ready and lasted > STABLE_SECONDS else slot.failures + 1
        pause = min(BACKOFF_SECONDS * 2 ** (slot.failures - 1), BACKOFF_SECONDS_MAX)
        self._tell(
            f"worker {slot.number} (process {worker.process.pid}) {worker.ending} after {lasted:.1f} s: "
            f"started again in {pause:.1f} s"
        )
        worker.release()
        slot.worker, slot.start_time = None, now + pause

    def _stop(self) -> int:
        """Lets the workers drain; a second signal, or the end of patience, ends them at once."""
        self._tell("stopping")
        running = self._running()
        for worker in running:
            worker.process.terminate()
        until = time.monotonic() + self._patience
        while any(worker.process.poll() is None for worker in running):
            if self._wait() & {signal.SIGTERM, signal.SIGINT} or time.monotonic() > until:
                return EXIT_FAILED
        return EXIT_FAILED if any(worker.process.returncode for worker in running) else 0

    def _kill(self) -> None:
        for worker in self._running():
            worker.process.kill()
            worker.process.wait()
            worker.release()

    def _running(self) -> list[Worker]:
        placed = [worker for slot in self._slots for worker in (slot.worker, slot.successor) if worker]
        return [*placed, *self._leaving]

    def _spawn(self, slot: Slot) -> Worker:
        # -P: a module of that name in the working directory must not take its place.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        # The next group of workers on this machine begins at another core.
        core = self._allowed[(os.getpid() + slot.number) % len(self._allowed)] if self._allowed else None
        addresses = {"listen": self._listen, **({"http": self._http} if self._http else {})}
        task = Task({**self._options, **addresses}, self._verbose, core, slot.serves)
        assert process.stdin is not None
        try:
            process.stdin.write(task.line())
            process.stdin.flush()
        except BrokenPipeError:
            # It ended at once, which the next look at it notices.
            pass
        return Worker(slot.number, process)

    def _wait(self) -> set[int]:
        """Sleeps until a signal came, a worker wrote or ended, or a tick has passed; returns the signals."""
        silent = {
            worker.output: worker
            for worker in self._running()
            if not worker.ready and worker.process.poll() is None
        }
        due = [slot.start_time - time.monotonic() for slot in self._slots if slot.worker is None]
        timeout = max(0.0, min([TICK_SECONDS, *due]))
        readable, _, _ = select.select([self._woken.fileno(), *silent], [], [], timeout)
        for worker in (silent[descriptor] for descriptor in readable if descriptor in silent):
            worker.read()
            if worker.ready:
                self._tell(f"worker {worker.number} (process {worker.process.pid}) serves")
        return set(self._woken.recv(4096)) if self._woken.fileno() in readable else set()

    def _listen_to_signals(self) -> None:
        def wake(_number: int, _frame: FrameType | None) -> None:
            """The number of the signal is already on its way through the socket."""

        for one in (self._wake, self._woken):
            one.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, wake)


def _places(settings: Settings) -> list[Serves]:
    """What each of the workers answers."""
    if not settings.http_workers:
        return [Serves.ALL] * settings.workers
    return [Serves.GRPC] * settings.workers + [Serves.HTTP] * settings.http_workers
