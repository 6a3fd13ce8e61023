"""kill -9 of PostgreSQL itself: nothing acknowledged is lost, and the server answers again without a restart."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from durability.invariants import problems, stored
from durability.mortal import MortalPostgresql
from durability.processes import Installation, ServerProcess, forked, install
from durability.recoveries import Recoveries
from durability.writers import Ledger, writing
from lakewarden import Unavailable

KILLS = 4
KILLS_LONG = 12
CONTROL_KILLS_MAX = 6
WRITES_PER_KILL_MIN = 15
SECONDS = 0.2


@pytest.mark.timeout(180)
def test_a_killed_postgresql_loses_no_acknowledged_write(
    postgresql: MortalPostgresql, tmp_path: Path
) -> None:
    kill_over_and_over(postgresql, install(postgresql.url, tmp_path / "data"), kills=KILLS)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_killed_postgresql_loses_no_acknowledged_write_for_long(
    postgresql: MortalPostgresql, tmp_path: Path
) -> None:
    kill_over_and_over(postgresql, install(postgresql.url, tmp_path / "data"), kills=KILLS_LONG)


@pytest.mark.timeout(180)
def test_control_without_synchronous_commit_a_killed_postgresql_loses_writes(
    postgresql: MortalPostgresql, tmp_path: Path
) -> None:
    # The background writer syncs every 200 ms by default, which would hide most of what is lost.
    postgresql.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
    postgresql.execute("SELECT pg_reload_conf()")
    installation = install(postgresql.url, tmp_path / "data")
    for number in range(CONTROL_KILLS_MAX):
        ledger = Ledger()
        with installation.serve(command=forked("--synchronous", "off")) as server:
            kill_while_writing(postgresql, installation, server, ledger, name=f"kill{number}")
        if set(ledger.acknowledged) - stored(postgresql.url):
            return
    pytest.fail(
        f"{CONTROL_KILLS_MAX} kills with synchronous_commit=off lost nothing: the harness proves nothing"
    )


def kill_over_and_over(postgresql: MortalPostgresql, installation: Installation, *, kills: int) -> None:
    """Kills the database of one server that lives on, and looks at everything each time."""
    ledger, recoveries = Ledger(), Recoveries()
    with installation.serve() as server:
        for number in range(kills):
            restarted = kill_while_writing(postgresql, installation, server, ledger, name=f"kill{number}")
            recoveries.wait(installation, server, since=restarted)
            assert problems(postgresql.url, ledger) == [], f"kill {number}"
    assert len(ledger.acknowledged) >= kills * WRITES_PER_KILL_MIN
    print(f"{kills} kills, {len(ledger.acknowledged)} acknowledged writes, none lost")
    recoveries.check()


def kill_while_writing(
    postgresql: MortalPostgresql,
    installation: Installation,
    server: ServerProcess,
    ledger: Ledger,
    *,
    name: str,
) -> float:
    """Lets four clients write, kills PostgreSQL in the middle of it and starts it again; when it runs, in monotonic seconds."""
    with writing(lambda: installation.client(server), ledger, name=name) as writers:
        writers.wait_for(WRITES_PER_KILL_MIN)
        time.sleep(SECONDS)
        postgresql.kill()
    # Without its primary the server says that it cannot answer; an answer could be a stale one (promise G5).
    with installation.client(server) as client, pytest.raises(Unavailable):
        client.authorization.check("SELECT", "table", "main.sales.orders")
    postgresql.restart()
    return time.monotonic()
