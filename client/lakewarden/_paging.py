"""Turns the pages of a List RPC into one iterator. Called by every `list` method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Row = TypeVar("Row")

# The server's own maximum: asking for more only makes it shorten the answer.
PAGE_SIZE_MAX = 1000


def pages(
    fetch: Callable[[int, str], tuple[Sequence[Row], str]], *, page_size: int = 0, limit: int | None = None
) -> Iterator[Row]:
    """Yield rows page by page, asking for the next page only when the one before is used up.

    `fetch(page_size, page_token)` returns the rows of one page and the next token (empty on the last).
    `page_size` 0 leaves the size to the server; `limit` stops after so many rows, and keeps the last page small.
    """
    token, left = "", limit
    while left is None or left > 0:
        rows, token = fetch(_wanted(page_size, left), token)
        yield from rows if left is None else rows[:left]
        left = None if left is None else left - len(rows)
        if not token:
            return


def _wanted(page_size: int, left: int | None) -> int:
    """Size of the next page: never more than what is still wanted."""
    if left is None:
        return page_size
    return min(page_size or PAGE_SIZE_MAX, left, PAGE_SIZE_MAX)
