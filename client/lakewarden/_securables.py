"""The securables a client can reach: metastores, workspaces, catalogs, schemas, tables and volumes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar, Protocol

from lakewarden._errors import InvalidArgument, NotFound
from lakewarden._resources import SecurableResource
from lakewarden.v1 import (
    catalogs_pb2,
    catalogs_pb2_grpc,
    metastores_pb2,
    metastores_pb2_grpc,
    schemas_pb2,
    schemas_pb2_grpc,
    tables_pb2,
    tables_pb2_grpc,
    volumes_pb2,
    volumes_pb2_grpc,
    workspaces_pb2,
    workspaces_pb2_grpc,
)


class Metastores(SecurableResource[metastores_pb2.Metastore]):
    """Metastores: the top of the namespace of a region."""

    messages: ClassVar[ModuleType] = metastores_pb2
    stub_class = metastores_pb2_grpc.MetastoreServiceStub
    noun = "Metastore"
    plural = "Metastores"
    field = "metastore"

    def create(
        self, name: str, *, region: str = "", comment: str = "", properties: Mapping[str, str] | None = None
    ) -> metastores_pb2.Metastore:
        """Create a metastore. Account admins only."""
        return self._create(
            {"name": name, "region": region, "comment": comment, "properties": dict(properties or {})}
        )

    def list(self, *, page_size: int = 0, limit: int | None = None) -> Iterator[metastores_pb2.Metastore]:
        """Yield the metastores the caller may see, in the order of their names."""
        return self._list(page_size=page_size, limit=limit)

    def delete(self, full_name: str, *, force: bool = False, etag: str = "") -> None:
        """Delete a metastore; `force` takes its catalogs with it."""
        self._delete(full_name, force=force, etag=etag)


class Workspaces(SecurableResource[workspaces_pb2.Workspace]):
    """Workspaces: where principals work, attached to one metastore."""

    messages: ClassVar[ModuleType] = workspaces_pb2
    stub_class = workspaces_pb2_grpc.WorkspaceServiceStub
    noun = "Workspace"
    plural = "Workspaces"
    field = "workspace"

    def create(
        self,
        name: str,
        *,
        metastore: str = "",
        comment: str = "",
        properties: Mapping[str, str] | None = None,
        default_catalog: str = "",
        omit_catalog: bool = False,
    ) -> workspaces_pb2.Workspace:
        """Create a workspace, attached to `metastore` when that is given. Account admins only.

        With a metastore it gets a catalog of its own name, unless `omit_catalog` says otherwise.
        """
        return self._create(
            {
                "name": name,
                "metastore": metastore,
                "comment": comment,
                "properties": dict(properties or {}),
                "default_catalog": default_catalog,
            },
            omit_catalog=omit_catalog,
        )

    def list(self, *, page_size: int = 0, limit: int | None = None) -> Iterator[workspaces_pb2.Workspace]:
        """Yield the workspaces the caller may see, in the order of their names."""
        return self._list(page_size=page_size, limit=limit)

    def attach(self, full_name: str, metastore: str, *, etag: str = "") -> workspaces_pb2.Workspace:
        """Attach it to a metastore, in place of the one before."""
        return self._update(full_name, {"metastore": metastore}, etag=etag)

    def detach(self, full_name: str, *, etag: str = "") -> workspaces_pb2.Workspace:
        """Detach it from its metastore: whoever works there sees no data any more."""
        return self._update(full_name, {"metastore": ""}, etag=etag)

    def set_default_catalog(
        self, full_name: str, catalog: str, *, etag: str = ""
    ) -> workspaces_pb2.Workspace:
        """Name the catalog that names without one are looked up in; empty for none."""
        return self._update(full_name, {"default_catalog": catalog}, etag=etag)

    def delete(self, full_name: str, *, etag: str = "") -> None:
        """Delete a workspace and the assignments to it."""
        self._delete(full_name, etag=etag)


class Catalogs(SecurableResource[catalogs_pb2.Catalog]):
    """Catalogs: the first level of the namespace."""

    messages: ClassVar[ModuleType] = catalogs_pb2
    stub_class = catalogs_pb2_grpc.CatalogServiceStub
    noun = "Catalog"
    plural = "Catalogs"
    field = "catalog"

    def create(
        self,
        name: str,
        *,
        storage_root: str = "",
        connection: str = "",
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> catalogs_pb2.Catalog:
        """Create a catalog in the metastore of the calling workspace, with its schema `default`.

        `storage_root` is a URL inside an external location; `connection` makes it a foreign catalog.
        """
        common = {"name": name, "comment": comment, "properties": dict(properties or {})}
        return self._create({**common, "storage_root": storage_root, "connection": connection})

    def list(self, *, page_size: int = 0, limit: int | None = None) -> Iterator[catalogs_pb2.Catalog]:
        """Yield the catalogs the caller may see, in the order of their names."""
        return self._list(page_size=page_size, limit=limit)

    def delete(self, full_name: str, *, force: bool = False, etag: str = "") -> None:
        """Delete a catalog; `force` takes its schemas and tables with it."""
        self._delete(full_name, force=force, etag=etag)


class Schemas(SecurableResource[schemas_pb2.Schema]):
    """Schemas: the second level of the namespace."""

    messages: ClassVar[ModuleType] = schemas_pb2
    stub_class = schemas_pb2_grpc.SchemaServiceStub
    noun = "Schema"
    plural = "Schemas"
    field = "schema"

    def create(
        self,
        full_name: str,
        *,
        storage_root: str = "",
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> schemas_pb2.Schema:
        """Create a schema, named in full: `main.sales`. `storage_root` is a URL inside an external location."""
        parent, name = split_name(full_name, "catalog.schema")
        common = {"name": name, "comment": comment, "properties": dict(properties or {})}
        return self._create({**common, "storage_root": storage_root}, parent=parent)

    def list(
        self, catalog: str, *, page_size: int = 0, limit: int | None = None
    ) -> Iterator[schemas_pb2.Schema]:
        """Yield the schemas of a catalog that the caller may see, in the order of their names."""
        return self._list(page_size=page_size, limit=limit, parent=catalog)

    def delete(self, full_name: str, *, force: bool = False, etag: str = "") -> None:
        """Delete a schema; `force` takes its tables with it."""
        self._delete(full_name, force=force, etag=etag)


class ArrowSchema(Protocol):
    """What `pyarrow.Schema` offers and `Tables.create` uses; the client itself does not need pyarrow."""

    def serialize(self) -> Any:
        """Return the schema as an Arrow IPC message."""


class Tables(SecurableResource[tables_pb2.Table]):
    """Tables: the third level of the namespace."""

    messages: ClassVar[ModuleType] = tables_pb2
    stub_class = tables_pb2_grpc.TableServiceStub
    noun = "Table"
    plural = "Tables"
    field = "table"

    def create(
        self,
        full_name: str,
        columns: Iterable[tables_pb2.Column | Mapping[str, Any]] = (),
        *,
        arrow_schema: ArrowSchema | bytes | None = None,
        create_statement: str | None = None,
        dialect: str = "",
        comment: str = "",
        properties: Mapping[str, str] | None = None,
        data_source_format: str = "",
        storage_location: str = "",
    ) -> tables_pb2.Table:
        """Create a table, named in full, its columns given in exactly one of three ways.

        With a `storage_location`, a URL inside an external location, the table is an external one.

        `columns` are Column messages or mappings such as `{"name": "id", "type_text": "BIGINT", "required": True}`;
        `arrow_schema` is a pyarrow Schema; `create_statement` is the text of a CREATE TABLE in `dialect` (duckdb).
        """
        parent, name = split_name(full_name, "catalog.schema.table")
        values = {
            "name": name,
            "comment": comment,
            "properties": dict(properties or {}),
            "data_source_format": data_source_format,
            "storage_location": storage_location,
            "table_type": tables_pb2.EXTERNAL if storage_location else tables_pb2.TABLE_TYPE_UNSPECIFIED,
            "columns": [_column(column) for column in columns],
        }
        definition = {"arrow_schema": _arrow_bytes(arrow_schema), "create_statement": create_statement}
        given = {key: value for key, value in definition.items() if value is not None}
        if len(given) + bool(values["columns"]) > 1:
            raise InvalidArgument(
                "give columns, an Arrow schema or a CREATE TABLE statement, but only one of them",
                reason="DEFINITION_INVALID",
            )
        return self._create(values, parent=parent, dialect=dialect, **given)

    def list(
        self, schema: str, *, omit_columns: bool = False, page_size: int = 0, limit: int | None = None
    ) -> Iterator[tables_pb2.Table]:
        """Yield the tables of a schema that the caller may see, in the order of their names."""
        return self._list(page_size=page_size, limit=limit, parent=schema, omit_columns=omit_columns)

    def update(
        self,
        full_name: str,
        *,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        etag: str = "",
        columns: Iterable[tables_pb2.Column | Mapping[str, Any]] | None = None,
    ) -> tables_pb2.Table:
        """Change comment, properties (the whole map) or columns (all of them); what is None stays."""
        changes = {
            "comment": comment,
            "properties": None if properties is None else dict(properties),
            "columns": None if columns is None else [_column(column) for column in columns],
        }
        return self._update(full_name, changes, etag=etag)

    def delete(self, full_name: str, *, etag: str = "") -> None:
        """Delete a table. The data is not touched, and for 7 days the table can be restored."""
        self._delete(full_name, etag=etag)

    def list_deleted(
        self, schema: str, *, name: str = "", page_size: int = 0, limit: int | None = None
    ) -> Iterator[tables_pb2.DeletedTable]:
        """Yield the deleted tables of a schema that can be restored, the last deleted first; of one own name if given."""
        return self._pages(
            "ListDeletedTables",
            "deleted_tables",
            page_size=page_size,
            limit=limit,
            parent=schema,
            name=name,
        )

    def undelete(self, full_name: str, *, table_id: str = "", new_name: str = "") -> tables_pb2.Table:
        """Restore the table deleted last under this full name, or the one with `table_id`; `new_name` renames it.

        Raises AlreadyExists when the name was taken meanwhile and no new one is given.
        """
        schema, name = split_name(full_name, "catalog.schema.table")
        if not table_id:
            last = next(self.list_deleted(schema, name=name, limit=1), None)
            if last is None:
                raise NotFound(
                    f"there is no deleted table {full_name} that you could restore", reason="OBJECT_NOT_FOUND"
                )
            table_id = last.id
        reply: tables_pb2.Table = self._call(
            "UndeleteTable", full_name=f"{schema}.{table_id}", new_name=new_name
        )
        return reply

    def set_row_filter(
        self, full_name: str, function: str, columns: Iterable[str], *, etag: str = ""
    ) -> tables_pb2.Table:
        """Show only the rows for which the function, called with these columns, is true: to everybody, its owner included."""
        row_filter = tables_pb2.RowFilter(function=function, columns=columns)
        return self._changed("SetRowFilter", full_name=full_name, row_filter=row_filter, etag=etag)

    def drop_row_filter(self, full_name: str, *, etag: str = "") -> tables_pb2.Table:
        """Show all rows again."""
        return self._changed("DropRowFilter", full_name=full_name, etag=etag)

    def set_column_mask(
        self, full_name: str, column: str, function: str, *, using: Iterable[str] = (), etag: str = ""
    ) -> tables_pb2.Table:
        """Show the function's result in place of a column; it is called with that column, then with those in `using`."""
        mask = tables_pb2.ColumnMask(function=function, using_columns=using)
        return self._changed("SetColumnMask", full_name=full_name, column=column, column_mask=mask, etag=etag)

    def drop_column_mask(self, full_name: str, column: str, *, etag: str = "") -> tables_pb2.Table:
        """Show a column itself again."""
        return self._changed("DropColumnMask", full_name=full_name, column=column, etag=etag)

    def _changed(self, rpc: str, **fields: Any) -> tables_pb2.Table:
        reply: tables_pb2.Table = self._call(rpc, **fields)
        return reply


