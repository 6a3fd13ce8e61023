"""IP access lists of the account and of workspaces (semantics 5.7). What they admit is decided on the snapshot, in the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import ip_access_lists_pb2 as pb
from lakewarden_policy import ACCOUNT_ID, Admission, InvalidNetwork, parse_network
from lakewarden_policy import IpAccessList as Enabled
from lakewarden_server.core.errors import FailedPrecondition, NotFound, Reason, ResourceExhausted
from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import IpAccessList, IpAccessSettings
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.securables import check_etag, etag
from lakewarden_server.storage.repositories import ip_access_lists

ADDRESSES_MAX: Final = 1_000
"""In all lists of one scope together (semantics 5.7)."""
LISTS_MAX: Final = 100
"""Of one scope; each has an address at least."""
LABEL_BYTES_MAX: Final = 255


class IpAccessListService:
    """Implements `lakewarden.v1.IpAccessListService`."""

    def create_ip_access_list(self, request: pb.CreateIpAccessListRequest, call: Call) -> pb.IpAccessList:
        """Adds a list to a scope."""
        message = request.ip_access_list
        row = IpAccessList(
            id=new_id(), scope_id=_scope_id(message.workspace, call), enabled=not request.disabled
        )
        for path in ("label", "list_type", "ip_addresses"):
            _SETTERS[path](row, message)
        call.uow.session.add(row)
        return _changed(row, call)

    def get_ip_access_list(self, request: pb.GetIpAccessListRequest, call: Call) -> pb.IpAccessList:
        """One list of a scope."""
        return _to_message(_row(request.id, request.workspace, call), call)

    def list_ip_access_lists(
        self, request: pb.ListIpAccessListsRequest, call: Call
    ) -> pb.ListIpAccessListsResponse:
        """The lists of a scope."""
        scope_id = _scope_id(request.workspace, call)
        rows, token = call.pager.page(
            ip_access_lists.of_scope(call.uow.session, scope_id),
            lambda row: row.id,
            list_name=f"ip_access_lists/{scope_id}",
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListIpAccessListsResponse(
            ip_access_lists=[_to_message(row, call) for row in rows], next_page_token=token
        )

    def update_ip_access_list(self, request: pb.UpdateIpAccessListRequest, call: Call) -> pb.IpAccessList:
        """Changes what the mask names."""
        message = request.ip_access_list
        row = _row(message.id, message.workspace, call)
        check_etag(row, message.etag)
        for path in validation.mask_paths(request.update_mask.paths, _SETTERS):
            _SETTERS[path](row, message)
        return _changed(row, call)

    def delete_ip_access_list(self, request: pb.DeleteIpAccessListRequest, call: Call) -> Empty:
        """Deletes a list."""
        row = _row(request.id, request.workspace, call)
        check_etag(row, request.etag)
        call.uow.session.delete(row)
        call.uow.session.flush()
        _check_caller_admitted(row.scope_id, call)
        call.detail.update(_described(row))
        return Empty()

    def get_ip_access_settings(
        self, request: pb.GetIpAccessSettingsRequest, call: Call
    ) -> pb.IpAccessSettings:
        """Whether a scope enforces its lists."""
        enforced = ip_access_lists.is_enforced(call.uow.session, _scope_id(request.workspace, call))
        return pb.IpAccessSettings(workspace=request.workspace, enforced=enforced)

    def update_ip_access_settings(
        self, request: pb.UpdateIpAccessSettingsRequest, call: Call
    ) -> pb.IpAccessSettings:
        """Makes a scope enforce its lists, or not."""
        settings, session = request.ip_access_settings, call.uow.session
        scope_id = _scope_id(settings.workspace, call)
        row = session.get(IpAccessSettings, scope_id)
        if row is None and settings.enforced:
            session.add(IpAccessSettings(scope_id=scope_id, enforced=settings.enforced))
        elif row is not None:
            row.enforced = settings.enforced
        session.flush()
        _check_caller_admitted(scope_id, call)
        call.detail.update(scope_id=scope_id, enforced=settings.enforced)
        return pb.IpAccessSettings(workspace=settings.workspace, enforced=settings.enforced)


def delete_of_workspace(call: Call, workspace_id: str) -> None:
    """A workspace's lists and settings end with it."""
    session = call.uow.session
    for row in ip_access_lists.of_scope(session, workspace_id):
        session.delete(row)
    settings = session.get(IpAccessSettings, workspace_id)
    if settings is not None:
        session.delete(settings)


def _scope_id(workspace: str, call: Call) -> str:
    """The account's id, or that of the workspace the request names: the calling one does not count."""
    return call.objects["workspace"] if workspace else ACCOUNT_ID


