"""What edges say of columns, as numbers: names by number, and each mapping as one array, so that a walk need make no object of a pair."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lakewarden_server.lineage.graph import Flags, Ints
from lakewarden_server.lineage.mapping import WHOLE, Subtype

SUBTYPES: Final = tuple(Subtype)
"""By number."""
NOT_TOLD: Final = len(SUBTYPES) << 1
"""As a kind: nothing is said, or may be told, of how."""
WHOLE_NUMBER: Final = 0
"""That of WHOLE among names."""
DIRECT_KINDS: Final[Flags] = np.array(
    [subtype.is_direct for subtype in SUBTYPES for _masking in (False, True)]
)
"""By kind, whether values are made of values."""
PAIR_BYTES: Final = 12
MAPPING_BYTES: Final = 400
"""What a mapping takes beside its pairs: its hash, its array and the entry that finds it."""
NAME_BYTES: Final = 200
"""What a name takes beside its characters, in the list and in the dictionary."""

_NUMBERS: Final[dict[str, int]] = {subtype: number for number, subtype in enumerate(SUBTYPES)}


Numbers = NDArray[np.int64]


class Pairs(NamedTuple):
    """What several edges say of columns, as arrays of one length."""

    at: Numbers
    """The place of the edge among those asked about."""
    targets: Numbers
    """Of names, as are `sources`."""
    sources: Numbers
    kinds: Numbers
    """Subtype and masking as one number; see `how`."""


class Says(Protocol):
    """What the edges of one question say of columns."""

    @property
    def book(self) -> ColumnBook:
        """Whose numbers `pairs` speaks in."""

    def sizes(self, edges: Ints) -> Numbers:
        """How many pairs each of these edges says. Raises DeadlineExceeded where it is too much."""

    def pairs(self, edges: Ints) -> Pairs:
        """What these edges say; one that says nothing has no pair. Raises DeadlineExceeded where it is too much."""


class ColumnBook:
    """Names and mappings as they are met; nothing in it ever changes. Threads share it."""

    def __init__(self) -> None:
        self._names: list[str] = [WHOLE]
        self._numbers: dict[str, int] = {WHOLE: WHOLE_NUMBER}
        self._mappings: dict[str, Ints] = {}
        self._writing = threading.Lock()
        self.bytes = 0
        """What it takes, roughly."""

    def name(self, number: int) -> str:
        """The name of a number."""
        return self._names[number]

    def number(self, name: str) -> int:
        """The number of a name, the next where it had none."""
        found = self._numbers.get(name)
        if found is not None:
            return found
        with self._writing:
            if name not in self._numbers:
                self._names.append(name)
                self._numbers[name] = len(self._names) - 1
                self.bytes += NAME_BYTES + 4 * len(name)
            return self._numbers[name]

    def mapping(self, mapping_hash: str) -> Ints | None:
        """What a hash stands for, as `numbered` gave it."""
        return self._mappings.get(mapping_hash)

    def keep(self, mapping_hash: str, pairs: Ints) -> None:
        """Keeps what a hash stands for."""
        with self._writing:
            if mapping_hash not in self._mappings:
                self._mappings[mapping_hash] = pairs
                self.bytes += MAPPING_BYTES + PAIR_BYTES * pairs.shape[1]

    def numbered(self, columns: Iterable[Sequence[Any]]) -> Ints:
        """Three rows, targets, sources and kinds, of [target, source, subtype, masking] each."""
        rows = [
            (self.number(target), self.number(source), kind_of(subtype, masking))
            for target, source, subtype, masking in columns
        ]
        return np.array(rows, dtype=np.int32).reshape(-1, 3).T.copy()


def kind_of(subtype: str, masking: bool) -> int:
    """Subtype and masking as one number."""
    return _NUMBERS[subtype] << 1 | masking


def how(kind: int) -> tuple[Subtype, bool]:
    """Subtype and masking of a kind."""
    return SUBTYPES[kind >> 1], bool(kind & 1)


def together(mappings: Sequence[Ints | None]) -> Pairs:
    """What edges say one after the other; None and nothing, of those that say nothing."""
    said = [(place, pairs) for place, pairs in enumerate(mappings) if pairs is not None]
    if not said:
        return Pairs(*[np.zeros(0, dtype=np.int64)] * 4)
    places = np.array([place for place, _pairs in said], dtype=np.int64)
    at = np.repeat(places, [pairs.shape[1] for _place, pairs in said])
    return Pairs(at, *np.concatenate([pairs for _place, pairs in said], axis=1).astype(np.int64))
