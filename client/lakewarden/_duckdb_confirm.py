"""From an answer to what DuckDB runs: rules put in, and the last witness, DuckDB's plan, asked whether they are in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
from lakewarden._duckdb_access import AccessDenied, PlanAuthorizer, StatementRefused
from lakewarden._duckdb_answer import Demands
from lakewarden._duckdb_binder import (
    Parameters,
    Scan,
    Table,
    TableKey,
    TableResolver,
    planned_scans,
    planned_tables,
    sole_statement,
)
from lakewarden._duckdb_calls import Call
from lakewarden._duckdb_lineage import SqlLineage
from lakewarden._duckdb_parse import Name, ParsedStatement, StatementKind, ascii_fold, server_fold
from lakewarden._duckdb_rewrite import Lake, Rewriter, quoted
from lakewarden._duckdb_tokens import called_names, check_called_names, check_characters, tokens
from lakewarden._duckdb_volumes import Volumes


@dataclass(frozen=True)
class World:
    """What all connections to one governed database share."""

    client: PlanAuthorizer
    database: str
    schema: str
    catalogs: Mapping[str, str]
    functions: frozenset[str]
    lineage: SqlLineage | None
    """Who is told of what was run."""
    volumes: Volumes
    """Where files may be."""

    def full_name(self, table: Table) -> str:
        """The name of a table, or of what may be a view, in Lakewarden."""
        catalog = self.catalogs.get(ascii_fold(table.database), table.database)
        return f"{catalog}.{table.schema}.{table.name}"


@dataclass(frozen=True)
class Analysis:
    """A statement both witnesses agree on, with its tables resolved."""

    sql: str
    statement: duckdb.Statement
    parsed: ParsedStatement
    tables: Mapping[Name, Table]
    target: Table | None
    calls: tuple[Call, ...] = ()
    """Of functions of Lakewarden."""
    is_expanded: bool = False
    """Whether `sql` is the caller's text with such calls replaced."""

    @property
    def reads(self) -> frozenset[Table]:
        """The tables it reads."""
        return frozenset(self.tables[name] for name in self.parsed.reads)


@dataclass(frozen=True)
class Runnable:
    """What DuckDB is given: the caller's statement, or one with functions, views, filters and masks put in."""

    statement: duckdb.Statement
    is_rewritten: bool


class Confirmation:
    """Confirms one statement on the connection that runs it."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, world: World) -> None:
        self._cursor = cursor
        self._world = world

    def confirm(self, analysis: Analysis, demanded: Demands, parameters: Parameters) -> Runnable:
        """The last witness, after the answer: DuckDB's messages name columns, and only readers may see those."""
        parsed, target = analysis.parsed, analysis.target
        self._check_exist(analysis, demanded)
        self._check_write(analysis, demanded)
        rewriter = Rewriter(Lake(self._table_of, self._columns), views=demanded.views)
        guarded = {name for name in parsed.reads if self._is_guarded(analysis.tables[name], demanded)}
        statement = self._rewritten(analysis, demanded, rewriter, guarded) if guarded else analysis.statement
        plain = {analysis.tables[name].key for name in parsed.reads - guarded}
        if target is not None and parsed.scans_target:
            plain.add(target.key)
        scans = planned_scans(self._cursor, statement.query, parameters, mark=rewriter.mark)
        confirmed = _keys(scans, marked=False) == plain and _keys(scans, marked=True) <= rewriter.guarded
        if (
            confirmed
            and parsed.kind is StatementKind.INSERT
            and target is not None
            and parsed.target is not None
        ):
            # The plan of an INSERT does not say where to; what DuckDB would read by the same name does.
            typed = ".".join(quoted(part) for part in parsed.target)
            confirmed = planned_tables(self._cursor, f"FROM {typed}", None) == {target.key}
        if not confirmed:
            raise StatementRefused("DuckDB's plan uses other tables than those that were asked for")
        return Runnable(statement, is_rewritten=bool(guarded) or analysis.is_expanded)

    def _check_exist(self, analysis: Analysis, demanded: Demands) -> None:
        missing = [
            table
            for table in analysis.reads
            if not table.exists and server_fold(self._world.full_name(table)) not in demanded.views
        ]
        target = analysis.target
        creates = analysis.parsed.kind is StatementKind.CREATE_TABLE_AS
        if target is not None and not target.exists and not creates:
            missing.append(target)
        if missing:
            names = sorted(".".join(table[:3]) for table in missing)
            raise StatementRefused(f"DuckDB has no table {', '.join(names)}")

    def _check_write(self, analysis: Analysis, demanded: Demands) -> None:
        """A filtered or masked table is only added to: any other change finds or tells rows by their true values."""
        parsed, target = analysis.parsed, analysis.target
        if target is None or not demanded.of(self._world.full_name(target)):
            return
        if parsed.kind is not StatementKind.INSERT or parsed.scans_target or parsed.returns_rows:
            raise AccessDenied(
                f"{self._world.full_name(target)} has a row filter or masks: a plain INSERT is the only change to it that is run"
            )

    def _is_guarded(self, table: Table, demanded: Demands) -> bool:
        return not table.exists or bool(demanded.of(self._world.full_name(table)))

    def _rewritten(
        self, analysis: Analysis, demanded: Demands, rewriter: Rewriter, guarded: set[Name]
    ) -> duckdb.Statement:
        """The statement with guarded names replaced; its subqueries are bound alone first, so that no message tells of them."""
        subqueries = {}
        for name in guarded:
            table, full_name = analysis.tables[name], self._world.full_name(analysis.tables[name])
            subqueries[name] = (
                rewriter.table_subquery(table, demanded.of(full_name))
                if table.exists
                else rewriter.view_subquery(full_name)
            )
            check_called_names(called_names(tokens(subqueries[name])), self._world.functions)
            try:
                planned_scans(self._cursor, f"FROM {subqueries[name]}", None, mark=rewriter.mark)
            except duckdb.Error:
                raise StatementRefused(f"{full_name} cannot be read in DuckDB as it is governed") from None
        text = rewriter.rewrite(analysis.sql, analysis.parsed.references, subqueries.get)
        check_characters(text)
        statement = sole_statement(self._cursor, text)
        if statement.type != analysis.statement.type:
            raise StatementRefused("the statement is another one with its views and filters put in")
        return statement

    def _table_of(self, full_name: str) -> Table:
        """The DuckDB table of a full name of Lakewarden's."""
        catalog, schema, name = full_name.split(".")
        attached = self._cursor.execute(
            "SELECT database_name FROM duckdb_databases() WHERE NOT internal"
        ).fetchall()
        meant = [
            database
            for (database,) in attached
            if server_fold(self._world.catalogs.get(ascii_fold(database), database)) == server_fold(catalog)
        ]
        wanted = [(database, schema, name) for database in meant]
        resolver = TableResolver(self._cursor, database=self._world.database, schema=self._world.schema)
        found = [table for table in resolver.resolve(frozenset(wanted)).values() if table.exists]
        if len(found) != 1:
            raise StatementRefused(f"DuckDB has no table {full_name}, which a view reads")
        return found[0]

    def _columns(self, table: Table) -> list[tuple[str, str]]:
        return self._cursor.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = $1 AND schema_name = $2"
            " AND table_name = $3 ORDER BY column_index",
            list(table[:3]),
        ).fetchall()


def _keys(scans: frozenset[Scan], *, marked: bool) -> set[TableKey]:
    return {scan.key for scan in scans if scan.marked is marked}
