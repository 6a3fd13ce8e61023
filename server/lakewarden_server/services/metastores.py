"""Metastores."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import metastores_pb2 as pb
from lakewarden_policy import ACCOUNT_ID, ACCOUNT_USERS_ID
from lakewarden_server.core.errors import FailedPrecondition, Reason
from lakewarden_server.entities import Metastore
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.storage.repositories import grants

REGION_BYTES_MAX = 255
DEFAULT_GRANTS = ("USE_MARKETPLACE_ASSETS",)
"""What `account users` hold on a new metastore until somebody revokes it (semantics 2.1, 3.2)."""


class MetastoreService:
    """Implements `lakewarden.v1.MetastoreService`."""

    def create_metastore(self, request: pb.CreateMetastoreRequest, call: Call) -> pb.Metastore:
        """Creates a metastore; its owner, the creator at first, is its metastore admin, and everybody gets the DEFAULT_GRANTS."""
        region = request.metastore.region
        if len(region.encode()) > REGION_BYTES_MAX:
            raise validation.invalid("region", f"longer than {REGION_BYTES_MAX} bytes")
        metastore = securables.create(call, Metastore, request.metastore, metastore_id=None, region=region)
        metastore.metastore_id = metastore.id
        grants.give(
            call.uow.session, metastore.id, ACCOUNT_USERS_ID, DEFAULT_GRANTS, by=call.caller.id, time=call.now
        )
        call.uow.session.flush()
        return to_message(metastore, call)

    def get_metastore(self, request: pb.GetMetastoreRequest, call: Call) -> pb.Metastore:
        """Returns one metastore."""
        return to_message(call.row(Metastore, call.self_id), call)

    def list_metastores(self, request: pb.ListMetastoresRequest, call: Call) -> pb.ListMetastoresResponse:
        """Lists the metastores the caller may see."""
        page, token = securables.page(call, Metastore, "METASTORE", ACCOUNT_ID, request)
        return pb.ListMetastoresResponse(
            metastores=[to_message(metastore, call) for metastore in page], next_page_token=token
        )

    def update_metastore(self, request: pb.UpdateMetastoreRequest, call: Call) -> pb.Metastore:
        """Changes what the mask names."""
        metastore = securables.update(
            call, Metastore, request.metastore, request.update_mask.paths, securables.SETTERS
        )
        call.uow.session.flush()
        return to_message(metastore, call)

    def delete_metastore(self, request: pb.DeleteMetastoreRequest, call: Call) -> Empty:
        """Deletes a metastore no workspace is attached to."""
        workspaces = map(
            call.snapshot.securables.__getitem__, call.snapshot.children(ACCOUNT_ID, "WORKSPACE")
        )
        attached = [workspace.name for workspace in workspaces if workspace.metastore_id == call.self_id]
        if attached:
            names = ", ".join(attached[:10])
            raise FailedPrecondition(
                Reason.NOT_EMPTY, f"workspaces are attached to it ({names}): detach them first"
            )
        securables.delete(call, force=request.force, sent_etag=request.etag)
        return Empty()


def to_message(metastore: Metastore, call: Call) -> pb.Metastore:
    """The message of a metastore row."""
    message = pb.Metastore(metastore_id=metastore.id, region=metastore.region)
    securables.fill(message, metastore, call)
    return message
