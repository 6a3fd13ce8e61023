"""One serving process: what `lakewarden-server serve` runs itself, or as each of the workers of `supervisor`.

A worker is `python -m lakewarden_server.worker`: its task is a line of JSON on stdin, `READY` on stdout answers it, and the
end of stdin means that the supervisor is gone and the worker must go too.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from types import FrameType

from lakewarden_server.app import App
from lakewarden_server.authn.keys import KeyFileError
from lakewarden_server.config import Settings, SettingsError, read_settings
from lakewarden_server.core.addresses import AddressUnavailable, InsecureAddress
from lakewarden_server.core.certificates import CertificateError
from lakewarden_server.core.errors import LakewardenError
from lakewarden_server.observability.logs import configure_logging
from lakewarden_server.pipeline.rules import RuleError

READY = b"ready\n"
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter from one that waits: with Python's 5 ms and eight busy threads, the one that takes
calls and refuses them would wait for longer than the calls."""
WARM_STEP_SECONDS = 0.05
"""Between two looks at whether the lineage has been read."""
EXIT_FAILED = 1
START_ERRORS = (
    LakewardenError,
    KeyFileError,
    CertificateError,
    SettingsError,
    InsecureAddress,
    AddressUnavailable,
    RuleError,
    OSError,
)
"""What an operator can mend: told in a line, without a traceback."""


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


def serve(
    settings: Settings, stop: threading.Event, *, shared_port: bool, on_ready: Callable[[App], None]
) -> None:
    """Serves until `stop`, then drains. Raises one of `START_ERRORS` when it cannot start."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.disable()
    try:
        app = App(settings, shared_port=shared_port)
        app.start()
        if app.observability.metrics_address:
            address = app.observability.metrics_address
            print(f"metrics on http://{address}/metrics", file=sys.stderr, flush=True)
        on_ready(app)
        # What stays for good, the lineage that is read meanwhile among it, the cyclic collector never walks: each walk would pause every call for nothing.
        while app.warming.is_alive() and not stop.wait(WARM_STEP_SECONDS):
            pass
        gc.freeze()
    finally:
        gc.enable()
    # In steps: the main thread must come round to run signal handlers.
    while not stop.wait(1.0):
        pass
    app.stop()


def main() -> None:
    """The process of one worker."""
    stop = threading.Event()

    def on_term(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    # Ctrl-C reaches the whole group, and some managers signal every process: the supervisor alone decides what a second one means.
    signal.signal(signal.SIGTERM, on_term)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        task = Task(**json.loads(stdin.readline()))
    threading.Thread(target=_stop_with_supervisor, args=(stop,), daemon=True).start()
    try:
        settings = Serves(task.serves).of(read_settings(task.options))
        configure_logging(json_lines=settings.log_format == "json", verbose=task.verbose)
        with pinned(task.core):
            serve(settings, stop, shared_port=True, on_ready=_tell_ready)
    except START_ERRORS as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)


def _tell_ready(_app: App) -> None:
    os.write(1, READY)


def _stop_with_supervisor(stop: threading.Event) -> None:
    while os.read(0, 1):
        pass
    stop.set()


if __name__ == "__main__":
    main()
