"""Tables that a text names where it does not parse: those after FROM, JOIN, INTO and the like that the catalog knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlglot import TokenType

from lakewarden_server.lineage.sql.binding import Binding
from lakewarden_server.lineage.sql.relations import folded
from lakewarden_server.lineage.sql.traced import Kind, Reason, Source, TableName, Traced

_READING: Final = frozenset({"FROM", "JOIN", "USING", "CLONE"})
_WRITING: Final = frozenset({"INTO", "UPDATE", "OVERWRITE"})
_PASSED: Final = frozenset({"TABLE", "ONLY", "OVERWRITE", "INTO"})
"""Words that may stand before the name."""
_MOVING: Final = frozenset(
    {
        "SELECT",
        "WITH",
        "FROM",
        "INSERT",
        "MERGE",
        "UPDATE",
        "DELETE",
        "CREATE",
        "COPY",
        "REPLACE",
        "CACHE",
        "(",
    }
)
"""How a statement that moves data begins; another one, as SHOW COLUMNS FROM, names tables it does not read."""
_PARTS_MAX: Final = 3


def named_only(binding: Binding, tokens: Sequence[Any], reason: Reason) -> Traced:
    """The known tables that the tokens of one statement name."""
    if not tokens or tokens[0].text.upper() not in _MOVING:
        return Traced(Kind.OTHER, reason=reason)
    own = {folded(name) for name in _common_tables(tokens)}
    reads: dict[Source, None] = {}
    writes: dict[Source, None] = {}
    for place, token in enumerate(tokens):
        word = token.text.upper()
        if word not in _READING and word not in _WRITING:
            continue
        parts = _name(tokens, place + 1)
        if not parts or (len(parts) == 1 and folded(parts[0]) in own):
            continue
        table: TableName = binding.table_name(parts)
        if binding.columns_of(table) is not None:
            (writes if word in _WRITING else reads)[table] = None
    return Traced(Kind.OTHER, tuple(reads), next(iter(writes), None), reason=reason)


def _common_tables(tokens: Sequence[Any]) -> Iterator[str]:
    """Names that WITH gives: those before AS and a parenthesis."""
    for name, word, opening in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if word.token_type is TokenType.ALIAS and opening.token_type is TokenType.L_PAREN:
            yield name.text


def _name(tokens: Sequence[Any], place: int) -> list[str]:
    """The dotted name that begins at a place; nothing where none does, or a function."""
    while place < len(tokens) and tokens[place].text.upper() in _PASSED:
        place += 1
    parts: list[str] = []
    while place < len(tokens) and _is_word(tokens[place]):
        parts.append(str(tokens[place].text))
        if place + 1 == len(tokens) or tokens[place + 1].token_type is not TokenType.DOT:
            break
        place += 2
    is_call = place + 1 < len(tokens) and tokens[place + 1].token_type is TokenType.L_PAREN
    return parts if len(parts) <= _PARTS_MAX and not is_call else []


def _is_word(token: Any) -> bool:
    return token.token_type is TokenType.IDENTIFIER or str(token.text).isidentifier()
