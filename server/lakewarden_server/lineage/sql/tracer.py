"""Traces SQL in a process of its own, so that no text can hold up or end the server that asks."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

from lakewarden_server.lineage.sql import wire
from lakewarden_server.lineage.sql.traced import TEXT_BYTES_MAX, ColumnsOf, Kind, Reason, Traced

WAITING_MAX: Final = 32
"""Texts that wait or are traced at a time; more are answered BUSY at once."""
SECONDS_MAX: Final = 10.0
"""From a text's turn to its answer, and that it waits for its turn. Longer than the processor time it may take: the machine may be busy."""
START_SECONDS_MAX: Final = 30.0
"""Until a new worker is ready; not counted above."""
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
STOP_SECONDS_MAX: Final = 1.0
MODULE: Final = "lakewarden_server.lineage.sql.worker"


class Tracer:
    """Asks one worker process, started at the first text and anew whenever it has ended. For any number of threads.

    Nothing is forked: the worker is a new interpreter that imports the parser and no server. Close it, or use it in a `with`.
    """

    def __init__(self, *, seconds_max: float = SECONDS_MAX, waiting_max: int = WAITING_MAX) -> None:
        self._seconds_max = seconds_max
        self._room = threading.BoundedSemaphore(waiting_max)
        self._turn = threading.Lock()
        self._worker: _Worker | None = None

    def __enter__(self) -> Tracer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker. The next text would start another."""
        with self._turn:
            self._drop()

    @property
    def pid(self) -> int | None:
        """The process id of the worker that runs; None before the first text."""
        return self._worker.pid if self._worker is not None else None

    def trace(
        self, sql: str, *, dialect: str, columns_of: ColumnsOf, catalog: str = "", schema: str = ""
    ) -> Sequence[Traced]:
        """What `tracing.trace` says, or an answer with a reason where it took too much. What `columns_of` raises, this raises."""
        if len(sql.encode(errors="replace")) > TEXT_BYTES_MAX:
            return [_nothing(Reason.TEXT_TOO_LONG)]
        if not self._room.acquire(blocking=False):
            return [_nothing(Reason.BUSY)]
        try:
            if not self._turn.acquire(timeout=self._seconds_max):
                return [_nothing(Reason.BUSY)]
            try:
                return self._ask(wire.Request(sql, dialect, catalog, schema), columns_of)
            finally:
                self._turn.release()
        finally:
            self._room.release()

    def _ask(self, request: wire.Request, columns_of: ColumnsOf) -> Sequence[Traced]:
        finished = False
        try:
            answer = self._running().ask(request, columns_of, self._seconds_max)
            # It ends by itself then, and must not be asked while it does.
            finished = all(traced.reason is not Reason.MEMORY_LIMIT for traced in answer)
        except _Ended as end:
            return [_nothing(end.reason)]
        finally:
            # After anything but an answer nobody knows what the worker will say next.
            if not finished:
                self._drop()
        return answer

    def _running(self) -> _Worker:
        if self._worker is not None and self._worker.ended:
            self._drop()
        if self._worker is None:
            self._worker = _Worker()
        return self._worker

    def _drop(self) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._worker = None


def _nothing(reason: Reason) -> Traced:
    return Traced(Kind.OTHER, reason=reason)


class _Ended(Exception):
    """The worker gave no answer."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


class _Worker:
    """One process and the pipes to it."""

    def __init__(self) -> None:
        # -P: a module in the working directory is none of ours. What a text makes Python print is not for a log.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        # A worker that was stopped reads nothing, and a pipe holds less than a text.
        os.set_blocking(self._in.fileno(), False)
        self._ready = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def ask(self, request: wire.Request, columns_of: ColumnsOf, seconds_max: float) -> Sequence[Traced]:
        """The answer to one text. Raises _Ended when there is none in time."""
        if not self._ready:
            self._ready = self._receive(time.monotonic() + START_SECONDS_MAX) == wire.READY
        until = time.monotonic() + seconds_max
        self._send(list(request), until)
        while True:
            name, content = self._receive(until)
            if name == wire.TRACED:
                return [wire.to_traced(fields) for fields in content]
            columns = columns_of(wire.to_source(content))
            self._send(list(columns) if columns is not None else None, until)

    def stop(self) -> None:
        """Ends it, waits for that, and closes the pipes."""
        self._in.close()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()

    def _send(self, message: Any, until: float) -> None:
        left = memoryview(wire.line(message))
        while left:
            self._wait(self._in, select.POLLOUT, until)
            try:
                left = left[os.write(self._in.fileno(), left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise _Ended(self._ending()) from None

    def _receive(self, until: float) -> Any:
        """One line. The worker says nothing more until it is answered, so a line ends where what was read does."""
        answer = bytearray()
        while not answer.endswith(b"\n"):
            self._wait(self._out, select.POLLIN, until)
            part = os.read(self._out.fileno(), 65_536)
            answer += part
            if not part or len(answer) > ANSWER_BYTES_MAX:
                raise _Ended(self._ending())
        return json.loads(answer)

    def _wait(self, pipe: Any, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(max(0.0, until - time.monotonic()) * 1_000):
            self._process.kill()
            raise _Ended(Reason.TIME_LIMIT)

    def _ending(self) -> Reason:
        """Why it ended, or is ended now."""
        try:
            code = self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return Reason.TIME_LIMIT if code == -signal.SIGXCPU else Reason.WORKER_FAILED