def _row(list_id: str, workspace: str, call: Call) -> IpAccessList:
    """A list of the scope the caller was authorized for. Raises OBJECT_NOT_FOUND for those of others too."""
    row = call.uow.session.get(IpAccessList, list_id)
    if row is None or row.scope_id != _scope_id(workspace, call):
        scope = f"workspace {workspace}" if workspace else "the account"
        raise NotFound(Reason.OBJECT_NOT_FOUND, f"{scope} has no IP access list {list_id!r}")
    return row


def _changed(row: IpAccessList, call: Call) -> pb.IpAccessList:
    """The message of a row that was made or changed, once the whole scope is within its limits and admits the caller."""
    call.uow.session.flush()
    rows = ip_access_lists.of_scope(call.uow.session, row.scope_id)
    _check_quota(rows)
    _check_caller_admitted(row.scope_id, call)
    call.detail.update(_described(row))
    return _to_message(row, call)


def _check_quota(rows: Sequence[IpAccessList]) -> None:
    if len(rows) > LISTS_MAX:
        raise ResourceExhausted(
            Reason.QUOTA_EXCEEDED,
            f"there are {LISTS_MAX} lists already: delete one, or put addresses together",
        )
    count = sum(len(row.ip_addresses) for row in rows)
    if count > ADDRESSES_MAX:
        raise ResourceExhausted(
            Reason.QUOTA_EXCEEDED,
            f"all lists together would have {count} addresses, and may have {ADDRESSES_MAX}: name networks",
        )


def _check_caller_admitted(scope_id: str, call: Call) -> None:
    """Nobody locks himself out: the change is judged as it would be stored, from where this call came. Raises CALLER_LOCKED_OUT."""
    session = call.uow.session
    if not ip_access_lists.is_enforced(session, scope_id):
        return
    enabled = [
        Enabled(row.id, row.scope_id, row.list_type, tuple(row.ip_addresses))
        for row in ip_access_lists.of_scope(session, scope_id)
        if row.enabled
    ]
    if not Admission(enabled).admits(call.peer.address):
        raise FailedPrecondition(
            Reason.CALLER_LOCKED_OUT,
            f"this would refuse your own calls: you call from {call.peer.text}. Allow that address first, or call from another one",
            address=call.peer.text,
        )


def _set_label(row: Any, message: pb.IpAccessList) -> None:
    if not message.label.strip():
        raise validation.invalid("label", "it is empty")
    row.label = validation.bounded(message.label, "label", LABEL_BYTES_MAX)


def _set_list_type(row: Any, message: pb.IpAccessList) -> None:
    if message.list_type not in (pb.ALLOW, pb.BLOCK):
        raise validation.invalid("list_type", "say ALLOW or BLOCK")
    row.list_type = pb.IpAccessListType.Name(message.list_type)


def _set_ip_addresses(row: Any, message: pb.IpAccessList) -> None:
    """Stored as they are compared, each once, in the order they were given in."""
    if not message.ip_addresses:
        raise validation.invalid("ip_addresses", "it is empty, and would say nothing")
    try:
        row.ip_addresses = list(dict.fromkeys(_spelled(text) for text in message.ip_addresses))
    except InvalidNetwork as error:
        raise validation.invalid("ip_addresses", str(error)) from None


def _spelled(text: str) -> str:
    network = parse_network(text)
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


def _set_enabled(row: Any, message: pb.IpAccessList) -> None:
    row.enabled = message.enabled


_SETTERS: Final[Mapping[str, Callable[[Any, pb.IpAccessList], None]]] = {
    "label": _set_label,
    "list_type": _set_list_type,
    "ip_addresses": _set_ip_addresses,
    "enabled": _set_enabled,
}


def _described(row: IpAccessList) -> dict[str, Any]:
    return {
        "ip_access_list_id": row.id,
        "scope_id": row.scope_id,
        "list_type": row.list_type,
        "ip_addresses": row.ip_addresses,
        "enabled": row.enabled,
    }


def _to_message(row: IpAccessList, call: Call) -> pb.IpAccessList:
    message = pb.IpAccessList(
        id=row.id,
        workspace="" if row.scope_id == ACCOUNT_ID else call.snapshot.full_name(row.scope_id),
        label=row.label,
        list_type=pb.IpAccessListType.Value(row.list_type),
        ip_addresses=row.ip_addresses,
        enabled=row.enabled,
        etag=etag(row),
        created_by=call.principal_name(row.created_by),
        updated_by=call.principal_name(row.updated_by),
    )
    message.create_time.FromDatetime(row.create_time)
    message.update_time.FromDatetime(row.update_time)
    return message
