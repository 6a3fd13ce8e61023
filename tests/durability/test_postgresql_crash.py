"""kill -9 of PostgreSQL itself: nothing acknowledged is lost, and the server answers again without a restart."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from durability.invariants import problems, stored
from durability.mortal import MortalPostgresql
from durability.processes import Installation, ServerProcess, install, launched
from durability.writers import Ledger, writing
from lakewarden import Unavailable

KILLS = 4
CONTROL_KILLS_MAX = 6
WRITES_PER_KILL_MIN = 15
SECONDS = 0.2
RECOVERY_SECONDS_MAX = 15.0


@pytest.mark.timeout(180)
def test_a_killed_postgresql_loses_no_acknowledged_write(
    postgresql: MortalPostgresql, tmp_path: Path
) -> None:
    installation = install(postgresql.url, tmp_path / "data")
    ledger = Ledger()
    with installation.serve() as server:
        for number in range(KILLS):
            kill_while_writing(postgresql, installation, server, ledger, name=f"kill{number}")
            answers_again(installation, server)
            assert problems(postgresql.url, ledger) == [], f"kill {number}"
    assert len(ledger.acknowledged) >= KILLS * WRITES_PER_KILL_MIN


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
        with installation.serve(command=launched("--synchronous", "off")) as server:
            kill_while_writing(postgresql, installation, server, ledger, name=f"kill{number}")
        if set(ledger.acknowledged) - stored(postgresql.url):
            return
    pytest.fail(
        f"{CONTROL_KILLS_MAX} kills with synchronous_commit=off lost nothing: the harness proves nothing"
    )


def kill_while_writing(
    postgresql: MortalPostgresql,
    installation: Installation,
    server: ServerProcess,
    ledger: Ledger,
    *,
    name: str,
) -> None:
    """Lets four clients write, kills PostgreSQL in the middle of it and starts it again."""
    with writing(lambda: installation.client(server), ledger, name=name) as writers:
        writers.wait_for(WRITES_PER_KILL_MIN)
        time.sleep(SECONDS)
        postgresql.kill()
    # Without its primary the server says that it cannot answer; an answer could be a stale one (promise G5).
    with installation.client(server) as client, pytest.raises(Unavailable):
        client.authorization.check("SELECT", "table", "main.sales.orders")
    postgresql.restart()


def answers_again(installation: Installation, server: ServerProcess) -> None:
    """Waits until the same server process answers a read, and fails when it takes too long."""
    give_up = time.monotonic() + RECOVERY_SECONDS_MAX
    with installation.client(server) as client:
        while True:
            try:
                list(client.catalogs.list())
            except Unavailable:
                assert time.monotonic() < give_up, server.output
                time.sleep(0.1)
            else:
                return
