"""The consistency checker alone: three replicas on one database, writers, readers and faults for as long as you like.

`python -m bench.consistency --minutes 10 --seed 7` prints operations, reads, faults and violations by kind, and a verdict: passed (exit code 0),
violated (1), or invalid (2) for a run that says nothing, as one of too few operations. It stands on the cluster of the tests.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
PASSED, VIOLATED, INVALID = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one storm and prints what it saw."""
    parser = argparse.ArgumentParser(prog="python -m bench.consistency", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="which storm (default 1)")
    parser.add_argument("--sqlite", action="store_true", help="on one SQLite file rather than PostgreSQL")
    parser.add_argument("--no-faults", action="store_true", help="nothing is harmed")
    wanted = parser.parse_args(arguments)
    if wanted.minutes <= 0:
        parser.error("--minutes must be more than 0")
    sys.path.insert(0, str(TESTS))
    from consistency.cluster import cluster_on
    from consistency.storm import Storm
    from durability.mortal import mortal_postgresql
    from lakewarden_server.storage import create_database
    from lakewarden_server.storage.migrations import migrate

    # A server whose database is taken away says so; here that is the intention.
    logging.getLogger("lakewarden").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lakewarden-storm-"))) / "server"
        home.mkdir()
        postgresql = None if wanted.sqlite else stack.enter_context(mortal_postgresql())
        url = postgresql.url if postgresql else f"sqlite:///{home / 'lakewarden.db'}"
        database = create_database(url)
        migrate(database)
        database.close()
        storm = Storm(stack.enter_context(cluster_on(url, home)), seed=wanted.seed, postgresql=postgresql)
        for _ in range(2):
            storm.add_process()
        print(f"seed {wanted.seed}: three replicas on {database.dialect}, {wanted.minutes:g} minutes")
        print(_machine(), flush=True)
        outcome = storm.run(wanted.minutes * 60, faults=not wanted.no_faults)
    print(outcome)
    print(_machine())
    if outcome.found:
        print("violated")
        return VIOLATED
    if weaknesses := outcome.weaknesses(faults=not wanted.no_faults):
        print(f"invalid: {'; '.join(weaknesses)}")
        return INVALID
    print("passed")
    return PASSED


def _machine() -> str:
    """How busy it is, which is what the rate depends on."""
    return f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())
