"""What the edges of a question say of columns, read a level at a time; what several say alike once, also for the questions that follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from lakewarden_server.lineage.column_book import ColumnBook, Numbers, Pairs, how, together
from lakewarden_server.lineage.columns import Use
from lakewarden_server.lineage.graph import Ints
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.repositories.lineage_graph import LineageGraphReader
from lakewarden_server.storage.repositories.lineage_history import LineageHistoryReader

USES_READ_MAX: Final = 500_000
"""Pairs of columns of one question; of one that meets more there is no answer."""
BOOK_BYTES_MAX: Final = 134_217_728
"""What is kept of columns for the questions that follow; with more, a process begins anew."""


class ColumnUses:
    """Of one question, within its transaction, as edges were at one time."""

    _shared = ColumnBook()

    def __init__(self, reader: LineageGraphReader, past: LineageHistoryReader, time: int) -> None:
        """`time` is in microseconds since 1970, FOREVER for now."""
        if ColumnUses._shared.bytes > BOOK_BYTES_MAX:
            # Questions that are being answered keep the one they began with.
            ColumnUses._shared = ColumnBook()
        self.book = ColumnUses._shared
        self._reader, self._past, self._time = reader, past, time
        self._count = 0
        self._hashes: dict[int, str] = {}
        self._mappings: dict[str, Ints] = {}
        self._uses: dict[str, Sequence[Use]] = {}

    def sizes(self, edges: Ints) -> Numbers:
        """How many pairs of columns each of the edges says. Raises DeadlineExceeded where it is too much."""
        self._learn(edges)
        said = (0 if pairs is None else pairs.shape[1] for pairs in self._said(edges))
        return np.fromiter(said, dtype=np.int64, count=len(edges))

    def pairs(self, edges: Ints) -> Pairs:
        """What edges say of columns, as numbers. Raises DeadlineExceeded where it is too much."""
        self._learn(edges)
        return together(self._said(edges))

    def _said(self, edges: Ints) -> list[Ints | None]:
        hashes = map(self._hashes.get, edges.tolist())
        return [None if hashed is None else self._mappings.get(hashed) for hashed in hashes]

    def __call__(self, edges: Ints) -> Mapping[int, Sequence[Use]]:
        """What edges say of columns; those that say nothing are left out. Raises DeadlineExceeded where it is too much."""
        self._learn(edges)
        said = {edge: self._hashes.get(edge) for edge in edges.tolist()}
        return {edge: uses for edge, hashed in said.items() if hashed and (uses := self._spelt(hashed))}

    def _spelt(self, hashed: str) -> Sequence[Use]:
        """The same sequence for all edges that say the same."""
        if hashed not in self._uses:
            columns = self._mappings.get(hashed)
            rows = () if columns is None else columns.T.tolist()
            name = self.book.name
            self._uses[hashed] = [
                Use(name(target), name(source), *how(kind)) for target, source, kind in rows
            ]
        return self._uses[hashed]

    def _learn(self, edges: Ints) -> None:
        found = self._read(set(edges.tolist()) - self._hashes.keys())
        self._hashes |= found
        unknown = set(found.values()) - self._mappings.keys()
        for hashed in unknown:
            if (known := self.book.mapping(hashed)) is not None:
                self._take(hashed, known)
        for hashed, columns in self._reader.mappings(unknown - self._mappings.keys()):
            self._take(hashed, self.book.numbered(columns))
            self.book.keep(hashed, self._mappings[hashed])

    def _take(self, hashed: str, pairs: Ints) -> None:
        # Counted also where it was known before, so that an answer does not depend on what others asked.
        self._count += pairs.shape[1]
        if self._count > USES_READ_MAX:
            raise deadline_passed()
        self._mappings[hashed] = pairs

    def _read(self, edge_ids: Collection[int]) -> dict[int, str]:
        if self._time == FOREVER:
            return self._reader.mapping_hashes(edge_ids)
        return self._past.mapping_hashes(edge_ids, self._time)
