"""Shares: tables and views given to recipients outside the metastore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import shares_pb2 as pb
from lakewarden_policy import InvalidName, Reference, split_full_name
from lakewarden_server.core.errors import Reason, ResourceExhausted
from lakewarden_server.entities import Share, ShareObject, ShareRecipient, touch
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.storage.repositories import shares

OBJECTS_MAX = 1_000
RECIPIENTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Added:
    """What a request adds to a share, as references the pipeline resolves and asks SELECT on."""

    references: Sequence[Reference]


class ShareService:
    """Implements `lakewarden.v1.ShareService`."""

    def create_share(self, request: pb.CreateShareRequest, call: Call) -> pb.Share:
        """Creates a share with nothing in it."""
        share = securables.create(call, Share, request.share, metastore_id=call.metastore_id)
        call.uow.session.flush()
        return to_message(share, call)

    def get_share(self, request: pb.GetShareRequest, call: Call) -> pb.Share:
        """Returns one share."""
        return to_message(call.row(Share, call.self_id), call)

    def list_shares(self, request: pb.ListSharesRequest, call: Call) -> pb.ListSharesResponse:
        """Lists the shares the caller may see."""
        page, token = securables.page(call, Share, "SHARE", call.metastore_id, request)
        return pb.ListSharesResponse(shares=[to_message(row, call) for row in page], next_page_token=token)

    def update_share(self, request: pb.UpdateShareRequest, call: Call) -> pb.Share:
        """Changes what the mask names."""
        share = securables.update(call, Share, request.share, request.update_mask.paths, securables.SETTERS)
        call.uow.session.flush()
        return to_message(share, call)

    def delete_share(self, request: pb.DeleteShareRequest, call: Call) -> Empty:
        """Deletes a share, which its recipients thereby lose."""
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()

    def list_share_objects(
        self, request: pb.ListShareObjectsRequest, call: Call
    ) -> pb.ListShareObjectsResponse:
        """Lists what is in a share and may be seen by the caller."""
        found = shares.objects_of(call.uow.session, call.self_id)
        names = _visible_names(call, [row.object_id for row in found])
        page, token = call.pager.page(
            sorted(names),
            str,
            list_name=f"share_objects/{call.self_id}",
            page_size=request.page_size,
            page_token=request.page_token,
        )
        objects = [
            pb.ShareObject(kind=call.snapshot.securables[names[name]].kind, full_name=name) for name in page
        ]
        return pb.ListShareObjectsResponse(objects=objects, next_page_token=token)

    def prepare_update_share_objects(self, request: pb.UpdateShareObjectsRequest) -> Added:
        """Reads the names to add. Raises FIELD_INVALID for one that is no table's."""
        validation.repeated(request.add, "add")
        validation.repeated(request.remove, "remove")
        if not request.add and not request.remove:
            raise validation.invalid("add", "name something to add or to remove")
        return Added(
            [Reference("", "SELECT", _table_name(name, "add")) for name in dict.fromkeys(request.add)]
        )

    def update_share_objects(self, request: pb.UpdateShareObjectsRequest, call: Call) -> pb.Share:
        """Adds what the caller may read, and removes what is named; what is already so stays so."""
        share = call.row(Share, call.self_id)
        session = call.uow.session
        held = {row.object_id: row for row in shares.objects_of(session, share.id)}
        before = set(held)
        for object_id in _ids(call, [_table_name(name, "remove") for name in request.remove]):
            if object_id in held:
                session.delete(held.pop(object_id))
        added: Added = call.prepared
        for object_id in _ids(call, [reference.full_name for reference in added.references]):
            if object_id not in held:
                row = ShareObject(
                    share_id=share.id, object_id=object_id, create_time=call.now, created_by=call.caller.id
                )
                held[object_id] = row
                session.add(row)
        _refuse_beyond(len(held), OBJECTS_MAX, "objects")
        if set(held) != before:
            touch(share)
        call.detail.update(added=list(request.add), removed=list(request.remove))
        session.flush()
        return to_message(share, call)

    def list_share_recipients(
        self, request: pb.ListShareRecipientsRequest, call: Call
    ) -> pb.ListShareRecipientsResponse:
        """Lists the recipients of a share the caller may see."""
        found = shares.recipients_of(call.uow.session, call.self_id)
        page, token = call.pager.page(
            sorted(_visible_names(call, [row.recipient_id for row in found])),
            str,
            list_name=f"share_recipients/{call.self_id}",
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListShareRecipientsResponse(recipients=page, next_page_token=token)

    def create_share_recipient(self, request: pb.CreateShareRecipientRequest, call: Call) -> pb.Share:
        """Gives the share to the recipient, if it has it not yet."""
        share, recipient_id = call.row(Share, call.self_id), _recipient_id(call)
        session = call.uow.session
        held = {row.recipient_id for row in shares.recipients_of(session, share.id)}
        if recipient_id not in held:
            _refuse_beyond(len(held) + 1, RECIPIENTS_MAX, "recipients")
            session.add(
                ShareRecipient(
                    share_id=share.id,
                    recipient_id=recipient_id,
                    create_time=call.now,
                    created_by=call.caller.id,
                )
            )
            touch(share)
        call.detail["recipient"] = request.recipient
        session.flush()
        return to_message(share, call)

    def delete_share_recipient(self, request: pb.DeleteShareRecipientRequest, call: Call) -> Empty:
        """Takes the share from the recipient, if it has it."""
        share, recipient_id = call.row(Share, call.self_id), _recipient_id(call)
        row = call.uow.session.get(ShareRecipient, (share.id, recipient_id))
        if row is not None:
            call.uow.session.delete(row)
            touch(share)
        call.detail["recipient"] = request.recipient
        return Empty()


def to_message(share: Share, call: Call) -> pb.Share:
    """The message of a share's row."""
    message = pb.Share(metastore_id=share.metastore_id or "")
    securables.fill(message, share, call)
    return message


def _visible_names(call: Call, ids: Sequence[str]) -> dict[str, str]:
    """Full name -> id of those objects that still exist and that the caller may see."""
    return {
        call.snapshot.full_name(object_id): object_id
        for object_id in ids
        if call.decider.visible(call.caller.id, call.workspace_id, object_id)
    }


def _ids(call: Call, names: Sequence[str]) -> list[str]:
    """Ids of the relations with these names; a name nobody has is left out, and was refused before where it was to be added."""
    found = (call.snapshot.referenced(Reference("", "SELECT", name), call.metastore_id) for name in names)
    return [securable.id for securable in found if securable is not None]


def _recipient_id(call: Call) -> str:
    recipient = call.objects.get("recipient")
    if recipient is None:
        raise validation.invalid("recipient", "name the recipient")
    return recipient


def _table_name(name: str, field: str) -> str:
    try:
        split_full_name("TABLE", name)
    except InvalidName as error:
        raise validation.invalid(field, str(error)) from None
    return name


def _refuse_beyond(count: int, most: int, what: str) -> None:
    if count > most:
        raise ResourceExhausted(Reason.QUOTA_EXCEEDED, f"a share has at most {most} {what}")
