"""In which order objects defined by SQL can be created: each after what its text names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lakewarden.governance.documents import Row, order
from lakewarden_policy import name_key

_NAME = r"(?:\"(?:[^\"]|\"\")+\"|`[^`]+`|[^\W\d]\w*)"
_DOTTED = re.compile(rf"{_NAME}(?:\s*\.\s*{_NAME}){{0,2}}")
_PART = re.compile(_NAME)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """The rows so that each comes after those its definition names.

    The text is not parsed: whatever could be the name of another row counts as one. A circle that comes from such a
    mistake is broken where it is met; the server has the last word.
    """
    named = {name_key(row.name): row for row in sorted(rows, key=lambda row: order(row.name))}
    found: dict[str, Row] = {}
    entered: set[str] = set()

    def visit(key: str) -> None:
        if key in entered:
            return
        entered.add(key)
        for other in mentioned(named[key]):
            if other in named:
                visit(other)
        found[key] = named[key]

    for key in named:
        visit(key)
    return list(found.values())


def mentioned(row: Row) -> Iterator[str]:
    """The keys of the full names that a row's definition may be about, short names completed from where the row is."""
    catalog, schema, _ = row.name.split(".")
    for match in _DOTTED.finditer(row.values.get("definition", "")):
        parts = [part.strip('"`').replace('""', '"') for part in _PART.findall(match.group())]
        yield name_key(".".join([catalog, schema][: 3 - len(parts)] + parts))
