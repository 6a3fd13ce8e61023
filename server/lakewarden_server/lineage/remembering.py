"""What was found out about texts that come again and again, as facets do: bounded by what those texts take, whoever sends them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

V = TypeVar("V")

REMEMBERED_BYTES_MAX: Final = 4_194_304
"""Of the texts; what they say takes a few times as much, as objects."""
ENTRY_BYTES: Final = 512
"""That one text counts for beside its own: else millions of the shortest would be remembered."""
SHARE_MAX: Final = 64
"""Of the whole that one text may be."""


class Remembered(Generic[V]):
    """The newest answers, by what was asked. Threads share it: what two of them find out at once is found out twice, and the same."""

    def __init__(self, bytes_max: int = REMEMBERED_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._newer: dict[Hashable, V] = {}
        self._older: dict[Hashable, V] = {}
        self._bytes = 0

    def get(self, key: Hashable) -> V | None:
        """The answer, if it is still known."""
        found = self._newer.get(key)
        return self._older.get(key) if found is None else found

    def keep(self, key: Hashable, answer: V, size: int) -> None:
        """Keeps an answer to a text of `size` bytes until as much as half of what is kept has come after it."""
        if size > self._bytes_max // SHARE_MAX:
            return
        size += ENTRY_BYTES
        if self._bytes + size > self._bytes_max // 2:
            self._older, self._newer, self._bytes = self._newer, {}, 0
        self._newer[key] = answer
        self._bytes += size
