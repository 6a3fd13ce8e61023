"""What the edges of a question say of columns, read a level at a time; what several say alike once, also for the questions that follow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from lakewarden_server.lineage.column_book import how
from lakewarden_server.lineage.columns import Use
from lakewarden_server.lineage.graph import Flags, Ints, distinct
from lakewarden_server.lineage.nodes import LineageState
from lakewarden_server.storage.errors import deadline_passed

Read = Callable[[Collection[str]], Iterable[tuple[str, Sequence[Any]]]]
"""Reads what hashes stand for: [target, source, subtype, masking] of each pair of columns, in a transaction that sees the edges asked about."""
ReadThen = Callable[[Collection[int]], Mapping[int, str]]
"""Reads of each edge the hash of what it said of columns at the time asked about."""

USES_READ_MAX: Final = 500_000
"""Pairs of columns of one question; of one that meets more there is no answer."""


class ColumnUses:
    """Of one question, as edges are or were at one time."""

    def __init__(self, state: LineageState, read: Read, read_then: ReadThen | None = None) -> None:
        """What edges say is known of the state but for a question about an earlier time, which has `read_then`."""
        self.book = state.mappings.book()
        self._graph, self._numbers = state.graph, state.mappings
        self._read, self._read_then = read, read_then
        self._count = 0
        self._met: Flags = np.zeros(0, dtype=bool)
        self._then: dict[int, int] = {}
        self._uses: dict[int, Sequence[Use]] = {}

    def mappings(self, edges: Ints) -> Ints:
        """Of each edge the number of its mapping in the book, which has it. Raises DeadlineExceeded where they say too much."""
        read_then = self._read_then
        found = self._graph.mappings(edges) if read_then is None else self._mappings_then(edges, read_then)
        self._learn(found)
        return found

    def __call__(self, edges: Ints) -> Mapping[int, Sequence[Use]]:
        """What edges say of columns; those that say nothing are left out. Raises DeadlineExceeded where it is too much."""
        said = zip(edges.tolist(), self.mappings(edges).tolist(), strict=True)
        return {edge: uses for edge, mapping in said if (uses := self._spelt(mapping))}

    def _spelt(self, mapping: int) -> Sequence[Use]:
        """The same sequence for all edges that say the same."""
        if mapping not in self._uses:
            pairs = self.book.pairs(np.array([mapping], dtype=np.int32))
            names = (self.book.names(numbers.tolist()) for numbers in (pairs.targets, pairs.sources))
            rows = zip(*names, pairs.kinds.tolist(), strict=True)
            self._uses[mapping] = [Use(target, source, *how(kind)) for target, source, kind in rows]
        return self._uses[mapping]

    def _learn(self, mappings: Ints) -> None:
        most = int(mappings.max(initial=0))
        if most >= len(self._met):
            self._met = np.concatenate([self._met, np.zeros(most + 1 - len(self._met), dtype=bool)])
        new = mappings[~self._met[mappings]]
        if not len(new):
            return
        new = distinct(new)
        self._met[new] = True
        unknown = self.book.unknown(new)
        # Counted also where it was known before, so that an answer does not depend on what others asked.
        self._add(int(self.book.sizes(new[~np.isin(new, unknown)] if unknown else new).sum()))
        wanted = {self._numbers.hash_of(mapping): mapping for mapping in unknown if mapping}
        for hashed, columns in self._read(wanted) if wanted else ():
            self._add(len(columns))
            self.book.keep(wanted[hashed], columns)
        for mapping in self.book.unknown(new) if unknown else ():
            self.book.keep(mapping, ())

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > USES_READ_MAX:
            raise deadline_passed()

    def _mappings_then(self, edges: Ints, read_then: ReadThen) -> Ints:
        unknown = set(edges.tolist()) - self._then.keys()
        found = read_then(unknown)
        for edge in unknown:
            self._then[edge] = self._numbers.number(found[edge]) if edge in found else 0
        return np.fromiter(map(self._then.__getitem__, edges.tolist()), dtype=np.int32, count=len(edges))
