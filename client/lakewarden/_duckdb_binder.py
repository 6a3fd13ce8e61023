"""Third witness: DuckDB itself. The kind of statement, the tables it names, and those it would scan."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import duckdb
from lakewarden._duckdb_access import StatementRefused
from lakewarden._duckdb_parse import Name, StatementKind, ascii_fold, server_fold

Parameters: TypeAlias = Sequence[object] | Mapping[str, object] | None

_KINDS = frozenset(kind.value for kind in StatementKind)
_SYSTEM_DATABASES = frozenset({"system", "temp"})
_SYSTEM_SCHEMAS = frozenset({"information_schema", "pg_catalog"})
_UNGOVERNABLE = re.compile(r"[./\\*?%$'\"`\s]")
"""Characters no Lakewarden name may have; a DuckDB name with one cannot be the name of a governed table."""

_NAME = re.compile(r'(?:"(?:[^"]|"")*"|[^\s".]+)(?:\.(?:"(?:[^"]|"")*"|[^\s".]+))*')
_NAME_PART = re.compile(r'"((?:[^"]|"")*)"|([^\s".]+)')
_QUOTED_LINE = re.compile(r"\n\nLINE \d+: [^\n]*\n *\^\s*\Z")
_ROWLESS_LEAVES = frozenset(
    {
        "DUMMY_SCAN",
        "EXPRESSION_GET",
        "CTE_SCAN",
        "DELIM_GET",
        "RANGE",
        "GENERATE_SERIES",
        "UNNEST",
        "EMPTY_RESULT",
    }
)
"""Leaves of an unoptimized plan that read no table. Any other leaf must be the scan of a named one."""


TableKey: TypeAlias = tuple[str, str, str]


class Scan(NamedTuple):
    """One scan of a plan; `marked` when it stands right below a filter with the mark."""

    key: TableKey
    marked: bool


class Table(NamedTuple):
    """A table by DuckDB's names, in the spelling of its catalog where it exists."""

    database: str
    schema: str
    name: str
    exists: bool = True

    @property
    def key(self) -> TableKey:
        """The name as DuckDB compares it."""
        return ascii_fold(self.database), ascii_fold(self.schema), ascii_fold(self.name)


def sole_statement(
    connection: duckdb.DuckDBPyConnection, sql: str, *, copies: bool = False
) -> duckdb.Statement:
    """DuckDB's own parse of exactly one statement of an allowed kind, or StatementRefused; COPY only where it is looked for."""
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise StatementRefused(f"DuckDB cannot parse the statement: {str(error).splitlines()[0]}") from None
    if len(statements) != 1:
        # PIVOT without an IN list arrives here too: DuckDB makes several statements of it.
        raise StatementRefused(f"exactly one statement is run at a time, not {len(statements)}")
    if statements[0].type.name not in _KINDS and not (copies and statements[0].type.name == "COPY"):
        raise StatementRefused(f"{statements[0].type.name} statements are not run on a governed connection")
    return statements[0]


def named_tables(connection: duckdb.DuckDBPyConnection, sql: str) -> frozenset[Name] | None:
    """The names DuckDB's binder reads by, as typed; CTEs, views and macros replaced by what they read.

    None when the binder gives no answer: this mode knows no columns, so it fails on parameters, NATURAL
    joins, ON CONFLICT and every written table. The plan answers then, see `planned_tables`.
    """
    try:
        texts = connection.get_table_names(sql, qualified=True)
    except (duckdb.BinderException, duckdb.CatalogException):
        return None
    except duckdb.Error as error:
        raise StatementRefused(f"DuckDB cannot name the tables: {str(error).splitlines()[0]}") from None
    return frozenset(_parse_name(text) for text in texts)


def _parse_name(text: str) -> Name:
    name = _NAME.match(text)
    if name is None or text[name.end() : name.end() + 1].strip():
        raise StatementRefused(f"DuckDB names a table in a way that cannot be read: {text}")
    return tuple(
        part[1].replace('""', '"') if part[1] is not None else part[2]
        for part in _NAME_PART.finditer(name[0])
    )


def planned_tables(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters
) -> frozenset[TableKey]:
    """Keys of the tables in DuckDB's bound plan, before the optimizer has removed any. Nothing is executed.

    Raises StatementRefused when rows would come from anything but tables and the arguments of the statement.
    """
    return frozenset(scan.key for scan in planned_scans(connection, sql, parameters, mark=""))


def planned_scans(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters, *, mark: str
) -> frozenset[Scan]:
    """The scans in DuckDB's bound plan, and whether the filter right above each holds the `mark`."""
    plan = _plan(connection, sql, parameters)
    return frozenset(scan for node in plan for scan in _scans(node, mark, marked=False))


