"""What a supervisor and its workers say to each other, and the cores they run on. Imports nothing that serves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from lakewarden_server.config import Settings
from lakewarden_server.core.errors import LakewardenError, OperatorError

READY = b"ready\n"
EXIT_FAILED = 1
EXPECTED_ERRORS = (LakewardenError, OperatorError, OSError)
"""What is told in a line, without a traceback."""


class Serves(StrEnum):
    """What a worker answers."""

    ALL = "ALL"
    GRPC = "GRPC"
    HTTP = "HTTP"

    def of(self, settings: Settings) -> Settings:
        """The settings without the address of what it does not answer."""
        if self is Serves.HTTP:
            return replace(settings, listen="")
        return settings if self is Serves.ALL else replace(settings, http="", http_workers=0)


@dataclass(frozen=True, slots=True)
class Task:
    """What a supervisor tells a worker; `core` is the one to run on, None where processes cannot be pinned."""

    options: dict[str, str]
    verbose: bool
    core: int | None
    serves: Serves = Serves.ALL

    def line(self) -> bytes:
        """The task as a line of JSON. It may hold a password, which is why it is no command line argument."""
        return json.dumps(asdict(self)).encode() + b"\n"


def cores() -> list[int]:
    """The cores this process may run on; empty where the system does not pin processes."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def any_core() -> int | None:
    """One of the cores, another one for the next process: servers started side by side should not share one."""
    allowed = cores()
    return allowed[os.getpid() % len(allowed)] if allowed else None


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Keeps this thread, and every thread it starts meanwhile, on one core.

    A grpcio server does half as much again at half the CPU when its threads do not wander (DESIGN 4).
    """
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
