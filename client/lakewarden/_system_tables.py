"""The system tables: `information_schema` and `system.access`, as Arrow. Rows are about what the caller may see.

Reading needs pyarrow, which the client does not bring: it is the extra `audit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from lakewarden._errors import ConfigurationError
from lakewarden._resources import Resource
from lakewarden.v1 import system_tables_pb2, system_tables_pb2_grpc

if TYPE_CHECKING:
    import pyarrow

BATCH_ROWS_MAX = 10_000


class SystemColumn(NamedTuple):
    """A column, its type in SQL."""

    name: str
    type_text: str


class SystemTable(NamedTuple):
    """A system table; one that is in every catalog is called `<catalog>.information_schema.…` there."""

    full_name: str
    columns: tuple[SystemColumn, ...]
    in_every_catalog: bool


class SystemTables(Resource[Any]):
    """Reads system tables, batch by batch."""

    messages: ClassVar[Any] = system_tables_pb2
    stub_class: ClassVar[type[Any]] = system_tables_pb2_grpc.SystemTableServiceStub

    def list(self) -> tuple[SystemTable, ...]:
        """Return the tables there are, by name."""
        reply: system_tables_pb2.ListSystemTablesResponse = self._call("ListSystemTables")
        return tuple(
            SystemTable(
                table.full_name,
                tuple(SystemColumn(column.name, column.type_text) for column in table.columns),
                table.in_every_catalog,
            )
            for table in reply.system_tables
        )

    def read(self, full_name: str, **asked: Any) -> pyarrow.Table:
        """Return the rows as one table; `asked` is what `batches` takes."""
        pa = _pyarrow()
        schema, batches = self.batches(full_name, **asked)
        return pa.Table.from_batches(batches, schema=schema)

    def batches(
        self,
        full_name: str,
        *,
        columns: Iterable[str] = (),
        equal_to: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        batch_rows: int = BATCH_ROWS_MAX,
    ) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
        """Return the schema, and the rows in batches that are fetched as they are asked for.

        `columns` are the columns wanted, all by default; `equal_to` gives values that columns must have; `since` (inclusive) and
        `until` are about `event_time`; `limit` ends the reading after so many rows.
        """
        pa = _pyarrow()
        fields = {
            "full_name": full_name,
            "columns": list(columns),
            "equal_to": dict(equal_to or {}),
            "start_time": since,
            "end_time": until,
        }

        def fetch(token: str, left: int | None) -> tuple[pyarrow.RecordBatch, str]:
            rows = batch_rows if left is None else max(1, min(batch_rows, left))
            reply = self._call("ReadSystemTable", page_size=rows, page_token=token, **fields)
            with pa.ipc.open_stream(reply.arrow_stream) as stream:
                return stream.read_next_batch(), reply.next_page_token

        def following(batch: pyarrow.RecordBatch, token: str) -> Iterator[pyarrow.RecordBatch]:
            left = limit
            while True:
                shown = batch if left is None else batch.slice(0, left)
                left = None if left is None else left - shown.num_rows
                yield shown
                if not token or left == 0:
                    return
                batch, token = fetch(token, left)

        first, token = fetch("", limit)
        return first.schema, following(first, token)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        raise ConfigurationError("system tables need pyarrow: pip install 'lakewarden[audit]'") from None
    return pyarrow
