"""The lines between a server and the process that traces for it: JSON, so that neither side runs what the other sends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from lakewarden_server.lineage.mapping import ColumnUse, Subtype
from lakewarden_server.lineage.sql.traced import Kind, Path, Reason, Source, TableName, Traced

READY: Final = "ready"
"""What a worker says when it has started."""
COLUMNS: Final = "columns"
"""A question: the columns of a source, answered by a line with their names or null."""
TRACED: Final = "traced"
"""The result."""


class Request(NamedTuple):
    """One text to trace."""

    sql: str
    dialect: str
    catalog: str
    schema: str


def line(message: Any) -> bytes:
    """A message as a line."""
    return json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def from_source(source: Source) -> list[str]:
    """A source as JSON: the parts of a name, or a URL alone."""
    return list(source)


def to_source(parts: Sequence[str]) -> Source:
    """A source from JSON."""
    return Path(*parts) if len(parts) == 1 else TableName(*parts)


def from_traced(traced: Traced) -> list[Any]:
    """An answer as JSON; sources stand once, uses name them by number."""
    numbers: dict[Source, int] = {}
    for use in traced.uses:
        numbers.setdefault(use.source, len(numbers))
    uses = [[use.target, numbers[use.source], use.column, use.subtype, use.masking] for use in traced.uses]
    return [
        traced.kind,
        [from_source(source) for source in traced.reads],
        from_source(traced.writes) if traced.writes is not None else None,
        traced.columns,
        [from_source(source) for source in numbers],
        uses,
        traced.sourceless,
        traced.unresolved,
        traced.reason,
        traced.defines,
    ]


def to_traced(fields: Sequence[Any]) -> Traced:
    """An answer from JSON."""
    kind, reads, writes, columns, sources, uses, sourceless, unresolved, reason, defines = fields
    numbered = [to_source(parts) for parts in sources]
    return Traced(
        Kind(kind),
        tuple(to_source(parts) for parts in reads),
        to_source(writes) if writes is not None else None,
        tuple(columns),
        tuple(
            ColumnUse(target, numbered[number], column, Subtype(subtype), masking)
            for target, number, column, subtype, masking in uses
        ),
        tuple(sourceless),
        tuple(unresolved),
        Reason(reason) if reason is not None else None,
        bool(defines),
    )
