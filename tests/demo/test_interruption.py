"""The demo as a process: its exit codes, and that it leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakewarden_server.demo.lineage import DRAWING, DRAWING_OF_ANALYST

COMMAND = (sys.executable, "-m", "lakewarden_server.demo")
SECONDS_MAX = 60


def start(directory: Path) -> subprocess.Popen[str]:
    """The demo with a temporary directory of its own, and home, so that everything it leaves there shows."""
    return subprocess.Popen(
        COMMAND,
        cwd=directory,
        env={**os.environ, "TMPDIR": str(directory), "HOME": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A suite that runs under `nohup` would hand its ignored hang-up on.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def wait_for_files(directory: Path, process: subprocess.Popen[str]) -> None:
    """Until the server has made its directory: only then is there something to clean up."""
    give_up = time.monotonic() + SECONDS_MAX
    while not any(directory.glob("lakewarden-*/lakewarden.db")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.005)


def assert_nothing_is_left(directory: Path, process: subprocess.Popen[str]) -> None:
    # The PostgreSQL package shares one empty lock file between all that use it, and leaves it where temporary files go.
    assert [path for path in directory.iterdir() if path.name != ".lockfile"] == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_demo_exits_with_zero_and_leaves_its_drawings_alone(tmp_path: Path) -> None:
    process = start(tmp_path)
    output, errors = process.communicate(timeout=SECONDS_MAX)
    assert (process.returncode, errors) == (0, "")
    assert output.splitlines()[-1].startswith("demo ok: 41 allowed, 25 denied, ")
    assert "\x1b" not in output
    for drawing in (DRAWING, DRAWING_OF_ANALYST):
        (tmp_path / drawing).unlink()
    assert_nothing_is_left(tmp_path, process)


@pytest.mark.parametrize(
    ("number", "delay_seconds"),
    [
        pytest.param(number, delay, marks=() if at == place else pytest.mark.slow)
        for at, number in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        for place, delay in enumerate((0.0, 0.15, 0.4))
    ],
)
def test_interrupted_demo_leaves_nothing(
    tmp_path: Path, number: signal.Signals, delay_seconds: float
) -> None:
    process = start(tmp_path)
    wait_for_files(tmp_path, process)
    time.sleep(delay_seconds)
    process.send_signal(number)
    # The impatient second one.
    process.send_signal(number)
    _, errors = process.communicate(timeout=SECONDS_MAX)
    assert (process.returncode, errors) == (128 + number, "\ninterrupted: stopping the server\n")
    assert_nothing_is_left(tmp_path, process)


def test_demo_whose_reader_goes_away_ends_quietly(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=SECONDS_MAX) == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert_nothing_is_left(tmp_path, process)