def planned_reads(connection: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """The names of the leaves of DuckDB's bound plan: where its rows come from."""
    return list(_leaves(_plan(connection, sql, None)))


def _plan(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters) -> list[Any]:
    try:
        rows = connection.execute(f"EXPLAIN (FORMAT json) {sql}", parameters).fetchall()
    except duckdb.Error as error:
        raise without_quoted_line(error) from None
    plans = [json.loads(plan) for name, plan in rows if name == "logical_plan"]
    if len(plans) != 1:
        raise StatementRefused("DuckDB shows no unoptimized plan of the statement")
    return list(plans[0])


def _leaves(nodes: Sequence[Any]) -> Iterator[str]:
    for node in nodes:
        if not node["children"]:
            yield str(node["name"])
        yield from _leaves(node["children"])


def without_quoted_line(error: duckdb.Error) -> duckdb.Error:
    """The same error without the line of the statement it ends with: one that the caller has not written."""
    return type(error)(_QUOTED_LINE.sub("", str(error)))


def _scans(node: Mapping[str, Any], mark: str, *, marked: bool) -> Iterator[Scan]:
    table = node["extra_info"].get("Table")
    if table is not None:
        # DuckDB quotes parts that are keywords, such as "date".
        parts = tuple(ascii_fold(part) for part in _parse_name(table))
        if len(parts) != 3:
            raise StatementRefused(f"{table} cannot be the name of a governed table")
        yield Scan((parts[0], parts[1], parts[2]), marked)
    elif not node["children"] and node["name"] not in _ROWLESS_LEAVES:
        raise StatementRefused(f"reading from {node['name']} is not run on a governed connection")
    below = bool(mark) and node["name"] == "FILTER" and mark in json.dumps(node["extra_info"])
    for child in node["children"]:
        yield from _scans(child, mark, marked=below)


def check_governable(name: Name) -> None:
    """Raises StatementRefused where a part cannot be a name of Lakewarden's, or is one of another thing there."""
    unusual = next((part for part in name if _is_ungovernable(part)), None)
    if unusual is not None:
        raise StatementRefused(f"{unusual!r} cannot be the name of a governed table or function")


def _is_ungovernable(part: str) -> bool:
    """Whether a part cannot name a governed table: forbidden characters, or a name the server takes for another one.

    DuckDB folds ASCII letters only, the server NFKC and casefold: two tables here would share the grants of one there.
    """
    twin = server_fold(part) != ascii_fold(part)
    return not part or twin or _UNGOVERNABLE.search(part) is not None


class TableResolver:
    """Resolves typed names as DuckDB does: by the one search path the connection had when it was locked."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        database: str,
        schema: str,
        own: frozenset[TableKey] = frozenset(),
    ) -> None:
        """``own`` are temporary tables that the guard itself made for the statement."""
        self._connection = connection
        self._own = own
        self._database = database
        self._schema = schema

    def resolve(self, names: frozenset[Name]) -> dict[Name, Table]:
        """The table of each name, existing or not. Refuses views, temporary and system tables."""
        for name in names:
            check_governable(name)
        listed = self._listed({name[-1] for name in names})
        return {name: self._resolve_one(name, listed) for name in names}

    def _listed(self, names: set[str]) -> list[tuple[str, str, str, bool]]:
        """All a FROM could mean by these names: database, schema, name, whether it is an ordinary table."""
        if not names:
            return []
        folded = [name.lower() for name in names]
        return self._connection.execute(
            "SELECT database_name, schema_name, table_name, NOT internal FROM duckdb_tables()"
            " WHERE lower(table_name) IN (SELECT unnest(CAST($1 AS VARCHAR[])))"
            " UNION ALL SELECT database_name, schema_name, view_name, false FROM duckdb_views()"
            " WHERE lower(view_name) IN (SELECT unnest(CAST($1 AS VARCHAR[])))",
            [folded],
        ).fetchall()

    def _resolve_one(self, name: Name, listed: list[tuple[str, str, str, bool]]) -> Table:
        wanted = self._qualified(name)
        database, schema, _ = wanted.key
        if len(name) == 3 and wanted.key in self._own:
            return wanted._replace(exists=True)
        if database in _SYSTEM_DATABASES or schema in _SYSTEM_SCHEMAS:
            raise StatementRefused(f"{'.'.join(name)} is a system or temporary table")
        for row_database, row_schema, row_name, ordinary in listed:
            found = Table(row_database, row_schema, row_name)
            hidden_first = (
                found.key[0] in _SYSTEM_DATABASES and found.key[2] == wanted.key[2] and len(name) < 3
            )
            if hidden_first or (found.key == wanted.key and not ordinary):
                raise StatementRefused(f"{'.'.join(name)} names a view, a temporary or a system table")
            if found.key == wanted.key:
                return found
        return wanted

    def is_function_of_ours(self, name: Name, own: frozenset[str]) -> bool:
        """Whether a call by three names is of Lakewarden's functions; `own` are the names of DuckDB's.

        DuckDB also reads `people.ssn.lower()` as a call of its own function on a column, where `people.ssn` is no schema.
        """
        database, schema, function = map(ascii_fold, name)
        if database in _SYSTEM_DATABASES:
            return False
        return function not in own or (database, schema) in self._schemas()

    def _schemas(self) -> set[tuple[str, str]]:
        rows = self._connection.execute("SELECT database_name, schema_name FROM duckdb_schemas()").fetchall()
        return {(ascii_fold(database), ascii_fold(schema)) for database, schema in rows}

    def _qualified(self, name: Name) -> Table:
        """In `x.t`, x is a schema of the current database or a database; if it could be both, nobody guesses."""
        if len(name) == 3:
            return Table(*name, exists=False)
        if len(name) == 1:
            return Table(self._database, self._schema, name[0], exists=False)
        if len(name) != 2:
            raise StatementRefused(f"{'.'.join(name)} has too many parts for a table")
        qualifier = ascii_fold(name[0])
        known = self._schemas()
        is_schema = (ascii_fold(self._database), qualifier) in known
        is_database = any(database == qualifier for database, _ in known)
        if is_schema and is_database:
            raise StatementRefused(f"{name[0]} is both a database and a schema; write all three parts")
        if is_database:
            # Of the database in use DuckDB takes the schema in use, of any other the default one.
            is_current = qualifier == ascii_fold(self._database)
            return Table(name[0], self._schema if is_current else "main", name[1], exists=False)
        return Table(self._database, name[0], name[1], exists=False)
