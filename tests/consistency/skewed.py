"""A server process whose clock is wrong, run as a script in the place of `lakewarden-server serve`.

It is production's but for the clock our modules ask: the wall clock is `--skew-seconds` ahead and jumps to the other side of the
true time at each `JUMP`; the monotonic one is ahead by as much, and goes on from there.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakewarden_server.app import App
from lakewarden_server.config import KEY_FILE, Settings

JUMP = signal.SIGUSR1


class Skew:
    """Stands where our modules have the module `time`; `seconds` is how far the wall clock is ahead of the machine's."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ahead = abs(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def jump(self) -> None:
        """To the other side."""
        self.seconds = -self.seconds

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.seconds

    def time_ns(self) -> int:
        """The same in nanoseconds."""
        return time.time_ns() + int(self.seconds * 1e9)

    def utc_now(self) -> datetime:
        """The same as a time."""
        return datetime.now(UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic() + self._ahead

    def put_in(self) -> None:
        """Every module of ours has this clock from now on; gRPC, whose core reads the machine's, must keep that."""
        for name, module in list(sys.modules.items()):
            if name.startswith(("lakewarden_server", "lakewarden_policy")):
                if getattr(module, "time", None) is time:
                    module.time = self  # type: ignore[attr-defined]
                for clock_name in ("monotonic", "utc_now"):
                    if hasattr(module, clock_name):
                        setattr(module, clock_name, getattr(self, clock_name))


def command(skew_seconds: float) -> tuple[str, ...]:
    """The command line of such a server."""
    return (sys.executable, __file__, "--skew-seconds", str(skew_seconds))


def main() -> None:
    """Serves until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--skew-seconds", type=float, required=True)
    options = parser.parse_args()
    skew = Skew(options.skew_seconds)
    signal.signal(JUMP, lambda *_: skew.jump())
    skew.put_in()
    settings = Settings(
        database_url=options.database_url,
        key_file=options.data_dir / KEY_FILE,
        data_directory=options.data_dir,
        listen=options.listen,
        failed_logins_per_minute=0,
        calls_per_second_per_principal=0,
        calls_per_second_per_peer=0,
    )
    app = App(settings)
    app.start()
    print(f"lakewarden-server listens on 127.0.0.1:{app.port}", file=sys.stderr, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
