"""Was every answer true at some moment between its question and its arrival? Interval linearizability of registers.

Each register is one right: written by one writer, one write after the other, read by anybody. A write takes effect at one moment
between its first attempt and its acknowledgement; a read is right when the register could have its value at some moment of its own.
What one read has seen no later read may unsee. Revisions are judged apart: no reply may carry one older than a change it came after.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import inf
from typing import NamedTuple


class Write(NamedTuple):
    """One change of a right, in seconds of the one clock; `returned` is infinite for one that was never acknowledged."""

    key: str
    value: bool
    invoked: float
    returned: float
    where: str = ""
    revision: int = 0
    """That of the acknowledgement; 0 where it is not known."""


class Read(NamedTuple):
    """One answer. `bound` is how old it may be by promise: 0 in FULL mode."""

    key: str
    value: bool
    invoked: float
    returned: float
    where: str
    how: str
    bound: float = 0.0
    revision: int = 0
    """That of the reply; 0 for a refusal, which carries none."""


class Violation(NamedTuple):
    """An answer that was true at no moment it could be about, and the latest write before it returned."""

    read: Read
    write: Write | None

    @property
    def is_stale_allow(self) -> bool:
        """Whether somebody was let in who must not be."""
        return self.read.value

    def __str__(self) -> str:
        ago = f", written {self.read.invoked - self.write.returned:.3f} s before" if self.write else ""
        answer = "ALLOW" if self.read.value else "DENY"
        how = f"bounded {self.read.how}" if self.read.bound else self.read.how
        return f"{answer} of {self.read.key} by {how} at {self.read.where}{ago}"


class Disorder(NamedTuple):
    """A reply whose revision is older than one that was acknowledged before the call began."""

    operation: Read | Write
    newest: int

    def __str__(self) -> str:
        return f"revision {self.operation.revision} at {self.operation.where} after {self.newest} was acknowledged: {self.operation.key}"


class _Span(NamedTuple):
    """A value, and the first and last moment at which the register may have had it."""

    value: bool
    begins: float
    ends: float


def violations(writes: Iterable[Write], reads: Iterable[Read], *, initially: bool = False) -> list[Violation]:
    """Every read that no order of the operations explains. Writes of one key must not overlap. Raises ValueError where they do."""
    written: dict[str, list[Write]] = defaultdict(list)
    for write in sorted(writes, key=lambda each: each.invoked):
        if written[write.key] and written[write.key][-1].returned > write.invoked:
            raise ValueError(f"two writes of {write.key} at once: one key has one writer")
        written[write.key].append(write)
    asked: dict[str, list[Read]] = defaultdict(list)
    for read in reads:
        asked[read.key].append(read)
    found = []
    for key, answers in asked.items():
        spans = _spans(written[key], answers, initially)
        begins, ends = [span.begins for span in spans], [span.ends for span in spans]
        for read in answers:
            first = bisect_left(ends, read.invoked - read.bound)
            possible = spans[first : bisect_right(begins, read.returned)]
            if not any(span.value is read.value for span in possible):
                before = [write for write in written[key] if write.invoked <= read.returned]
                found.append(Violation(read, before[-1] if before else None))
    return found


def disorders(writes: Sequence[Write], reads: Sequence[Read]) -> list[Disorder]:
    """Every reply in FULL mode that carries an older revision than a write that had returned before the call."""
    acknowledged = sorted((write.returned, write.revision) for write in writes if write.revision)
    times = [returned for returned, _ in acknowledged]
    newest = list(accumulate((revision for _, revision in acknowledged), max, initial=0))
    operations = [*writes, *(read for read in reads if read.bound == 0)]
    return [
        Disorder(operation, before)
        for operation in operations
        if operation.revision
        and operation.revision < (before := newest[bisect_left(times, operation.invoked)])
    ]


def _spans(writes: list[Write], reads: list[Read], initially: bool) -> list[_Span]:
    """When the register may have had which value, in order; both ends of them ascend.

    A write is over, at the latest, when the first read returned that saw it.
    """
    fresh = sorted((read for read in reads if read.bound == 0), key=lambda read: read.invoked)
    by_value = {value: [read for read in fresh if read.value is value] for value in (False, True)}
    invoked = {value: [read.invoked for read in found] for value, found in by_value.items()}
    spans, value, begins = [], initially, -inf
    for write in writes:
        if write.value is value:
            continue
        # A read that began when the last value but one, the same as this, was surely gone has it from nowhere else.
        gone = spans[-1].ends if spans else -inf
        first = bisect_right(invoked[write.value], gone)
        last = bisect_left(invoked[write.value], write.returned)
        witnesses = (
            read.returned for read in by_value[write.value][first:last] if read.returned >= write.invoked
        )
        spans.append(_Span(value, begins, min(write.returned, min(witnesses, default=inf))))
        value, begins = write.value, write.invoked
    return [*spans, _Span(value, begins, inf)]
