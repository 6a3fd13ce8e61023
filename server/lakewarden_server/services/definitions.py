"""Columns of a table from what an engine has at hand: explicit columns, an Arrow schema, or CREATE TABLE text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from lakewarden_policy import name_key
from lakewarden_server.core.dialects import DIALECT_DEFAULT, DIALECTS
from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.services import validation

COLUMNS_MAX = 4_096
COLUMN_NAME_BYTES_MAX = 255
TYPE_TEXT_BYTES_MAX = 4_096
STATEMENT_BYTES_MAX = 65_536
STATEMENT_NESTING_MAX = 100


class ColumnDefinition(NamedTuple):
    """One column as it will be stored; `type_text` is SQL."""

    name: str
    type_text: str
    type_name: str
    nullable: bool
    comment: str


def from_message(columns: Iterable[Any]) -> Sequence[ColumnDefinition]:
    """Columns given explicitly as messages. Raises DEFINITION_INVALID."""
    return checked(
        ColumnDefinition(
            column.name,
            column.type_text.strip(),
            type_name_of(column.type_text),
            not column.required,
            validation.comment(column.comment),
        )
        for column in columns
    )


def from_arrow(schema_bytes: bytes) -> Sequence[ColumnDefinition]:
    """Columns of a serialized Arrow schema; types become SQL text. Raises DEFINITION_INVALID."""
    import pyarrow as pa

    try:
        schema = pa.ipc.read_schema(pa.py_buffer(schema_bytes))
    except (pa.ArrowException, OSError, ValueError, TypeError):
        raise _invalid(
            "arrow_schema is not a serialized Arrow schema: send `schema.serialize().to_pybytes()`"
        ) from None
    try:
        return checked(
            ColumnDefinition(
                field.name,
                sql := _sql_of_arrow(field.type),
                type_name_of(sql),
                field.nullable,
                _comment_of(field),
            )
            for field in schema
        )
    except (UnicodeDecodeError, RecursionError):
        raise _invalid("arrow_schema holds a name that is not UTF-8, or a type that nests too deep") from None


def from_statement(text: str, dialect: str) -> Sequence[ColumnDefinition]:
    """Columns of one CREATE TABLE statement with a column list. Raises DEFINITION_INVALID."""
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    chosen = dialect.lower() or DIALECT_DEFAULT
    if chosen not in DIALECTS:
        raise _invalid(f"dialect {dialect!r} is none of {', '.join(DIALECTS)}")
    if len(text.encode()) > STATEMENT_BYTES_MAX:
        raise _invalid(f"the statement is longer than {STATEMENT_BYTES_MAX} bytes")
    if nesting(text) > STATEMENT_NESTING_MAX:
        raise _invalid(f"the statement nests deeper than {STATEMENT_NESTING_MAX}")
    try:
        # What follows the column list is never used, so it is not parsed either: a long SELECT could take seconds.
        statements = parse(_with_column_list(text, chosen), dialect=chosen)
    except (SqlglotError, RecursionError):
        raise _invalid(f"the statement does not parse as {chosen} SQL") from None
    create = statements[0] if len(statements) == 1 else None
    if (
        not isinstance(create, exp.Create)
        or create.kind != "TABLE"
        or not isinstance(create.this, exp.Schema)
    ):
        raise _invalid("send exactly one CREATE TABLE statement with a list of columns")
    parts = create.this.expressions
    untyped = next((part.name for part in parts if isinstance(part, exp.Identifier | exp.Column)), None)
    if untyped is not None:
        raise _invalid(f"column {untyped!r} has no type")
    try:
        return checked(_column_of_sql(part, chosen) for part in parts if isinstance(part, exp.ColumnDef))
    except RecursionError:
        raise _invalid("a column's type nests too deep") from None


def _with_column_list(text: str, dialect: str) -> str:
    """The statement up to the parenthesis that closes its first one. Raises DEFINITION_INVALID for a second statement."""
    from sqlglot import TokenType, tokenize

    depth, end, ended = 0, len(text), False
    for token in tokenize(text, read=dialect):
        if ended:
            raise _invalid("send exactly one CREATE TABLE statement with a list of columns")
        if token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
            if depth == 0 and end == len(text):
                end = token.end + 1
        elif token.token_type is TokenType.SEMICOLON:
            ended = True
    return text[:end]


def type_name_of(type_text: str) -> str:
    """The type's name without parameters, upper case: `decimal(15,2)` -> `DECIMAL`."""
    return type_text.strip().upper().partition("(")[0].partition("<")[0].strip()


