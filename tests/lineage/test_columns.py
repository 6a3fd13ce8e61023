"""Walks from column to column, against a walk by hand over every pair."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakewarden_server.lineage import columns as columns_module
from lakewarden_server.lineage.column_arrays import BEGINNINGS, may_be_among
from lakewarden_server.lineage.column_book import ColumnBook
from lakewarden_server.lineage.columns import (
    Column,
    ColumnWalk,
    Use,
    columns_of,
    walk_columns,
)
from lakewarden_server.lineage.graph import Direction, Edge, Flags, Graph, Ints
from lakewarden_server.lineage.mapping import WHOLE, Subtype
from lakewarden_server.lineage.traversal import Ending, Truncation, Walk
from lineage.said import ColumnEdge, Said

NODES = 6
IDENTITY = Use("a", "a", Subtype.IDENTITY)
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


def says(pairs: list[Any]) -> Said:
    return Said({edge: uses for edge, (_source, _target, uses) in enumerate(pairs)})


def everything(nodes: Ints) -> Flags:
    return np.ones(len(nodes), dtype=bool)


def graph_of(pairs: list[Any]) -> Graph:
    return Graph.of(1, [Edge(number, source, target) for number, (source, target, _) in enumerate(pairs)])


def told(
    pairs: list[Any], asked: ColumnWalk, hidden: set[int]
) -> tuple[set[Column], set[int], set[ColumnEdge], Ending]:
    def sight(nodes: Ints) -> Flags:
        return ~np.isin(nodes, np.array(sorted(hidden), dtype=np.int32))

    said = says(pairs)
    walking = walk_columns(graph_of(pairs), asked, sight, said)
    seen: set[Column] = set()
    masked: set[int] = set()
    edges: set[ColumnEdge] = set()
    while True:
        try:
            level = next(walking)
        except StopIteration as end:
            return seen, masked, edges, end.value
        visible, behind, found = said.visible(level), level.hidden.tolist(), said.edges(level)
        assert visible == sorted(set(visible))
        assert len(behind) == len(set(behind))
        assert len(found) == len(set(found))
        assert not seen & set(visible)
        assert not masked & set(behind)
        assert not edges & set(found)
        seen |= set(visible)
        masked |= set(behind)
        edges |= set(found)


def ahead(
    pairs: list[Any], way: Direction, indirect: bool, reached: set[Column]
) -> set[tuple[Column, Column, Subtype | None]]:
    """What lies behind columns: near, far, and how; an asset as a whole leads nowhere."""
    found: set[tuple[Column, Column, Subtype | None]] = set()
    for source, target, uses in pairs:
        near, far = (source, target) if way is Direction.DOWNSTREAM else (target, source)
        here = [column for column in reached if column.asset == near and column.name != WHOLE]
        if source == target:
            continue
        if not uses:
            found |= {(column, Column(far, WHOLE), None) for column in here}
        for use in uses:
            ends = (use.source, use.target) if way is Direction.DOWNSTREAM else (use.target, use.source)
            if use.subtype.is_direct or indirect:
                found |= {
                    (column, Column(far, ends[1]), use.subtype)
                    for column in here
                    if ends[0] in (column.name, WHOLE)
                }
    return found


def test_columns_of_one_asset_are_told_apart_by_all_of_their_numbers() -> None:
    """Names get numbers as they are met; by the lowest bits alone, each of these would be taken for two others."""
    names = [f"c{number}" for number in range(3 * BEGINNINGS)]
    pairs: list[Any] = [
        (0, 1, [Use("a", "a", Subtype.IDENTITY), *(Use(n, n, Subtype.IDENTITY) for n in names)])
    ]
    asked = asking(way=Direction.DOWNSTREAM, depth=1)
    for root in ("a", names[0], names[BEGINNINGS], names[-1]):
        seen, _, edges, _ = told(pairs, asked._replace(roots=(Column(0, root),)), set())
        assert (seen, len(edges)) == ({Column(1, root)}, 1)


def test_what_of_a_walk_is_looked_for_is_little_more_than_what_is_found() -> None:
    assets, names = np.array([3, 3, 7], dtype=np.int32), np.array([5, 6, 6 + BEGINNINGS])
    near, at = np.array([7, 3], dtype=np.int32), np.array([0, 0, 0, 1, 1, 1, 1])
    said = np.array([6 + BEGINNINGS, 6, 5, 5, 6, 7, 0], dtype=np.int32)
    found = may_be_among(assets, names, near, at, said)
    assert found.tolist() == [True, True, False, True, True, False, True]


@settings(max_examples=300)
@given(pairs_of, st.sampled_from(Direction), st.sets(st.integers(1, NODES - 1)), st.booleans())
def test_a_walk_tells_the_columns_and_edges_that_a_walk_by_hand_finds(
    pairs: list[Any], way: Direction, hidden: set[int], indirect: bool
) -> None:
    reached = {Column(0, "a")}
    while (
        more := {far for _, far, _ in ahead(pairs, way, indirect, reached) if far.asset not in hidden}
        - reached
    ):
        reached |= more
    expected = {
        (near, Column(far.asset, WHOLE), None) if far.asset in hidden else (near, far, how)
        for near, far, how in ahead(pairs, way, indirect, reached)
    }
    seen, masked, edges, ending = told(pairs, asking(way=way, depth=50, indirect=indirect), hidden)
    assert seen == reached - {Column(0, "a")}
    assert masked == {far.asset for _, far, _ in expected} & hidden
    ends = [(edge.source, edge.target) for edge in edges]
    if way is Direction.UPSTREAM:
        ends = [(target, source) for source, target in ends]
    assert {(*pair, edge.subtype) for pair, edge in zip(ends, edges, strict=True)} == expected
    assert ending == Ending(None, len(seen) + len(masked), len(edges))


@settings(max_examples=300)
@given(pairs_of, st.sets(st.integers(1, NODES - 1)), st.booleans())
@example([(0, 1, [IDENTITY]), (1, 0, [IDENTITY])], set(), False)
def test_a_walk_both_ways_tells_what_the_two_ways_tell_each_once(
    pairs: list[Any], hidden: set[int], indirect: bool
) -> None:
    asked = asking(way=Direction.UPSTREAM, depth=50, indirect=indirect)
    up, down = (told(pairs, asking(way=way, depth=50, indirect=indirect), hidden) for way in Direction)
    both = asked._replace(within=asked.within._replace(directions=tuple(Direction)))
    seen, masked, edges, ending = told(pairs, both, hidden)
    assert (seen, masked, edges) == (up[0] | down[0], up[1] | down[1], up[2] | down[2])
    assert ending == Ending(None, len(seen) + len(masked), len(edges))


def test_depth_and_number_cut_and_say_so() -> None:
    step = [Use("a", "a", Subtype.IDENTITY)]
    chain: list[Any] = [(number, number + 1, step) for number in range(4)]
    assert told(chain, asking(way=Direction.DOWNSTREAM, depth=2), set())[3].truncated_by is Truncation.DEPTH
    seen, _, _, ending = told(chain, asking(way=Direction.DOWNSTREAM, depth=9, nodes_max=3), set())
    assert (len(seen), ending.truncated_by) == (3, Truncation.NODES)


def test_of_a_whole_table_every_column_anything_is_known_of_is_a_root_and_what_is_said_of_all_is_said_once() -> (
    None
):
    uses = [Use("a", "x", Subtype.IDENTITY), Use("b", "y", Subtype.IDENTITY), Use(WHOLE, "z", Subtype.FILTER)]
    pairs: list[Any] = [(1, 0, uses), (2, 0, [])]
    asked = asking(way=Direction.UPSTREAM, depth=5, indirect=True)
    roots = columns_of(graph_of(pairs), 0, asked, everything, says(pairs))
    assert roots == (Column(0, WHOLE), Column(0, "a"), Column(0, "b"))
    edges = told(pairs, asked._replace(roots=roots), set())[2]
    assert {(edge.source, edge.target, edge.subtype) for edge in edges} == {
        (Column(1, "x"), Column(0, "a"), Subtype.IDENTITY),
        (Column(1, "y"), Column(0, "b"), Subtype.IDENTITY),
        (Column(1, "z"), Column(0, WHOLE), Subtype.FILTER),
        (Column(2, WHOLE), Column(0, WHOLE), None),
    }


def test_a_late_answer_ends_within_its_step_and_says_so() -> None:
    pairs: list[Any] = [(0, 1, [Use("a", "a", Subtype.IDENTITY)]), (0, 2, [Use("a", "a", Subtype.IDENTITY)])]
    asked = asking(way=Direction.DOWNSTREAM, depth=3)
    late = asked._replace(within=asked.within._replace(deadline=-inf))
    assert told(pairs, late, set())[3].truncated_by is Truncation.TIME
    times = iter([0.0, 2.0, 2.0, 2.0])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(columns_module, "monotonic", lambda: next(times))
        patched.setattr(columns_module, "PAIRS_TOGETHER", 1)
        within = asked._replace(within=asked.within._replace(deadline=1.0))
        seen, _, _, ending = told(pairs, within, set())
    assert (len(seen), ending.truncated_by) == (1, Truncation.TIME)


def test_what_is_said_of_more_columns_than_anybody_reads_is_cut_and_says_so() -> None:
    """A filter by many columns, asked about of many columns: the product would be without bound."""
    uses = [Use(WHOLE, f"f{number}", Subtype.FILTER) for number in range(100)]
    pairs: list[Any] = [(1, 0, uses)]
    asked = asking(way=Direction.UPSTREAM, depth=3, indirect=True)
    asked = asked._replace(roots=tuple(Column(0, f"c{number}") for number in range(100)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(columns_module, "EDGES_MAX", 50)
        edges, ending = told(pairs, asked, set())[2:]
    assert (len(edges), ending.truncated_by) == (50, Truncation.NODES)
    assert told(pairs, asked, set())[3] == Ending(None, 100, 10_000)


def test_what_many_edges_say_alike_is_not_held_for_all_of_them_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uses = [Use(f"c{number}", "a", Subtype.IDENTITY) for number in range(5)]
    pairs: list[Any] = [(0, number, uses) for number in range(1, 21)]
    expected = told(pairs, asking(way=Direction.DOWNSTREAM, depth=2), set())
    held: list[int] = []
    whole = ColumnBook.pairs

    def counted(book: ColumnBook, mappings: Ints) -> Any:
        found = whole(book, mappings)
        held.append(len(found.at))
        return found

    monkeypatch.setattr(ColumnBook, "pairs", counted)
    monkeypatch.setattr(columns_module, "PAIRS_TOGETHER", 12)
    assert told(pairs, asking(way=Direction.DOWNSTREAM, depth=2), set()) == expected
    assert max(held) == 10
    columns_of(graph_of(pairs), 0, asking(way=Direction.DOWNSTREAM, depth=2), everything, says(pairs))
    assert max(held) == 10


def test_what_is_told_of_all_steps_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    step = [Use("a", "a", Subtype.IDENTITY)]
    chain: list[Any] = [(number, number + 1, step) for number in range(6)]
    monkeypatch.setattr(columns_module, "EDGES_TOLD_MAX", 3)
    _seen, _hidden, edges, ending = told(chain, asking(way=Direction.DOWNSTREAM, depth=9), set())
    assert (len(edges), ending.truncated_by) == (3, Truncation.NODES)
