"""Walks from column to column, against a walk by hand over every pair."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden_server.lineage.columns import Column, ColumnEdge, ColumnWalk, Use, walk_columns
from lakewarden_server.lineage.graph import Direction, Edge, Flags, Graph, Ints
from lakewarden_server.lineage.mapping import WHOLE, Subtype
from lakewarden_server.lineage.traversal import Ending, Truncation, Walk

NODES = 6
columns = st.sampled_from("ab")
uses_of = st.lists(
    st.builds(
        Use,
        st.sampled_from(["a", "b", WHOLE]),
        columns,
        st.sampled_from([Subtype.IDENTITY, Subtype.AGGREGATION, Subtype.FILTER]),
    ),
    max_size=3,
).map(
    lambda uses: [
        use._replace(subtype=Subtype.JOIN) if use.target == WHOLE and use.subtype.is_direct else use
        for use in uses
    ]
)
pairs_of = st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1), uses_of), max_size=10)


def asking(*, way: Direction, depth: int, nodes_max: int = 1_000, indirect: bool = False) -> ColumnWalk:
    return ColumnWalk((Column(0, "a"),), Walk((), (way,), depth, nodes_max, inf), indirect)


def told(
    pairs: list[Any], asked: ColumnWalk, hidden: set[int]
) -> tuple[set[Column], set[int], set[ColumnEdge], Ending]:
    graph = Graph.of(1, [Edge(number, source, target) for number, (source, target, _) in enumerate(pairs)])

    def sight(nodes: Ints) -> Flags:
        return ~np.isin(nodes, np.array(sorted(hidden), dtype=np.int32))

    walking = walk_columns(graph, asked, sight, lambda edge: pairs[edge][2])
    seen: set[Column] = set()
    masked: set[int] = set()
    edges: set[ColumnEdge] = set()
    while True:
        try:
            level = next(walking)
        except StopIteration as end:
            return seen, masked, edges, end.value
        assert not seen & set(level.visible)
        assert not edges & set(level.edges)
        seen |= set(level.visible)
        masked |= set(level.hidden)
        edges |= set(level.edges)


def reached_by_hand(pairs: list[Any], way: Direction, hidden: set[int], indirect: bool) -> set[Column]:
    reached = {Column(0, "a")}
    while True:
        more = set(reached)
        for source, target, uses in pairs:
            if source == target or source in hidden or target in hidden:
                continue
            for use in uses:
                if not (use.subtype.is_direct or indirect):
                    continue
                if way is Direction.DOWNSTREAM and Column(source, use.source) in reached:
                    more.add(Column(target, use.target))
                if way is Direction.UPSTREAM:
                    met = {column for column in reached if column.asset == target}
                    if any(use.target in (column.name, WHOLE) for column in met):
                        more.add(Column(source, use.source))
        if more == reached:
            return reached - {Column(0, "a")}
        reached = more


@settings(max_examples=300)
@given(pairs_of, st.sampled_from(Direction), st.sets(st.integers(1, NODES - 1)), st.booleans())
def test_a_walk_reaches_the_columns_that_a_walk_by_hand_reaches(
    pairs: list[Any], way: Direction, hidden: set[int], indirect: bool
) -> None:
    seen, masked, edges, ending = told(pairs, asking(way=way, depth=50, indirect=indirect), hidden)
    assert seen == reached_by_hand(pairs, way, hidden, indirect)
    assert masked <= hidden
    assert ending == Ending(None, len(seen) + len(masked), len(edges))


def test_depth_and_number_cut_and_say_so() -> None:
    step = [Use("a", "a", Subtype.IDENTITY)]
    chain: list[Any] = [(number, number + 1, step) for number in range(4)]
    assert told(chain, asking(way=Direction.DOWNSTREAM, depth=2), set())[3].truncated_by is Truncation.DEPTH
    seen, _, _, ending = told(chain, asking(way=Direction.DOWNSTREAM, depth=9, nodes_max=3), set())
    assert (len(seen), ending.truncated_by) == (3, Truncation.NODES)


def test_an_edge_without_columns_is_said_to_be_blind() -> None:
    graph = Graph.of(1, [Edge(0, 0, 1)])
    walking = walk_columns(
        graph, asking(way=Direction.DOWNSTREAM, depth=3), lambda nodes: nodes >= 0, lambda edge: ()
    )
    assert [level.blind for level in walking] == [(0,)]
