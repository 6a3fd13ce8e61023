"""What a measurement is made of: rounds, medians, a bar from the design where it has one; and how it is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Bar:
    """What a figure is to reach: at most or at least `limit`."""

    limit: float
    at_most: bool

    def met_by(self, value: float) -> bool:
        """Whether the figure reaches it."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.limit:g}"


@dataclass(frozen=True)
class Figure:
    """One result: its value, what it is compared with, and the raw figures both come from."""

    key: str
    title: str
    value: float
    unit: str
    bar: Bar | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The figure as results.json has it; `met` is null where the design sets no bar."""
        return {
            "title": self.title,
            "value": rounded(self.value),
            "unit": self.unit,
            "bar": str(self.bar) if self.bar else None,
            "met": self.bar.met_by(self.value) if self.bar else None,
            "raw": {name: rounded(value) for name, value in self.raw.items()},
        }

    def as_lines(self) -> list[str]:
        """The figure as a person reads it."""
        verdict = (
            f"   bar {self.bar}: {'met' if self.bar.met_by(self.value) else 'MISSED'}" if self.bar else ""
        )
        raw = ", ".join(f"{name} {rounded(value)}" for name, value in self.raw.items())
        return [f"{self.key:<34} {rounded(self.value):>10} {self.unit}{verdict}", f"    {self.title}: {raw}"]


def at_most(limit: float) -> Bar:
    """A bar for what should be small."""
    return Bar(limit, at_most=True)


def at_least(limit: float) -> Bar:
    """A bar for what should be large."""
    return Bar(limit, at_most=False)


def median_of(rounds: Sequence[float]) -> float:
    """The median of the rounds of one measurement."""
    return median(rounds)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all lie."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def rounded(value: Any) -> Any:
    """Three significant digits for small numbers, whole ones for large: more would pretend a precision nobody has."""
    if isinstance(value, float):
        return round(value) if abs(value) >= 1_000 else float(f"{value:.3g}")
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return value
