"""The consistency checker alone: three replicas on one database, writers, readers and faults for as long as you like.

`python -m bench.consistency --minutes 10 --seed 7` prints operations, faults and violations; it ends with 1 for a violation and with 2 for a
run of too few operations, which says nothing. It stands on the cluster of the tests.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.processes import postgresql

TESTS = Path(__file__).resolve().parent.parent / "tests"
VIOLATED, INVALID = 1, 2
SHOWN_MAX = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one storm and prints what it saw."""
    parser = argparse.ArgumentParser(prog="python -m bench.consistency", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="which storm (default 1)")
    parser.add_argument("--sqlite", action="store_true", help="on one SQLite file rather than PostgreSQL")
    parser.add_argument("--no-faults", action="store_true", help="nothing is killed or stopped")
    wanted = parser.parse_args(arguments)
    if wanted.minutes <= 0:
        parser.error("--minutes must be more than 0")
    sys.path.insert(0, str(TESTS))
    from consistency.cluster import cluster_on
    from consistency.storm import OPERATIONS_PER_SECOND_MIN, Storm
    from lakewarden_server.storage import create_database
    from lakewarden_server.storage.migrations import migrate

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lakewarden-storm-")))
        url = f"sqlite:///{home / 'lakewarden.db'}" if wanted.sqlite else stack.enter_context(postgresql())
        database = create_database(url)
        migrate(database)
        database.close()
        storm = Storm(stack.enter_context(cluster_on(url, home)), seed=wanted.seed)
        for _ in range(2):
            storm.add_process()
        print(f"seed {wanted.seed}: three replicas, {wanted.minutes:g} minutes", flush=True)
        outcome = storm.run(wanted.minutes * 60, faults=not wanted.no_faults)
    print(outcome)
    for violation in outcome.found[:SHOWN_MAX]:
        print(f"  {violation}")
    if outcome.found:
        return VIOLATED
    if outcome.per_second < OPERATIONS_PER_SECOND_MIN:
        print(f"invalid: fewer than {OPERATIONS_PER_SECOND_MIN} operations a second say nothing")
        return INVALID
    return 0


if __name__ == "__main__":
    sys.exit(main())
