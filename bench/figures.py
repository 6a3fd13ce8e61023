"""What a measurement is made of: rounds and medians, the verdict on its bar; and how it is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.catalogue import DECLARED, Declared


@dataclass(frozen=True)
class Figure:
    """One result: its value, and the raw figures it comes from. `key` is one of the catalogue."""

    key: str
    value: float
    raw: Mapping[str, Any] = field(default_factory=dict)
    has_load: bool = True
    """Whether the load was reached that its bar is set for: below it a figure is reported, and reaches no bar."""

    @property
    def declared(self) -> Declared:
        """What the catalogue says of it."""
        return DECLARED[self.key]

    @property
    def met(self) -> bool | None:
        """Whether it reaches its bar; None where the design sets none."""
        bar = self.declared.bar
        return self.has_load and bar.met_by(self.value) if bar else None

    def as_json(self) -> dict[str, Any]:
        """The figure as results.json has it."""
        title, unit, bar = self.declared
        return {
            "title": title,
            "value": rounded(self.value),
            "unit": unit,
            "bar": str(bar) if bar else None,
            "met": self.met,
            "raw": {name: rounded(value) for name, value in self.raw.items()},
        }

    def as_lines(self) -> list[str]:
        """The figure as a person reads it."""
        title, unit, bar = self.declared
        verdict = (
            f"   bar {bar}: {'met' if self.met else 'MISSED' if self.has_load else 'LOAD NOT REACHED'}"
            if bar
            else ""
        )
        raw = ", ".join(f"{name} {rounded(value)}" for name, value in self.raw.items())
        return [f"{self.key:<40} {rounded(self.value):>10} {unit}{verdict}", f"    {title}: {raw}"]


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
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return value
