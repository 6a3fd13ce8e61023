"""From SQL text to what each of its statements reads, writes and makes of what. Runs in the process that calls it, without limits on time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlglot import TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError

from lakewarden_server.core.dialects import DIALECT_DEFAULT, DIALECTS
from lakewarden_server.lineage.sql.binding import Binding, Unsupported
from lakewarden_server.lineage.sql.found import answer, reason_of
from lakewarden_server.lineage.sql.named import named_only
from lakewarden_server.lineage.sql.queries import bind_query
from lakewarden_server.lineage.sql.relations import folded
from lakewarden_server.lineage.sql.sources import name_parts, source_of
from lakewarden_server.lineage.sql.statements import column_list, find, kind_of, target_of
from lakewarden_server.lineage.sql.traced import (
    STATEMENTS_MAX,
    TEXT_BYTES_MAX,
    USES_MAX,
    ColumnsOf,
    Kind,
    Path,
    Reason,
    Source,
    Traced,
)


class LimitReached(BaseException):
    """Raised from outside into a trace that has had what it may have. No library may take it for an error of its own."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


def trace(
    sql: str, *, dialect: str, columns_of: ColumnsOf, catalog: str = "", schema: str = ""
) -> list[Traced]:
    """What each statement of a text does. Names of fewer than three parts are completed from `catalog` and `schema`.

    Never raises for what the text says: what is not understood has a reason, and the tables it names as far as they can be told.
    """
    chosen = dialect.lower() or DIALECT_DEFAULT
    if chosen not in DIALECTS:
        return [Traced(Kind.OTHER, reason=Reason.DIALECT_UNKNOWN)]
    if len(sql.encode(errors="replace")) > TEXT_BYTES_MAX:
        return [Traced(Kind.OTHER, reason=Reason.TEXT_TOO_LONG)]
    spoken = Dialect.get_or_raise(chosen)
    try:
        statements = _split(spoken.tokenize(sql))
    except (SqlglotError, ValueError):
        return [Traced(Kind.OTHER, reason=Reason.SYNTAX)]
    except _LIMITS as limit:
        return [Traced(Kind.OTHER, reason=_limit(limit))]
    if len(statements) > STATEMENTS_MAX:
        return [Traced(Kind.OTHER, reason=Reason.TOO_MANY_STATEMENTS)]
    return _Text(sql, spoken, columns_of, (catalog, schema)).traced(statements)


def _split(tokens: Sequence[Any]) -> list[list[Any]]:
    """The tokens of each statement: one that does not parse takes none of the others along."""
    statements: list[list[Any]] = [[]]
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            statements.append([])
        else:
            statements[-1].append(token)
    return [statement for statement in statements if statement]


_LIMITS: Final = (RecursionError, MemoryError, LimitReached)
_MAKING: Final = frozenset({Kind.CREATE_TABLE, Kind.CREATE_VIEW})
_OF_THE_TEXT: Final = frozenset({Reason.TIME_LIMIT, Reason.MEMORY_LIMIT})
"""Limits that a text reaches as a whole: what follows in it is not followed either."""


def _limit(error: BaseException) -> Reason:
    if isinstance(error, LimitReached):
        return error.reason
    return Reason.MEMORY_LIMIT if isinstance(error, MemoryError) else Reason.NESTED_TOO_DEEP


