"""Finds on which line of a TOML file each table and key stands; Python's reader does not tell.

Only for messages: a place that is not found (a table written inline) falls back to the nearest one that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')\s*\]\]?")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')\s*[=.]")
# Strings before brackets: a bracket inside a string closes nothing.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[{]|[\]}]|\n',
    re.DOTALL,
)


@dataclass
class Table:
    """One table of a file: the line of its header, and of each of its keys."""

    name: str
    line: int
    keys: dict[str, int] = field(default_factory=dict)

    def line_of(self, key: str) -> int:
        """The line of a key, or of the header where the key is not found."""
        return self.keys.get(key, self.line)


def find_tables(text: str) -> list[Table]:
    """The tables of a text that TOML accepts, in order; the first, without a name, is the top level."""
    tables = [Table("", 1)]
    for line, statement in _statements(text):
        header, key = _HEADER.match(statement), _KEY.match(statement)
        if header is not None:
            tables.append(Table(header[2].strip("\"'"), line))
        elif key is not None:
            tables[-1].keys.setdefault(key[1].strip("\"'"), line)
    return tables


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header and each pair with the line it begins on, however many lines it takes."""
    start, line, depth, lines_before = 0, 1, 0, 1
    for token in _TOKEN.finditer(text):
        found = token.group()
        if found in ("[", "{"):
            depth += 1
        elif found in ("]", "}"):
            depth -= 1
        line += found.count("\n")
        if found == "\n" and depth <= 0:
            yield lines_before, text[start : token.start()]
            start, lines_before, depth = token.end(), line, 0
    yield lines_before, text[start:]
