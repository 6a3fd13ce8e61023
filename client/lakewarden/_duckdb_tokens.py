"""Second witness: DuckDB's own tokenizer. Finds every name that is called and the name that is written.

Functions are checked on tokens, not on a tree, because sqlglot gives many functions a class and forgets what
was typed. Every name before a parenthesis is looked at; that includes names that are no calls, never too few.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import cache
from typing import NamedTuple

import duckdb
from lakewarden._duckdb_access import StatementRefused
from lakewarden._duckdb_parse import Name, StatementKind, ascii_fold

SQL_LENGTH_MAX = 200_000
"""Longest statement, in characters, that is looked at."""

TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest"})
"""All table functions that are run; each makes rows of its arguments and touches nothing else."""

DENIED_FUNCTIONS = frozenset(
    {
        "col_description", "combine", "current_connection_id", "current_query", "current_query_id", "current_setting",
        "current_transaction_id", "currval", "finalize", "format_pg_type", "format_type",
        "get_block_size", "getenv", "getvariable", "has_any_column_privilege", "in_search_path",
        "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port",
        "json_deserialize_sql", "json_execute_serialized_sql", "json_serialize_plan",
        "json_serialize_sql", "map_to_pg_oid", "nextval", "obj_description", "parse_duckdb_log_message",
        "query", "query_table", "setseed", "shobj_description", "sleep_ms", "stats", "txid_current",
        "vector_type", "write_log",
    }
)  # fmt: skip
"""Built-in functions that read settings, catalog or statistics, change state, run SQL text or only wait."""

DENIED_FUNCTION_PREFIXES = ("pg_", "has_", "__internal_", "duckdb_", "pragma_", "read_", "parquet_", "test_")

_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_WORD = re.compile(r"[^\W\d][\w$]*")
_COMMENTS = re.compile(r"--[^\r\n]*|/\*.*?\*/", re.DOTALL)
_BLANKS = frozenset(" \t\r\n")


class Token(NamedTuple):
    """A word, or the first character of anything else; `word` is the name without quotes, else empty.

    `start` is the position of its first character in the statement.
    """

    text: str
    word: str
    start: int = 0


def check_characters(sql: str) -> None:
    """Refuse text whose blanks two tokenizers could see differently; such text belongs into parameters."""
    if len(sql) > SQL_LENGTH_MAX:
        raise StatementRefused(f"the statement is longer than {SQL_LENGTH_MAX} characters")
    for character in sql:
        if character not in _BLANKS and unicodedata.category(character)[0] in "CZ":
            raise StatementRefused(
                f"the statement contains the character U+{ord(character):04X}; pass such text as a parameter"
            )


def tokens(sql: str) -> list[Token]:
    """DuckDB's tokens with their text. Raises StatementRefused when DuckDB did not read to the end."""
    encoded = sql.encode()
    starts = [start for start, _ in duckdb.tokenize(sql)]
    found: list[Token] = []
    rest, read = sql, 0
    for start in starts:
        # DuckDB counts bytes.
        rest = rest[len(encoded[read:start].decode()) :]
        read = start
        found.append(_token(rest)._replace(start=len(sql) - len(rest)))
    if found and found[-1].text[0] not in "'$":
        # The tokenizer stops silently at what it cannot read, and what it skips would go unchecked.
        unread = _COMMENTS.sub("", encoded[starts[-1] :].decode().removeprefix(found[-1].text))
        if re.search(r"[\w\"'(]", unread) and not found[-1].text.isdigit():
            raise StatementRefused("DuckDB's tokenizer cannot read the statement to its end")
    return found


def _token(rest: str) -> Token:
    quoted = _QUOTED.match(rest)
    if quoted:
        return Token(quoted[0], quoted[0][1:-1].replace('""', '"'))
    word = _WORD.match(rest)
    # A string constant may open with a letter (E'...', x'...'); it is no name.
    if word and not rest[word.end() :].startswith("'"):
        return Token(word[0], word[0])
    return Token(rest[:1] if not word else "'", "")


