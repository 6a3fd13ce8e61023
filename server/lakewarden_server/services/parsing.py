"""Turns at parsing SQL: it holds the interpreter, so one text at a time keeps every other call moving."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lakewarden_server.core.errors import Reason, ResourceExhausted

PARSER_WAIT_SECONDS = 0.5


class Parsing:
    """One turn at a time, shared by the services that parse what callers send."""

    def __init__(self) -> None:
        self._turns = threading.BoundedSemaphore(1)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits for a turn. Raises QUOTA_EXCEEDED after `PARSER_WAIT_SECONDS`."""
        if not self._turns.acquire(timeout=PARSER_WAIT_SECONDS):
            raise ResourceExhausted(Reason.QUOTA_EXCEEDED, "other SQL texts are being parsed: retry")
        try:
            yield
        finally:
            self._turns.release()
