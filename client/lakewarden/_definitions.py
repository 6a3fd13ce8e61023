"""The securables defined by SQL text: views, materialized views, streaming tables and functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar

from lakewarden._errors import InvalidArgument
from lakewarden._resources import MessageType, SecurableResource
from lakewarden._securables import split_name
from lakewarden.v1 import (
    functions_pb2,
    functions_pb2_grpc,
    materialized_views_pb2,
    materialized_views_pb2_grpc,
    streaming_tables_pb2,
    streaming_tables_pb2_grpc,
    views_pb2,
    views_pb2_grpc,
)

ViewColumn = views_pb2.ViewColumn | Mapping[str, Any] | str
FunctionParameter = functions_pb2.FunctionParameter | Mapping[str, Any] | str


class DefinedRelations(SecurableResource[MessageType]):
    """What views, materialized views and streaming tables have in common."""

    def create(
        self,
        full_name: str,
        definition: str,
        *,
        dialect: str = "",
        columns: Iterable[ViewColumn] = (),
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> MessageType:
        """Create one, named in full, from the text of a SELECT in `dialect` (duckdb).

        `columns` are names, ViewColumn messages or mappings such as `{"name": "id", "comment": "the key"}`; without them
        the columns are those of the SELECT.
        """
        parent, name = split_name(full_name, "catalog.schema.name")
        values = {
            "name": name,
            "definition": definition,
            "dialect": dialect,
            "columns": [_column(column) for column in columns],
            "comment": comment,
            "properties": dict(properties or {}),
        }
        return self._create(values, parent=parent)

    def list(self, schema: str, *, page_size: int = 0, limit: int | None = None) -> Iterator[MessageType]:
        """Yield those of a schema that the caller may see, in the order of their names, without their definitions."""
        return self._list(page_size=page_size, limit=limit, parent=schema)

    def redefine(
        self,
        full_name: str,
        definition: str,
        *,
        dialect: str = "",
        columns: Iterable[ViewColumn] = (),
        etag: str = "",
    ) -> MessageType:
        """Replace the definition, and dialect and columns with it. Only the owner may, who must be able to read what it uses."""
        request = {
            self.field: {
                self.key: full_name,
                "etag": etag,
                "definition": definition,
                "dialect": dialect,
                "columns": [_column(column) for column in columns],
            }
        }
        reply: MessageType = self._call(
            f"Update{self.noun}", **request, update_mask={"paths": ["definition"]}
        )
        return reply

    def delete(self, full_name: str, *, etag: str = "") -> None:
        """Delete one; what it references stays."""
        self._delete(full_name, etag=etag)


class Views(DefinedRelations[views_pb2.View]):
    """Views: read with their owner's rights on what they reference."""

    messages: ClassVar[ModuleType] = views_pb2
    stub_class = views_pb2_grpc.ViewServiceStub
    noun = "View"
    plural = "Views"
    field = "view"


class MaterializedViews(DefinedRelations[materialized_views_pb2.MaterializedView]):
    """Materialized views: their rows are stored by the lakehouse."""

    messages: ClassVar[ModuleType] = materialized_views_pb2
    stub_class = materialized_views_pb2_grpc.MaterializedViewServiceStub
    noun = "MaterializedView"
    plural = "MaterializedViews"
    field = "materialized_view"

    def refresh(self, full_name: str, *, etag: str = "") -> materialized_views_pb2.MaterializedView:
        """Note that the stored rows were computed anew just now; whoever computes them asks for this right first."""
        reply: materialized_views_pb2.MaterializedView = self._call(
            "RefreshMaterializedView", full_name=full_name, etag=etag
        )
        return reply


class StreamingTables(DefinedRelations[streaming_tables_pb2.StreamingTable]):
    """Streaming tables: the lakehouse appends to them what a SELECT yields."""

    messages: ClassVar[ModuleType] = streaming_tables_pb2
    stub_class = streaming_tables_pb2_grpc.StreamingTableServiceStub
    noun = "StreamingTable"
    plural = "StreamingTables"
    field = "streaming_table"


class Functions(SecurableResource[functions_pb2.Function]):
    """Functions: SQL expressions over parameters, also those that filter and mask tables."""

    messages: ClassVar[ModuleType] = functions_pb2
    stub_class = functions_pb2_grpc.FunctionServiceStub
    noun = "Function"
    plural = "Functions"
    field = "function"

    def create(
        self,
        full_name: str,
        parameters: Iterable[FunctionParameter],
        returns: str,
        definition: str,
        *,
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> functions_pb2.Function:
        """Create a function, named in full: `functions.create("main.hr.masked", ["ssn VARCHAR"], "VARCHAR", "left(ssn, 3)")`.

        `parameters` are texts as `name TYPE`, FunctionParameter messages or mappings.
        """
        parent, name = split_name(full_name, "catalog.schema.function")
        values = {
            "name": name,
            "parameters": [_parameter(parameter) for parameter in parameters],
            "return_type_text": returns,
            "definition": definition,
            "comment": comment,
            "properties": dict(properties or {}),
        }
        return self._create(values, parent=parent)

    def list(
        self, schema: str, *, page_size: int = 0, limit: int | None = None
    ) -> Iterator[functions_pb2.Function]:
        """Yield the functions of a schema that the caller may see, in the order of their names, without their bodies."""
        return self._list(page_size=page_size, limit=limit, parent=schema)

    def redefine(self, full_name: str, definition: str, *, etag: str = "") -> functions_pb2.Function:
        """Replace the body. Only the owner may, who must be able to use what it references."""
        return self._update(full_name, {"definition": definition}, etag=etag)

    def delete(self, full_name: str, *, etag: str = "") -> None:
        """Delete a function; refused while it filters or masks a table."""
        self._delete(full_name, etag=etag)


def _column(column: ViewColumn) -> views_pb2.ViewColumn:
    message: views_pb2.ViewColumn = _message(
        views_pb2.ViewColumn, {"name": column} if isinstance(column, str) else column
    )
    return message


def _parameter(parameter: FunctionParameter) -> functions_pb2.FunctionParameter:
    if isinstance(parameter, str):
        name, _, type_text = parameter.strip().partition(" ")
        parameter = {"name": name, "type_text": type_text.strip()}
    message: functions_pb2.FunctionParameter = _message(functions_pb2.FunctionParameter, parameter)
    return message


def _message(message_class: Any, value: Any) -> Any:
    """The value as a message of the class, which it may be already. Raises InvalidArgument."""
    if isinstance(value, message_class):
        return value
    try:
        return message_class(**value)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{value!r} does not fit: {error}", reason="FIELD_INVALID") from None
