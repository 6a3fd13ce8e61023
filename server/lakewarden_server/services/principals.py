"""What users, groups and service principals have in common: creation, paging, updates and deletion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden_policy import ACCOUNT_ADMIN, ACCOUNT_ID, name_key
from lakewarden_server.core.errors import AlreadyExists, FailedPrecondition, Reason
from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import Principal
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.securables import Setter, check_etag, etag
from lakewarden_server.storage.repositories import grants, principals, securables, tokens


def fill(message: Any, principal: Principal, call: Call) -> None:
    """Copies the fields every principal message has."""
    message.id = principal.id
    message.name = principal.name
    message.etag = etag(principal)
    message.create_time.FromDatetime(principal.create_time)
    message.created_by = call.principal_name(principal.created_by)
    message.update_time.FromDatetime(principal.update_time)
    message.updated_by = call.principal_name(principal.updated_by)


def create(call: Call, *, kind: str, name: str, display_name: str = "") -> Principal:
    """Adds a principal. Raises NAME_TAKEN: emails, group names and application ids share one namespace."""
    if call.snapshot.principal_named(name) is not None:
        raise AlreadyExists(Reason.NAME_TAKEN, f"there is a principal {name!r} already", name=name, kind=kind)
    principal = Principal(
        id=new_id(),
        kind=kind,
        name=name,
        name_key=name_key(name),
        display_name=validation.display_name(display_name),
    )
    call.uow.session.add(principal)
    call.uow.session.flush()
    return principal


def page(call: Call, kind: str, request: Any) -> tuple[Sequence[Principal], str]:
    """One page of the principals of a kind that the caller may see."""
    visible = call.decider.visible_children(call.caller.id, call.workspace_id, ACCOUNT_ID, kind)
    ids, token = call.pager.page(
        visible,
        lambda child: call.snapshot.securables[child].name_key,
        list_name=kind,
        page_size=request.page_size,
        page_token=request.page_token,
    )
    return call.rows(principals.by_ids(call.uow.session, ids), expected=len(ids)), token


def update(call: Call, message: Any, paths: Sequence[str], setters: Mapping[str, Setter]) -> Principal:
    """Applies an update mask to the bound principal. Raises SYSTEM_OBJECT, ETAG_MISMATCH, LAST_ADMIN."""
    principal = call.row(Principal, call.self_id)
    refuse_system(principal)
    check_etag(principal, message.etag)
    for path in validation.mask_paths(paths, setters):
        setters[path](principal, message, call)
    call.uow.session.flush()
    if "active" in paths:
        assert_admin_remains(call)
    return principal


def set_display_name(principal: Any, message: Any, call: Call) -> None:
    """Replaces the name for people."""
    principal.display_name = validation.display_name(message.display_name)


def set_active(principal: Any, message: Any, call: Call) -> None:
    """Enables or disables; disabling ends every token at once, because no call of an inactive principal is answered."""
    principal.active = message.active


SETTERS: Mapping[str, Setter] = {"display_name": set_display_name, "active": set_active}
"""What can change on users and service principals."""


def delete(call: Call, sent_etag: str) -> Empty:
    """Deletes the bound principal with its memberships, grants and tokens.

    Raises PRINCIPAL_OWNS_SECURABLES, SYSTEM_OBJECT, ETAG_MISMATCH, LAST_ADMIN.
    """
    principal = call.row(Principal, call.self_id)
    refuse_system(principal)
    check_etag(principal, sent_etag)
    session = call.uow.session
    owned = securables.owned_by(session, principal.id)
    if owned:
        raise FailedPrecondition(
            Reason.PRINCIPAL_OWNS_SECURABLES,
            f"{principal.name} owns {len(owned)} or more securables: transfer them first, or disable the principal",
            principal=principal.name,
        )
    for row in (
        *grants.of_principal(session, principal.id),
        *tokens.of_principal(session, principal.id),
        *principals.memberships(session, principal.id),
    ):
        session.delete(row)
    securables.forget_owner(session, principal.id)
    session.delete(principal)
    session.flush()
    assert_admin_remains(call)
    return Empty()


def refuse_system(principal: Principal) -> None:
    """Raises SYSTEM_OBJECT for what the server made and keeps itself."""
    if principal.system:
        raise FailedPrecondition(
            Reason.SYSTEM_OBJECT, f"{principal.name} is kept by the server and cannot be changed"
        )


def assert_admin_remains(call: Call) -> None:
    """Raises LAST_ADMIN when no active user or service principal would be an account admin after this write.

    Judged on the state about to be committed, under the head row, so that two admins cannot remove each other.
    """
    decider = call.follower.after_flush(call.decider, call.write)
    people = (p for p in decider.snapshot.principals.values() if p.active and p.kind != "GROUP")
    if not any(decider.atom(person.id, None, ACCOUNT_ID, ACCOUNT_ADMIN) for person in people):
        raise FailedPrecondition(
            Reason.LAST_ADMIN, "no active account admin would be left: appoint another one first"
        )
