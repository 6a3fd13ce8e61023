"""What the SQL text of a view or function says: the names it references, written in full, and the columns it yields.

The text decides, never a caller's list of references. What sqlglot does not read as a plain query or expression is refused.
Imported where it is used: sqlglot takes a quarter of a second to load.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlglot import exp, parse
from sqlglot.errors import SqlglotError

from lakewarden_policy import InvalidName, Reference, name_key, validate_name
from lakewarden_server.core.dialects import DIALECT_DEFAULT, DIALECTS
from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.services.definitions import nesting

DEFINITION_BYTES_MAX = 65_536
DEFINITION_NESTING_MAX = 100
REFERENCES_MAX = 1_000
GROUP_FUNCTION = "is_account_group_member"
"""Built-in function of ours: whether whoever runs the query belongs to the account group named by its one argument."""

_TABLE_PARTS = frozenset({"this", "db", "catalog", "alias", "joins", "sample", "pivots", "laterals"})
# What does anything but compute rows, and values that only whoever runs the statement could give.
_REFUSED = (
    exp.Alter, exp.Analyze, exp.Attach, exp.Block, exp.Command, exp.Commit, exp.Copy, exp.Create, exp.Delete,
    exp.Describe, exp.Detach, exp.Drop, exp.Execute, exp.HistoricalData, exp.Insert, exp.Into, exp.Lock, exp.Merge,
    exp.Parameter, exp.Placeholder, exp.Pragma, exp.QueryTransform, exp.Rollback, exp.SessionParameter, exp.Set,
    exp.Show, exp.Summarize, exp.Transaction, exp.TruncateTable, exp.Update, exp.Use,
)  # fmt: skip

# What rows may come from. Anything else a dialect has there is a table function, or not known to be none.
_SOURCES = exp.Table | exp.Subquery | exp.Values | exp.Unnest | exp.Lateral


class Reading(NamedTuple):
    """A definition as it was understood. `text` has every name in full; a query's `columns` are empty where not all are known."""

    text: str
    dialect: str
    references: tuple[Reference, ...]
    columns: tuple[str, ...]


def read_query(text: str, dialect: str, *, schema: str) -> Reading:
    """Reads one SELECT; names of fewer than three parts are completed from `schema`. Raises DEFINITION_INVALID."""
    chosen = dialect.lower() or DIALECT_DEFAULT
    if chosen not in DIALECTS:
        raise invalid(f"dialect {dialect!r} is none of {', '.join(DIALECTS)}")
    root = _sole(text, chosen)
    if not isinstance(root, exp.Query):
        raise invalid("a definition is one SELECT")
    return _read(root, chosen, _Walk(schema.split("."), chosen))


def read_expression(text: str) -> Reading:
    """Reads one expression; `columns` are the names it uses outside subqueries, each of which must be a parameter.

    Raises DEFINITION_INVALID.
    """
    root = _sole(text, DIALECT_DEFAULT)
    refused = exp.Select | exp.SetOperation | exp.Alias | exp.Star | exp.Values | exp.Table
    if isinstance(root, refused) or not isinstance(root, exp.Expression) or root.args.get("alias"):
        raise invalid("a body is one expression; a SELECT stands in parentheses inside it")
    walk = _Walk(None, DIALECT_DEFAULT)
    reading = _read(root, DIALECT_DEFAULT, walk)
    return reading._replace(columns=tuple(walk.names.values()))


def invalid(problem: str) -> InvalidArgument:
    """The refusal of a definition."""
    return InvalidArgument(Reason.DEFINITION_INVALID, problem, field="definition")


def called_name(node: Any) -> tuple[str, ...]:
    """The parts of the name of a call with dots in it: `main.sales.f` of `main.sales.f(x)`; empty for anything else."""
    if not isinstance(node, exp.Dot) or not isinstance(node.expression, exp.Func):
        return ()
    parts = [node.expression.name]
    left = node.this
    while isinstance(left, exp.Dot):
        parts.append(left.expression.name)
        left = left.this
    parts.append(left.name if isinstance(left, exp.Identifier | exp.Column) else "")
    return tuple(reversed(parts))


