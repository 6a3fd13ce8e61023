"""Calls of functions of Lakewarden, and what DuckDB is given in their place.

The body of a function is put where its call stands, with arguments in the place of parameters by the tree of the body. Plain columns
and constants are put in as they are; anything else is computed once for each call, however often the body names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakewarden._duckdb_access import Function, StatementRefused
from lakewarden._duckdb_expressions import bound_expression
from lakewarden._duckdb_parse import CallReference
from lakewarden._duckdb_rewrite import quoted
from lakewarden._duckdb_tokens import SQL_LENGTH_MAX, Token

CALLS_MAX = 1_000
"""Most calls of functions of Lakewarden in one statement."""

_PLAIN_LENGTH_MAX = 256
"""Longest argument, in characters, that is put into a body in every place of its parameter."""

_ARGUMENTS = "governed_arguments"
_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")


class Call(NamedTuple):
    """One call in the text: where it stands, where its name does, and where each of its arguments."""

    full_name: str
    start: int
    name_start: int
    end: int
    arguments: tuple[tuple[int, int], ...]
    is_column: bool


def located(words: Sequence[Token], reference: CallReference, full_name: str) -> Call:
    """The call by DuckDB's tokens. Raises StatementRefused where they show another one than sqlglot read."""
    by_start = {token.start: index for index, token in enumerate(words)}
    first = by_start.get(reference.start, len(words))
    head = [token.word or token.text for token in words[first : first + 6]]
    catalog, schema, function = reference.name
    expected = [catalog, ".", schema, ".", function, "("]
    spans = _argument_spans(words, first + 6) if head == expected else None
    if spans is None or len(spans) - 1 != reference.arity:
        raise StatementRefused(f"the parsers disagree about a call of {'.'.join(reference.name)}")
    *arguments, (_, closing) = spans
    name_start = words[first + 4].start
    return Call(
        full_name,
        reference.start,
        name_start,
        closing,
        tuple(arguments),
        reference.start in reference.columns,
    )


def check_named(references: Sequence[CallReference]) -> None:
    """Raises StatementRefused for a column that DuckDB would name after a body: it may hold bodies of functions the caller cannot see."""
    starts = {reference.start for reference in references}
    for reference in references:
        if not starts.issuperset(reference.columns):
            name = ".".join(reference.name)
            raise StatementRefused(f"a column computed from {name}() needs a name: write AS after it")


def _argument_spans(words: Sequence[Token], first: int) -> list[tuple[int, int]] | None:
    """Where each argument begins and ends, and last where the closing parenthesis does; None where there is none.

    `first` is the index of the token after the opening parenthesis.
    """
    spans: list[tuple[int, int]] = []
    begin, depth = first, 1
    for index in range(first, len(words)):
        token = words[index]
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth == 0 or (depth == 1 and token.text == ","):
            if index > begin or token.text == "," or spans:
                spans.append((words[begin].start, token.start))
            begin = index + 1
        if depth == 0:
            return [*spans, (token.start, token.start + 1)]
    return None


class Expander:
    """Puts bodies into one statement. `functions` gives what a full name computes, or raises AccessDenied."""

    def __init__(self, sql: str, calls: Sequence[Call], functions: Callable[[str], Function]) -> None:
        if len(calls) > CALLS_MAX:
            raise StatementRefused(f"more than {CALLS_MAX} functions of Lakewarden are called")
        self._sql = sql
        self._calls = sorted(calls, key=lambda call: call.start)
        self._functions = functions
        self._length_left = SQL_LENGTH_MAX

    def expanded(self) -> str:
        """The statement without such calls. Raises AccessDenied and StatementRefused."""
        try:
            return self._text(0, len(self._sql))
        except RecursionError:
            raise StatementRefused("the statement is nested too deeply to be checked") from None

    def _text(self, start: int, end: int) -> str:
        pieces, position = [], start
        for call in self._calls:
            if call.start < position or call.end > end:
                continue
            pieces += [self._sql[position : call.start], self._body(call)]
            position = call.end
        return "".join([*pieces, self._sql[position:end]])

    def _body(self, call: Call) -> str:
        function = self._functions(call.full_name)
        arguments = [self._text(start, end) for start, end in call.arguments]
        if len(arguments) != len(function.parameters):
            raise StatementRefused(
                f"{call.full_name} takes {len(function.parameters)} arguments, not {len(arguments)}"
            )
        # A column of the result is called what was written, as DuckDB calls it.
        alias = f" AS {quoted(self._sql[call.start : call.end])}" if call.is_column else ""
        text = f"{_applied(function, arguments)}{alias}"
        self._length_left -= len(text)
        if self._length_left < 0:
            raise StatementRefused("the statement becomes too long with its functions put in")
        return text


def _applied(function: Function, arguments: Sequence[str]) -> str:
    """The body over arguments: plain ones in its own places, the others computed once and taken out of a struct."""
    given: dict[str, exp.Expr] = {}
    computed: list[str] = []
    trees = [_plain(argument) for argument in arguments]
    all_plain = None not in trees
    for name, argument, tree in zip(function.parameters, arguments, trees, strict=True):
        if tree is not None and (all_plain or not isinstance(tree, exp.Column)):
            given[name] = tree
            continue
        # Next to a computed argument a column is taken from outside as well: inside, a name could mean the struct.
        field = f"a{len(computed)}"
        computed.append(f"'{field}': {argument}")
        given[name] = exp.Bracket(
            this=exp.column(_ARGUMENTS, quoted=True), expressions=[exp.Literal.string(field)]
        )

    def argument_of(name: str) -> exp.Expr | None:
        return given[name].copy() if name in given else None

    body = bound_expression(function.definition, "a function", argument_of)
    if not computed:
        # A bare constant in an ORDER BY or GROUP BY would be the position of a column.
        is_constant = not any(isinstance(tree, exp.Column) for tree in trees)
        return f"coalesce({body})" if is_constant else f"({body})"
    return f"(list_transform([{{{', '.join(computed)}}}], lambda {_ARGUMENTS}: {body})[1])"


def _plain(argument: str) -> exp.Expr | None:
    """The tree of an argument that may stand in several places: a column or constant whose text means the same when written again."""
    text = argument.strip()
    if len(text) > _PLAIN_LENGTH_MAX:
        return None
    try:
        tree = sqlglot.parse_one(text, dialect="duckdb")
    except (SqlglotError, RecursionError):
        raise StatementRefused(f"an argument cannot be read by itself: {text}") from None
    if any(map(_is_star, tree.walk(prune=_is_query))):
        raise StatementRefused("a function of Lakewarden is called on columns by their names, not on *")
    is_plain = isinstance(tree, exp.Column | exp.Literal | exp.Null | exp.Boolean)
    return tree if is_plain and tree.sql(dialect="duckdb") == text else None


def _is_star(node: exp.Expr) -> bool:
    return isinstance(node, exp.Columns) or (
        isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count)
    )


def _is_query(node: exp.Expr) -> bool:
    return isinstance(node, exp.Query)
