"""Programs forked from one process that has imported everything: a start costs a tenth of a new interpreter's.

Run as a script it is that process: a line of JSON asks it for a fork or for the end of one, and a line answers. It has no threads
of gRPC and no database of its own, so its children begin as `launcher.py` and `dying.py` do.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

POLL_SECONDS = 0.01
FAILED = 1


class Fork:
    """One child, with what `subprocess.Popen` has of the same name."""

    def __init__(self, program: Literal["launcher", "dying"], arguments: Sequence[str], log: Path) -> None:
        """Runs the script of that name with these arguments, its output in `log`, in a process group of its own."""
        self._forks = _forks()
        self.pid = self._asked(program=program, arguments=list(arguments), log=str(log))
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, -n for the end by signal n; None while it runs."""
        if self._code is None:
            self._code = self._asked(ended=self.pid)
        return self._code

    def wait(self, timeout: float) -> int:
        """The exit code of one that ends within so many seconds. Raises TimeoutExpired."""
        give_up = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > give_up:
                raise subprocess.TimeoutExpired("fork", timeout)
            time.sleep(POLL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """Sends a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def _asked(self, **question: object) -> int:
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        print(json.dumps(question), file=self._forks.stdin, flush=True)
        answer: int = json.loads(self._forks.stdout.readline())
        return answer


@cache
def _forks() -> subprocess.Popen[str]:
    """The process that forks, one for each process of tests."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def end() -> None:
        process.communicate()

    atexit.register(end)
    return process


def _answer() -> None:
    """Forks and tells until its input ends."""
    import dying
    import launcher

    programs = {"launcher": launcher.main, "dying": dying.main}
    for line in sys.stdin:
        question = json.loads(line)
        if "ended" in question:
            process, status = os.waitpid(question["ended"], os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if process else None), flush=True)
            continue
        child = os.fork()
        if child == 0:
            os.setsid()
            log = os.open(question["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
                os.dup2(descriptor, target)
            try:
                programs[question["program"]](question["arguments"])
            finally:
                os._exit(FAILED)
        print(json.dumps(child), flush=True)


if __name__ == "__main__":
    _answer()