def _sole(text: str, dialect: str) -> Any:
    if len(text.encode()) > DEFINITION_BYTES_MAX:
        raise invalid(f"the definition is longer than {DEFINITION_BYTES_MAX} bytes")
    if nesting(text) > DEFINITION_NESTING_MAX:
        raise invalid(f"the definition nests deeper than {DEFINITION_NESTING_MAX}")
    try:
        statements = [node for node in parse(text, dialect=dialect) if node is not None]
    except (SqlglotError, RecursionError):
        raise invalid(f"the definition does not parse as {dialect} SQL") from None
    if len(statements) != 1:
        raise invalid(f"a definition is one query or expression, not {len(statements)}")
    return statements[0]


def _read(root: Any, dialect: str, walk: _Walk) -> Reading:
    try:
        walk.visit(root, {})
        text = root.sql(dialect=dialect, comments=False)
        columns = _columns(root) if isinstance(root, exp.Query) else ()
    except RecursionError:
        raise invalid("the definition is nested too deeply") from None
    if len(walk.references) > REFERENCES_MAX:
        raise invalid(f"the definition references more than {REFERENCES_MAX} tables and functions")
    return Reading(text, dialect, tuple(walk.references.values()), columns)


def _columns(query: Any) -> tuple[str, ...]:
    """The names of the columns where the text gives each one: plain columns and aliases, no star."""
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    named = [
        select.alias_or_name if isinstance(select, exp.Alias | exp.Column) and not select.is_star else ""
        for select in query.selects
    ]
    return tuple(named) if all(named) else ()


