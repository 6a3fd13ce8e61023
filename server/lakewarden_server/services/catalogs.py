"""Catalogs, each with its schema `default`."""

from __future__ import annotations

from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import catalogs_pb2 as pb
from lakewarden.v1 import workspace_bindings_pb2
from lakewarden_server.entities import Catalog, Schema
from lakewarden_server.services import locations, securables
from lakewarden_server.services.call import Call
from lakewarden_server.storage.repositories.securables import has_children

DEFAULT_SCHEMA = "default"


class CatalogService:
    """Implements `lakewarden.v1.CatalogService`."""

    def create_catalog(self, request: pb.CreateCatalogRequest, call: Call) -> pb.Catalog:
        """Creates a catalog in the workspace's metastore, and its `default` schema with it."""
        catalog = securables.create(
            call,
            Catalog,
            request.catalog,
            metastore_id=call.metastore_id,
            connection_id=call.objects.get("connection"),
        )
        if request.catalog.storage_root:
            catalog.storage_root = locations.claim_managed(call, catalog.id, request.catalog.storage_root)
        _add_default_schema(call, catalog)
        call.uow.session.flush()
        return to_message(catalog, call)

    def get_catalog(self, request: pb.GetCatalogRequest, call: Call) -> pb.Catalog:
        """Returns one catalog."""
        return to_message(call.row(Catalog, call.self_id), call)

    def list_catalogs(self, request: pb.ListCatalogsRequest, call: Call) -> pb.ListCatalogsResponse:
        """Lists the catalogs of the workspace's metastore that the caller may see."""
        page, token = securables.page(call, Catalog, "CATALOG", call.metastore_id, request)
        return pb.ListCatalogsResponse(
            catalogs=[to_message(catalog, call) for catalog in page], next_page_token=token
        )

    def update_catalog(self, request: pb.UpdateCatalogRequest, call: Call) -> pb.Catalog:
        """Changes what the mask names."""
        catalog = securables.update(
            call, Catalog, request.catalog, request.update_mask.paths, securables.SETTERS
        )
        call.uow.session.flush()
        return to_message(catalog, call)

    def delete_catalog(self, request: pb.DeleteCatalogRequest, call: Call) -> Empty:
        """Deletes a catalog; an empty `default` schema does not stand in the way."""
        securables.delete(call, force=request.force, sent_etag=request.etag, disposable=_only_empty_default)
        return Empty()


def add_catalog(
    call: Call, *, name: str, metastore_id: str, owner_id: str, **values: Any
) -> tuple[Catalog, Schema]:
    """Adds a catalog under any metastore, and its `default` schema."""
    catalog = securables.add(
        call,
        Catalog,
        kind="CATALOG",
        name=name,
        parent_id=metastore_id,
        metastore_id=metastore_id,
        owner_id=owner_id,
        **values,
    )
    return catalog, _add_default_schema(call, catalog)


def to_message(catalog: Catalog, call: Call) -> pb.Catalog:
    """The message of a catalog row."""
    connection = call.snapshot.securables.get(catalog.connection_id or "")
    message = pb.Catalog(
        metastore_id=catalog.metastore_id or "",
        isolation_mode=workspace_bindings_pb2.IsolationMode.Value(f"ISOLATION_MODE_{catalog.isolation_mode}"),
        storage_root=catalog.storage_root,
        connection=connection.name if connection else "",
        catalog_type=pb.FOREIGN_CATALOG if catalog.connection_id else pb.MANAGED_CATALOG,
    )
    securables.fill(message, catalog, call)
    return message


def _add_default_schema(call: Call, catalog: Catalog) -> Schema:
    return securables.add(
        call,
        Schema,
        kind="SCHEMA",
        name=DEFAULT_SCHEMA,
        parent_id=catalog.id,
        metastore_id=catalog.metastore_id,
        owner_id=catalog.owner_id,
    )


def _only_empty_default(call: Call, catalog_id: str) -> bool:
    snapshot = call.snapshot
    schemas = snapshot.children(catalog_id, "SCHEMA")
    return all(
        snapshot.securables[schema].name_key == DEFAULT_SCHEMA and not has_children(call.uow.session, schema)
        for schema in schemas
    )
