"""What edges say of columns, as numbers: names by number, and all mappings in a few arrays, so that a walk makes no object of a pair."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lakewarden_server.lineage.graph import Flags, Ints, distinct
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
NAME_BYTES: Final = 200
"""What a name takes beside its characters, in the list and in the dictionary."""

_NUMBERS: Final[dict[str, int]] = {subtype: number for number, subtype in enumerate(SUBTYPES)}
_UNKNOWN: Final = -1

Numbers = NDArray[np.int64]
Integers = NDArray[np.signedinteger[Any]]


class _Held(NamedTuple):
    """What all mappings of a book say, pair by pair, as arrays of one length."""

    targets: Ints
    sources: Ints
    kinds: NDArray[np.int8]


class Pairs(NamedTuple):
    """What several edges say of columns: a pair at each place of the arrays, which are of one length. What of it is not asked for is not gathered."""

    at: Integers
    """The place of the edge among those asked about."""
    places: Numbers
    """Where the pair stands in the book."""
    held: _Held

    @property
    def targets(self) -> Ints:
        """Of names, as are `sources`."""
        return self.held.targets[self.places]

    @property
    def sources(self) -> Ints:
        """See `targets`."""
        return self.held.sources[self.places]

    @property
    def kinds(self) -> NDArray[np.int8]:
        """Subtype and masking as one number; see `how`."""
        return self.held.kinds[self.places]

    def near(self, *, downstream: bool) -> Ints:
        """The names where one comes from who looks that way."""
        return self.sources if downstream else self.targets

    def far(self, *, downstream: bool) -> Ints:
        """The names where one gets to."""
        return self.targets if downstream else self.sources

    def where(self, wanted: Flags, *, indirect: bool) -> Pairs:
        """Those the flags are set for; without `indirect` only where values are made of values."""
        few = np.flatnonzero(wanted)
        found = Pairs(self.at[few], self.places[few], self.held)
        if indirect or (direct := DIRECT_KINDS[found.kinds]).all():
            return found
        return found.where(direct, indirect=True)


class Says(Protocol):
    """What the edges of one question say of columns."""

    @property
    def book(self) -> ColumnBook:
        """Where it stands."""

    def mappings(self, edges: Ints, seen: Flags) -> Ints:
        """Of each edge the number of its mapping in the book, which has it. Raises DeadlineExceeded where those that are `seen` say too much."""


class ColumnBook:
    """Names and mappings as they are met; nothing in it ever changes. Threads share it.

    Arrays are written behind what anybody was told of, and replaced by longer ones: who holds one finds in it what it was told of.
    """

    def __init__(self) -> None:
        self._names: list[str] = [WHOLE]
        self._numbers: dict[str, int] = {WHOLE: WHOLE_NUMBER}
        self._names_bytes = 0
        self._writing = threading.Lock()
        self._starts: Numbers = np.zeros(1, dtype=np.int64)
        self._sizes: Ints = np.full(1, _UNKNOWN, dtype=np.int32)
        self._end = 0
        self._held = _Held(
            np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int8)
        )

    @property
    def bytes(self) -> int:
        """What it takes, roughly."""
        arrays = (self._starts, self._sizes, *self._held)
        return self._names_bytes + sum(array.nbytes for array in arrays)

    def name(self, number: int) -> str:
        """The name of a number."""
        return self._names[number]

    def names(self, numbers: Iterable[int]) -> list[str]:
        """The names of numbers."""
        return list(map(self._names.__getitem__, numbers))

    def number(self, name: str) -> int:
        """The number of a name, the next where it had none."""
        found = self._numbers.get(name)
        if found is not None:
            return found
        with self._writing:
            return self._number(name)

    def unknown(self, mappings: Ints) -> list[int]:
        """Those of the mappings that are not kept here, each once."""
        known = np.zeros(len(mappings), dtype=bool)
        within = mappings < len(self._sizes)
        known[within] = self._sizes[mappings[within]] != _UNKNOWN
        return [] if known.all() else distinct(mappings[~known]).tolist()

    def keep(self, mapping: int, columns: Sequence[Sequence[Any]]) -> None:
        """Keeps what the number of a mapping stands for: [target, source, subtype, masking] each."""
        with self._writing:
            self._sizes = _longer(self._sizes, mapping + 1, _UNKNOWN)
            self._starts = _longer(self._starts, mapping + 1)
            if self._sizes[mapping] != _UNKNOWN:
                return
            start, self._end = self._end, self._end + len(columns)
            rows = [(self._number(row[0]), self._number(row[1]), kind_of(row[2], row[3])) for row in columns]
            held = self._held
            self._held = _Held(
                _longer(held.targets, self._end),
                _longer(held.sources, self._end),
                _longer(held.kinds, self._end),
            )
            for part, values in enumerate(zip(*rows, strict=True)):
                self._held[part][start : self._end] = values
            self._starts[mapping] = start
            # Last: who finds a size finds the pairs.
            self._sizes[mapping] = len(columns)

    def sizes(self, mappings: Ints) -> Numbers:
        """How many pairs each of the mappings has, which are all kept here."""
        return self._sizes[mappings].astype(np.int64)

    def pairs(self, mappings: Ints) -> Pairs:
        """The pairs of edges with these mappings, one after the other; one that says nothing has none."""
        sizes = self.sizes(mappings)
        ends = np.cumsum(sizes)
        count = int(ends[-1]) if len(ends) else 0
        at = np.repeat(np.arange(len(mappings)), sizes)
        places = np.arange(count) + np.repeat(self._starts[mappings] - ends + sizes, sizes)
        return Pairs(at, places, self._held)

    def _number(self, name: str) -> int:
        found = self._numbers.get(name)
        if found is None:
            self._names.append(name)
            found = self._numbers[name] = len(self._names) - 1
            self._names_bytes += NAME_BYTES + 4 * len(name)
        return found


def kind_of(subtype: str, masking: bool) -> int:
    """Subtype and masking as one number."""
    return _NUMBERS[subtype] << 1 | masking


def how(kind: int) -> tuple[Subtype, bool]:
    """Subtype and masking of a kind."""
    return SUBTYPES[kind >> 1], bool(kind & 1)


def _longer(array: NDArray[Any], length: int, value: int = 0) -> NDArray[Any]:
    """An array of that length at least, with what is in this one, and the value behind."""
    if length <= len(array):
        return array
    # Half as long again, so that what is put behind it piece by piece is not copied each time.
    longer = np.full(length + length // 2, value, dtype=array.dtype)
    longer[: len(array)] = array
    return longer
