"""What a process beside the server does as it is told: the same for callers, watchers and producers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def answer_commands(make: Callable[[dict[str, Any]], object]) -> None:
    """Makes what measures of the first argument, then reads one JSON command per line and prints one JSON answer per line."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    if wanted["cores"]:
        os.sched_setaffinity(0, wanted["cores"])
    measuring = make(wanted)
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(measuring, command.pop("measure"))(**command)
        print(json.dumps(answer), flush=True)
