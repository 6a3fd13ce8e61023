"""Walks from column to column: along the edges of the graph, through what each says of columns.

Like a walk of assets it tells only what follows from what is visible and from its hidden neighbours, of which not even the columns
are told.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage.column_arrays import among, counted, joined, may_be_among
from lakewarden_server.lineage.column_book import (
    NOT_TOLD,
    WHOLE_NUMBER,
    ColumnBook,
    Integers,
    Pairs,
    Says,
)
from lakewarden_server.lineage.graph import STANDING_BITS, Direction, Flags, Hops, Ints, distinct, firsts
from lakewarden_server.lineage.mapping import WHOLE, Subtype
from lakewarden_server.lineage.traversal import Edges, Ending, Sight, Truncation, Walk

EDGES_MAX: Final = 100_000
"""Of one step: a few wide runs can say many times as much of columns as there are nodes."""
EDGES_TOLD_MAX: Final = 1_000_000
"""Of all steps together."""
PAIRS_TOGETHER: Final = 100_000
"""Held and looked at before the clock is."""

Keys = NDArray[np.int64]
"""Columns as numbers: the asset, and in the lowest bits the number of the name. Those of one asset follow each other, the whole first."""
NAME_BITS: Final = 32
NAME_MASK: Final = (1 << NAME_BITS) - 1
KIND_BITS: Final = 5
KIND_MASK: Final = (1 << KIND_BITS) - 1
_HOW_BITS: Final = STANDING_BITS + KIND_BITS
_PLACE_BITS: Final = 24
"""For the place of a column among those told of."""


class Column(NamedTuple):
    """A column of an asset; WHOLE stands for the asset as a whole, and ends a walk: which rows it has, or, where nothing is known of
    its columns or they may not be seen, for all of them.
    """

    asset: int
    name: str


class Use(NamedTuple):
    """What one edge says of one pair of columns."""

    target: str
    source: str
    subtype: Subtype
    masking: bool = False


class ColumnEdges(NamedTuple):
    """Columns in columns, as arrays of one length."""

    sources: Keys
    targets: Keys
    hows: Keys
    """The standing of the edge each is part of and, in the lowest bits, its kind; see `standings` and `kinds`."""

    @property
    def standings(self) -> Keys:
        """Those of the edges they are part of."""
        return self.hows >> KIND_BITS

    @property
    def kinds(self) -> Keys:
        """Subtype and masking as one number, or NOT_TOLD."""
        return self.hows & KIND_MASK


class ColumnLevel(NamedTuple):
    """What is one step further from the roots than the level before."""

    depth: int
    direction: Direction
    visible: Keys
    """Columns met here for the first time, by assets and names."""
    hidden: Ints
    """Assets met here for the first time that may not be seen; in edges they are WHOLE."""
    edges: ColumnEdges
    """Those told for the first time."""


class ColumnWalk(NamedTuple):
    """What is asked. ``within`` says how far and along which edges; its roots are not looked at."""

    roots: tuple[Column, ...]
    within: Walk
    indirect: bool = False
    """Whether to follow filters, joins and the like too."""


def walk_columns(
    graph: Edges, asked: ColumnWalk, sight: Sight, says: Says
) -> Generator[ColumnLevel, None, Ending]:
    """The levels around the roots, whose assets must all be visible. Every column and every pair comes once."""
    return (yield from _Walker(graph, asked, sight, says).levels())


def columns_of(graph: Edges, asset: int, asked: ColumnWalk, sight: Sight, says: Says) -> tuple[Column, ...]:
    """The columns of a visible asset that anything is known of in the directions asked, after the asset as a whole."""
    names: set[str] = set()
    for way in asked.within.directions:
        hops = asked.within.wanted(graph.hops(np.array([asset], dtype=np.int32), way))
        for _some, pairs, _quiet in _in_parts(hops, sight, says):
            taken = pairs.where(np.ones(len(pairs.at), dtype=bool), indirect=asked.indirect)
            numbers = taken.near(downstream=way is Direction.DOWNSTREAM)
            names.update(says.book.names(distinct(numbers).tolist()))
    return Column(asset, WHOLE), *(Column(asset, name) for name in sorted(names - {WHOLE}))


def key_of(column: Column, book: ColumnBook) -> int:
    """A column as a number."""
    return column.asset << NAME_BITS | book.number(column.name)


def assets_of(keys: Keys) -> Ints:
    """The assets of columns."""
    return (keys >> NAME_BITS).astype(np.int32)


class _Pairs(NamedTuple):
    """Pairs of columns, as arrays of one length."""

    near: Keys
    far: Keys
    hows: Keys

    def distinct(self) -> _Pairs:
        """Each once, in order, where the near columns are places: as numbers of which each is a pair, for one is sorted faster than three."""
        met = distinct(self.far)
        bits = len(met).bit_length()
        ends = self.near << bits | np.searchsorted(met, self.far)
        numbers = distinct(ends << _HOW_BITS | self.hows)
        ends = numbers >> _HOW_BITS
        return _Pairs(ends >> bits, met[ends & ((1 << bits) - 1)], numbers & ((1 << _HOW_BITS) - 1))

    def where(self, wanted: Flags) -> _Pairs:
        """Those the flags are set for: most often all."""
        return self if wanted.all() else _Pairs(*(part[wanted] for part in self))

    def edges(self, way: Direction) -> ColumnEdges:
        """As they are told."""
        ends = (self.near, self.far) if way is Direction.DOWNSTREAM else (self.far, self.near)
        return ColumnEdges(*ends, self.hows)


class _Leads(NamedTuple):
    """What hops say: how each leads from some columns of the frontier, which follow each other, into one; arrays of one length."""

    hops: Integers
    """Places of hops."""
    starts: Integers
    """The place of the first column it leads from, of `counts` in the frontier."""
    far: Integers
    """The number of the name it leads to."""
    kinds: Integers
    counts: Integers

    def each(self) -> _Leads:
        """As many times as there are columns it leads from, in turn."""
        if (self.counts == 1).all():
            return self
        hops, starts, far, kinds = (np.repeat(part, self.counts) for part in self[:-1])
        return _Leads(hops, starts + counted(self.counts), far, kinds, np.ones_like(hops))


class _Told:
    """The columns told of, each with its place among them."""

    def __init__(self, keys: Keys) -> None:
        self.keys, self._places = keys, np.arange(len(keys))

    def __len__(self) -> int:
        return len(self.keys)

    def has(self, keys: Keys) -> Flags:
        """Which of these are told of."""
        return among(keys, self.keys)

    def places(self, keys: Keys) -> Keys:
        """Those of columns told of, which never change."""
        found: Keys = self._places[np.searchsorted(self.keys, keys)]
        return found

    def add(self, keys: Keys) -> None:
        """Tells of more."""
        places = np.arange(len(self), len(self) + len(keys))
        together = np.concatenate([self.keys, keys])
        order = np.argsort(together, kind="stable")
        self.keys, self._places = together[order], np.concatenate([self._places, places])[order]


class _Walker:
    def __init__(self, graph: Edges, asked: ColumnWalk, sight: Sight, says: Says) -> None:
        self._graph, self._asked, self._sight, self._says = graph, asked, sight, says
        roots = distinct(np.array([key_of(root, says.book) for root in asked.roots], dtype=np.int64))
        self._roots = len(roots)
        self._told = _Told(roots)
        self._edges = 0
        self._edges_told: Keys = np.zeros(0, dtype=np.int64)
        self._stopped: Truncation | None = None
        self._frontiers = dict.fromkeys(asked.within.directions, roots)
        self._reached = dict.fromkeys(asked.within.directions, roots)

    def levels(self) -> Generator[ColumnLevel, None, Ending]:
        within = self._asked.within
        for depth in range(1, within.depth_max + 1):
            if monotonic() > within.deadline:
                return self._ending(Truncation.TIME)
            for way in within.directions:
                level, cut = self._level(depth, way)
                if len(level.edges.hows):
                    yield level
                if cut or self._stopped:
                    return self._ending(self._stopped or Truncation.NODES)
            if not any(len(frontier) for frontier in self._frontiers.values()):
                return self._ending(None)
        return self._ending(Truncation.DEPTH if self._has_more() else None)

    def _level(self, depth: int, way: Direction) -> tuple[ColumnLevel, bool]:
        pairs = self._next(way)
        far = distinct(pairs.far)
        met = far[~self._told.has(far)]
        left = max(self._asked.within.nodes_max - self._nodes, 0)
        cut = len(met) > left
        seen = self._sight(assets_of(met))
        visible = self._in_order(met[seen])[:left]
        hidden = met[~seen][: left - len(visible)]
        self._told.add(np.concatenate([visible, hidden]))
        if cut:
            pairs = pairs.where(self._told.has(pairs.far))
        if len(self._asked.within.directions) == 1:
            # What is told and what is reached is the same then, and each column is gone on from once.
            ahead = met
        else:
            pairs = pairs.where(self._untold(pairs, way))
            self._edges_told = np.sort(np.concatenate([self._edges_told, self._rows(pairs, way)]))
            ahead = far[~among(far, self._reached[way])]
            self._reached[way] = np.sort(np.concatenate([self._reached[way], ahead]))
        self._frontiers[way] = ahead[ahead & NAME_MASK != WHOLE_NUMBER]
        self._edges += len(pairs.near)
        if self._edges >= EDGES_TOLD_MAX:
            self._stopped = Truncation.NODES
        return ColumnLevel(depth, way, visible, assets_of(hidden), pairs.edges(way)), cut

    def _next(self, way: Direction) -> _Pairs:
        """What lies ahead that way; of hidden assets WHOLE, and nothing of how."""
        frontier = self._frontiers[way]
        near = assets_of(frontier)
        hops = self._asked.within.wanted(self._graph.hops(near[firsts(near)], way))
        found = self._found(frontier, hops, downstream=way is Direction.DOWNSTREAM)
        return found._replace(near=frontier[found.near])

    def _found(self, frontier: Keys, hops: Hops, *, downstream: bool) -> _Pairs:
        """Where hops lead from columns, by the places of these in the frontier."""
        found = _NO_PAIRS
        for some, said, quiet in _in_parts(hops, self._sight, self._says):
            leads = self._leads(frontier, some, said, quiet, downstream=downstream)
            for met in self._met(some, leads):
                found = (_Pairs(*joined(found, met)) if len(found.near) else met).distinct()
                if len(found.near) >= EDGES_MAX:
                    self._stopped = Truncation.NODES
                    return _Pairs(*(each[:EDGES_MAX] for each in found))
                if monotonic() > self._asked.within.deadline:
                    self._stopped = Truncation.TIME
                    return found
        return found

    def _met(self, hops: Hops, leads: _Leads) -> Iterator[_Pairs]:
        """Where hops lead from columns, so many pairs at a time."""
        hidden = ~self._sight(hops.far)
        far_assets = hops.far.astype(np.int64) << NAME_BITS
        standings = hops.standings.astype(np.int64) << KIND_BITS
        for part in _sliced(leads.counts):
            hop, starts, far, kinds, _ = _Leads(*(each[part] for each in leads)).each()
            masked = hidden[hop]
            if masked.any():
                far, kinds = np.where(masked, WHOLE_NUMBER, far), np.where(masked, NOT_TOLD, kinds)
            yield _Pairs(starts, far_assets[hop] | far, standings[hop] | kinds)

    def _leads(self, frontier: Keys, hops: Hops, said: Pairs, quiet: Integers, *, downstream: bool) -> _Leads:
        """How hops lead on from columns. What one says of the whole of the near asset it says of each, and of each where it says nothing, as the `quiet` do."""
        wholes = hops.near.astype(np.int64) << NAME_BITS
        may_lead = may_be_among(
            assets_of(frontier), frontier, hops.near, said.at, said.near(downstream=downstream)
        )
        said = said.where(may_lead, indirect=self._asked.indirect)
        near_names = said.near(downstream=downstream)
        keys = wholes[said.at] | near_names
        columns = np.searchsorted(frontier, keys)
        is_named = frontier[np.minimum(columns, len(frontier) - 1)] == keys
        named, columns = said.where(is_named, indirect=True), columns[is_named]
        of_one = _Leads(
            named.at,
            columns,
            named.far(downstream=downstream),
            named.kinds,
            np.ones(len(columns), dtype=np.int64),
        )
        if not len(quiet) and near_names.all():
            return of_one
        # Where the columns of each near asset are in the frontier; if the whole is among them, it is each.
        starts = np.searchsorted(frontier, wholes)
        counts = np.searchsorted(frontier, wholes | NAME_MASK, side="right") - starts
        counts[frontier[starts] == wholes] = 1
        spread = said.where(~is_named & (near_names == WHOLE_NUMBER), indirect=True)
        far = spread.far(downstream=downstream)
        of_each = _Leads(spread.at, starts[spread.at], far, spread.kinds, counts[spread.at])
        whole, not_told = (np.full(len(quiet), number) for number in (WHOLE_NUMBER, NOT_TOLD))
        of_all = _Leads(quiet, starts[quiet], whole, not_told, counts[quiet])
        return _Leads(*joined(of_one, of_each, of_all))

    def _in_order(self, keys: Keys) -> Keys:
        """Columns by assets and names, which have their numbers in the order they were met in."""
        names = keys & NAME_MASK
        numbers = distinct(names)
        spelt = self._says.book.names(numbers.tolist())
        ranks = np.empty(len(numbers), dtype=np.int64)
        ranks[sorted(range(len(spelt)), key=spelt.__getitem__)] = np.arange(len(spelt))
        return keys[np.argsort(keys - names + ranks[np.searchsorted(numbers, names)])]

    def _untold(self, pairs: _Pairs, way: Direction) -> Flags:
        """Which of pairs of columns told of were not told: a walk of two ways may come to one from both ends."""
        if not len(self._edges_told):
            return np.ones(len(pairs.near), dtype=bool)
        return ~among(self._rows(pairs, way), self._edges_told)

    def _rows(self, pairs: _Pairs, way: Direction) -> Keys:
        """Pairs of columns told of, as numbers."""
        sources, targets, hows = pairs.edges(way)
        ends = self._told.places(sources) << _PLACE_BITS | self._told.places(targets)
        return ends << _HOW_BITS | hows

    def _has_more(self) -> bool:
        for way in self._asked.within.directions:
            pairs = self._next(way)
            if not self._told.has(pairs.far).all() or self._untold(pairs, way).any():
                return True
        return self._stopped is not None

    @property
    def _nodes(self) -> int:
        return len(self._told) - self._roots

    def _ending(self, truncated_by: Truncation | None) -> Ending:
        return Ending(truncated_by, self._nodes, self._edges)


_NO_PAIRS: Final = _Pairs(*[np.zeros(0, dtype=np.int64)] * 3)


def _sliced(counts: Integers) -> Iterator[slice]:
    """Slices of what has these counts, of so many together, or of one that has more."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + PAIRS_TOGETHER, side="right")))
        yield slice(start, end)
        start = end


def _in_parts(hops: Hops, sight: Sight, says: Says) -> Iterator[tuple[Hops, Pairs, Integers]]:
    """The hops, what they say, and the places of those that say nothing; as many at a time as say so much together: many may say the same, and much."""
    mappings = says.mappings(hops.edges, sight(hops.far))
    sizes = says.book.sizes(mappings)
    for part in _sliced(sizes + 1):
        quiet = np.flatnonzero(sizes[part] == 0)
        yield Hops(*(each[part] for each in hops)), says.book.pairs(mappings[part]), quiet