class _Walk:
    """One walk over a definition: completes the names of relations in place and collects what is referenced.

    A scope maps the names of the CTEs in sight to whether they may be used there: databases differ on what the own name
    of a recursive CTE means outside its recursive part, so there it is refused.
    """

    def __init__(self, schema: Sequence[str] | None, dialect: str) -> None:
        self.references: dict[tuple[str, str], Reference] = {}
        self.names: dict[str, str] = {}
        self._schema = schema
        self._dialect = dialect

    def visit(self, node: Any, scope: Mapping[str, bool]) -> None:
        """Visits a node with the CTEs in sight."""
        self._check(node)
        with_clause = node.args.get("with_")
        if with_clause is not None:
            scope = self._with(with_clause, scope)
        if isinstance(node, exp.Table):
            self._relation(node, scope)
        for child in node.iter_expressions():
            if child is not with_clause:
                self.visit(child, scope)

    def _check(self, node: Any) -> None:
        if isinstance(node, _REFUSED):
            raise invalid(f"{node.key.upper()} has no place in a definition")
        rows = exp.Subquery | exp.Unnest | exp.Explode if isinstance(node, exp.Lateral) else _SOURCES
        if isinstance(node, exp.Lateral | exp.From | exp.Join) and not isinstance(node.this, rows):
            raise invalid("table functions have no place in a definition")
        if isinstance(node, exp.In) and node.args.get("field") is not None and self._dialect == "sqlite":
            raise invalid("IN takes a list or a query in parentheses: without them it would read a table")
        if isinstance(node, exp.Column | exp.Dot):
            self._last_part(node)
        if isinstance(node, exp.Column) and self._schema is None:
            self._column(node)
        elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Func):
            self._function(node)
        elif isinstance(node, exp.Anonymous) and not isinstance(node.parent, exp.Dot):
            self._builtin(node)

    def _last_part(self, node: Any) -> None:
        """What dots lead to is a name or a call: in a FILTER or the like, a call of a function of ours would not be seen."""
        last = node.expression if isinstance(node, exp.Dot) else node.this
        is_call = isinstance(node, exp.Dot) and isinstance(last, exp.Func)
        if not is_call and not isinstance(last, exp.Identifier | exp.Star):
            raise invalid(f"{node.sql()} is neither a column nor the plain call of a function")

    def _column(self, column: Any) -> None:
        """In a function's body: a parameter, or inside a subquery perhaps a column of what that reads."""
        if column.find_ancestor(exp.Query):
            return
        if column.table:
            raise invalid(f"{column.sql()} is no parameter of the function")
        self.names.setdefault(name_key(column.name), column.name)

    def _function(self, node: Any) -> None:
        parts = called_name(node)
        if len(parts) != 3 or not all(parts):
            raise invalid(
                f"{'.'.join(parts)}() is named by three parts, as main.sales.f(x), or is a built-in by one"
            )
        self._add("EXECUTE", parts, "FUNCTION")

    def _builtin(self, node: Any) -> None:
        name = node.name.lower()
        if "." in name:
            raise invalid(f"{name}() is written with quotes around all of its name: quote each part")
        if name == "is_member":
            raise invalid(f"is_member() asks about groups of a workspace: use {GROUP_FUNCTION}()")
        if name == GROUP_FUNCTION and not (len(node.expressions) == 1 and node.expressions[0].is_string):
            raise invalid(f"{GROUP_FUNCTION}() takes the name of one group, as text in quotes")

    def _with(self, with_clause: Any, outer: Mapping[str, bool]) -> Mapping[str, bool]:
        scope = dict(outer)
        recursive = bool(with_clause.args.get("recursive"))
        for cte in with_clause.expressions:
            key = name_key(cte.alias)
            own = {**scope, key: False} if recursive else scope
            body = cte.this
            if recursive and isinstance(body, exp.Union) and body.args.get("with_") is None:
                for part in body.iter_expressions():
                    self.visit(part, own if part is body.this else {**scope, key: True})
            else:
                self.visit(body, own)
            scope[key] = True
        return scope

    def _relation(self, table: Any, scope: Mapping[str, bool]) -> None:
        unknown = sorted(part for part, value in table.args.items() if value and part not in _TABLE_PARTS)
        if isinstance(table.this, exp.Func):
            raise invalid("table functions have no place in a definition")
        typed = [table.args.get(part) for part in ("catalog", "db", "this")]
        parts = [part for part in typed if part is not None]
        if unknown or not all(isinstance(part, exp.Identifier) for part in parts):
            raise invalid(f"{table.sql()} is not the plain name of a table or view")
        names = [part.name for part in parts]
        if len(names) == 1 and name_key(names[0]) in scope:
            if not scope[name_key(names[0])]:
                raise invalid(
                    f"{names[0]} means the recursive query or a table, which is not clear: name the table in full"
                )
            return
        missing = 3 - len(names)
        if missing and (self._schema is None or len(self._schema) != 2):
            raise invalid(f"{'.'.join(names)} is named by three parts, as main.sales.orders")
        full = (*(self._schema or ())[:missing], *names)
        self._add("SELECT", full, "TABLE")
        catalog, schema = (exp.to_identifier(name, quoted=True) for name in full[:2])
        if missing and table.alias == "":
            # `FROM orders` lets columns be called orders.id; so does the full name under the same alias, in every dialect.
            table.set("alias", exp.TableAlias(this=exp.to_identifier(names[-1], quoted=parts[-1].quoted)))
        table.set("catalog", table.args.get("catalog") or catalog)
        table.set("db", table.args.get("db") or schema)

    def _add(self, privilege: str, parts: Iterable[str], kind: str) -> None:
        names = tuple(parts)
        try:
            checked = ".".join(validate_name(name, kind) for name in names)
        except InvalidName as error:
            raise invalid(f"{'.'.join(names)} is the name of nothing: {error}") from None
        key = (privilege, ".".join(map(name_key, names)))
        self.references.setdefault(key, Reference("", privilege, checked))
