"""Materialized views."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import materialized_views_pb2 as pb
from lakewarden_server.entities import MaterializedView
from lakewarden_server.services import securables
from lakewarden_server.services.call import Call
from lakewarden_server.services.parsing import Parsing
from lakewarden_server.services.relations import Prepared, Relations


class MaterializedViewService:
    """Implements `lakewarden.v1.MaterializedViewService`."""

    def __init__(self, parsing: Parsing) -> None:
        self._relations = Relations(
            parsing,
            entity=MaterializedView,
            message=pb.MaterializedView,
            reply=pb.ListMaterializedViewsResponse,
        )

    def prepare_create_materialized_view(self, request: pb.CreateMaterializedViewRequest) -> Prepared:
        """Reads the definition and what it references."""
        return self._relations.prepare_create(request)

    def create_materialized_view(
        self, request: pb.CreateMaterializedViewRequest, call: Call
    ) -> pb.MaterializedView:
        """Creates a materialized view."""
        message: pb.MaterializedView = self._relations.create(request, call)
        return message

    def get_materialized_view(
        self, request: pb.GetMaterializedViewRequest, call: Call
    ) -> pb.MaterializedView:
        """Returns one materialized view."""
        message: pb.MaterializedView = self._relations.get(call)
        return message

    def list_materialized_views(
        self, request: pb.ListMaterializedViewsRequest, call: Call
    ) -> pb.ListMaterializedViewsResponse:
        """Lists the materialized views of a schema that the caller may see."""
        reply: pb.ListMaterializedViewsResponse = self._relations.list(request, call)
        return reply

    def prepare_update_materialized_view(self, request: pb.UpdateMaterializedViewRequest) -> Prepared:
        """Reads the new definition, when there is one."""
        return self._relations.prepare_update(request)

    def update_materialized_view(
        self, request: pb.UpdateMaterializedViewRequest, call: Call
    ) -> pb.MaterializedView:
        """Changes what the mask names."""
        message: pb.MaterializedView = self._relations.update(request, call)
        return message

    def delete_materialized_view(self, request: pb.DeleteMaterializedViewRequest, call: Call) -> Empty:
        """Deletes a materialized view."""
        return self._relations.delete(request, call)

    def refresh_materialized_view(
        self, request: pb.RefreshMaterializedViewRequest, call: Call
    ) -> pb.MaterializedView:
        """Remembers when the rows were computed anew; the lakehouse computes them."""
        view = call.row(MaterializedView, call.self_id)
        securables.check_etag(view, request.etag)
        view.refresh_time = call.now
        message: pb.MaterializedView = self._relations.get(call)
        return message
