"""Layers of a drawing: which node stands in which, in which order, and where edges pass that lead over several of them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lakewarden.lineage.model import Lineage

SWEEPS = 8
"""Times the order within the layers is improved from their neighbours'."""
PASSAGES_MAX = 20_000
"""Beyond, edges lead straight through the layers between their ends."""


class Passage(NamedTuple):
    """Where an edge goes through a layer in which neither of its ends stands."""

    source_id: str
    target_id: str
    layer: int


Place = str | Passage
"""A node by its id, or a passage."""


class Layers(NamedTuple):
    """What stands in each layer from left to right, and in each from above."""

    places: Sequence[Sequence[Place]]
    ways: Mapping[tuple[str, str], Sequence[Place]]
    """Of each pair of nodes with an edge that leads on to the right: both, with the passages between them."""


def layers_of(lineage: Lineage) -> Layers:
    """Sources stand left of what was made of them, but where that goes in a circle; few edges cross."""
    numbers = layer_numbers(lineage)
    pairs = dict.fromkeys((edge.source_id, edge.target_id) for edge in lineage.edges)
    ways = _ways(numbers, pairs)
    layers: list[list[Place]] = [[] for _ in set(numbers.values())]
    for node in lineage.nodes:
        layers[numbers[node.id]].append(node.id)
    beside: dict[Place, list[Place]] = defaultdict(list)
    for pair in pairs:
        way = ways.get(pair, pair)
        for place in way[1:-1]:
            if isinstance(place, Passage):
                layers[place.layer].append(place)
        for source, target in itertools.pairwise(way):
            beside[source].append(target)
            beside[target].append(source)
    _order(layers, beside)
    return Layers(layers, ways)


def layer_numbers(lineage: Lineage) -> dict[str, int]:
    """Of each node the number of its layer, from 0 at the left: on each side of the roots as far as the longest way leads.

    By their distance alone a table and what was made of it stood below each other wherever both feed a third one.
    """
    layers = {node.id: 0 for node in lineage.roots}
    for sign in (-1, 1):
        steps = {node.id: abs(node.distance) for node in lineage.nodes if node.distance * sign > 0}
        onward: dict[str, list[str]] = defaultdict(list)
        for edge in lineage.edges:
            nearer, further = edge[:2] if sign > 0 else (edge.target_id, edge.source_id)
            if nearer in steps and further in steps:
                onward[nearer].append(further)
        layers |= {node: sign * step for node, step in _longest(steps, onward).items()}
    ranks = {number: rank for rank, number in enumerate(sorted(set(layers.values())))}
    return {node: ranks[number] for node, number in layers.items()}


def _longest(steps: Mapping[str, int], onward: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """As many steps as the longest way has to each node, without edges that close a circle; at least those that are given."""
    finished: dict[str, int] = {}
    begun: set[str] = set()
    for start in sorted(steps, key=lambda node: steps[node]):
        way = [(start, iter(onward.get(start, ())))] if start not in begun else []
        begun.add(start)
        while way:
            node, others = way[-1]
            other = next((each for each in others if each not in begun), None)
            if other is None:
                finished[node] = len(finished)
                way.pop()
            else:
                begun.add(other)
                way.append((other, iter(onward.get(other, ()))))
    longest = dict(steps)
    for node in reversed(finished):
        for other in onward.get(node, ()):
            # What was finished later leads back to where the search came from.
            if finished[other] < finished[node]:
                longest[other] = max(longest[other], longest[node] + 1)
    return longest


def _ways(
    numbers: Mapping[str, int], pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Sequence[Place]]:
    onward = [(source, target) for source, target in pairs if numbers[source] < numbers[target]]
    if sum(numbers[target] - numbers[source] - 1 for source, target in onward) > PASSAGES_MAX:
        return {pair: pair for pair in onward}
    return {
        (source, target): [
            source,
            *(Passage(source, target, layer) for layer in range(numbers[source] + 1, numbers[target])),
            target,
        ]
        for source, target in onward
    }


def _order(layers: list[list[Place]], beside: Mapping[Place, Sequence[Place]]) -> None:
    """Orders each layer by where its neighbours stand (barycentres, swept both ways)."""
    rows = {place: float(row) for layer in layers for row, place in enumerate(layer)}
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            layer.sort(key=lambda place: (_middle(rows, beside.get(place, ()), rows[place]), rows[place]))
            rows.update((place, row - (len(layer) - 1) / 2) for row, place in enumerate(layer))


def _middle(rows: Mapping[Place, float], others: Sequence[Place], alone: float) -> float:
    return sum(rows[other] for other in others) / len(others) if others else alone
