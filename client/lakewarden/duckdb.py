"""A DuckDB connection that asks Lakewarden before each statement, and runs only what it understands.

`connect` opens one, `govern` makes one of a database that is already loaded. It is a guard against mistakes and
a part for embedding, not a boundary against the user of its own process (see docs/duckdb.md).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import duckdb
from lakewarden._duckdb_access import (
    CAPABILITIES,
    Access,
    AccessDenied,
    Denial,
    GovernanceError,
    PlanAnswer,
    PlanAuthorizer,
    StatementRefused,
)
from lakewarden._duckdb_answer import NOTHING, Demands, demands
from lakewarden._duckdb_binder import (
    Parameters,
    Table,
    TableResolver,
    check_governable,
    named_tables,
    sole_statement,
    without_quoted_line,
)
from lakewarden._duckdb_calls import Call, Expander, check_named, located
from lakewarden._duckdb_confirm import Analysis, Confirmation, Runnable, World
from lakewarden._duckdb_copies import Copy, read_copy
from lakewarden._duckdb_lineage import SqlLineage, SqlRecorder
from lakewarden._duckdb_opening import lineage_of, locked_world
from lakewarden._duckdb_parse import (
    Name,
    ParsedStatement,
    StatementKind,
    ascii_fold,
    parse_statement,
)
from lakewarden._duckdb_rewrite import quoted
from lakewarden._duckdb_system import SystemTablesOf
from lakewarden._duckdb_tokens import (
    Token,
    called_names,
    check_called_names,
    check_characters,
    own_functions,
    tokens,
    written_name,
)
from lakewarden._duckdb_views import TemporaryViewsOf
from lakewarden._duckdb_volumes import VolumeMap, check_file, unfinished_removed

__all__ = [
    "Access",
    "AccessDenied",
    "Denial",
    "GovernanceError",
    "GovernedConnection",
    "PlanAnswer",
    "PlanAuthorizer",
    "SqlLineage",
    "SqlRecorder",
    "StatementRefused",
    "connect",
    "govern",
]


def connect(
    client: PlanAuthorizer,
    *,
    database: str | os.PathLike[str] = ":memory:",
    subject: str | None = None,
    catalog_map: Mapping[str, str] | None = None,
    volume_map: VolumeMap | None = None,
    config: Mapping[str, Any] | None = None,
    lineage: SqlRecorder | bool = True,
    job_name: str = "",
) -> GovernedConnection:
    """Open a DuckDB database, lock its configuration and govern it.

    `subject` is the principal to decide for, None the client's own; `catalog_map` gives the Lakewarden catalog
    of a DuckDB database where the names differ; `volume_map` the volume whose files lie in a directory of this machine, for COPY;
    `config` is DuckDB's. Raises ValueError when it cannot be locked.

    What statements make of which tables is recorded as lineage of `job_name` (each text of a job of its own without one): by the
    client itself, by `lineage` where that is given, and not at all with False. The statements neither wait for that nor fail by it.
    """
    connection = duckdb.connect(str(database), config=dict(config or {}))
    try:
        told = lineage_of(client, lineage, job_name)
        world = locked_world(connection, client, catalog_map, told, volume_map)
        return GovernedConnection(connection, world, subject=subject)
    except BaseException:
        connection.close()
        raise


def govern(
    connection: duckdb.DuckDBPyConnection,
    client: PlanAuthorizer,
    *,
    subject: str | None = None,
    catalog_map: Mapping[str, str] | None = None,
    volume_map: VolumeMap | None = None,
    lineage: SqlRecorder | bool = True,
    job_name: str = "",
) -> GovernedConnection:
    """Lock the database behind `connection` for good and return a governed connection to it.

    The database and schema in use stay the ones unqualified names mean. `connection` itself stays open and
    ungoverned: whoever loaded the data keeps it, and closing it closes the governed one too. Raises ValueError
    when the database cannot be locked. `volume_map`, `lineage` and `job_name` are those of `connect`.
    """
    world = locked_world(connection, client, catalog_map, lineage_of(client, lineage, job_name), volume_map)
    return GovernedConnection(connection.cursor(), world, subject=subject)


class GovernedConnection:
    """One subject's connection to a governed database; for one thread at a time, as DuckDB's cursors are."""

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        world: World,
        *,
        subject: str | None,
        is_first: bool = True,
    ) -> None:
        self._cursor = cursor
        self._world = world
        self._is_first = is_first
        self._system = SystemTablesOf(cursor, world)
        self._views = TemporaryViewsOf(cursor, world)
        self._has_result = False
        self.subject = subject
        cursor.execute(f"USE {quoted(world.database)}.{quoted(world.schema)}")

    def as_subject(self, subject: str | None) -> GovernedConnection:
        """A connection of its own to the same database that acts for another principal."""
        return GovernedConnection(self._cursor.cursor(), self._world, subject=subject, is_first=False)

    def execute(self, sql: str, parameters: Parameters = None) -> GovernedConnection:
        """Check one statement, ask once for all it does, run it, and return self to fetch from.

        Raises StatementRefused when the statement is not one the guard runs, AccessDenied when the subject may
        not do what it does, and whatever the client or DuckDB raises; the statement has had no effect then.
        """
        self._has_result = False
        view = self._views.made_by(sql)
        if view is not None:
            if parameters:
                raise StatementRefused("a view has no parameters; the statements that read it may")
            self._perform(self._views.text_of(view), None, runs=False)
            self._views.keep(view)
            return self
        copy = read_copy(self._cursor, sql, self._world.volumes)
        text = self._views.put_in(sql if copy is None else copy.statement)
        written = self._perform(text, parameters, copy=copy)
        self._has_result = True
        self._tell(written, copy)
        return self

    def _perform(
        self, sql: str, parameters: Parameters, *, runs: bool = True, copy: Copy | None = None
    ) -> Analysis:
        """Check one statement, ask, and run it if it is to run; returns it as the caller wrote it, but for system tables and views.

        Of a `copy` it is the statement that stands for it.
        """
        analysis = written = self._analyze(self._system.put_in(sql, subject=self.subject))
        _check_copied(analysis, copy)
        demanded = self._authorize(self._accesses(analysis, copy))
        if analysis.calls:
            analysis = self._expanded(analysis, demanded)
        try:
            runnable = Confirmation(self._cursor, self._world).confirm(analysis, demanded, parameters)
            if copy is not None:
                check_file(copy.place, written=copy.into_file)
                runnable = copy.runnable(self._cursor, analysis, runnable, parameters)
            if runs:
                with unfinished_removed(copy.place if copy is not None and copy.into_file else None):
                    self._run(runnable, parameters)
        except duckdb.CatalogException:
            # DuckDB's own words propose names that are close, whoever may see them.
            raise StatementRefused("the statement names something DuckDB does not have") from None
        except duckdb.BinderException:
            if not analysis.is_expanded:
                raise
            # DuckDB's own words may quote a body, or one of a nested function that the caller is not shown.
            raise StatementRefused("DuckDB cannot bind the statement with its functions put in") from None
        return written

    @property
    def lineage(self) -> SqlLineage | None:
        """How much was told of what statements made of what, here and by `as_subject`; None where that is not recorded."""
        return self._world.lineage

    def explain_access(self, sql: str) -> tuple[Access, ...]:
        """The accesses `execute` would ask for, sorted, without asking or running anything."""
        self._has_result = False
        view = self._views.made_by(sql)
        copy = None if view else read_copy(self._cursor, sql, self._world.volumes)
        text = sql if copy is None else copy.statement
        text = self._views.put_in(text) if view is None else self._views.text_of(view)
        analysis = self._analyze(self._system.put_in(text, subject=self.subject))
        _check_copied(analysis, copy)
        return self._accesses(analysis, copy)

    def _analyze(self, sql: str) -> Analysis:
        check_characters(sql)
        cursor = self._cursor
        statement = sole_statement(cursor, sql)
        words = tokens(sql)
        parsed = parse_statement(sql)
        resolver = TableResolver(
            cursor, database=self._world.database, schema=self._world.schema, own=self._system.keys
        )
        calls = self._calls(parsed, words, resolver)
        names_seen = called_names(words, but={call.name_start for call in calls})
        check_called_names(names_seen, self._world.functions)
        if parsed.kind.value != statement.type.name:
            raise StatementRefused(f"the parsers disagree: {parsed.kind.value} or {statement.type.name}")
        if parsed.target is not None and _folded(written_name(words, parsed.kind)) != _folded(parsed.target):
            raise StatementRefused("the parsers disagree about which table is written")
        # DuckDB has no such functions: it is asked when they are replaced.
        named = None if calls else named_tables(cursor, sql)
        if named is not None and _all_folded(named) != _all_folded(parsed.reads):
            raise StatementRefused(
                "the parsers disagree about which tables are read, as over a view or a macro"
            )
        names = parsed.reads | ({parsed.target} if parsed.target is not None else frozenset())
        resolved = resolver.resolve(names)
        return Analysis(
            sql=sql,
            statement=statement,
            parsed=parsed,
            tables=resolved,
            target=None if parsed.target is None else resolved[parsed.target],
            calls=calls,
        )

    def _calls(
        self, parsed: ParsedStatement, words: Sequence[Token], resolver: TableResolver
    ) -> tuple[Call, ...]:
        own = own_functions()
        ours = [found for found in parsed.calls if resolver.is_function_of_ours(found.name, own)]
        for reference in ours:
            check_governable(reference.name)
        check_named(ours)
        return tuple(
            located(words, reference, self._world.full_name(Table(*reference.name))) for reference in ours
        )

    def _expanded(self, analysis: Analysis, demanded: Demands) -> Analysis:
        """The statement with functions of Lakewarden put in, checked as if the caller had written it so."""
        text = Expander(analysis.sql, analysis.calls, demanded.function).expanded()
        expanded = self._analyze(text)
        same = (expanded.reads, expanded.target, expanded.parsed.kind) == (
            analysis.reads,
            analysis.target,
            analysis.parsed.kind,
        )
        if expanded.calls or not same:
            raise StatementRefused("the statement is another one with its functions put in")
        return replace(expanded, is_expanded=True)

    def _accesses(self, analysis: Analysis, copy: Copy | None = None) -> tuple[Access, ...]:
        # What DuckDB does not have may be a view of Lakewarden's.
        accesses = {
            Access(self._world.full_name(table), "SELECT", "TABLE" if table.exists else "VIEW")
            for table in analysis.reads
            if table.key not in self._system.keys
        }
        accesses |= {Access(call.full_name, "EXECUTE", "FUNCTION") for call in analysis.calls}
        if analysis.target is not None:
            name = self._world.full_name(analysis.target)
            if analysis.parsed.kind is StatementKind.CREATE_TABLE_AS:
                accesses.add(Access(name.rpartition(".")[0], "CREATE_TABLE", "SCHEMA"))
            else:
                accesses.add(Access(name, "MODIFY", "TABLE"))
        if copy is not None:
            accesses.add(copy.access)
        return tuple(sorted(accesses))

    def _authorize(self, accesses: tuple[Access, ...]) -> Demands:
        if not accesses:
            return NOTHING
        answer = self._world.client.authorize_plan(accesses, subject=self.subject, capabilities=CAPABILITIES)
        return demands(answer, accesses, subject=self.subject)

    def _run(self, runnable: Runnable, parameters: Parameters) -> None:
        try:
            self._cursor.execute(runnable.statement, parameters)
        except duckdb.Error as error:
            if runnable.is_rewritten:
                raise without_quoted_line(error) from None
            raise

    def _tell(self, analysis: Analysis, copy: Copy | None) -> None:
        """Puts what has run where lineage is told from: as the caller wrote it, without what filters, masks and functions say."""
        target, world = analysis.target, self._world
        # CREATE TABLE IF NOT EXISTS of one that exists has made nothing.
        made_nothing = analysis.parsed.kind is StatementKind.CREATE_TABLE_AS and target and target.exists
        # What is read of system tables is no lineage (semantics 8.1).
        of_system = any(table.key in self._system.keys for table in analysis.reads)
        writes = target is not None or copy is not None
        reads = bool(analysis.reads) or (copy is not None and not copy.into_file)
        if world.lineage is None or not (reads and writes) or made_nothing or of_system:
            return
        read = {
            place.start: (analysis.tables[place.name], world.full_name(analysis.tables[place.name]))
            for place in analysis.parsed.references
        }
        written = None if target is None else (target, world.full_name(target))
        world.lineage.add(analysis.sql, read, written, None if copy is None else copy.copied)

    @property
    def description(self) -> list[tuple[Any, ...]] | None:
        """Columns of the current result, as in DB-API; None when there is none."""
        return self._cursor.description if self._has_result else None

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None."""
        return self._result().fetchone()

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """At most `size` further rows."""
        return self._result().fetchmany(size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All remaining rows."""
        return self._result().fetchall()

    def df(self) -> Any:
        """The result as a pandas DataFrame; needs pandas."""
        return self._result().df()

    def arrow(self) -> Any:
        """The result as Arrow; needs pyarrow."""
        return self._result().arrow()

    def pl(self) -> Any:
        """The result as a Polars DataFrame; needs polars and pyarrow."""
        return self._result().pl()

    def _result(self) -> duckdb.DuckDBPyConnection:
        if not self._has_result:
            # Without this, a caller who ignored a denial would go on reading an earlier statement's rows.
            raise duckdb.InvalidInputException(
                "there is no result: the last statement was not run, or made a temporary view"
            )
        return self._cursor

    def close(self) -> None:
        """Close this connection and, as DuckDB does with cursors, those made from it by `as_subject`."""
        self._has_result = False
        self._cursor.close()
        if self._is_first and self._world.lineage is not None:
            self._world.lineage.close()

    def __enter__(self) -> GovernedConnection:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _folded(name: Name) -> Name:
    return tuple(ascii_fold(part) for part in name)


def _all_folded(names: frozenset[Name]) -> frozenset[Name]:
    return frozenset(_folded(name) for name in names)


def _check_copied(analysis: Analysis, copy: Copy | None) -> None:
    """What stands for a COPY must be what it was made to be: a query, or an INSERT."""
    kind = None if copy is None else StatementKind.SELECT if copy.into_file else StatementKind.INSERT
    if kind is not None and analysis.parsed.kind is not kind:
        raise StatementRefused("COPY takes a query in parentheses, or a table by name")
