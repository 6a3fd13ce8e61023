"""The demo as a command: signals, exit codes, and nothing left behind however it ends."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType

from lakewarden_server.demo.acts import DemoFailed
from lakewarden_server.demo.lineage import show_lineage
from lakewarden_server.demo.replicas import postgresql, two_servers
from lakewarden_server.demo.screen import RED, Screen
from lakewarden_server.demo.show import open_stage, run_show

FAILED = 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Remembers the first SIGINT, SIGTERM or SIGHUP until `check` is reached; the others change nothing.

    The handler raises nothing itself: an exception that falls into a finalizer is swallowed, and DuckDB leaves a
    thread behind that goes on writing files when a statement is broken off, after they were cleaned up.
    """

    def __init__(self) -> None:
        self.signal_number = 0

    def listen(self) -> None:
        """Begins to listen."""
        for number in SIGNALS:
            # Under `nohup` a hang-up is ignored already, and stays so.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._receive)

    def check(self) -> None:
        """Raises KeyboardInterrupt when a signal came."""
        if self.signal_number:
            raise KeyboardInterrupt

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that a signal ended."""
        return 128 + (self.signal_number or signal.SIGINT)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.signal_number = self.signal_number or number


def main() -> int:
    """Runs the demo once and returns its exit code: 0, 1 for an unexpected outcome, 130 for Ctrl-C."""
    interruption = Interruption()
    interruption.listen()
    screen = Screen.of_process()
    with ExitStack() as stack:
        try:
            with screen.step("starting PostgreSQL"):
                url = stack.enter_context(postgresql())
            interruption.check()
            stage = stack.enter_context(open_stage(screen, check_interrupt=interruption.check))
            last_line = run_show(stage, screen, check_interrupt=interruption.check)
            two_servers(url, screen, check_interrupt=interruption.check)
            interruption.check()
            show_lineage(stage.world, screen, Path.cwd())
        except DemoFailed as failure:
            screen.whole("\n" + screen.paint(f"demo failed: {failure}", RED))
            return FAILED
        except BrokenPipeError:
            return _abandon_output()
        except KeyboardInterrupt:
            return _interrupted(interruption)
        screen.whole("")
        screen.whole(last_line)
    return 0


def _interrupted(interruption: Interruption) -> int:
    with suppress(OSError):
        print("\ninterrupted: stopping the server", file=sys.stderr)
    return interruption.exit_code


def _abandon_output() -> int:
    """Whoever read the output has gone; what is still buffered must not raise again at exit."""
    sys.stdout = None
    return FAILED
