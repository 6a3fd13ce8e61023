"""System tables in a governed connection: fetched for one statement with the client's own rights, into temporary tables of its own.

DuckDB's own `information_schema` is never what is read: a name in one means Lakewarden's table, or the statement is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import duckdb
from lakewarden._duckdb_access import AccessDenied, StatementRefused
from lakewarden._duckdb_binder import TableKey
from lakewarden._duckdb_confirm import World
from lakewarden._duckdb_parse import Name, ascii_fold, parse_statement
from lakewarden._duckdb_rewrite import Rewriter, quoted
from lakewarden._duckdb_tokens import check_characters
from lakewarden._errors import LakewardenError, NotFound, PermissionDenied

if TYPE_CHECKING:
    import pyarrow

SYSTEM_ROWS_MAX = 1_000_000
"""Of one system table in one statement."""
_SYSTEM = "system"
_SCHEMAS = ("access", "information_schema")
_TEMPORARY = ("temp", "main")


class SystemTablesOf:
    """The system tables of one governed connection; those of a statement are there until the next one."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, world: World) -> None:
        self._cursor, self._world = cursor, world
        self._names: list[str] = []

    @property
    def keys(self) -> frozenset[TableKey]:
        """The temporary tables that stand for system tables."""
        return frozenset((*_TEMPORARY, name) for name in self._names)

    def put_in(self, sql: str, *, subject: str | None) -> str:
        """The statement with temporary tables in the place of system tables, which are fetched.

        Raises StatementRefused for a table there is none of, for another subject than the client's own principal, and where there
        are too many rows; AccessDenied where the principal may not read it.
        """
        self.drop()
        # Whatever is named otherwise goes on to the binder, which refuses every system schema.
        if not any(schema in sql.lower() for schema in _SCHEMAS):
            return sql
        check_characters(sql)
        parsed = parse_statement(sql)
        meant = {name: self._full_name(name) for name in parsed.reads if self._is_system(name)}
        if not meant:
            return sql
        if subject is not None:
            raise StatementRefused("system tables are read by who is connected: not for another subject")
        fetched = {full_name: self._fetch(full_name) for full_name in sorted(set(meant.values()))}
        replaced = {name: fetched[full_name] for name, full_name in meant.items()}
        return Rewriter.rewrite(sql, parsed.references, replaced.get)

    def drop(self) -> None:
        """Forgets what was fetched for the statement before."""
        while self._names:
            self._cursor.execute(f"DROP TABLE {_place(self._names.pop())}")

    def _is_system(self, name: Name) -> bool:
        """Whether a name is in `system.access`, in an `information_schema`, or would be in DuckDB's own."""
        folded = tuple(ascii_fold(part) for part in name)
        if len(folded) == 3 and folded[0] == _SYSTEM:
            return folded[1] in _SCHEMAS
        return len(folded) in (2, 3) and folded[-2] == "information_schema"

    def _full_name(self, name: Name) -> str:
        database = name[0] if len(name) == 3 else self._world.database
        catalog = self._world.catalogs.get(ascii_fold(database), database)
        return f"{catalog}.{name[-2]}.{name[-1]}"

    def _fetch(self, full_name: str) -> str:
        """Makes a temporary table of the rows and returns its quoted name."""
        read = getattr(self._world.client, "system_table_batches", None)
        if read is None:
            raise StatementRefused(f"{full_name} is a system table, which this connection has no client for")
        try:
            schema, batches = read(full_name, limit=SYSTEM_ROWS_MAX + 1)
            name = f"system_{secrets.token_hex(16)}"
            if self._fill(name, schema, batches) > SYSTEM_ROWS_MAX:
                raise StatementRefused(
                    f"{full_name} has more than {SYSTEM_ROWS_MAX:,} rows: read it in batches"
                )
        except NotFound as error:
            raise StatementRefused(str(error)) from None
        except PermissionDenied as error:
            raise AccessDenied(str(error)) from None
        return _place(name)

    def _fill(self, name: str, schema: pyarrow.Schema, batches: Iterator[pyarrow.RecordBatch]) -> int:
        """Makes a temporary table of the batches as they come and returns how many rows it has."""
        import pyarrow as pa

        wanted = pa.schema([field.with_type(_plain(field.type)) for field in schema])
        # The first batch is fetched here, so that what the server says about it is raised as it is.
        first = next(batches)
        # DuckDB would tell what a batch failed with in words of its own.
        failed: list[LakewardenError] = []
        sizes: list[int] = []

        def cast() -> Iterator[pyarrow.RecordBatch]:
            try:
                for batch in chain([first], batches):
                    sizes.append(batch.num_rows)
                    yield batch.cast(wanted)
            except LakewardenError as error:
                failed.append(error)

        source = f"{name}_rows"
        self._cursor.register(source, pa.RecordBatchReader.from_batches(wanted, cast()))
        try:
            self._cursor.execute(f"CREATE TEMP TABLE {_place(name)} AS FROM {quoted(source)}")
        finally:
            self._cursor.unregister(source)
        self._names.append(name)
        if failed:
            raise failed[0]
        return sum(sizes)


def _plain(arrow: Any) -> Any:
    """A time without a zone, in UTC: DuckDB hands out times with one only where there is a package for zones."""
    import pyarrow as pa

    return pa.timestamp("us") if pa.types.is_timestamp(arrow) else arrow


def _place(name: str) -> str:
    return ".".join(map(quoted, (*_TEMPORARY, name)))