def _column_of_sql(column: Any, dialect: str) -> ColumnDefinition:
    from sqlglot import exp

    if column.kind is None:
        raise _invalid(f"column {column.name!r} has no type")
    constraints = [constraint.kind for constraint in column.args.get("constraints", [])]
    required = any(
        isinstance(kind, exp.PrimaryKeyColumnConstraint)
        or (isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null"))
        for kind in constraints
    )
    comment = next(
        (kind.this.name for kind in constraints if isinstance(kind, exp.CommentColumnConstraint)), ""
    )
    sql = column.kind.sql(dialect=dialect)
    return ColumnDefinition(column.name, sql, type_name_of(sql), not required, validation.comment(comment))


def _sql_of_arrow(arrow: Any) -> str:
    """SQL text for an Arrow type, in the words DuckDB and Spark share."""
    import pyarrow as pa

    plain = {
        pa.bool_(): "BOOLEAN", pa.int8(): "TINYINT", pa.int16(): "SMALLINT", pa.int32(): "INTEGER", pa.int64(): "BIGINT",
        pa.uint8(): "SMALLINT", pa.uint16(): "INTEGER", pa.uint32(): "BIGINT", pa.uint64(): "DECIMAL(20,0)",
        pa.float16(): "FLOAT", pa.float32(): "FLOAT", pa.float64(): "DOUBLE", pa.date32(): "DATE", pa.date64(): "DATE",
        pa.string(): "STRING", pa.large_string(): "STRING", pa.string_view(): "STRING",
        pa.binary(): "BINARY", pa.large_binary(): "BINARY", pa.binary_view(): "BINARY",
    }  # fmt: skip
    types = pa.types
    if arrow in plain:
        return plain[arrow]
    if types.is_decimal(arrow):
        return f"DECIMAL({arrow.precision},{arrow.scale})"
    if types.is_timestamp(arrow):
        return "TIMESTAMP" if arrow.tz else "TIMESTAMP_NTZ"
    if types.is_time(arrow):
        return "TIME"
    if types.is_dictionary(arrow):
        return _sql_of_arrow(arrow.value_type)
    if types.is_list(arrow) or types.is_large_list(arrow) or types.is_fixed_size_list(arrow):
        return f"ARRAY<{_sql_of_arrow(arrow.value_type)}>"
    if types.is_map(arrow):
        return f"MAP<{_sql_of_arrow(arrow.key_type)}, {_sql_of_arrow(arrow.item_type)}>"
    if types.is_struct(arrow):
        fields = (arrow.field(index) for index in range(arrow.num_fields))
        return (
            f"STRUCT<{', '.join(f'{_quoted(field.name)}: {_sql_of_arrow(field.type)}' for field in fields)}>"
        )
    if types.is_fixed_size_binary(arrow):
        return "BINARY"
    raise _invalid(f"the Arrow type {arrow} has no SQL type here")


def _quoted(name: str) -> str:
    """A field's name as SQL: plain where it can be, in backticks where it must be."""
    return name if name.isidentifier() else f"`{name.replace('`', '``')}`"


def _comment_of(field: Any) -> str:
    comment = (field.metadata or {}).get(b"comment", b"")
    return validation.comment(comment.decode("utf-8", "replace"))


def checked(definitions: Iterable[ColumnDefinition], *, typed: bool = True) -> Sequence[ColumnDefinition]:
    """The columns, when their names and types are ones a table can have; a view's need not be `typed`. Raises DEFINITION_INVALID."""
    columns = list(definitions)
    if len(columns) > COLUMNS_MAX:
        raise _invalid(f"{len(columns)} columns; a table has at most {COLUMNS_MAX}")
    seen: set[str] = set()
    for column in columns:
        _check_name(column.name)
        if _holds_invisible(column.type_text):
            raise _invalid(f"the type of column {column.name!r} holds a control or invisible character")
        if (typed and not column.type_text) or len(column.type_text.encode()) > TYPE_TEXT_BYTES_MAX:
            raise _invalid(
                f"column {column.name!r} has no type, or one longer than {TYPE_TEXT_BYTES_MAX} bytes"
            )
        if name_key(column.name) in seen:
            raise _invalid(f"the column name {column.name!r} stands twice; names differ by more than case")
        seen.add(name_key(column.name))
    return columns


def _check_name(name: str) -> None:
    if not name or len(name.encode()) > COLUMN_NAME_BYTES_MAX:
        raise _invalid(f"a column name has 1 to {COLUMN_NAME_BYTES_MAX} bytes: {name[:40]!r} does not")
    if _holds_invisible(name):
        raise _invalid(f"the column name {name!r} holds a control or invisible character")


def _holds_invisible(text: str) -> bool:
    return any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in text)


def nesting(text: str) -> int:
    """How deep brackets nest; `[]` nests once more each time it follows itself, as in `int[][]`."""
    depth = 0
    deepest = max((len(run) // 2 for run in re.findall(r"(?:\[\d*\])+", text)), default=0)
    for character in text:
        if character in "(<[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")>]":
            depth = max(0, depth - 1)
    return deepest


def _invalid(problem: str) -> InvalidArgument:
    return InvalidArgument(Reason.DEFINITION_INVALID, problem, field="definition")