def called_names(statement_tokens: list[Token], *, but: Collection[int] = ()) -> set[str]:
    """Every name before an opening parenthesis, folded: all calls, and column lists and types too; not those that start at `but`."""
    following = statement_tokens[1:]
    return {
        ascii_fold(token.word)
        for token, after in zip(statement_tokens, following, strict=False)
        if token.word and after.text == "(" and token.start not in but
    }


def check_called_names(names: set[str], known: frozenset[str]) -> None:
    """Refuse a call of anything but DuckDB's own harmless functions.

    `known` holds every function the connection knows, user-defined ones included. A name it does not know
    cannot be called: DuckDB fails to bind it, as no extension loads by itself.
    """
    allowed = builtin_functions()
    refused = sorted(name for name in names if is_denied(name) or (name in known and name not in allowed))
    if refused:
        raise StatementRefused(f"function {', '.join(refused)} is not run on a governed connection")


def is_denied(name: str) -> bool:
    """Whether a folded function name is on the deny list."""
    return name in DENIED_FUNCTIONS or name.startswith(DENIED_FUNCTION_PREFIXES)


def builtin_functions() -> frozenset[str]:
    """The functions a fresh DuckDB has and that may be called; none of extensions loaded later."""
    return (own_functions() | TABLE_FUNCTIONS) - DENIED_FUNCTIONS


@cache
def own_functions() -> frozenset[str]:
    """The functions a fresh DuckDB has outside FROM, those that may not be called among them."""
    with duckdb.connect(":memory:") as pristine:
        rows = pristine.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions()"
            " WHERE function_type IN ('scalar', 'aggregate', 'macro')"
        ).fetchall()
    return frozenset(ascii_fold(name) for (name,) in rows)


def written_name(statement_tokens: list[Token], kind: StatementKind) -> Name:
    """The name after INSERT INTO, UPDATE, DELETE FROM, MERGE INTO or CREATE TABLE, outside parentheses."""
    top_level = list(_outside_parentheses(statement_tokens))
    verb, *preposition = _INTRODUCERS[kind]
    # A CTE may be called `update`; the verb stands first, or after the parenthesis that closes the last CTE.
    start = next(
        (
            position
            for position, token in enumerate(top_level)
            if token.text.lower() == verb and (position == 0 or top_level[position - 1].text == ")")
        ),
        None,
    )
    if start is None:
        raise StatementRefused(f"DuckDB's tokens show no {verb.upper()}")
    rest = top_level[start + 1 :]
    if preposition:
        words = [token.text.lower() for token in rest]
        rest = rest[words.index(preposition[0]) + 1 :] if preposition[0] in words else []
    if (
        kind is StatementKind.CREATE_TABLE_AS
        and " ".join(token.text for token in rest[:3]).lower() == "if not exists"
    ):
        rest = rest[3:]
    return _leading_name(rest)


_INTRODUCERS = {
    StatementKind.INSERT: ("insert", "into"),
    StatementKind.UPDATE: ("update",),
    StatementKind.DELETE: ("delete", "from"),
    StatementKind.MERGE: ("merge", "into"),
    StatementKind.CREATE_TABLE_AS: ("create", "table"),
}


def _leading_name(rest: list[Token]) -> Name:
    name: list[str] = []
    for part, separator in zip(rest[0::2], [*rest[1::2], Token(";", "")], strict=False):
        if not part.word:
            break
        name.append(part.word)
        if separator.text != ".":
            return tuple(name)
    raise StatementRefused("the written table must be a plain name")


def _outside_parentheses(statement_tokens: list[Token]) -> Iterator[Token]:
    """The tokens at depth zero; of a parenthesized group only its closing parenthesis."""
    depth = 0
    for token in statement_tokens:
        depth += token.text == "("
        depth -= token.text == ")"
        if depth == 0:
            yield token
