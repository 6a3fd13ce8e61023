"""What the tests of governance files share: a command line bound to an embedded server, and a place for files."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from lakewarden.cli import main
from lakewarden_server.testing import WORKSPACE, EmbeddedServer


class Done(NamedTuple):
    """What a command printed."""

    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command line against a server, in the directory of the test, and check its exit code."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(
        server: EmbeddedServer | None,
        line: str,
        *,
        exits: int = 0,
        as_user: str = "",
        workspace: str = WORKSPACE,
    ) -> Done:
        monkeypatch.setenv("LAKEWARDEN_WORKSPACE", workspace)
        monkeypatch.setenv("LAKEWARDEN_ENDPOINT", server.endpoint if server else "127.0.0.1:1")
        token = "" if server is None else server.token_of(as_user) if as_user else server.admin_token
        monkeypatch.setenv("LAKEWARDEN_TOKEN", token)
        capsys.readouterr()
        code = main(shlex.split(line))
        captured = capsys.readouterr()
        assert code == exits, captured.err + captured.out
        return Done(captured.out, captured.err)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a governance file and return its path."""

    def write(text: str, name: str = "governance.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8", newline="\n")
        return path

    return write
