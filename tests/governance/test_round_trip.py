"""Export, apply on an empty server, export: the same bytes, whatever the world."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from governance.conftest import Run
from governance.worlds import World
from lakewarden_server.testing import serve

SHORT, LONG = range(2), range(2, 60)


@pytest.mark.parametrize("seed", [*SHORT, *(pytest.param(seed, marks=pytest.mark.slow) for seed in LONG)])
def test_export_of_what_was_applied_is_the_same_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    with serve() as source:
        World(source, seed).make()
        run(source, "export --output first.toml")
        assert run(source, "diff first.toml --prune").out == "nothing to do\n"
        run(source, "validate first.toml")
        # Again it is the same, and on the standard output nothing else.
        assert run(source, "export").out.encode() == (tmp_path / "first.toml").read_bytes()
    # Where the file says the secrets are; the text of a provider's profile may be any.
    for name in re.findall(r'env = "(\w+)"', (tmp_path / "first.toml").read_text()):
        monkeypatch.setenv(name, "hush")
    with serve(workspace=False) as target:
        run(target, "apply first.toml")
        run(target, "export --output second.toml")
        assert run(target, "apply first.toml --prune").out == "nothing to do\n"
    first = (tmp_path / "first.toml").read_bytes()
    assert (tmp_path / "second.toml").read_bytes() == first
    # Worlds in which nothing happens would prove nothing.
    assert first.count(b"[[grant]]") > 10
    assert first.count(b"[[table]]") > 0
