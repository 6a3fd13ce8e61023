"""The graph in memory and walks through it, against a walk in plain Python that shares nothing with them."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden_server.lineage import graph as graph_module
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.graph import Direction, Edge, Flags, Graph, Ints, State
from lakewarden_server.lineage.traversal import Ending, Level, Truncation, Walk, walk

NODES = 12
BOTH = (Direction.UPSTREAM, Direction.DOWNSTREAM)

edges_of = st.lists(
    st.tuples(
        st.integers(0, NODES - 1),
        st.integers(0, NODES - 1),
        st.sampled_from([State.LIVE] * 4 + list(State)),
        st.sampled_from(Evidence),
        st.integers(0, 3),
    ),
    max_size=30,
).map(lambda found: [Edge(number, *parts) for number, parts in enumerate(found)])


class Told(NamedTuple):
    """A whole answer, without its order within a level."""

    levels: list[tuple[int, set[int], set[int], set[tuple[int, int, int, int]]]]
    ending: Ending


def told(graph: Graph, asked: Walk, hidden: Iterable[int] = ()) -> Told:
    concealed = np.array(sorted(hidden), dtype=np.int32)

    def sight(nodes: Ints) -> Flags:
        return ~np.isin(nodes, concealed)

    levels: dict[int, tuple[set[int], set[int], set[tuple[int, int, int, int]]]] = {}
    walking = walk(graph, asked, sight)
    while True:
        try:
            level: Level = next(walking)
        except StopIteration as end:
            return Told([(depth, *found) for depth, found in sorted(levels.items())], end.value)
        seen, masked, edges = levels.setdefault(level.depth, (set(), set(), set()))
        parts = level.hops.edges, level.sources, level.targets, level.hops.standings
        fresh = set(zip(*(part.tolist() for part in parts), strict=True))
        assert len(fresh) == len(level.hops.edges)
        assert not edges & fresh
        assert not seen & set(level.visible.tolist())
        seen |= set(level.visible.tolist())
        masked |= set(level.hidden.tolist())
        edges |= fresh


def by_hand(edges: list[Edge], asked: Walk, hidden: set[int]) -> Told:
    """Breadth first over sets; budgets of nodes are not told of here."""
    usable = [
        edge
        for edge in edges
        if edge.state in asked.states
        and edge.evidence in asked.evidence
        and (asked.self_edges or edge.source != edge.target)
    ]
    met, told_edges, levels = set(asked.roots), set(), []
    fronts = {way: set(asked.roots) for way in asked.directions}
    been = {way: set(asked.roots) for way in asked.directions}

    def ahead(way: Direction) -> list[tuple[int, Edge]]:
        if way is Direction.DOWNSTREAM:
            return [(edge.target, edge) for edge in usable if edge.source in fronts[way] - hidden]
        return [(edge.source, edge) for edge in usable if edge.target in fronts[way] - hidden]

    for depth in range(1, asked.depth_max + 1):
        seen, masked, here = set(), set(), set()
        for way in asked.directions:
            found = ahead(way)
            for far, edge in found:
                if edge.id not in told_edges:
                    told_edges.add(edge.id)
                    here.add((edge.id, edge.source, edge.target, edge.standing))
                if far not in met:
                    met.add(far)
                    (masked if far in hidden else seen).add(far)
            fronts[way] = {far for far, _ in found} - been[way]
            been[way] |= fronts[way]
        if here:
            levels.append((depth, seen, masked, here))
        if not any(fronts.values()):
            break
    more = any(edge.id not in told_edges for way in asked.directions for _, edge in ahead(way))
    ending = Ending(Truncation.DEPTH if more else None, len(met) - len(set(asked.roots)), len(told_edges))
    return Told(levels, ending)


def asking(**changed: object) -> Walk:
    return Walk((0,), BOTH, 100, 2_000, inf)._replace(**changed)  # type: ignore[arg-type]


@settings(max_examples=300)
@given(
    edges_of,
    st.sets(st.integers(1, NODES - 1)),
    st.integers(1, 6),
    st.sampled_from([BOTH, BOTH[:1], BOTH[1:]]),
    st.sampled_from([{State.LIVE}, {State.LIVE, State.DROPPED}, set(State)]),
    st.sampled_from([set(Evidence), {Evidence.OBSERVED, Evidence.DECLARED}, {Evidence.PARSED}]),
    st.booleans(),
)
def test_a_walk_tells_what_a_walk_by_hand_finds(
    edges: list[Edge],
    hidden: set[int],
    depth: int,
    directions: tuple[Direction, ...],
    states: set[State],
    evidence: set[Evidence],
    self_edges: bool,
) -> None:
    asked = asking(
        depth_max=depth,
        directions=directions,
        states=frozenset(states),
        evidence=frozenset(evidence),
        self_edges=self_edges,
        roots=(0, 1),
    )
    hidden -= {1}
    assert told(Graph.of(1, edges), asked, hidden) == by_hand(edges, asked, hidden)


FORWARD = given(edges_of, edges_of, st.lists(st.integers(0, 40)), st.integers(0, 60))


@settings(max_examples=50)
@FORWARD
def test_a_graph_brought_forward_is_the_one_made_anew(
    edges: list[Edge], later: list[Edge], removed: list[int], later_max: int
) -> None:
    check_forward(edges, later, removed, later_max)


@pytest.mark.slow
@settings(max_examples=1_000)
@FORWARD
def test_many_graphs_brought_forward_are_those_made_anew(
    edges: list[Edge], later: list[Edge], removed: list[int], later_max: int
) -> None:
    check_forward(edges, later, removed, later_max)


def check_forward(edges: list[Edge], later: list[Edge], removed: list[int], later_max: int) -> None:
    moved = [edge._replace(id=edge.id + 15) for edge in later]  # Some are new, some replace.
    left = {edge.id: edge for edge in edges if edge.id not in removed} | {edge.id: edge for edge in moved}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(graph_module, "LATER_MAX", later_max)
        brought = Graph.of(1, edges).changed(2, moved, [found for found in removed if found not in left])
    anew = Graph.of(2, left.values())
    ids = np.array(sorted(left), dtype=np.int32)
    for graph in (brought, brought.compact(), anew):
        assert graph.mappings(ids).tolist() == [left[edge].mapping for edge in ids.tolist()]
    for root in range(NODES):
        asked = asking(roots=(root,), states=frozenset(State), self_edges=True)
        assert told(brought, asked) == told(anew, asked)
        assert told(brought.compact(), asked) == told(anew, asked)


@settings(max_examples=300)
@given(edges_of, edges_of, st.sets(st.integers(1, NODES - 1)), st.integers(1, 8), st.integers(0, 8))
def test_an_answer_is_the_same_whatever_lies_behind_what_is_hidden(
    edges: list[Edge], others: list[Edge], hidden: set[int], depth: int, nodes_max: int
) -> None:
    """Edges between hidden assets come and go, and so do those into assets that are only reached through them."""
    visible = [edge for edge in edges if edge.source not in hidden or edge.target not in hidden]
    secret = [
        edge._replace(id=edge.id + 100) for edge in others if edge.source in hidden and edge.target in hidden
    ]
    asked = asking(depth_max=depth, nodes_max=nodes_max)
    assert told(Graph.of(1, visible), asked, hidden) == told(Graph.of(1, visible + secret), asked, hidden)


def test_too_many_assets_end_the_answer_and_say_so() -> None:
    graph = Graph.of(1, [Edge(number, 0, number + 1) for number in range(10)])
    found = told(graph, asking(nodes_max=4))
    assert found.ending == Ending(Truncation.NODES, 4, 4)
    assert told(graph, asking(nodes_max=10)).ending == Ending(None, 10, 10)


def test_a_late_answer_ends_before_its_next_level() -> None:
    graph = Graph.of(1, [Edge(0, 0, 1)])
    assert told(graph, asking(deadline=-inf)) == Told([], Ending(Truncation.TIME, 0, 0))
    assert told(Graph.of(1, []), asking(deadline=-inf)).ending.truncated_by is None


def test_depth_one_is_the_direct_neighbours() -> None:
    chain = Graph.of(1, [Edge(number, number, number + 1) for number in range(5)])
    found = told(chain, asking(depth_max=1, roots=(2,)))
    assert found.levels == [(1, {1, 3}, set(), {(1, 1, 2, 0), (2, 2, 3, 0)})]
    assert found.ending.truncated_by is Truncation.DEPTH


def test_a_diamond_and_a_cycle_tell_every_asset_and_every_edge_once() -> None:
    pairs = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 0)]
    graph = Graph.of(1, [Edge(number, *pair) for number, pair in enumerate(pairs)])
    assert told(graph, asking()).ending == Ending(None, 3, 5)


def test_a_hidden_asset_is_met_and_nothing_behind_it() -> None:
    graph = Graph.of(1, [Edge(0, 0, 1), Edge(1, 1, 2), Edge(2, 2, 3)])
    found = told(graph, asking(), hidden={1})
    assert found == Told([(1, set(), {1}, {(0, 0, 1, 0)})], Ending(None, 1, 1))
