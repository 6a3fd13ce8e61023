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
from lakewarden_server.lineage.column_book import DIRECT_KINDS, NOT_TOLD, WHOLE_NUMBER, Pairs, Says, how
from lakewarden_server.lineage.graph import Direction, Flags, Hops, Ints, distinct, firsts
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


class ColumnEdge(NamedTuple):
    """A column in a column. Without a subtype: nothing is said, or may be told, of how."""

    source: Column
    target: Column
    standing: int
    """That of the edge it is part of."""
    subtype: Subtype | None = None
    masking: bool = False


class ColumnLevel(NamedTuple):
    """What is one step further from the roots than the level before."""

    depth: int
    direction: Direction
    visible: tuple[Column, ...]
    """Columns met here for the first time."""
    hidden: tuple[int, ...]
    """Assets met here for the first time that may not be seen; in edges they are WHOLE."""
    edges: tuple[ColumnEdge, ...]
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


def columns_of(graph: Edges, asset: int, asked: ColumnWalk, says: Says) -> tuple[Column, ...]:
    """The columns of a visible asset that anything is known of in the directions asked, after the asset as a whole."""
    names: set[str] = set()
    for way in asked.within.directions:
        hops = asked.within.wanted(graph.hops(np.array([asset], dtype=np.int32), way))
        for some in _in_parts(hops, says):
            pairs = says.pairs(some.edges)
            numbers = pairs.sources if way is Direction.DOWNSTREAM else pairs.targets
            if not asked.indirect:
                numbers = numbers[DIRECT_KINDS[pairs.kinds]]
            names.update(map(says.book.name, distinct(numbers).tolist()))
    return Column(asset, WHOLE), *(Column(asset, name) for name in sorted(names - {WHOLE}))


_Row = tuple[int, int, int, int]
"""Source, target, standing, kind."""


class _Pairs(NamedTuple):
    """Pairs of columns, as arrays of one length."""

    near: Keys
    far: Keys
    standings: Keys
    kinds: Keys

    def distinct(self) -> _Pairs:
        """Each once, in order."""
        order = np.lexsort(self[::-1])
        ordered = _Pairs(*(part[order] for part in self))
        first = np.zeros(len(order), dtype=bool)
        for part in ordered:
            first |= firsts(part)
        return _Pairs(*(part[first] for part in ordered))

    def where(self, wanted: Flags) -> _Pairs:
        """Those the flags are set for."""
        return _Pairs(*(part[wanted] for part in self))

    def rows(self, way: Direction) -> list[_Row]:
        """Pair by pair."""
        near, far, standings, kinds = (part.tolist() for part in self)
        ends = (near, far) if way is Direction.DOWNSTREAM else (far, near)
        return list(zip(*ends, standings, kinds, strict=True))


class _Leads(NamedTuple):
    """What hops say: how each leads from some columns of the frontier, which follow each other, into one; arrays of one length."""

    hops: Keys
    """Places of hops."""
    starts: Keys
    """The place of the first column it leads from, of `counts` in the frontier."""
    counts: Keys
    far: Keys
    """The number of the name it leads to."""
    kinds: Keys


