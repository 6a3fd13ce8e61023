"""Mappings by number, for all edges of a process: what several edges say alike has one number, and is read when it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from lakewarden_server.lineage.column_book import ColumnBook, Numbers
from lakewarden_server.lineage.graph import Ints

BOOK_BYTES_MAX: Final = 134_217_728
"""What is kept of columns for the questions that follow; with more, a process begins anew."""
LATER_MAX: Final = 500_000
"""Hashes that came since all were read, some 250 bytes each; with more they are read anew, without those that no edge has any more."""
DIGEST_BYTES: Final = 32
HASH_CHARACTERS: Final = 2 * DIGEST_BYTES

Digests = NDArray[np.bytes_]


class MappingNumbers:
    """The numbers of hashes, which never change, and the book of what they stand for. Threads share it.

    A million different hashes take 32 MB in an array; those that came since it was made are in a dictionary.
    """

    def __init__(self, ordered: Digests | None = None) -> None:
        """``ordered`` are digests in order, the first of them empty: what has no hash says nothing."""
        self._ordered = digests_of([]) if ordered is None else ordered
        if not len(self._ordered):
            self._ordered = np.zeros(1, dtype=self._ordered.dtype)
        self._numbers: dict[str, int] = {}
        self._later: list[str] = []
        self._book = ColumnBook()
        self._writing = threading.Lock()

    @classmethod
    def of(cls, digests: Sequence[Digests]) -> tuple[Self, Ints]:
        """Numbers for digests, and those of each of these in turn."""
        nothing = np.zeros(1, dtype=digests_of([]).dtype)
        ordered, numbers = _distinct(np.concatenate([nothing, *digests]))
        return cls(ordered), numbers[1:].astype(np.int32)

    def number(self, mapping_hash: str) -> int:
        """The number of a hash, the next where it had none."""
        known = self._numbers.get(mapping_hash)
        if known is not None:
            return known
        digest = digests_of([mapping_hash])
        place = int(np.searchsorted(self._ordered, digest)[0])
        if place < len(self._ordered) and self._ordered[place] == digest[0]:
            return place
        with self._writing:
            if mapping_hash not in self._numbers:
                self._later.append(mapping_hash)
                self._numbers[mapping_hash] = len(self._ordered) + len(self._later) - 1
            return self._numbers[mapping_hash]

    @property
    def are_many(self) -> bool:
        """Whether so many came that they are to be read anew."""
        return len(self._later) > LATER_MAX

    def hash_of(self, number: int) -> str:
        """The hash of a number other than 0."""
        if number < len(self._ordered):
            return self._ordered[number : number + 1].tobytes().hex()
        return self._later[number - len(self._ordered)]

    def book(self) -> ColumnBook:
        """What mappings stand for, as far as it is known. Questions that are being answered keep the one they began with."""
        if self._book.bytes > BOOK_BYTES_MAX:
            self._book = ColumnBook()
        return self._book


def digests_of(hashes: Collection[str]) -> Digests:
    """Digests from their hexadecimal hashes; of what is none, an empty one."""
    if set(map(len, hashes)) - {HASH_CHARACTERS}:
        nothing = "0" * HASH_CHARACTERS
        hashes = [each if len(each) == HASH_CHARACTERS else nothing for each in hashes]
    told = "".join(hashes)
    return np.frombuffer(bytes.fromhex(told), dtype=f"S{DIGEST_BYTES}")


def _distinct(digests: Digests) -> tuple[Digests, Numbers]:
    """The digests in order, each once, and of each the place there. By their first bytes, as long as these tell them apart: numbers are sorted faster."""
    beginnings = digests.view(">u8")[:: DIGEST_BYTES // 8].astype(np.uint64)
    _, first, places = np.unique(beginnings, return_index=True, return_inverse=True)
    ordered = digests[first]
    if not (ordered[places] == digests).all():
        ordered, places = np.unique(digests, return_inverse=True)
    return ordered, places
