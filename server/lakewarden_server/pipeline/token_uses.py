"""Collects when tokens are used; a call pays one assignment for it, and the database one small write a minute."""

from __future__ import annotations

import logging
from datetime import datetime

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import LakewardenError
from lakewarden_server.storage import token_uses
from lakewarden_server.storage.engine import Database

FLUSH_SECONDS = 60.0
"""A crash loses what was used since; of a token that is told to the minute, that is what a minute is worth."""
WRITE_SECONDS_MAX = 2.0

logger = logging.getLogger("lakewarden.tokens")


class TokenUses:
    """Shared by all threads of a process. `App` says when to write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._latest: dict[str, datetime] = {}
        self._flushed = monotonic()

    def note(self, token_id: str, time: datetime) -> None:
        """Notes a use, at the database's time. Never blocks the call."""
        self._latest[token_id] = time

    def flush_when_due(self) -> None:
        """Writes what was noted, once a minute."""
        if monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what was noted so far; what cannot be written now waits for the next time."""
        self._flushed = monotonic()
        # A copy at once: calls go on noting, in the old map until they see the new one.
        noted, self._latest = self._latest, {}
        used = dict(noted)
        if not used:
            return
        try:
            with self._database.transaction(deadline=monotonic() + WRITE_SECONDS_MAX) as connection:
                token_uses.note(connection, used)
                connection.commit()
        except LakewardenError as error:
            self._latest = {**used, **self._latest}
            logger.warning("the use of %d tokens is not noted yet: %s", len(used), error.message)
