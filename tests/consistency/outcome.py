"""What a storm did, in numbers, and what the checker says of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from math import inf

from consistency.checker import Disorder, Read, Violation, Write
from consistency.faults import Fault

OPERATIONS_PER_SECOND_MIN = 200
"""Below, a run says nothing: too few questions met a change (reliability section 4)."""
FAULTS_MIN = 3
RACERS_MIN = 5
RACE_SECONDS = 0.1
SHOWN_MAX = 20


@dataclass(frozen=True)
class Outcome:
    """Operations, faults, what went wrong and what the checker found."""

    seconds: float
    writes: list[Write]
    reads: list[Read]
    faults: list[Fault]
    errors: list[str]
    """What no fault explains: one makes the run worthless."""
    unanswered: list[str]
    violations: list[Violation]
    disorders: list[Disorder]

    @property
    def found(self) -> list[Violation | Disorder]:
        """Everything that no order of the operations explains."""
        return [*self.violations, *self.disorders]

    @property
    def operations(self) -> int:
        """Calls that were answered: acknowledged writes, and reads."""
        return sum(write.revision > 0 for write in self.writes) + len(self.reads)

    @property
    def per_second(self) -> float:
        """Answered calls a second, over the whole run, faults included."""
        return self.operations / self.seconds if self.seconds else 0.0

    @cached_property
    def revokes(self) -> list[Write]:
        """What was taken and acknowledged."""
        return [write for write in self.writes if not write.value and write.returned < inf]

    @cached_property
    def raced(self) -> int:
        """Revokes that at least five questions at other replicas raced: asked from when it was sent until shortly after its end."""
        asked: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for read in sorted(self.reads, key=lambda each: each.invoked):
            asked[read.key].append((read.invoked, read.where))
        count = 0
        for revoke in self.revokes:
            questions = asked[revoke.key]
            first = bisect_left(questions, (revoke.invoked, ""))
            last = bisect_right(questions, (revoke.returned + RACE_SECONDS, ""))
            count += sum(where != revoke.where for _, where in questions[first:last]) >= RACERS_MIN
        return count

    def weaknesses(self, *, faults: bool) -> list[str]:
        """Why this run proves nothing even if nothing was found; `faults` tells whether there should have been any."""
        found = []
        if self.per_second < OPERATIONS_PER_SECOND_MIN:
            found.append(f"fewer than {OPERATIONS_PER_SECOND_MIN} operations a second")
        if faults and len(self.faults) < FAULTS_MIN:
            found.append(f"fewer than {FAULTS_MIN} faults")
        if not self.raced:
            found.append("no revoke was raced")
        if self.errors:
            found.append("errors that no fault explains")
        return found

    def lines(self) -> list[str]:
        """The report, line by line."""
        changes = Counter(
            f"{write.key.split(' ')[0]} {'+' if write.value else '-'}"
            for write in self.writes
            if write.returned < inf
        )
        rows = [
            f"{self.operations} operations in {self.seconds:.1f} s: {self.per_second:.0f}/s",
            f"  writes {_counted(changes)}",
            f"  reads  {_counted(Counter(read.how for read in self.reads))}",
            f"  of these with bounded freshness {sum(read.bound > 0 for read in self.reads)}",
            f"  revokes {len(self.revokes)}, raced by {RACERS_MIN} or more questions at other replicas: {self.raced}",
            f"  unanswered {_counted(Counter(text.partition('(')[0].split()[-1] for text in self.unanswered))}",
            f"faults: {len(self.faults)}: {_counted(Counter(fault.kind for fault in self.faults))}",
            f"violations: {len(self.violations)}, revisions out of order: {len(self.disorders)}",
        ]
        rows += [f"  {found}" for found in self.found[:SHOWN_MAX]]
        if self.errors:
            rows.append(f"errors that no fault explains: {len(self.errors)}")
            rows += [f"  {error}" for error in self.errors[:SHOWN_MAX]]
        return rows

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"
