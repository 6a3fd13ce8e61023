"""Two kinds of calls asked in turn over one connection, and how well their times tell them apart."""

from __future__ import annotations

import gc
import random
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

Ask = Callable[[], object]
WARM_UP = 50


class Measured(NamedTuple):
    """What was answered, each once, and the area under the curve: the chance that a call of the second kind takes longer."""

    first: frozenset[object]
    second: frozenset[object]
    area: float


def measure(first: Ask, second: Ask, *, pairs: int, chance: random.Random) -> Measured:
    """Asks both in every pair, in random order."""
    for _ in range(WARM_UP):
        first(), second()
    asks, answers, times = (first, second), (set[object](), set[object]()), (list[int](), list[int]())
    gc.collect()
    gc.disable()
    try:
        for _ in range(pairs):
            for which in chance.sample((0, 1), 2):
                began = time.perf_counter_ns()
                answer = asks[which]()
                times[which].append(time.perf_counter_ns() - began)
                answers[which].add(answer)
    finally:
        gc.enable()
    return Measured(frozenset(answers[0]), frozenset(answers[1]), area(*times))


def area(first: Sequence[int], second: Sequence[int]) -> float:
    """By ranks, so that a pause counts no more than any slow call (Mann and Whitney 1947); 0.5 where nothing is told."""
    ordered = sorted(first)
    below = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in second)
    return below / (2 * len(first) * len(second))
