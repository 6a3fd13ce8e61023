"""kill -9 in the middle of writes: each write is there with its change log, audit and request record, or not at all."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from durability.calls import Caller, calling
from durability.invariants import problems, stored
from durability.processes import WORKSPACE, Installation, forked, install
from durability.recoveries import Recoveries
from durability.writers import Ledger, writing
from lakewarden import Unavailable
from lakewarden.v1 import catalogs_pb2, catalogs_pb2_grpc
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import create_database

KILLS = 5
KILLS_LONG = 30
WRITES_PER_KILL_MIN = 15
WRITES_PER_KILL_LONG = 170
"""5,000 in all."""
SECONDS = (0.0, 0.3)
STEPS = ("begun", "head_taken", "data_written", "audit_written", "committed")
CRASHED = 137


@pytest.mark.timeout(240)
def test_kills_in_the_middle_of_writes_leave_each_write_whole_or_absent(
    database_url: str, tmp_path: Path
) -> None:
    kill_over_and_over(install(database_url, tmp_path / "data"), kills=KILLS, writes=WRITES_PER_KILL_MIN)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_kills_in_the_middle_of_writes_leave_each_write_whole_or_absent_for_long(
    database_url: str, tmp_path: Path
) -> None:
    installation = install(database_url, tmp_path / "data")
    kill_over_and_over(installation, kills=KILLS_LONG, writes=WRITES_PER_KILL_LONG, command=())


@pytest.mark.timeout(180)
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_a_step_of_a_write_is_all_or_nothing_and_a_retry_completes_it(
    step: str, database_url: str, tmp_path: Path
) -> None:
    installation = install(database_url, tmp_path / "data")
    ledger, request_id, armed = Ledger(), str(uuid.uuid4()), tmp_path / "armed"
    command = forked("--crash-at", step, "--crash-file", str(armed))
    with installation.serve(command=command) as server:
        with calling(server.endpoint, installation.token, WORKSPACE) as caller:
            create(caller, ledger, "before")
            armed.touch()
            with pytest.raises(Unavailable):
                create(caller, ledger, "during", request_id)
        assert server.wait() == CRASHED
    assert problems(database_url, ledger) == []
    assert ("during" in stored(database_url)) == (step == "committed")
    with (
        installation.serve(command=forked()) as server,
        calling(server.endpoint, installation.token, WORKSPACE) as caller,
    ):
        create(caller, ledger, "during", request_id)
        create(caller, ledger, "during", request_id)
    assert problems(database_url, ledger) == []
    assert stored(database_url) == {"before", "during"}


def test_control_a_write_that_lost_a_part_is_found(database_url: str, tmp_path: Path) -> None:
    installation = install(database_url, tmp_path / "data")
    ledger = Ledger()
    with (
        installation.serve(command=forked()) as server,
        calling(server.endpoint, installation.token, WORKSPACE) as caller,
    ):
        for name in ("whole", "broken", "gone"):
            create(caller, ledger, name)
    assert problems(database_url, ledger) == []
    execute(database_url, "DELETE FROM audit_log WHERE object_name = 'broken'")
    found = problems(database_url, ledger)
    assert any(problem.startswith("broken is not whole") for problem in found)
    assert any(problem.startswith("audit chain") for problem in found)
    assert not any(problem.startswith("whole") for problem in found)
    execute(database_url, f"DELETE FROM change_log WHERE revision = {ledger.acknowledged['gone']}")
    assert any("gaps" in problem for problem in problems(database_url, ledger))
    ledger.acknowledged["invented"] = 1
    ledger.attempted.add("invented")
    assert "invented was acknowledged at 1, stored is None" in problems(database_url, ledger)


def kill_over_and_over(
    installation: Installation, *, kills: int, writes: int, command: Sequence[str] = forked()
) -> None:
    """Lets four clients write, kills the server in the middle of it, and looks at everything each time.

    Those to be killed are started by `command`; what is left at last the real executable serves.
    """
    ledger, recoveries, chance = Ledger(), Recoveries(), random.Random(20261120)
    for number in range(kills):
        with (
            recoveries.serve(installation, command=command) as server,
            writing(
                lambda server=server: installation.client(server), ledger, name=f"kill{number}"
            ) as writers,
        ):
            writers.wait_for(writes)
            time.sleep(chance.uniform(*SECONDS))
            server.kill()
        assert problems(installation.url, ledger) == [], f"kill {number}"
    with recoveries.serve(installation) as server, installation.client(server) as client:
        present = {catalog.name for catalog in client.catalogs.list()}
    assert set(ledger.acknowledged) <= present <= ledger.attempted
    assert len(ledger.acknowledged) >= kills * writes
    print(f"{kills} kills, {len(ledger.acknowledged)} acknowledged writes, none lost")
    recoveries.check()


def create(caller: Caller, ledger: Ledger, name: str, request_id: str = "") -> None:
    """Creates a catalog in one attempt and notes the acknowledgement."""
    ledger.attempted.add(name)
    request = catalogs_pb2.CreateCatalogRequest(catalog=catalogs_pb2.Catalog(name=name))
    _, revision = caller.call(
        catalogs_pb2_grpc.CatalogServiceStub, "CreateCatalog", request, request_id=request_id
    )
    ledger.acknowledged.setdefault(name, revision)


def execute(url: str, statement: str) -> None:
    """Changes the database behind the server's back."""
    database = create_database(url)
    try:
        with database.transaction(deadline=monotonic() + 10) as connection:
            connection.execute(text(statement))
            connection.commit()
    finally:
        database.close()
