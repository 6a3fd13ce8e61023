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
from collections.abc import Callable
from types import FrameType

from lakewarden_server.app import App
from lakewarden_server.config import Settings, read_settings
from lakewarden_server.observability.logs import configure_logging
from lakewarden_server.processes import EXIT_FAILED, EXPECTED_ERRORS, READY, Serves, Task, pinned

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter from one that waits where gRPC is answered: with Python's 5 ms and eight busy threads, the one
that takes calls and refuses them would wait for longer than the calls. Who answers HTTP alone, which is mostly lineage to be recorded, loses
more by as many changes of thread than by waiting."""
HTTP_NICE = 5
"""How far a process that answers HTTP alone steps back from those that answer engines, where there is not a core for each: lineage that is
recorded later harms nobody, a check that waits holds up a query. On SQLite whoever else writes waits for its transactions, of one or two tenths
of a second, longer then."""
COLLECTOR_THRESHOLDS = (2_000, 10, 100)
"""How many new objects, and looks at younger ones, the cyclic collector lets come before it looks at the young, the older, and all: a look at
all keeps every call waiting for tens of milliseconds, and with Python's own (700, 10, 10) comes every few seconds."""
WARM_STEP_SECONDS = 0.05
"""Between two looks at whether the lineage has been read."""


def serve(
    settings: Settings, stop: threading.Event, *, shared_port: bool, on_ready: Callable[[App], None]
) -> None:
    """Serves until `stop`, then drains. Raises one of `EXPECTED_ERRORS` when it cannot start."""
    if settings.listen:
        sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
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
        if task.serves == Serves.HTTP:
            os.nice(HTTP_NICE)
        configure_logging(json_lines=settings.log_format == "json", verbose=task.verbose)
        with pinned(task.core):
            serve(settings, stop, shared_port=True, on_ready=_tell_ready)
    except EXPECTED_ERRORS as error:
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
