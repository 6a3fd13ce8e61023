"""The process that traces for a server: one text at a time, each within limits of time and memory. Started by `tracer.Tracer`.

It ends when its stdin does, so with its owner, however that ends. What text it gets goes nowhere but into the answer: no log.
"""

from __future__ import annotations

import json
import logging
import math
import resource
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, BinaryIO, Final

from lakewarden_server.lineage.sql import wire
from lakewarden_server.lineage.sql.traced import Kind, Reason, Source, Traced
from lakewarden_server.lineage.sql.tracing import LimitReached, trace

CPU_SECONDS_MAX: Final = 2.0
"""Processor time of one text. Python looks for the signal between two of its instructions."""
CPU_SECONDS_MARGIN: Final = 2
"""Above that, after which the system ends the process: for an instruction that takes long, and for giving the answer."""
MEMORY_BYTES_MAX: Final = 512 * 1024 * 1024
RECURSION_MAX: Final = 5_000
"""Calls inside each other: five times Python's default takes 200 queries nested in each other, in less than a megabyte."""


def main() -> None:
    """Answers requests until stdin ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Whoever presses Ctrl-C means the server; we go when it does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, _out_of_time)
    sys.setrecursionlimit(RECURSION_MAX)
    logging.disable(logging.CRITICAL)
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    _send(outgoing, wire.READY)
    while request := incoming.readline():
        answers = _answer(wire.Request(*json.loads(request)), incoming, outgoing)
        _send(outgoing, [wire.TRACED, [wire.from_traced(traced) for traced in answers]])
        if any(traced.reason is Reason.MEMORY_LIMIT for traced in answers):
            # What is left of the memory may be in pieces: another process does the next one.
            return


def _answer(request: wire.Request, incoming: BinaryIO, outgoing: BinaryIO) -> Sequence[Traced]:
    def columns_of(source: Source) -> Sequence[str] | None:
        _send(outgoing, [wire.COLUMNS, wire.from_source(source)])
        answer = incoming.readline()
        if not answer:
            raise SystemExit
        columns: Sequence[str] | None = json.loads(answer)
        return columns

    _limit_time(CPU_SECONDS_MAX)
    try:
        return trace(
            request.sql,
            dialect=request.dialect,
            columns_of=columns_of,
            catalog=request.catalog,
            schema=request.schema,
        )
    except LimitReached as limit:
        return [Traced(Kind.OTHER, reason=limit.reason)]
    except MemoryError:
        return [Traced(Kind.OTHER, reason=Reason.MEMORY_LIMIT)]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit_time(seconds: float) -> None:
    """Gives the text that comes next its time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = usage.ru_utime + usage.ru_stime
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(spent + seconds) + CPU_SECONDS_MARGIN, hard))
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise LimitReached(Reason.TIME_LIMIT)


def _send(outgoing: BinaryIO, message: Any) -> None:
    outgoing.write(wire.line(message))
    outgoing.flush()


if __name__ == "__main__":
    main()
