"""What the edges of a question say of columns, read a level at a time; what several say alike once, also for the questions that follow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf
from typing import Any, Final

import numpy as np

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded, Reason
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
"""Pairs of columns of one question, those of its caller's assets: what is read for hidden ones has no limit but time, or an answer would tell of
them. Of a question that meets more there is no answer."""


class ColumnUses:
    """Of one question, as edges are or were at one time."""

    def __init__(
        self, state: LineageState, read: Read, read_then: ReadThen | None = None, *, deadline: float = inf
    ) -> None:
        """What edges say is known of the state but for a question about an earlier time, which has `read_then`; ``deadline`` in monotonic seconds."""
        self.book = state.mappings.book()
        self._graph, self._numbers = state.graph, state.mappings
        self._read, self._read_then = read, read_then
        self._count = 0
        self._deadline = deadline
        self._counted: Flags = np.zeros(0, dtype=bool)
        self._then: dict[int, int] = {}
        self._uses: dict[int, Sequence[Use]] = {}

    def mappings(self, edges: Ints, seen: Flags | None = None) -> Ints:
        """Of each edge the number of its mapping in the book, which has it. Raises DeadlineExceeded where those that are `seen`, else all, say too much."""
        read_then = self._read_then
        found = self._graph.mappings(edges) if read_then is None else self._mappings_then(edges, read_then)
        self._count_new(found if seen is None else found[seen])
        self._learn(distinct(found))
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

    def _count_new(self, mappings: Ints) -> None:
        """Counts each once, also those that were known before: an answer does not depend on what others asked."""
        most = int(mappings.max(initial=0))
        if most >= len(self._counted):
            more = np.zeros(most + 1 - len(self._counted), dtype=bool)
            self._counted = np.concatenate([self._counted, more])
        new = mappings[~self._counted[mappings]]
        if not len(new):
            return
        new = distinct(new)
        self._counted[new] = True
        self._learn(new, self._count)
        self._count += int(self.book.sizes(new).sum())
        if self._count > USES_READ_MAX:
            raise _too_much()

    def _learn(self, mappings: Ints, counted: int | None = None) -> None:
        """Reads what the book does not have; where what it says counts, beside as many pairs as were `counted`, no more than that."""
        unknown = self.book.unknown(mappings)
        if not unknown:
            return
        wanted = {self._numbers.hash_of(mapping): mapping for mapping in unknown if mapping}
        for hashed, columns in self._read(wanted) if wanted else ():
            if counted is not None:
                counted += len(columns)
                if counted > USES_READ_MAX:
                    raise _too_much()
            if monotonic() > self._deadline:
                raise deadline_passed()
            self.book.keep(wanted[hashed], columns)
        for mapping in self.book.unknown(mappings):
            self.book.keep(mapping, ())

    def _mappings_then(self, edges: Ints, read_then: ReadThen) -> Ints:
        unknown = set(edges.tolist()) - self._then.keys()
        found = read_then(unknown)
        for edge in unknown:
            self._then[edge] = self._numbers.number(found[edge]) if edge in found else 0
        return np.fromiter(map(self._then.__getitem__, edges.tolist()), dtype=np.int32, count=len(edges))


def _too_much() -> DeadlineExceeded:
    return DeadlineExceeded(
        Reason.DEADLINE_PASSED,
        f"There are more than {USES_READ_MAX:,} pairs of columns on the way: ask about fewer steps, or without filters and joins.",
    )
