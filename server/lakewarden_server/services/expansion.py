"""Functions put into queries: bodies in the place of calls, and what they ask about the current user answered.

Whatever cannot be put into a query without changing what it means raises `NotExpandable`, and the access is denied.
Imported where it is used: sqlglot takes a quarter of a second to load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from lakewarden_policy import Reference, Snapshot, SqlFunction, ViewDefinition, name_key, principal_key
from lakewarden_server.core.dialects import DIALECT_DEFAULT
from lakewarden_server.services.queries import GROUP_FUNCTION, called_name

CALLS_DEEP_MAX = 10
EXPANDED_NODES_MAX = 4_000
SIMPLIFIED_NODES_MAX = 400
"""Nodes of a filter or mask that is looked at for what it hides: that takes the square of them, here tenths of a second."""
TEXTS_CACHED = 1_024

# A body with one of these means something else inside another query: names could be captured, rows combined.
_BOUND_TO_THEIR_PLACE = (exp.Query, exp.Lambda, exp.AggFunc, exp.Window, exp.Star, exp.Table, exp.Columns)
_CURRENT_USER = (exp.CurrentUser, exp.SessionUser)
# An argument with one of these may have another value each time it is computed, or is not known to have the same.
_MAY_DIFFER = (
    exp.Anonymous, exp.AnonymousAggFunc, exp.AnyValue, exp.ArrayAgg, exp.First, exp.FirstValue, exp.Last, exp.LastValue,
    exp.Normal, exp.Query, exp.Rand, exp.Randn, exp.Randstr, exp.Seq1, exp.Seq2, exp.Seq4, exp.Seq8, exp.TableSample,
    exp.Uniform, exp.Uuid, exp.Window, exp.Zipf,
)  # fmt: skip


class NotExpandable(Exception):
    """A function that an engine cannot be told as SQL; the text says why."""


class Session(NamedTuple):
    """Whoever runs the query: their name, and the keys of the groups they belong to through any nesting."""

    user: str
    groups: frozenset[str]


def session_of(snapshot: Snapshot, subject_id: str) -> Session:
    """The session of a principal (semantics 7.1: filters and masks ask about the session's user, also through views)."""
    held = snapshot.closure(subject_id)
    groups = (snapshot.principals[group] for group in held if group in snapshot.principals)
    return Session(
        snapshot.principals[subject_id].name,
        frozenset(group.name_key for group in groups if group.kind == "GROUP"),
    )


def policy_sql(function: SqlFunction, columns: Sequence[str], session: Session) -> str:
    """The expression a filter or mask shows, over the table's quoted columns. Raises NotExpandable."""
    applied = _policy(function, tuple(columns))
    # Only what it asks about the session, so that what does not ask is written once for everybody.
    asked = Session(session.user if applied.asks_user else "", applied.groups & session.groups)
    return _policy_written(function, tuple(columns), asked)


def asked_by(function: SqlFunction, columns: Sequence[str]) -> tuple[bool, frozenset[str]]:
    """What a filter or mask tells sessions apart by: whether by the user, and the keys of groups. Raises NotExpandable."""
    applied = _policy(function, tuple(columns))
    return applied.asks_user, applied.groups


def hides_nothing(function: SqlFunction, columns: Sequence[str], session: Session, *, masks: bool) -> bool:
    """Whether in a session a filter comes down to TRUE, or what ``masks`` to the column it stands for, the first.

    False also where that cannot be told from the text: what is not known to show all is taken to hide something.
    """
    try:
        applied = _policy(function, tuple(columns))
    except NotExpandable:
        return False
    asked = Session(session.user if applied.asks_user else "", applied.groups & session.groups)
    tree = _simplified(function, tuple(columns), asked)
    if masks:
        return isinstance(tree, exp.Column) and tree.name == columns[0]
    return isinstance(tree, exp.Boolean) and bool(tree.this)


@lru_cache(maxsize=TEXTS_CACHED)
def _simplified(function: SqlFunction, columns: tuple[str, ...], session: Session) -> Any:
    """What a filter or mask comes down to for everybody of whom what is asked is answered alike; None where that fails. Shared."""
    from sqlglot.optimizer.simplify import simplify

    try:
        tree = _policy(function, columns).tree
        if _size(tree) > SIMPLIFIED_NODES_MAX:
            return None
        answered = _answered(tree.copy(), session)
        return simplify(answered, dialect=DIALECT_DEFAULT).unnest()
    except (SqlglotError, RecursionError):
        return None


class _Policy(NamedTuple):
    """A filter or mask over the columns of a table, and what it asks about whoever runs the query."""

    tree: Any
    asks_user: bool
    groups: frozenset[str]
    """Keys of the groups whose membership it asks about."""


@lru_cache(maxsize=TEXTS_CACHED)
def _policy(function: SqlFunction, columns: tuple[str, ...]) -> _Policy:
    """Shared: who changes the tree copies it first. Raises NotExpandable."""
    problem = problem_of_policy(function.body)
    if problem:
        raise NotExpandable(f"its body {problem}")
    tree = _applied(function, [exp.column(name, quoted=True) for name in columns])
    nodes = [*tree.walk()]
    return _Policy(
        tree,
        any(isinstance(node, _CURRENT_USER) for node in nodes),
        frozenset(_group_asked(node) for node in nodes if _asks_group(node)),
    )


@lru_cache(maxsize=TEXTS_CACHED)
def _policy_written(function: SqlFunction, columns: tuple[str, ...], session: Session) -> str:
    """The text for everybody of whom what is asked is answered alike: the key is what it is made of, so it is never stale."""
    return _written(_answered(_policy(function, columns).tree.copy(), session), DIALECT_DEFAULT)


def function_sql(
    function: SqlFunction, snapshot: Snapshot, metastore_id: str | None, session: Session
) -> str:
    """What a call of a function computes, over its quoted parameters. Raises NotExpandable."""
    _refuse_bound(function.body, "its body")
    parameters = [exp.column(name, quoted=True) for name in function.parameters]
    tree = _Calls(snapshot, metastore_id).replaced(_applied(function, parameters), depth=0)
    return _written(_answered(tree, session), DIALECT_DEFAULT)


def problem_of_policy(body: str) -> str:
    """Why a body cannot filter or mask, as words that follow «its body»; empty when it can."""
    tree = _parsed(body, DIALECT_DEFAULT)
    if _is_bound_to_its_place(tree):
        return "reads tables, or aggregates: one that filters or masks uses nothing but its parameters and built-ins"
    if any(called_name(node) for node in tree.walk()):
        return (
            "calls other functions: one that filters or masks uses nothing but its parameters and built-ins"
        )
    return ""


def view_sql(view: ViewDefinition, snapshot: Snapshot, metastore_id: str | None, session: Session) -> str:
    """The query of a view with functions of ours replaced by their bodies. Raises NotExpandable."""
    tree = _named(_parsed(view.text, view.dialect).copy(), view.dialect)
    tree = _Calls(snapshot, metastore_id).replaced(tree, depth=0)
    return _written(_answered(tree, session), view.dialect)


def _named(tree: Any, dialect: str) -> Any:
    """The query with columns computed from calls named as they are written: an engine would name them after the bodies."""
    if any(called_name(node) for pivot in tree.find_all(exp.Pivot) for node in pivot.walk()):
        raise NotExpandable("a PIVOT calls a function, and would name its columns after the body")
    for select in reversed([*tree.find_all(exp.Select)]):
        for item in [*select.expressions]:
            named = isinstance(item, exp.Alias | exp.Aliases | exp.Star)
            if not named and any(called_name(node) for node in item.walk()):
                item.replace(exp.alias_(item.copy(), item.sql(dialect=dialect), quoted=True))
    return tree


def _refuse_bound(body: str, whose: str) -> None:
    if _is_bound_to_its_place(_parsed(body, DIALECT_DEFAULT)):
        raise NotExpandable(f"{whose} reads tables or aggregates")


def _is_bound_to_its_place(body: Any) -> bool:
    return any(isinstance(node, _BOUND_TO_THEIR_PLACE) for node in body.walk())


@lru_cache(maxsize=TEXTS_CACHED)
def _parsed(text: str, dialect: str) -> Any:
    """The tree of a stored text, shared: who changes it copies it first."""
    try:
        return parse_one(text, dialect=dialect)
    except (SqlglotError, RecursionError):
        raise NotExpandable("its text no longer parses") from None


def _applied(function: SqlFunction, arguments: Sequence[Any]) -> Any:
    """The body with arguments in the place of parameters, in parentheses."""
    if len(arguments) != len(function.parameters):
        raise NotExpandable(f"it takes {len(function.parameters)} arguments, not {len(arguments)}")
    by_name: Mapping[str, Any] = {
        name_key(name): argument for name, argument in zip(function.parameters, arguments, strict=True)
    }
    body = _parsed(function.body, DIALECT_DEFAULT)
    used = [name_key(column.name) for column in body.find_all(exp.Column) if not column.table]
    for name, argument in by_name.items():
        if used.count(name) > 1 and may_differ(argument):
            raise NotExpandable(
                f"{name} is used several times, and what is given for it may differ each time"
            )
    sizes = {name: _size(argument) for name, argument in by_name.items()}
    if _size(body) + sum(sizes.get(name, 0) for name in used) > EXPANDED_NODES_MAX:
        raise NotExpandable("it becomes too long")

    def replaced(node: Any) -> Any:
        if not isinstance(node, exp.Column):
            return node
        argument = None if node.table else by_name.get(name_key(node.name))
        if argument is None:
            raise NotExpandable(f"{node.name} is none of its parameters")
        return exp.Paren(this=argument.copy())

    return exp.Paren(this=body.copy().transform(replaced, copy=False))


def may_differ(argument: Any) -> bool:
    """Whether computing an argument twice may give two values, as far as sqlglot knows its functions."""
    return any(
        isinstance(node, _MAY_DIFFER) and node.name.lower() != GROUP_FUNCTION for node in argument.walk()
    )


def _size(tree: Any) -> int:
    return sum(1 for _ in tree.walk())


class _Calls:
    """Replaces calls of functions of ours by their bodies, on one state."""

    def __init__(self, snapshot: Snapshot, metastore_id: str | None) -> None:
        self._snapshot = snapshot
        self._metastore_id = metastore_id
        self._nodes_left = EXPANDED_NODES_MAX

    def replaced(self, tree: Any, *, depth: int) -> Any:
        """The tree without such calls, arguments first. It is changed in place."""
        if depth > CALLS_DEEP_MAX:
            raise NotExpandable(f"functions call each other more than {CALLS_DEEP_MAX} deep")
        return tree.transform(lambda node: self._replaced_call(node, depth), copy=False)

    def _replaced_call(self, node: Any, depth: int) -> Any:
        name = called_name(node)
        if not name:
            return node
        text = ".".join(name)
        found = self._snapshot.referenced(Reference("", "EXECUTE", text), self._metastore_id)
        function = self._snapshot.functions.get(found.id) if found else None
        if function is None:
            raise NotExpandable(f"there is no function {text}")
        _refuse_bound(function.body, f"the body of {text}")
        arguments = [self.replaced(argument, depth=depth) for argument in node.expression.expressions]
        if any(isinstance(argument, exp.PropertyEQ | exp.Kwarg) for argument in arguments):
            raise NotExpandable(f"{text} is called with named arguments")
        body = _applied(function, arguments)
        self._nodes_left -= _size(body)
        if self._nodes_left < 0:
            raise NotExpandable("it becomes too long")
        return self.replaced(body, depth=depth + 1)


def _answered(tree: Any, session: Session) -> Any:
    """The tree with questions about the current user answered."""

    def replaced(node: Any) -> Any:
        if isinstance(node, _CURRENT_USER):
            return exp.Literal.string(session.user)
        if _asks_group(node):
            return exp.true() if _group_asked(node) in session.groups else exp.false()
        return node

    return tree.transform(replaced, copy=False)


def _asks_group(node: Any) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == GROUP_FUNCTION


def _group_asked(node: Any) -> str:
    """The key of the group; empty, which no group has, where it is not asked as it should be."""
    return principal_key(node.expressions[0].name if len(node.expressions) == 1 else "")


def _written(tree: Any, dialect: str) -> str:
    try:
        text: str = tree.sql(dialect=dialect, comments=False)
    except RecursionError:
        raise NotExpandable("it is nested too deeply") from None
    return text
