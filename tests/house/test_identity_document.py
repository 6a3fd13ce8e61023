"""The commands and programs of docs/identity.md are run as they stand there, by a shell against a server."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from house.repository import ROOT
from lakewarden_server.testing import serve

OF_THE_SDK = "from databricks.sdk"
"""Blocks with this line are run by tests/sdk, in the environment of that package."""
DOCUMENT = (ROOT / "docs/identity.md").read_text()


def blocks(language: str) -> list[str]:
    """The code blocks of the document in a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def test_shell_commands_work_as_shown(tmp_path: Path) -> None:
    with serve(directory=tmp_path, http=True) as server:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LAKEWARDEN_ENDPOINT": server.endpoint,
            "LAKEWARDEN_TOKEN": server.issue_token("admin@example.com", lifetime=timedelta(days=365)),
            "LAKEWARDEN_DATA_DIR": str(tmp_path),
            "HTTP_URL": server.http_url,
            "SCIM_URL": f"{server.http_url}/scim/v2",
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(blocks("sh"))],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "deleted client secret" in done.stderr
        assert "CLIENT_CREDENTIALS" in done.stdout
        assert "1 signing key, the first one signs" in done.stdout
        assert "SCIM" in done.stdout.partition("engineers")[2]
        grace = server.client().users.get("grace@example.com")
        assert (grace.external_id, grace.active) == ("00u1", False)


@pytest.mark.parametrize("program", [block for block in blocks("python") if OF_THE_SDK not in block])
def test_python_programs_work_as_shown(
    program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In this interpreter, with names of its own; each of README's is run by one of its own.
    (tmp_path / "program.py").write_text(program)
    runpy.run_path(str(tmp_path / "program.py"))
    assert capsys.readouterr().out == "True\n"
