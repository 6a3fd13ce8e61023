"""Rows of answers that come as columns: a large answer is there at once, and costs only what is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

Row = TypeVar("Row")
SHOWN_MAX = 20
"""Rows that are written out where all are printed."""


class Rows(Sequence[Row]):
    """Rows made of columns of one length when they are looked at, as often as they are."""

    def __init__(self, make: Callable[..., Row], *columns: Sequence[Any]) -> None:
        """``make`` is called with a value of each column."""
        self._make = make
        self._columns = columns

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Row]:
        return map(self._make, *self._columns)

    def __repr__(self) -> str:
        """The first rows, as a person who tries it wants to see them."""
        more = "" if len(self) <= SHOWN_MAX else f", … {len(self) - SHOWN_MAX:,} more"
        return f"[{', '.join(map(repr, self[:SHOWN_MAX]))}{more}]"

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, place: int | slice) -> Row | tuple[Row, ...]:
        found = [column[place] for column in self._columns]
        return tuple(map(self._make, *found)) if isinstance(place, slice) else self._make(*found)