class Volumes(SecurableResource[volumes_pb2.Volume]):
    """Volumes: places for files, in the third level of the namespace."""

    messages: ClassVar[ModuleType] = volumes_pb2
    stub_class = volumes_pb2_grpc.VolumeServiceStub
    noun = "Volume"
    plural = "Volumes"
    field = "volume"

    def create(
        self,
        full_name: str,
        *,
        storage_location: str = "",
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> volumes_pb2.Volume:
        """Create a volume, named in full: managed, or external when `storage_location` says where its files lie."""
        parent, name = split_name(full_name, "catalog.schema.volume")
        values: dict[str, Any] = {
            "name": name,
            "comment": comment,
            "properties": dict(properties or {}),
        }
        if storage_location:
            values |= {"storage_location": storage_location, "volume_type": volumes_pb2.Volume.EXTERNAL}
        return self._create(values, parent=parent)

    def list(
        self, schema: str, *, page_size: int = 0, limit: int | None = None
    ) -> Iterator[volumes_pb2.Volume]:
        """Yield the volumes of a schema that the caller may see, in the order of their names."""
        return self._list(page_size=page_size, limit=limit, parent=schema)

    def delete(self, full_name: str, *, etag: str = "") -> None:
        """Delete a volume. The files are not touched."""
        self._delete(full_name, etag=etag)


def split_name(full_name: str, shape: str) -> tuple[str, str]:
    """Split a full name into the parent's full name and the own name. Raises InvalidArgument when the shape is another."""
    parts = full_name.split(".")
    if len(parts) != shape.count(".") + 1 or not all(parts):
        raise InvalidArgument(f"{full_name!r} is not of the form {shape}", reason="NAME_INVALID")
    return ".".join(parts[:-1]), parts[-1]


def _column(column: tables_pb2.Column | Mapping[str, Any]) -> tables_pb2.Column:
    if isinstance(column, tables_pb2.Column):
        return column
    if not isinstance(column, Mapping):
        raise InvalidArgument(
            f'{column!r} is no column; one looks like {{"name": "id", "type_text": "BIGINT"}}',
            reason="FIELD_INVALID",
        )
    try:
        return tables_pb2.Column(**column)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"wrong column {dict(column)!r}: {error}", reason="FIELD_INVALID") from None


def _arrow_bytes(schema: ArrowSchema | bytes | None) -> bytes | None:
    # pyarrow's Schema.serialize() returns a Buffer, which `bytes` copies.
    return schema if schema is None or isinstance(schema, bytes) else bytes(schema.serialize())
