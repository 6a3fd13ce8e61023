"""Where the data of a protected column or table went, and on which way: what copies of them nothing protects on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from lakewarden_policy import name_key
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded
from lakewarden_server.lineage.columns import Use
from lakewarden_server.lineage.graph import Direction, Graph, Ints, State
from lakewarden_server.lineage.mapping import WHOLE
from lakewarden_server.lineage.traversal import Sight, Truncation
from lakewarden_server.storage.errors import deadline_passed

ANY: Final = "*"
"""As a column: some, and nobody said which; or, of a protected table, its rows."""

FOLLOWED: Final = (State.LIVE, State.DROPPED)
"""Data stays where it went when a table it went through is dropped."""

UsesOf = Callable[[Ints], Mapping[int, Sequence[Use]]]
"""What edges say of columns, of several that say the same one sequence; nothing for those that say nothing. Raises DeadlineExceeded
where it is too much."""

Guards = Callable[[int, str], bool | None]
"""Whether an asset protects a column of its own; None of what stores nothing, and is as protected as what it is read from."""


class Origin(NamedTuple):
    """What is followed: a column, or with ANY the rows of a table. Columns are name keys."""

    asset: int
    column: str
    guarded: bool
    """Whether it has a protection that views over it keep."""


class Followed(NamedTuple):
    """What is asked of every origin."""

    depth_max: int
    deadline: float
    """Monotonic seconds."""
    indirect: bool = False
    """Whether to follow filters, joins and the like too."""


class Place(NamedTuple):
    """Where data came to."""

    asset: int
    column: str
    """A name key; ANY where nobody said which, WHOLE where the data only chose the rows."""
    guarded: bool
    """Whoever reads it meets a protection: its own, or that of what it is a view of."""


class Step(NamedTuple):
    """One step of a way, and the edges that tell of it."""

    place: Place
    edges: tuple[int, ...]


class Spread:
    """Follows origins one after the other, all within one budget. Only visible assets are met, and nothing told follows from others."""

    def __init__(
        self,
        graph: Graph,
        sight: Sight,
        uses_of: UsesOf,
        *,
        label: Callable[[int], str],
        places_max: int,
    ) -> None:
        """``label`` orders assets, so that of several shortest ways the one told does not follow from ids."""
        self._graph, self._sight, self._uses_of = graph, sight, uses_of
        self._label = label
        self._left = places_max
        self._known: dict[int, Sequence[Use]] = {}
        self.truncated_by: Truncation | None = None

    def ways(self, origin: Origin, asked: Followed, guards: Guards) -> Iterator[tuple[Step, ...]]:
        """A shortest way to each place the data came to, the origin first, near places first."""
        start = Place(*origin)
        ways: dict[Place, tuple[Step, ...]] = {start: (Step(start, ()),)}
        frontier = [start]
        for depth in range(asked.depth_max + 1):
            if monotonic() > asked.deadline:
                self.truncated_by = Truncation.TIME
                return
            try:
                met = self._met(frontier, guards, asked, rows=origin.column == ANY)
            except DeadlineExceeded:
                self.truncated_by = Truncation.TIME
                return
            ahead = {place: self._first(met[place]) for place in sorted(met.keys() - ways, key=self._order)}
            if ahead and (depth == asked.depth_max or len(ahead) > self._left):
                self.truncated_by = Truncation.DEPTH if depth == asked.depth_max else Truncation.NODES
                return
            self._left -= len(ahead)
            for place, (before, edges) in ahead.items():
                ways[place] = (*ways[before], Step(place, edges))
                yield ways[place]
            frontier = [place for place in ahead if place.column != WHOLE]
            if not frontier:
                return

    def _met(
        self, frontier: list[Place], guards: Guards, asked: Followed, *, rows: bool
    ) -> dict[Place, dict[Place, set[int]]]:
        """What lies one step on: by place, the places it is met from and the edges that tell of it. Raises DeadlineExceeded."""
        by_asset: dict[int, list[Place]] = {}
        for place in frontier:
            by_asset.setdefault(place.asset, []).append(place)
        hops = self._graph.hops(np.array(sorted(by_asset), dtype=np.int32), Direction.DOWNSTREAM)
        hops = hops.where(np.isin(hops.states, FOLLOWED) & self._sight(hops.far))
        self._learn(hops.edges.tolist())
        found: dict[Place, dict[Place, set[int]]] = {}
        columns: dict[tuple[int, str], set[str]] = {}
        for near, far, edge in zip(hops.near.tolist(), hops.far.tolist(), hops.edges.tolist(), strict=True):
            if monotonic() > asked.deadline:
                raise deadline_passed()
            uses = self._known[edge]
            for place in by_asset[near]:
                # Many edges say the same, and share it.
                key = (id(uses), place.column)
                if key not in columns:
                    columns[key] = _columns_on(place.column, uses, rows=rows, indirect=asked.indirect)
                for column in columns[key]:
                    own = guards(far, column)
                    met = Place(far, column, place.guarded if own is None else own)
                    found.setdefault(met, {}).setdefault(place, set()).add(edge)
        return found

    def _first(self, met: Mapping[Place, set[int]]) -> tuple[Place, tuple[int, ...]]:
        before = min(met, key=self._order)
        return before, tuple(sorted(met[before]))

    def _order(self, place: Place) -> tuple[str, str, bool, int]:
        return self._label(place.asset), place.column, place.guarded, place.asset

    def _learn(self, edges: Iterable[int]) -> None:
        unknown = set(edges) - self._known.keys()
        told = self._uses_of(np.array(sorted(unknown), dtype=np.int32)) if unknown else {}
        keyed: dict[int, Sequence[Use]] = {}
        for edge in unknown:
            said = told.get(edge, ())
            if id(said) not in keyed:
                keyed[id(said)] = tuple(map(_keyed, said))
            self._known[edge] = keyed[id(said)]


def _keyed(use: Use) -> Use:
    """With the name keys of its columns."""
    return use._replace(source=name_key(use.source), target=name_key(use.target) if use.target else WHOLE)


def overlap(one: str, other: str) -> bool:
    """Whether two column keys are one column, or one is a field inside the other."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _columns_on(column: str, uses: Sequence[Use], *, rows: bool, indirect: bool) -> set[str]:
    """In which columns of its target an edge puts a column of its source."""
    if not uses:
        return {ANY}
    taken = [use for use in uses if use.subtype.is_direct or indirect]
    if rows:
        # Masking a value hides no row.
        return {ANY} if taken else set()
    taken = [use for use in taken if not use.masking and (column == ANY or overlap(column, use.source))]
    if column == ANY:
        return {ANY} if taken else set()
    return {use.target for use in taken}
