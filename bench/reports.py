"""What is made of figures: results.json, and from it the table results.md and the curve docs/growth.svg, and nothing by hand."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.catalogue import DECLARED
from bench.figures import Figure, rounded
from bench.growth import growth_svg

PACKAGES = ("lakewarden", "grpcio", "protobuf", "pycasbin", "sqlalchemy", "psycopg")
CURVE = "decision_growth_1k_to_1m"
CURVE_BAR = "decision_us_1m"


PROFILES = "profiles"


def results(figures: Sequence[Figure], profiles: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What results.json holds: where and when it was measured, every figure under its key, and where the time went."""
    return {
        "measured": {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "cpu_count": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 2),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "versions": {package: version(package) for package in PACKAGES},
        },
        **{figure.key: figure.as_json() for figure in figures},
        **({PROFILES: rounded(profiles)} if profiles else {}),
    }


def write(output: Path, found: Mapping[str, Any]) -> None:
    """Writes results.json; `write_reports` does the rest."""
    output.write_text(json.dumps(found, indent=2) + "\n")


def write_reports(output: Path, curve: Path) -> list[Path]:
    """Writes the table beside the results in `output` and, where they have it, the growth to `curve`; returns what was written."""
    found = json.loads(output.read_text())
    table = output.with_suffix(".md")
    table.write_text(as_table(found))
    if CURVE not in found or "grants" not in found[CURVE]["raw"]:
        return [table]
    curve.write_text(as_curve(found))
    return [table, curve]


def as_table(found: Mapping[str, Any]) -> str:
    """A Markdown table of every declared figure beside its bar, in the order of the catalogue."""
    rows = [_row(key, found.get(key)) for key in DECLARED]
    return "\n".join(
        [
            "# Figures",
            "",
            f"Written by `python -m bench` from results.json, which has both sides of every ratio. {_where(found)}.",
            "",
            "| figure | what it is | measured | bar | |",
            "|---|---|---:|---:|---|",
            *rows,
            "",
            *_where_it_goes(found),
        ]
    )


def _where_it_goes(found: Mapping[str, Any]) -> Iterator[str]:
    """The profile of every path a missed figure is of."""
    for profile in found.get(PROFILES, {}).values():
        missed = [key for key in profile["figures"] if found.get(key, {}).get("met") is False]
        if not missed:
            continue
        yield f"## Where the time goes: {profile['what']}"
        yield ""
        yield f"Of {', '.join(f'`{key}`' for key in missed)}:"
        yield ""
        yield from as_profile(profile)
        yield ""


def as_profile(profile: Mapping[str, Any]) -> Iterator[str]:
    """A Markdown table of the dearest functions of a path."""
    yield f"{profile['what']}: {profile['us_under_the_profiler']:,g} us under cProfile, without gRPC"
    yield from ("", "| with callees | by itself | calls | function |", "|---:|---:|---:|---|")
    for with_callees, by_itself, calls, function in profile["lines"]:
        yield f"| {with_callees:.0%} | {by_itself:.0%} | {calls:,g} | `{function}` |"


def as_curve(found: Mapping[str, Any]) -> str:
    """The growth curve as SVG."""
    raw, bar = found[CURVE]["raw"], DECLARED[CURVE_BAR].bar
    assert bar is not None
    return growth_svg(raw["grants"], raw["decision_us"], bar=bar.limit, caption=f"Median. {_where(found)}.")


def _where(found: Mapping[str, Any]) -> str:
    measured = found["measured"]
    return f"Measured {measured['time'][:10]} on {measured['cpu_count']} cores, Python {measured['python']}"


def _row(key: str, figure: Mapping[str, Any] | None) -> str:
    title, unit, bar = DECLARED[key]
    value = "not yet" if figure is None else f"{figure['value']:,g} {unit}".strip()
    verdict = "" if figure is None or bar is None else "met" if figure["met"] else "**missed**"
    return f"| `{key}` | {title} | {value} | {bar or ''} | {verdict} |"
