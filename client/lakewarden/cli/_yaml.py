"""Writes plain data as YAML 1.2: block style, every string in double quotes, so that no text can turn into another type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

# Keys are ours or a user's; a plain one must not read as a boolean or null in YAML 1.1 either.
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def to_yaml(value: Any) -> str:
    """Return the document's text, ending with a newline."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Any) -> Iterator[str]:
    """The lines of a block; a scalar or an empty collection is one line."""
    if isinstance(value, Mapping) and value:
        for key, element in value.items():
            yield from _under(f"{_key(str(key))}:", element)
    elif isinstance(value, (list, tuple)) and value:
        for element in value:
            first, *rest = _lines(element)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _under(heading: str, value: Any) -> Iterator[str]:
    """A key with its value: beside it when it is one line, indented below when it is a block."""
    if isinstance(value, (Mapping, list, tuple)) and value:
        yield heading
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{heading} {_scalar(value)}"


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _RESERVED else _scalar(key)


def _scalar(value: Any) -> str:
    """JSON's notation is YAML's as well, but for the characters YAML wants escaped in a double-quoted string."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(character if _is_printable(character) else _escape(character) for character in text)


def _is_printable(character: str) -> bool:
    """Whether YAML 1.2 (section 5.1) takes the character as it is, without folding it as a line break."""
    code = ord(character)
    return (
        0x20 <= code <= 0x7E
        or (0xA0 <= code <= 0xFFFD and code not in (0x2028, 0x2029, 0xFEFF))
        or code > 0xFFFF
    )


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}"
