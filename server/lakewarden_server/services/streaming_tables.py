"""Streaming tables."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import streaming_tables_pb2 as pb
from lakewarden_server.entities import StreamingTable
from lakewarden_server.services.call import Call
from lakewarden_server.services.parsing import Parsing
from lakewarden_server.services.relations import Prepared, Relations


class StreamingTableService:
    """Implements `lakewarden.v1.StreamingTableService`."""

    def __init__(self, parsing: Parsing) -> None:
        self._relations = Relations(
            parsing, entity=StreamingTable, message=pb.StreamingTable, reply=pb.ListStreamingTablesResponse
        )

    def prepare_create_streaming_table(self, request: pb.CreateStreamingTableRequest) -> Prepared:
        """Reads the definition and what it references."""
        return self._relations.prepare_create(request)

    def create_streaming_table(
        self, request: pb.CreateStreamingTableRequest, call: Call
    ) -> pb.StreamingTable:
        """Creates a streaming table."""
        message: pb.StreamingTable = self._relations.create(request, call)
        return message

    def get_streaming_table(self, request: pb.GetStreamingTableRequest, call: Call) -> pb.StreamingTable:
        """Returns one streaming table."""
        message: pb.StreamingTable = self._relations.get(call)
        return message

    def list_streaming_tables(
        self, request: pb.ListStreamingTablesRequest, call: Call
    ) -> pb.ListStreamingTablesResponse:
        """Lists the streaming tables of a schema that the caller may see."""
        reply: pb.ListStreamingTablesResponse = self._relations.list(request, call)
        return reply

    def prepare_update_streaming_table(self, request: pb.UpdateStreamingTableRequest) -> Prepared:
        """Reads the new definition, when there is one."""
        return self._relations.prepare_update(request)

    def update_streaming_table(
        self, request: pb.UpdateStreamingTableRequest, call: Call
    ) -> pb.StreamingTable:
        """Changes what the mask names."""
        message: pb.StreamingTable = self._relations.update(request, call)
        return message

    def delete_streaming_table(self, request: pb.DeleteStreamingTableRequest, call: Call) -> Empty:
        """Deletes a streaming table."""
        return self._relations.delete(request, call)
