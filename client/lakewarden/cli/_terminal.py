"""What the terminal may see: colours only where they are wanted, and never a control character from the server."""

from __future__ import annotations

import sys
import unicodedata

import click

from lakewarden._config import colour_wanted


def styled(text: str, colour: str, *, stdout: bool = False) -> str:
    """Colour a text when its stream is a terminal and NO_COLOR is not set."""
    stream = sys.stdout if stdout else sys.stderr
    return click.style(text, fg=colour) if stream.isatty() and colour_wanted() else text


def counted(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Show control, format and line-breaking characters as escapes.

    A comment may hold an escape sequence or a bidirectional override; a table must not let it act on the terminal.
    """
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character
        for character in text
    )


def width(text: str) -> int:
    """Columns a text takes on a terminal: two for wide characters, none for combining ones."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def is_interactive() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()
