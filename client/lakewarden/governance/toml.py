"""Writes TOML in one canonical form: the same values always give the same bytes. Python reads TOML but does not write it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

LINE_LENGTH_MAX = 100
INDENT = "  "
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def write_tables(
    head: Mapping[str, Any], tables: Sequence[tuple[str, Mapping[str, Any]]], *, single: Sequence[str] = ()
) -> str:
    """The text of a document: top-level values, then one table after the other, in the order given.

    A table whose name is in `single` stands alone as `[name]`, each other is one of many: `[[name]]`.
    """
    blocks = ["".join(_pair(key, value) for key, value in head.items())]
    for name, values in tables:
        heading = f"[{name}]" if name in single else f"[[{name}]]"
        blocks.append(f"{heading}\n" + "".join(_pair(key, value) for key, value in values.items()))
    return "\n".join(block for block in blocks if block)


def _pair(key: str, value: Any) -> str:
    """One `key = value` with its line break; a list too long for a line stands one element to a line."""
    line = f"{_key(key)} = {_value(value)}\n"
    if not isinstance(value, (list, tuple)) or not value:
        return line
    if len(line) <= LINE_LENGTH_MAX and not isinstance(value[0], Mapping):
        return line
    elements = "".join(f"{INDENT}{_value(element)},\n" for element in value)
    return f"{_key(key)} = [\n{elements}]\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(element)}" for key, element in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if "\n" in value:
        return _multiline(value)
    return f'"{_escaped(value)}"'


def time_text(time: datetime) -> str:
    """A time in UTC as RFC 3339 and TOML have it, with as many digits as it needs."""
    text = time.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else f'"{_escaped(key)}"'


def _multiline(text: str) -> str:
    """A text of several lines as it would be typed, so that SQL stays readable.

    Three quotes in a row would end it; one or two right before its end are allowed by TOML 1.0.
    """
    lines = "\n".join(_escaped(line, special="\\") for line in text.split("\n"))
    return '"""\n' + lines.replace('"""', '""\\"') + '"""'


def _escaped(text: str, *, special: str = '"\\') -> str:
    """The inside of a string: special and control characters are escaped."""
    return "".join(
        f"\\u{ord(character):04X}"
        if ord(character) < 0x20 or character == "\x7f"
        else f"\\{character}"
        if character in special
        else character
        for character in text
    )
