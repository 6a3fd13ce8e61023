"""Was every answer true at some moment between its question and its arrival? Interval linearizability of registers.

Each register is one right: written by one writer, one write after the other, read by anybody. A write takes effect at one moment
between its first attempt and its acknowledgement; a read is right when the register could have its value at some moment of its own.
What one read has seen no later read may unsee.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import inf
from typing import NamedTuple


class Write(NamedTuple):
    """One change of a right, in seconds of the one clock; `returned` is infinite for one that was never acknowledged."""

    key: str
    value: bool
    invoked: float
    returned: float


class Read(NamedTuple):
    """One answer. `bound` is how old it may be by promise: 0 in FULL mode."""

    key: str
    value: bool
    invoked: float
    returned: float
    where: str
    how: str
    bound: float = 0.0


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
        return f"{answer} of {self.read.key} by {self.read.how} at {self.read.where}{ago}"


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
        for read in answers:
            if not any(
                span.value is read.value
                and span.begins <= read.returned
                and span.ends >= read.invoked - read.bound
                for span in spans
            ):
                before = [write for write in written[key] if write.invoked <= read.returned]
                found.append(Violation(read, before[-1] if before else None))
    return found


def _spans(writes: list[Write], reads: list[Read], initially: bool) -> list[_Span]:
    """When the register may have had which value; a write is over, at the latest, when the first read returned that saw it."""
    spans, value, begins = [], initially, -inf
    for write in writes:
        if write.value is value:
            continue
        over = min(
            (
                read.returned
                for read in reads
                # One that began after the write before was over can have the value from nowhere else.
                if read.bound == 0
                and read.value is write.value
                and read.invoked >= begins
                and read.returned >= write.invoked
                and _began_after(read, spans)
            ),
            default=inf,
        )
        spans.append(_Span(value, begins, min(write.returned, over)))
        value, begins = write.value, write.invoked
    return [*spans, _Span(value, begins, inf)]


def _began_after(read: Read, spans: list[_Span]) -> bool:
    """Whether a read began when the last value but one was surely gone."""
    return not spans or read.invoked > spans[-1].ends
