"""What is found in a statement: names, kinds, reasons, and the answer made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from lakewarden_server.lineage.mapping import ColumnUse


class TableName(NamedTuple):
    """A table or view, each part as its key (`name_key`); a part that neither text nor defaults give is empty."""

    catalog: str
    schema: str
    name: str


class Path(NamedTuple):
    """Files, by their URL as written."""

    url: str


Source = TableName | Path

ColumnsOf = Callable[[Source], Sequence[str] | None]
"""The columns of a table in order; None where the catalog has no such table. Of a path: None, unless its schema is known."""


class Kind(StrEnum):
    """What a statement does."""

    SELECT = "SELECT"
    CREATE_TABLE = "CREATE_TABLE"
    CREATE_VIEW = "CREATE_VIEW"
    INSERT = "INSERT"
    MERGE = "MERGE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    COPY = "COPY"
    OTHER = "OTHER"


class Reason(StrEnum):
    """Why an answer says less than every column, the first that applies. The text of the statement is never part of it."""

    BUSY = "BUSY"
    """As many statements waited as may; this one was not looked at."""
    WORKER_FAILED = "WORKER_FAILED"
    """The process that traces ended without an answer."""
    TIME_LIMIT = "TIME_LIMIT"
    """It took more time than a text may."""
    MEMORY_LIMIT = "MEMORY_LIMIT"
    """It took more memory than a text may."""
    TEXT_TOO_LONG = "TEXT_TOO_LONG"
    """The text has more bytes than are read."""
    NESTED_TOO_DEEP = "NESTED_TOO_DEEP"
    """It nests deeper than is followed."""
    TOO_MANY_STATEMENTS = "TOO_MANY_STATEMENTS"
    """The text has more statements than are followed; none was."""
    TOO_MANY_USES = "TOO_MANY_USES"
    """More column uses were found than an answer to one text holds; none of this statement is given."""
    DIALECT_UNKNOWN = "DIALECT_UNKNOWN"
    """The dialect is none of those offered."""
    SYNTAX = "SYNTAX"
    """It does not parse as the dialect it is said to be in."""
    UNSUPPORTED = "UNSUPPORTED"
    """The statement, or a part of it, is of a kind that is not followed, or moves no data."""
    FUNCTION_UNKNOWN = "FUNCTION_UNKNOWN"
    """A function gives rows, and nobody knows what else than its arguments it reads."""
    TABLE_UNKNOWN = "TABLE_UNKNOWN"
    """The catalog has no such table, so what is said of its columns cannot be checked."""
    COLUMN_UNKNOWN = "COLUMN_UNKNOWN"
    """A column is named that nothing in sight has."""
    COLUMN_AMBIGUOUS = "COLUMN_AMBIGUOUS"
    """A column is named that several relations have or may have."""
    COLUMNS_UNKNOWN = "COLUMNS_UNKNOWN"
    """A star or a position stands for columns that nobody knows."""


class Traced(NamedTuple):
    """What one statement does. Column names are spelled as in the catalog, else as typed."""

    kind: Kind
    reads: tuple[Source, ...] = ()
    writes: Source | None = None
    columns: tuple[str, ...] = ()
    """Columns of the target that are written, of a SELECT its output, by position; a repeated output name gets a suffix (`a_1`)."""
    uses: tuple[ColumnUse[Source], ...] = ()
    sourceless: tuple[str, ...] = ()
    """Those of `columns` that are made of no column: literals, `count(*)`, ranks."""
    unresolved: tuple[str, ...] = ()
    """Names of columns that were left out of `uses`, at most UNRESOLVED_MAX."""
    reason: Reason | None = None
    """Why something is left out; None where all is known."""
    defines: bool = False
    """It says what its target is made of from now on, and not only what was added: CREATE … AS, unless IF NOT EXISTS."""


TEXT_BYTES_MAX: Final = 1_048_576
STATEMENTS_MAX: Final = 1_000
USES_MAX: Final = 100_000
"""Column uses of all statements of a text together."""
UNRESOLVED_MAX: Final = 100
"""Names of columns that an answer lists as left out."""
