"""docs/growth.svg: what a decision costs as grants grow a thousandfold, drawn from results.json."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 88, 72, 56
INSET = 32
"""Between the axis and the first point, so that its label does not stand on the axis."""
INK, FAINT, LINE, LIMIT = "#24292f", "#8c959f", "#0969da", "#cf222e"
STEPS = (1, 2, 5)
LABELS = {1_000: "1 k", 10_000: "10 k", 100_000: "100 k", 1_000_000: "1 M"}


def growth_svg(grants: Sequence[int], microseconds: Sequence[float], *, bar: float, caption: str) -> str:
    """A line over the number of grants (logarithmic), microseconds upwards from 0, and the bar as a dashed line."""
    ticks = _ticks(max(*microseconds, bar))
    low, high = log10(min(grants)), log10(max(grants))

    def x(count: int) -> float:
        return LEFT + INSET + (WIDTH - LEFT - RIGHT - 2 * INSET) * (log10(count) - low) / (high - low)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / ticks[-1]

    parts = [_text(LEFT, 24, "One decision, by the number of grants", size=16, weight="bold")]
    parts.append(_text(LEFT, 42, caption, size=11, color=FAINT))
    for tick in ticks:
        parts.append(_stroke(LEFT, y(tick), WIDTH - RIGHT, y(tick), "#d0d7de"))
        parts.append(_text(LEFT - 8, y(tick) + 4, f"{tick:g}", anchor="end"))
    parts += [
        _text(x(count), HEIGHT - BOTTOM + 20, LABELS.get(count, f"{count:,}"), anchor="middle")
        for count in grants
    ]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "grants", anchor="middle", color=FAINT))
    parts.append(_text(LEFT - 8, TOP - 8, "µs", anchor="end", color=FAINT))
    parts.append(_stroke(LEFT, y(bar), WIDTH - RIGHT, y(bar), LIMIT, dashed=True))
    parts.append(_text(WIDTH - RIGHT + 8, y(bar) + 4, f"bar: {bar:g} µs", color=LIMIT))
    points = [(x(count), y(value)) for count, value in zip(grants, microseconds, strict=True)]
    path = " ".join(f"{at_x:.1f},{at_y:.1f}" for at_x, at_y in points)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="2"/>')
    for (at_x, at_y), value in zip(points, microseconds, strict=True):
        parts.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="4" fill="{LINE}"/>')
        # Above its point, but not on the bar.
        shift = 20 if abs(at_y - 14 - y(bar)) < 14 else -10
        parts.append(_text(at_x, at_y + shift, f"{value:.3g}", anchor="middle", color=LINE, weight="bold"))
    body = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="system-ui, sans-serif" role="img">\n  <title>One decision, by the number of grants</title>\n'
        f'  <rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n  {body}\n</svg>\n'
    )


def _ticks(largest: float) -> list[float]:
    """From 0 in round steps, at most six, to above the largest value."""
    magnitude = 10 ** int(log10(largest))
    step = next(
        step
        for scale in (magnitude / 10, magnitude, magnitude * 10)
        for step in (digit * scale for digit in STEPS)
        if largest * 1.1 / step <= 5
    )
    return [step * number for number in range(int(largest * 1.1 / step) + 2)]


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    color: str = INK,
    anchor: str = "start",
    weight: str = "normal",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


def _stroke(x1: float, y1: float, x2: float, y2: float, color: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{dash}/>'
