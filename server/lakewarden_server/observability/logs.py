"""Logs to stderr, as text or as one JSON object a line; in JSON every line of a call carries its request id."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime

from lakewarden_server.observability.observed import Outcome

TEXT_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
logger = logging.getLogger("lakewarden.calls")

# A line is written deep below, also by libraries, where no call can be passed along.
_call: ContextVar[tuple[str, str]] = ContextVar("call", default=("", ""))


def configure_logging(*, json_lines: bool, verbose: bool) -> None:
    """Sets up the root logger; `verbose` adds a line for each call, as JSON, and what servers tell of themselves."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if json_lines else logging.Formatter(TEXT_FORMAT))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])


class JsonFormatter(logging.Formatter):
    """time, level, logger, message; of a call its request_id and method; of a call that ended what `Logs` adds."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        request_id, method = _call.get()
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id:
            told |= {"request_id": request_id, "method": method}
        told |= getattr(record, "call", {})
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


class Logs:
    """The observer that says which call a line belongs to, and writes a line of level INFO when it ended."""

    def began(self, method: str, request_id: str, _metadata: Mapping[str, str]) -> Token[tuple[str, str]]:
        """From now on lines of this thread are of this call."""
        return _call.set((request_id, method))

    def ended(self, began: Token[tuple[str, str]], method: str, outcome: Outcome) -> None:
        """The call's last line."""
        if logger.isEnabledFor(logging.INFO):
            told = {"code": outcome.code, "reason": outcome.reason, "seconds": round(outcome.seconds, 6)}
            logger.info("%s %s", method, outcome.code, extra={"call": told})
        self.suspended(began)

    def suspended(self, began: Token[tuple[str, str]]) -> None:
        """From now on lines of this thread are of no call."""
        _call.reset(began)
