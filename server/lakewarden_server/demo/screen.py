"""How the demo looks: colours and widths of the terminal, progress on stderr, the table of outcomes, the reasons."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TextIO

from lakewarden_server.config import wants_color

WIDTH_DEFAULT: Final = 100
WIDTH_MIN: Final = 60
WIDTH_MAX: Final = 140
QUERY_COLUMN: Final = 5
GREEN, RED, BOLD, FAINT = "32", "31", "1", "2"


@dataclass
class Screen:
    """Where the demo prints, how wide that is, and whether colours are wanted."""

    output: TextIO
    progress: TextIO
    width: int = WIDTH_DEFAULT
    color: bool = False

    @classmethod
    def of_process(cls) -> Screen:
        """The screen of this process: no colours off a terminal or with NO_COLOR, the terminal's width where there is one."""
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size((WIDTH_DEFAULT, 24)).columns if terminal else WIDTH_DEFAULT
        return cls(
            sys.stdout,
            sys.stderr,
            width=max(WIDTH_MIN, min(width, WIDTH_MAX)),
            color=terminal and wants_color(),
        )

    def line(self, text: str = "", style: str = "") -> None:
        """Prints one line, cut to the width."""
        self.output.write(self.paint(shorten(text, self.width), style) + "\n")

    def title(self, text: str) -> None:
        """Prints a heading with an empty line before it."""
        self.output.write("\n")
        self.line(text, BOLD)

    def whole(self, text: str) -> None:
        """Prints one line that must not be cut: the last one, a statement to copy."""
        self.output.write(text + "\n")

    def paint(self, text: str, style: str) -> str:
        """The text in a style, where colours are wanted."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.color and style else text

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Shows on a terminal what takes a moment, and takes it away when it is done."""
        shown = self.progress.isatty()
        if shown:
            self.progress.write(f"{what} ...")
            self.progress.flush()
        try:
            yield
        finally:
            if shown:
                self.progress.write("\r\x1b[K")
                self.progress.flush()

    def header(self, people: tuple[str, ...]) -> None:
        """Prints the heading of the table of outcomes."""
        width = self._cell_width(len(people))
        cells = "".join("  " + shorten(person, width).ljust(width) for person in people)
        self.line("query"[:QUERY_COLUMN].ljust(QUERY_COLUMN) + cells.rstrip(), BOLD)

    def outcomes(self, query: str, cells: list[tuple[bool, str]]) -> None:
        """Prints one row: for each person whether it is allowed, and a few words."""
        width = self._cell_width(len(cells))
        painted = [
            self.paint(shorten(text, width).ljust(width), GREEN if allowed else RED)
            for allowed, text in cells
        ]
        self.output.write(query.ljust(QUERY_COLUMN) + "  " + "  ".join(painted).rstrip() + "\n")

    def _cell_width(self, columns: int) -> int:
        return (self.width - QUERY_COLUMN) // columns - 2


def shorten(text: str, width: int) -> str:
    """The text cut to a width; an ellipsis says that something is missing."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."
