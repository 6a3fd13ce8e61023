"""A reader for the part of the Dockerfile language this repository uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

INSTRUCTIONS = frozenset(
    [
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    ]
)


class Instruction(NamedTuple):
    """One instruction with everything after its first word, continuation lines joined."""

    name: str
    arguments: str

    @property
    def words(self) -> list[str]:
        """The arguments apart; those of the JSON form as they are run."""
        if self.arguments.startswith("["):
            return [str(word) for word in json.loads(self.arguments)]
        return self.arguments.split()


def read(path: Path) -> Iterator[Instruction]:
    """The instructions of a Dockerfile. Raises ValueError for a line that is none."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, arguments = line.partition(" ")
        if name not in INSTRUCTIONS or not arguments:
            raise ValueError(f"{path.name}: {line!r} is no instruction")
        yield Instruction(name, arguments.strip())