class _Text:
    """One text: what its statements have made so far, and what is left of its limits."""

    def __init__(self, sql: str, dialect: Dialect, columns_of: ColumnsOf, defaults: tuple[str, str]) -> None:
        self._sql = sql
        self._dialect = dialect
        self._columns_of = columns_of
        self._defaults = defaults
        self._made: dict[Source, Sequence[str]] = {}
        self._uses_max = USES_MAX

    def traced(self, statements: Sequence[Sequence[Any]]) -> list[Traced]:
        """An answer or more for each statement."""
        answers: list[Traced] = []
        ended: Reason | None = None
        for tokens in statements:
            found = list(self._statement(tokens)) if ended is None else [Traced(Kind.OTHER, reason=ended)]
            ended = next((traced.reason for traced in found if traced.reason in _OF_THE_TEXT), None)
            answers += found
        return answers

    def _statement(self, tokens: Sequence[Any]) -> Iterator[Traced]:
        try:
            nodes = [
                node for node in self._dialect.parser().parse(list(tokens), self._sql) if node is not None
            ]
        except (SqlglotError, ValueError):
            yield named_only(self._binding(), tokens, Reason.SYNTAX)
            return
        except _LIMITS as limit:
            reason = _limit(limit)
            named = named_only(self._binding(), tokens, reason) if reason not in _OF_THE_TEXT else None
            yield named or Traced(Kind.OTHER, reason=reason)
            return
        for node in _single(nodes):
            traced = _traced(self._binding(), node, self._uses_max)
            if isinstance(node, exp.Command):
                traced = named_only(self._binding(), tokens, Reason.UNSUPPORTED)
            traced = traced._replace(defines=_defines(node, traced))
            self._uses_max -= len(traced.uses)
            self._made.update(_made(node, traced, self._columns_now))
            yield traced

    def _binding(self) -> Binding:
        return Binding(self._dialect, self._columns_now, self._defaults, bind_query)

    def _columns_now(self, source: Source) -> Sequence[str] | None:
        return self._made[source] if source in self._made else self._columns_of(source)


def _defines(node: Any, traced: Traced) -> bool:
    """Whether a statement makes its target anew: with IF NOT EXISTS nobody knows whether it did anything, and what is temporary is not it."""
    if traced.kind not in _MAKING or traced.writes is None or isinstance(node, exp.Command):
        return False
    properties = node.args.get("properties")
    is_temporary = properties is not None and properties.find(exp.TemporaryProperty) is not None
    return not is_temporary and not node.args.get("exists")


def _single(nodes: Sequence[Any]) -> Iterator[Any]:
    """The statements; one that inserts into several tables from one source is as many."""
    for node in nodes:
        if isinstance(node, exp.MultitableInserts) and node.args.get("source") is not None:
            for insert in node.expressions:
                query = insert.args.get("expression")
                if isinstance(query, exp.Select):
                    query.set("from_", exp.From(this=node.args["source"].copy()))
                yield insert
        else:
            yield node


def _made(node: Any, traced: Traced, columns_of: ColumnsOf) -> Iterator[tuple[Source, Sequence[str]]]:
    """The table, view or file that a statement makes, with its columns, for the statements after it."""
    makes = traced.kind in _MAKING or (traced.kind is Kind.COPY and isinstance(traced.writes, Path))
    if not makes or traced.writes is None or traced.reason is not None:
        return
    if node.args.get("exists") and columns_of(traced.writes) is not None:
        return
    columns = traced.columns or [str(name.name) for name in column_list(node.this)]
    if columns:
        yield traced.writes, columns


def _traced(binding: Binding, node: Any, uses_max: int) -> Traced:
    try:
        return answer(binding, find(binding, node), uses_max=uses_max)
    except Unsupported:
        reason = Reason.UNSUPPORTED
    except _LIMITS as limit:
        reason = _limit(limit)
    return tables_only(binding, node, reason)


def tables_only(binding: Binding, node: Any, reason: Reason) -> Traced:
    """The tables and files a statement names, where its columns cannot be followed."""
    if kind_of(node) is Kind.OTHER:
        return Traced(Kind.OTHER, reason=reason)
    target = target_of(binding, node)
    names = {folded(cte.alias) for cte in node.find_all(exp.CTE)}
    written = node.this.this if isinstance(node.args.get("this"), exp.Schema) else node.args.get("this")
    if isinstance(node, exp.Copy) and not node.args.get("kind"):
        written = None
    reads: dict[Source, None] = {}
    for table in node.find_all(exp.Table):
        parts = name_parts(table)
        source = source_of(binding, table)
        if source is None or table is written or (len(parts) == 1 and folded(parts[0]) in names):
            continue
        reads[source] = None
    if isinstance(node, exp.Select) and target is not None:
        reads.pop(target, None)
    return Traced(kind_of(node), tuple(reads), target, reason=reason_of({reason, *binding.reasons}))
