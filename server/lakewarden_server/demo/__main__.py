"""Runs the demo: `python -m lakewarden_server.demo`."""

from __future__ import annotations

import signal
import sys


def _run() -> int:
    # Imported here: the imports take a second, in which Ctrl-C must end as quietly as later.
    try:
        from lakewarden_server.demo.command import main

        return main()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return 130
    except ModuleNotFoundError as error:
        print(
            f"the demo needs {error.name}: run `make demo`, or in a clone pip install '.[server,demo]'",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    sys.exit(_run())