class _Walker:
    def __init__(self, graph: Edges, asked: ColumnWalk, sight: Sight, says: Says) -> None:
        self._graph, self._asked, self._sight, self._says = graph, asked, sight, says
        keys = [root.asset << NAME_BITS | says.book.number(root.name) for root in asked.roots]
        self._roots = self._told = distinct(_keys(keys))
        self._edges: set[_Row] = set()
        self._columns: dict[int, Column] = {}
        self._stopped: Truncation | None = None
        self._frontiers = dict.fromkeys(asked.within.directions, self._roots)
        self._reached = dict.fromkeys(asked.within.directions, self._roots)

    def levels(self) -> Generator[ColumnLevel, None, Ending]:
        within = self._asked.within
        for depth in range(1, within.depth_max + 1):
            if monotonic() > within.deadline:
                return self._ending(Truncation.TIME)
            for way in within.directions:
                level, cut = self._level(depth, way)
                if level.edges:
                    yield level
                if cut or self._stopped:
                    return self._ending(self._stopped or Truncation.NODES)
            if not any(len(frontier) for frontier in self._frontiers.values()):
                return self._ending(None)
        return self._ending(Truncation.DEPTH if self._has_more() else None)

    def _level(self, depth: int, way: Direction) -> tuple[ColumnLevel, bool]:
        pairs = self._next(way)
        far = distinct(pairs.far)
        met = far[~_among(far, self._told)]
        left = max(self._asked.within.nodes_max - self._nodes, 0)
        seen = self._sight(_assets(met))
        visible = sorted((self._column(key), key) for key in met[seen].tolist())[:left]
        hidden = met[~seen][: left - len(visible)]
        self._told = np.sort(np.concatenate([self._told, _keys([key for _, key in visible]), hidden]))
        told = pairs.where(_among(pairs.near, self._told) & _among(pairs.far, self._told))
        edges = [row for row in told.rows(way) if row not in self._edges]
        self._edges.update(edges)
        if len(self._edges) >= EDGES_TOLD_MAX:
            self._stopped = Truncation.NODES
        ahead = far[(far & NAME_MASK != WHOLE_NUMBER) & ~_among(far, self._reached[way])]
        self._frontiers[way] = ahead
        self._reached[way] = np.sort(np.concatenate([self._reached[way], ahead]))
        columns = tuple(column for column, _key in visible)
        masked = tuple(_assets(hidden).tolist())
        return ColumnLevel(depth, way, columns, masked, tuple(map(self._edge, edges))), len(met) > left

    def _next(self, way: Direction) -> _Pairs:
        """What lies ahead that way; of hidden assets WHOLE, and nothing of how."""
        frontier = self._frontiers[way]
        hops = self._asked.within.wanted(self._graph.hops(distinct(_assets(frontier)), way))
        found = _Pairs(*[np.zeros(0, dtype=np.int64)] * 4)
        for some in _in_parts(hops, self._says):
            leads = self._leads(frontier, some, downstream=way is Direction.DOWNSTREAM)
            for met in self._met(frontier, some, leads):
                found = _Pairs(*_joined(found, met)).distinct()
                if len(found.near) >= EDGES_MAX:
                    self._stopped = Truncation.NODES
                    return _Pairs(*(each[:EDGES_MAX] for each in found))
                if monotonic() > self._asked.within.deadline:
                    self._stopped = Truncation.TIME
                    return found
        return found

    def _met(self, frontier: Keys, hops: Hops, leads: _Leads) -> Iterator[_Pairs]:
        """Where hops lead from columns, so many pairs at a time."""
        hidden = ~self._sight(hops.far)
        far_assets, standings = hops.far.astype(np.int64), hops.standings.astype(np.int64)
        for part in _sliced(leads.counts):
            some = _Leads(*(each[part] for each in leads))
            near = frontier[np.repeat(some.starts, some.counts) + _counted(some.counts)]
            hop, far, kinds = (np.repeat(each, some.counts) for each in (some.hops, some.far, some.kinds))
            masked = hidden[hop]
            far[masked], kinds[masked] = WHOLE_NUMBER, NOT_TOLD
            yield _Pairs(near, far_assets[hop] << NAME_BITS | far, standings[hop], kinds)

    def _leads(self, frontier: Keys, hops: Hops, *, downstream: bool) -> _Leads:
        """How hops lead on from columns. What one says of the whole of the near asset it says of each, and of each where it says nothing."""
        said = self._says.pairs(hops.edges)
        silent = np.ones(len(hops.edges), dtype=bool)
        silent[said.at] = False
        if not self._asked.indirect:
            direct = DIRECT_KINDS[said.kinds]
            said = Pairs(*(part[direct] for part in said))
        near_names, far_names = (said.sources, said.targets) if downstream else (said.targets, said.sources)
        # Where the columns of each near asset are in the frontier; if the whole is among them, it is each.
        wholes = hops.near.astype(np.int64) << NAME_BITS
        starts = np.searchsorted(frontier, wholes)
        counts = np.searchsorted(frontier, wholes | NAME_MASK, side="right") - starts
        counts[frontier[starts] == wholes] = 1
        keys = wholes[said.at] | near_names
        named = _among(keys, frontier)
        spread = ~named & (near_names == WHOLE_NUMBER)
        quiet = np.flatnonzero(silent)
        of_one = _Leads(
            said.at[named],
            np.searchsorted(frontier, keys[named]),
            np.ones(int(named.sum()), dtype=np.int64),
            far_names[named],
            said.kinds[named],
        )
        at = said.at[spread]
        of_each = _Leads(at, starts[at], counts[at], far_names[spread], said.kinds[spread])
        whole, not_told = (np.full(len(quiet), number) for number in (WHOLE_NUMBER, NOT_TOLD))
        of_all = _Leads(quiet, starts[quiet], counts[quiet], whole, not_told)
        return _Leads(*_joined(of_one, of_each, of_all))

    def _has_more(self) -> bool:
        ahead = [row for way in self._asked.within.directions for row in self._next(way).rows(way)]
        return not self._edges.issuperset(ahead) or self._stopped is not None

    @property
    def _nodes(self) -> int:
        return len(self._told) - len(self._roots)

    def _column(self, key: int) -> Column:
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = Column(key >> NAME_BITS, self._says.book.name(key & NAME_MASK))
        return column

    def _edge(self, row: _Row) -> ColumnEdge:
        source, target, standing, kind = row
        said = (None, False) if kind == NOT_TOLD else how(kind)
        return ColumnEdge(self._column(source), self._column(target), standing, *said)

    def _ending(self, truncated_by: Truncation | None) -> Ending:
        return Ending(truncated_by, self._nodes, len(self._edges))


def _assets(keys: Keys) -> Ints:
    return (keys >> NAME_BITS).astype(np.int32)


def _keys(keys: list[int]) -> Keys:
    return np.array(keys, dtype=np.int64)


def _among(keys: Keys, ordered: Keys) -> Flags:
    """Which of the keys are among others, of which there is one at least."""
    found: Flags = ordered[np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)] == keys
    return found


def _joined(*parts: tuple[Keys, ...]) -> Iterator[Keys]:
    """Arrays one after the other."""
    return (np.concatenate(each) for each in zip(*parts, strict=True))


def _counted(counts: Keys) -> Keys:
    """0, 1 and so on for each count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def _sliced(counts: Keys) -> Iterator[slice]:
    """Slices of what has these counts, of so many together, or of one that has more."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + PAIRS_TOGETHER, side="right")))
        yield slice(start, end)
        start = end


def _in_parts(hops: Hops, says: Says) -> Iterator[Hops]:
    """The hops, as many at a time as say so much together: many may say the same, and much."""
    for part in _sliced(says.sizes(hops.edges) + 1):
        yield Hops(*(each[part] for each in hops))
