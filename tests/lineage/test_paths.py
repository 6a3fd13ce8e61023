"""Ways from one asset to another, against all simple paths found by hand."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden_server.lineage.graph import Edge, Flags, Graph, Ints
from lakewarden_server.lineage.paths import Between, ways

NODES = 8
edges_of = st.lists(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)), max_size=16, unique=True
).map(lambda found: [Edge(number, *pair) for number, pair in enumerate(found)])


def found(edges: list[Edge], asked: Between, hidden: set[int]) -> list[tuple[int, ...]]:
    def sight(nodes: Ints) -> Flags:
        return ~np.isin(nodes, np.array(sorted(hidden), dtype=np.int32))

    return list(ways(Graph.of(1, edges), asked, sight))


def by_hand(edges: list[Edge], asked: Between, hidden: set[int]) -> Iterator[tuple[int, ...]]:
    def extended(way: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if way[-1] == asked.target:
            yield way
            return
        for edge in edges:
            fresh = edge.target not in way and edge.target not in hidden
            if edge.source == way[-1] and fresh and len(way) <= asked.steps_max:
                yield from extended((*way, edge.target))

    if asked.source != asked.target:
        yield from extended((asked.source,))


@settings(max_examples=300)
@given(edges_of, st.sets(st.integers(2, NODES - 1)), st.integers(1, 6))
def test_every_way_is_found_and_the_shortest_come_first(
    edges: list[Edge], hidden: set[int], steps_max: int
) -> None:
    asked = Between(0, 1, steps_max, inf)
    told = found(edges, asked, hidden)
    assert sorted(told) == sorted(by_hand(edges, asked, hidden))
    assert [len(way) for way in told] == sorted(len(way) for way in told)


def test_a_diamond_has_both_its_ways() -> None:
    edges = [Edge(0, 0, 2), Edge(1, 0, 3), Edge(2, 2, 1), Edge(3, 3, 1)]
    assert found(edges, Between(0, 1, 5, inf), set()) == [(0, 2, 1), (0, 3, 1)]
    assert found(edges, Between(0, 1, 5, inf), {3}) == [(0, 2, 1)]


def test_a_way_that_several_jobs_made_is_one() -> None:
    edges = [
        Edge(number, *pair) for number, pair in enumerate([(0, 2), (0, 2), (2, 1), (2, 1), (0, 1), (0, 1)])
    ]
    assert found(edges, Between(0, 1, 5, inf), set()) == [(0, 1), (0, 2, 1)]


def test_late_is_without_an_answer_and_not_with_a_wrong_one() -> None:
    assert found([Edge(0, 0, 1)], Between(0, 1, 5, -inf), set()) == []
