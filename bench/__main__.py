"""Runs every benchmark, prints each figure as it comes, writes bench/results.json and what is made of it: `python -m bench`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

from bench.batches import batch_figures
from bench.cedar import cedar_figures
from bench.decisions import decision_figures
from bench.figures import Figure
from bench.filters import filter_figures
from bench.heads import head_figures
from bench.lineage import lineage_figures
from bench.lineage_large import lineage_large_figures
from bench.lineage_times import lineage_times_figures
from bench.lists import list_figures
from bench.options import option_figures
from bench.plans import plan_figures
from bench.profiles import profiles
from bench.recording import recording_figures
from bench.replicas import replica_figures
from bench.reports import PROFILES, as_profile, results, write, write_reports
from bench.revokes import revoke_figures
from bench.rpc import rpc_figures
from bench.scale import scale_figures
from bench.shared_heads import shared_head_figures
from bench.sql_lineage import sql_lineage_figures
from bench.starts import start_figures
from bench.stock import stock_figures
from bench.writers import writer_figures

RESULTS = Path(__file__).with_name("results.json")
CURVE = RESULTS.parents[1] / "docs" / "growth.svg"
PARTS: dict[str, Callable[[], list[Figure]]] = {
    "decisions": decision_figures,
    "stock": stock_figures,
    "cedar": cedar_figures,
    "lists": list_figures,
    "filter": filter_figures,
    "starts": start_figures,
    "head": head_figures,
    "shared_head": shared_head_figures,
    "rpc": rpc_figures,
    "options": option_figures,
    "batch": batch_figures,
    "plan": plan_figures,
    "revoke": revoke_figures,
    "writers": writer_figures,
    "replica": replica_figures,
    "scale": scale_figures,
    "lineage": lineage_figures,
    "lineage_large": lineage_large_figures,
    "lineage_times": lineage_times_figures,
    "recording": recording_figures,
    "sql": sql_lineage_figures,
}
PROFILE = "profile"
"""The part that makes no figures, but says where the time of missed ones goes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures; a figure below its bar is written down, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join([*PARTS, PROFILE])}; all when none is named"
    )
    parser.add_argument(
        "--output", type=Path, help="where to write the results (all parts: bench/results.json)"
    )
    parser.add_argument(
        "--report", action="store_true", help="measure nothing, make table and curve of bench/results.json"
    )
    wanted = parser.parse_args(arguments)
    if unknown := set(wanted.parts) - {*PARTS, PROFILE}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    # A partial run must not replace the results of a whole one.
    output = wanted.output or (RESULTS if wanted.report or not wanted.parts else None)
    if not wanted.report:
        parts = wanted.parts or [*PARTS, PROFILE]
        figures = _measured([part for part in parts if part != PROFILE])
        found = results(figures, profiles() if PROFILE in parts else None)
        for profile in found.get(PROFILES, {}).values():
            print("\n".join(as_profile(profile)), flush=True)
        if output is not None:
            write(output, found)
            print(f"written: {output}")
    if output is not None:
        for path in write_reports(output, CURVE if output == RESULTS else output.with_suffix(".svg")):
            print(f"written: {path}")
    return 0


def _measured(parts: Sequence[str]) -> list[Figure]:
    started = perf_counter()
    figures: list[Figure] = []
    for name in parts:
        part_started = perf_counter()
        for figure in PARTS[name]():
            print("\n".join(figure.as_lines()), flush=True)
            figures.append(figure)
        print(f"    ({name}: {perf_counter() - part_started:.0f} s)", flush=True)
    print(f"{perf_counter() - started:.0f} s on {os.cpu_count()} cores")
    return figures


if __name__ == "__main__":
    sys.exit(main())
