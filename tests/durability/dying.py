"""A backup or restore that is killed (SIGKILL, by itself) at a step. `forks.py` runs it; production code has no such switch."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from lakewarden_server.backups import back_up, restore
from lakewarden_server.storage import create_database


def main(arguments: Sequence[str]) -> None:
    """Does what the arguments say until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("backup", "restore"))
    parser.add_argument("step")
    parser.add_argument("file", type=Path)
    parser.add_argument("url")
    parser.add_argument("directory", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "backup":
        back_up(create_database(options.url), options.file, on_step=dying_at(options.step))
    else:
        restore(
            options.file,
            options.url,
            options.directory,
            replace=True,
            keep_tokens=True,
            on_step=dying_at(options.step),
        )


def dying_at(wanted: str) -> Callable[[str], None]:
    """A step hook that ends the process at once, without any clean-up."""

    def on_step(step: str) -> None:
        if step == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_step
