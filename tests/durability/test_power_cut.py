"""An acknowledged write survives a power cut (DESIGN section 1; SQLite with synchronous=FULL).

Where images cannot be mounted, the syncs of each acknowledged write are counted instead, and the test output says so.
"""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from durability.images import Disk, mounted_disk, why_no_disk
from durability.invariants import problems, stored
from durability.processes import Installation, forked, install, launched, set_up
from durability.recoveries import Recoveries
from durability.writers import Ledger, writing

CUTS = 5
CUTS_LONG = 40
CONTROL_CUTS_MAX = 20
WRITES_PER_CUT_MIN = 25
WRITERS = 4
SECONDS = (0.2, 0.6)
COUNTED_WRITES = 30
SYNC = re.compile(r"\b(?:fdatasync|fsync)\(")
STRACE = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fdatasync,fsync", "-o")


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk whose power can be cut, where this machine can mount one."""
    if why_no_disk():
        pytest.skip(f"{why_no_disk()}; test_each_acknowledged_write_is_synced counts syncs instead")
    with mounted_disk() as mounted:
        yield mounted


@pytest.mark.timeout(240)
def test_a_power_cut_loses_no_acknowledged_write(disk: Disk) -> None:
    cut_over_and_over(disk, cuts=CUTS, command=forked())


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_power_cut_loses_no_acknowledged_write_for_long(disk: Disk) -> None:
    cut_over_and_over(disk, cuts=CUTS_LONG)


@pytest.mark.timeout(240)
def test_control_without_syncing_a_power_cut_loses_acknowledged_writes(disk: Disk) -> None:
    chance = random.Random(20261121)
    relaxed = forked("--synchronous", "off")
    installation = install_on(disk)
    for number in range(CONTROL_CUTS_MAX):
        ledger, seconds = Ledger(), chance.uniform(*SECONDS)
        cut(
            disk,
            installation,
            ledger,
            name=f"cut{number}",
            seconds=seconds,
            recoveries=Recoveries(),
            command=relaxed,
        )
        if set(ledger.acknowledged) - stored(installation.url):
            return
    pytest.fail(f"{CONTROL_CUTS_MAX} cuts with synchronous=NORMAL lost nothing: the harness proves nothing")


@pytest.mark.timeout(120)
def test_each_acknowledged_write_is_synced(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        if why_no_disk():
            pytest.fail(f"durability cannot be tested here: {why_no_disk()}, and strace not found")
        pytest.skip("strace not found; the power cuts above are the stronger test")
    installation = install(f"sqlite:///{tmp_path / 'lakewarden.db'}", tmp_path / "data")
    assert count_syncs(installation, tmp_path / "full") >= COUNTED_WRITES
    # The control: the same writes without a sync each.
    relaxed = launched("--synchronous", "off")
    assert count_syncs(installation, tmp_path / "normal", command=relaxed) < COUNTED_WRITES / 2


def install_on(disk: Disk) -> Installation:
    """An installation whose database, key file and log are all on the disk."""
    directory = disk.mount_point / "data"
    # A copy would not be on the disk before it is synced.
    return set_up(f"sqlite:///{directory / 'lakewarden.db'}", directory)


def cut_over_and_over(disk: Disk, *, cuts: int, command: Sequence[str] = ()) -> None:
    """Cuts the power of a server under load, starts it on what is left, and looks at everything each time.

    Those that are cut are started by `command`; what is left at last the real executable serves.
    """
    ledger, recoveries, chance = Ledger(), Recoveries(), random.Random(20261120)
    installation = install_on(disk)
    for number in range(cuts):
        seconds = chance.uniform(*SECONDS)
        cut(
            disk,
            installation,
            ledger,
            name=f"cut{number}",
            seconds=seconds,
            recoveries=recoveries,
            command=command,
        )
        assert problems(installation.url, ledger) == [], f"cut {number}"
    with recoveries.serve(installation) as server, installation.client(server) as client:
        present = {catalog.name for catalog in client.catalogs.list()}
    assert set(ledger.acknowledged) - present == set()
    assert len(ledger.acknowledged) >= cuts * WRITES_PER_CUT_MIN
    print(f"{cuts} cuts, {len(ledger.acknowledged)} acknowledged writes, none lost")
    recoveries.check()


def cut(
    disk: Disk,
    installation: Installation,
    ledger: Ledger,
    *,
    name: str,
    seconds: float,
    recoveries: Recoveries,
    command: Sequence[str] = (),
) -> None:
    """Lets clients write, cuts the power and mounts what is left."""
    with (
        recoveries.serve(installation, command=command) as server,
        writing(lambda: installation.client(server), ledger, threads=WRITERS, name=name) as writers,
    ):
        writers.wait_for(WRITES_PER_CUT_MIN)
        time.sleep(seconds)
        # A frozen server acknowledges nothing, so all that was ever acknowledged was so before the copy.
        server.freeze()
        disk.capture()
        server.kill()
    disk.swap()


def count_syncs(installation: Installation, trace: Path, *, command: Sequence[str] = ()) -> int:
    """How often the server syncs a file while it acknowledges `COUNTED_WRITES` writes one after the other."""
    with (
        installation.serve(command=command, prefix=(*STRACE, str(trace))) as server,
        installation.client(server) as client,
    ):
        client.catalogs.create(f"{trace.name}_first")
        before = len(SYNC.findall(trace.read_text()))
        for number in range(COUNTED_WRITES):
            client.catalogs.create(f"{trace.name}_{number}")
        return len(SYNC.findall(trace.read_text())) - before
