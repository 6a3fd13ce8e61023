"""Virtual environments with unmodified packages of others and nothing of ours, each made once and kept under var/."""

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

from house.repository import ROOT

INSTALLATION_SECONDS = 240


def python_with(requirements: Path):
    """The interpreter of the environment that a requirements file describes, which names it.

    Fails where a package cannot be installed: then nothing was shown.
    """
    made_of = f"{sys.version}{sys.executable}{requirements.read_text()}"
    name = requirements.stem.removesuffix("-requirements")
    home = ROOT / "var" / f"{name}-env-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    home.parent.mkdir(exist_ok=True)
    # Test processes run side by side.
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / ".ready").exists():
            _run(sys.executable, "-m", "venv", "--clear", home)
            pip = (home / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            _run(*pip, "-r", requirements)
            (home / ".ready").touch()
    return home / "bin/python"


def packages_of(python):
    """What is installed beside an interpreter, as pip lists it."""
    done = subprocess.run(
        [python, "-I", "-m", "pip", "list", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALLATION_SECONDS)
    assert done.returncode == 0, f"what others publish cannot be installed:\n{done.stdout}{done.stderr}"
