"""Which definitions of a table or view end what older ones said it is made of (reference/lineage.md 5, exact replace on redefinition).

A definition is a run that says what its target is made of from then on. At its time every older definition of the target that the same
principal told of from the same workspace, of whichever job, stops to count for a source that it does not state; what was added in another
way (INSERT), and what others told of, stays. That follows from the runs alone, so whatever order they come in, it is the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lakewarden_server.entities import LineageEdge
from lakewarden_server.lineage.graph import RETRACTED
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.storage.repositories.lineage import LineageStore, values_of
from lakewarden_server.storage.repositories.lineage_definitions import defined_since, last_said

Row = dict[str, Any]
Teller = tuple[str, str]
"""Workspace and principal that a run belongs to."""
Cuts = Mapping[Teller, Sequence[int]]
"""Times in order, by whose definitions they are."""


class Span(NamedTuple):
    """An edge, and the time from which on it is asked about."""

    source_id: int
    target_id: int
    since: int


class Changed:
    """Of which targets the definitions are not what they were, and when."""

    def __init__(self) -> None:
        self._rows: set[tuple[int, int]] = set()

    def note(self, before: Row | None, now: Row | None) -> None:
        """What a run says of two names instead of what it said before."""
        was, is_now = _definitions(before), _definitions(now)
        if was != is_now:
            self._rows |= was | is_now

    @property
    def edge_ids(self) -> set[int]:
        """The edges that were or are stated by them."""
        return {edge_id for edge_id, _since in self._rows}

    def times(self, edges: Mapping[int, Row]) -> dict[int, set[int]]:
        """The times at which each target is defined in another way now, by its id."""
        found: dict[int, set[int]] = defaultdict(set)
        for edge_id, since in self._rows:
            found[edges[edge_id]["target_id"]].add(since)
        return found


def cuts(store: LineageStore, wanted: Mapping[int, Span]) -> dict[int, Cuts]:
    """When definitions of its target leave out the source of an edge, from the wanted time on; edges without any are left out."""
    defined = _sources(store, [(span.target_id, span.since) for span in wanted.values()])
    found: dict[int, Cuts] = {}
    for edge_id, span in wanted.items():
        of_edge: dict[Teller, Sequence[int]] = {}
        for teller, times in defined.get(span.target_id, {}).items():
            left_out = sorted(
                time
                for time, sources in times.items()
                if time >= span.since and span.source_id not in sources
            )
            if left_out:
                of_edge[teller] = left_out
        if of_edge:
            found[edge_id] = of_edge
    return found


def left_out(store: LineageStore, wanted: Mapping[int, Span]) -> dict[int, int]:
    """Since when definitions leave out the edges that nothing but definitions say; FOREVER for those that one still states.

    The wanted time is after all that was said of the edge.
    """
    cut = cuts(store, wanted).keys()
    last = _last_said(store, cut)
    spans = {edge_id: wanted[edge_id]._replace(since=min(told.values())) for edge_id, told in last.items()}
    whole = cuts(store, spans)
    return {
        edge_id: max(
            first_after(whole.get(edge_id, {}).get(teller, ()), since) for teller, since in of_edge.items()
        )
        for edge_id, of_edge in last.items()
    }


def began(said: Mapping[str, Any]) -> int:
    """When the first of the runs in a row of what they say said it."""
    first: int | None = said["first_since"]
    since: int = said["since"]
    return since if first is None else first


def first_after(times: Sequence[int], since: int) -> int:
    """The first of the times that is later; FOREVER where there is none."""
    place = bisect_left(times, since + 1)
    return times[place] if place < len(times) else FOREVER


def affected(store: LineageStore, changed: Mapping[int, Collection[int]]) -> list[tuple[Row, int]]:
    """The stored edges that definitions which changed at these times may cut or cut no longer, each with the time from when on."""
    if not changed:
        return []
    defined = _sources(store, [(target_id, min(times)) for target_id, times in changed.items()])
    found = []
    for stored in store.find(LineageEdge, "target_id", changed):
        edge = values_of(stored)
        times = [
            time
            for time in changed[edge["target_id"]]
            if not _is_unmoved(
                edge, [of.get(time) for of in defined.get(edge["target_id"], {}).values()], time
            )
        ]
        if times:
            found.append((edge, min(times)))
    return found


def _last_said(store: LineageStore, edge_ids: Collection[int]) -> dict[int, dict[Teller, int]]:
    """Of each edge when its last live definition was, by who told of it."""
    found: dict[int, dict[Teller, int]] = defaultdict(dict)
    for row in last_said(store, edge_ids):
        found[row.edge_id][row.workspace_id, row.principal_id] = row.last
    return found


def _definitions(row: Row | None) -> set[tuple[int, int]]:
    """The edge and the times at which it was defined, first and last where these are several runs."""
    times = {row["since"], began(row)} if row and row["live"] and row["defines"] else ()
    return {(row["edge_id"], time) for time in times} if row else set()


def _is_unmoved(edge: Row, stated: Iterable[Collection[int] | None], time: int) -> bool:
    """Whether an edge is what it was, whatever definitions at a time say: gone before, or there before and stated by each."""
    if edge["state"] == RETRACTED:
        return bool(edge["changed_time"] < time)
    sources = [found for found in stated if found is not None]
    return (
        edge["state"] == "LIVE"
        and edge["changed_time"] <= time
        and bool(sources)
        and all(edge["source_id"] in found for found in sources)
    )


def _sources(
    store: LineageStore, wanted: Iterable[tuple[int, int]]
) -> dict[int, dict[Teller, dict[int, set[int]]]]:
    """Of each target what its definitions state, by who told of them and their time, from the wanted time on."""
    since: dict[int, int] = {}
    for target_id, time in wanted:
        since[target_id] = min(time, since.get(target_id, FOREVER))
    found: dict[int, dict[Teller, dict[int, set[int]]]] = defaultdict(lambda: defaultdict(dict))
    for row in defined_since(store, since):
        of_teller = found[row.target_id][row.workspace_id, row.principal_id]
        for time in {row.since, began(row._mapping)}:
            of_teller.setdefault(time, set()).add(row.source_id)
    return found
