"""Schemas."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import schemas_pb2 as pb
from lakewarden_server.entities import Schema
from lakewarden_server.services import locations, securables
from lakewarden_server.services.call import Call


class SchemaService:
    """Implements `lakewarden.v1.SchemaService`."""

    def create_schema(self, request: pb.CreateSchemaRequest, call: Call) -> pb.Schema:
        """Creates a schema in a catalog."""
        schema = securables.create(call, Schema, request.schema, metastore_id=call.metastore_id)
        if request.schema.storage_root:
            schema.storage_root = locations.claim_managed(
                call, schema.id, request.schema.storage_root, inside=[call.parent_id]
            )
        call.uow.session.flush()
        return to_message(schema, call)

    def get_schema(self, request: pb.GetSchemaRequest, call: Call) -> pb.Schema:
        """Returns one schema."""
        return to_message(call.row(Schema, call.self_id), call)

    def list_schemas(self, request: pb.ListSchemasRequest, call: Call) -> pb.ListSchemasResponse:
        """Lists the schemas of a catalog that the caller may see."""
        page, token = securables.page(call, Schema, "SCHEMA", call.objects.get("parent"), request)
        return pb.ListSchemasResponse(
            schemas=[to_message(schema, call) for schema in page], next_page_token=token
        )

    def update_schema(self, request: pb.UpdateSchemaRequest, call: Call) -> pb.Schema:
        """Changes what the mask names."""
        schema = securables.update(
            call, Schema, request.schema, request.update_mask.paths, securables.SETTERS
        )
        call.uow.session.flush()
        return to_message(schema, call)

    def delete_schema(self, request: pb.DeleteSchemaRequest, call: Call) -> Empty:
        """Deletes a schema, with `force` with its tables."""
        securables.delete(call, force=request.force, sent_etag=request.etag)
        return Empty()


def to_message(schema: Schema, call: Call) -> pb.Schema:
    """The message of a schema row."""
    message = pb.Schema(metastore_id=schema.metastore_id or "", storage_root=schema.storage_root)
    securables.fill(message, schema, call)
    return message
