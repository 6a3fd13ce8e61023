"""Views."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import views_pb2 as pb
from lakewarden_server.entities import View
from lakewarden_server.services.call import Call
from lakewarden_server.services.parsing import Parsing
from lakewarden_server.services.relations import Prepared, Relations


class ViewService:
    """Implements `lakewarden.v1.ViewService`."""

    def __init__(self, parsing: Parsing) -> None:
        self._relations = Relations(parsing, entity=View, message=pb.View, reply=pb.ListViewsResponse)

    def prepare_create_view(self, request: pb.CreateViewRequest) -> Prepared:
        """Reads the definition and what it references."""
        return self._relations.prepare_create(request)

    def create_view(self, request: pb.CreateViewRequest, call: Call) -> pb.View:
        """Creates a view."""
        message: pb.View = self._relations.create(request, call)
        return message

    def get_view(self, request: pb.GetViewRequest, call: Call) -> pb.View:
        """Returns one view."""
        message: pb.View = self._relations.get(call)
        return message

    def list_views(self, request: pb.ListViewsRequest, call: Call) -> pb.ListViewsResponse:
        """Lists the views of a schema that the caller may see."""
        reply: pb.ListViewsResponse = self._relations.list(request, call)
        return reply

    def prepare_update_view(self, request: pb.UpdateViewRequest) -> Prepared:
        """Reads the new definition, when there is one."""
        return self._relations.prepare_update(request)

    def update_view(self, request: pb.UpdateViewRequest, call: Call) -> pb.View:
        """Changes what the mask names."""
        message: pb.View = self._relations.update(request, call)
        return message

    def delete_view(self, request: pb.DeleteViewRequest, call: Call) -> Empty:
        """Deletes a view."""
        return self._relations.delete(request, call)
