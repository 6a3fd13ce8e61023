"""docs/governance.md is what happens: its files are written, its commands run, and their output compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from governance.conftest import Run
from lakewarden.governance.nouns import NOUNS
from lakewarden_server.testing import serve

TEXT = (Path(__file__).parents[2] / "docs/governance.md").read_text()
WORKSPACE = "analytics"
FAILS = {"lakewarden test people.toml lake.toml": 1}


def test_the_example_works_as_shown(run: Run, write: Callable[..., Path]) -> None:
    for text, name in re.findall(r"```toml\n(# (\S+)\n.*?)```", TEXT, re.DOTALL):
        write(text, name)
    commands = 0
    with serve(workspace=False) as server:
        for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL):
            for session in block.removeprefix("$ ").split("\n$ "):
                line, _, expected = session.partition("\n")
                shown = run(
                    server, line.removeprefix("lakewarden "), exits=FAILS.get(line, 0), workspace=WORKSPACE
                )
                assert shown.out.rstrip("\n") == expected.rstrip("\n"), line
                commands += 1
    assert commands == 6


def test_the_table_lists_every_noun_with_its_fields() -> None:
    rows = re.findall(r"^\| `\[\[(\w+)\]\]` \| `(\w+)` \| (.*) \|$", TEXT, re.MULTILINE)
    listed = {noun: (key, re.findall(r"`(\w+)`", fields)) for noun, key, fields in rows}
    assert listed == {noun.name: (noun.key, [field.name for field in noun.fields]) for noun in NOUNS.values()}
