"""What each principal took of the time in which events are recorded, so that whoever takes much comes after those who take little."""

from __future__ import annotations

from typing import Final

STEP_SECONDS: Final = 1.0
"""Who took as many of these as another comes in turn with that one, as nearly all do."""


class Shares:
    """Those of one process since nobody waited."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def join(self, principal_id: str) -> None:
        """Counts one among those who wait. Who comes new begins a step before who took least: what was taken long ago is no debt of the others."""
        least = min(list(self._seconds.values()), default=0.0)
        self._seconds.setdefault(principal_id, max(0.0, least - STEP_SECONDS))

    def took(self, principal_id: str, seconds: float) -> None:
        """Counts time."""
        self._seconds[principal_id] = self._seconds.get(principal_id, 0.0) + seconds

    def rank(self, principal_id: str) -> int:
        """Whose is lower comes first."""
        return int(self._seconds.get(principal_id, 0.0) // STEP_SECONDS)

    def clear(self) -> None:
        """Begins anew."""
        self._seconds.clear()
