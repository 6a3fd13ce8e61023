"""Expressions that come from the server: filters and masks of tables, bodies of functions. Each computes on its names alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakewarden._duckdb_access import AccessDenied

# What would read rows, combine rows, or bind names of its own: there a name put in could mean something else.
_REFUSED = (
    exp.Query,
    exp.Table,
    exp.AggFunc,
    exp.Window,
    exp.Star,
    exp.Columns,
    exp.Lambda,
    exp.Placeholder,
)


def bound_expression(text: str, what: str, replacement: Callable[[str], exp.Expr | None]) -> str:
    """The expression with every name in it replaced at once, as DuckDB SQL; None for a name that it may not use.

    `what` says in an error what the text is. Raises AccessDenied.
    """
    try:
        tree = sqlglot.parse_one(text, dialect="duckdb")
    except (SqlglotError, RecursionError):
        raise AccessDenied(f"the answer demands {what} that cannot be read") from None

    def replaced(node: Any) -> Any:
        if isinstance(node, _REFUSED):
            raise AccessDenied(f"the answer demands {what} that is no expression over its names")
        if not isinstance(node, exp.Column):
            return node
        found = None if node.table else replacement(node.name)
        if found is None:
            raise AccessDenied(f"the answer demands {what} over {node.name}, which it cannot use")
        return found

    bound: str = tree.transform(replaced, copy=False).sql(dialect="duckdb", comments=False)
    return bound
