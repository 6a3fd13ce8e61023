"""A virtual environment with the unmodified Databricks SDK and nothing of ours, made once and kept under var/."""

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

from house.repository import ROOT

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
INSTALLATION_SECONDS = 240


def sdk_python():
    """The interpreter of the environment. Fails where the package cannot be installed: then nothing was shown."""
    made_of = f"{sys.version}{sys.executable}{REQUIREMENTS.read_text()}"
    home = ROOT / "var" / f"sdk-env-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    home.parent.mkdir(exist_ok=True)
    # Test processes run side by side.
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / ".ready").exists():
            _run(sys.executable, "-m", "venv", "--clear", home)
            _run(
                home / "bin/python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
                REQUIREMENTS,
            )
            (home / ".ready").touch()
    return home / "bin/python"


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALLATION_SECONDS)
    assert done.returncode == 0, f"the Databricks SDK cannot be installed:\n{done.stdout}{done.stderr}"
