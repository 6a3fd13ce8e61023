"""What a walk from column to column asks of arrays of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from lakewarden_server.lineage.column_book import WHOLE_NUMBER, Integers, Numbers
from lakewarden_server.lineage.graph import Flags, Ints, firsts

BEGINNINGS: Final = 64
"""As how many names are told apart before they are looked for: by the lowest bits of their numbers."""


def among(keys: Numbers, ordered: Numbers) -> Flags:
    """Which of the keys are among others, of which there is one at least."""
    found: Flags = ordered[np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)] == keys
    return found


def may_be_among(assets: Ints, names: Numbers, near: Ints, at: Integers, said: Ints) -> Flags:
    """Which pairs may be of a column among others, given by its asset, in order, and name: all that are or are of a whole asset, and some that are not.

    A pair is given by the place of its asset in `near`, all of which are among the assets, and its name. Most pairs are of none,
    which a table finds out several times as fast as a search.
    """
    each = firsts(assets)
    table = np.zeros((int(np.count_nonzero(each)), BEGINNINGS), dtype=bool)
    table[np.cumsum(each) - 1, names & (BEGINNINGS - 1)] = True
    table[:, WHOLE_NUMBER] = True
    rows = np.searchsorted(assets[each], near) * BEGINNINGS
    found: Flags = table.reshape(-1)[rows[at] + (said & (BEGINNINGS - 1))]
    return found


def joined(*parts: tuple[Integers, ...]) -> Iterator[Any]:
    """Arrays one after the other."""
    return (np.concatenate(each) for each in zip(*parts, strict=True))


def counted(counts: Integers) -> Numbers:
    """0, 1 and so on for each count, one after the other."""
    ends = np.cumsum(counts)
    found: Numbers = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    return found
