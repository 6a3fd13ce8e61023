"""Runs every benchmark, prints each figure as it comes, writes bench/results.json: `python -m bench`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.decisions import decision_figures, stock_figure
from bench.figures import Figure
from bench.filters import filter_figures
from bench.lists import list_figures
from bench.rpc import rpc_figures
from bench.starts import start_figures

RESULTS = Path(__file__).with_name("results.json")
PACKAGES = ("lakewarden", "grpcio", "protobuf", "pycasbin", "sqlalchemy", "psycopg")
PARTS: dict[str, Callable[[], list[Figure]]] = {
    "decisions": decision_figures,
    "stock": lambda: [stock_figure()],
    "lists": list_figures,
    "filter": filter_figures,
    "starts": start_figures,
    "rpc": rpc_figures,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures; a figure below its bar is written down, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all when none is named"
    )
    parser.add_argument(
        "--output", type=Path, help="where to write the results (all parts: bench/results.json)"
    )
    wanted = parser.parse_args(arguments)
    if unknown := set(wanted.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    started = perf_counter()
    figures = []
    for name in wanted.parts or PARTS:
        for figure in PARTS[name]():
            print("\n".join(figure.as_lines()), flush=True)
            figures.append(figure)
    print(f"{perf_counter() - started:.0f} s on {os.cpu_count()} cores")
    # A partial run must not replace the results of a whole one.
    output = wanted.output or (None if wanted.parts else RESULTS)
    if output is not None:
        output.write_text(json.dumps(results(figures), indent=2) + "\n")
        print(f"written to {output}")
    return 0


def results(figures: Sequence[Figure]) -> dict[str, Any]:
    """What results.json holds: where and when it was measured, and every figure under its key."""
    return {
        "measured": {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "cpu_count": os.cpu_count(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "versions": {package: version(package) for package in PACKAGES},
        },
        **{figure.key: figure.as_json() for figure in figures},
    }


if __name__ == "__main__":
    sys.exit(main())
