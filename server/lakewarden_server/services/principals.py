"""What users, groups and service principals have in common: creation, paging, updates and deletion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import groups_pb2
from lakewarden_policy import ACCOUNT_ADMIN, ACCOUNT_ID, name_key
from lakewarden_server.core.errors import AlreadyExists, FailedPrecondition, Reason
from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import Principal
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.securables import Setter, check_etag, etag
from lakewarden_server.storage.repositories import federation_policies, grants, principals, tokens


def fill(message: Any, principal: Principal, call: Call) -> None:
    """Copies the fields every principal message has."""
    message.id = principal.id
    message.name = principal.name
    message.external_id = principal.external_id
    message.etag = etag(principal)
    message.create_time.FromDatetime(principal.create_time)
    message.created_by = call.principal_name(principal.created_by)
    message.update_time.FromDatetime(principal.update_time)
    message.updated_by = call.principal_name(principal.updated_by)
    for group_id in call.snapshot.groups_of(principal.id):
        group = call.snapshot.principals[group_id]
        if call.decider.visible(call.caller.id, call.workspace_id, group_id):
            message.groups.add(id=group.id, name=group.name, kind=groups_pb2.PrincipalReference.GROUP)


def create(
    call: Call, *, kind: str, name: str, display_name: str = "", external_id: str = "", active: bool = True
) -> Principal:
    """Adds a principal. Raises EXTERNAL_ID_TAKEN and NAME_TAKEN: emails, group names and application ids share one namespace."""
    if call.snapshot.principal_named(name) is not None:
        raise AlreadyExists(Reason.NAME_TAKEN, f"there is a principal {name!r} already", name=name, kind=kind)
    principal = Principal(
        id=new_id(),
        kind=kind,
        name=name,
        name_key=name_key(name),
        display_name=validation.display_name(display_name),
        external_id=_free_external_id(call, kind, external_id),
        active=active,
    )
    call.uow.session.add(principal)
    call.uow.session.flush()
    return principal


def appoint_creator(call: Call, principal: Principal) -> None:
    """Makes the creator a manager of it, but for an account admin, who is one of all (semantics 5.2)."""
    if not call.decider.atom(call.caller.id, None, ACCOUNT_ID, ACCOUNT_ADMIN):
        grants.give(
            call.uow.session, principal.id, call.caller.id, ("MANAGER",), by=call.caller.id, time=call.now
        )


class Page(NamedTuple):
    """One page of a list: its rows, the token of the next one, and how many the whole list has."""

    rows: Sequence[Principal]
    next_page_token: str
    total_size: int


def page(call: Call, kind: str, request: Any) -> Page:
    """One page of the principals of a kind that the caller may see: of all, or of the one with a name or an external id."""
    visible = call.decider.visible_children(call.caller.id, call.workspace_id, ACCOUNT_ID, kind)
    if request.external_id:
        found = principals.by_external_id(call.uow.session, kind, request.external_id)
        visible = (found.id,) if found is not None and found.id in visible else ()
    if request.name:
        named = call.snapshot.principal_named(request.name)
        visible = (named.id,) if named is not None and named.id in visible else ()
    ids, token = call.pager.page(
        visible,
        lambda child: call.snapshot.securables[child].name_key,
        list_name=f"{kind}/{request.external_id}/{request.name}",
        page_size=request.page_size,
        page_token=request.page_token,
        skip=request.skip,
    )
    rows = call.rows(principals.by_ids(call.uow.session, ids), expected=len(ids))
    return Page(rows, token, len(visible))


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
    """Activates or deactivates. Deactivation revokes every token in the same transaction, so no activation revives one."""
    if message.active and not principal.active:
        principal.activation += 1
    principal.active = message.active
    if not message.active:
        call.detail["revoked_tokens"] = _revoke_tokens(call, principal.id)


def set_external_id(principal: Any, message: Any, call: Call) -> None:
    """Replaces the identifier at the identity provider. Raises EXTERNAL_ID_TAKEN."""
    principal.external_id = _free_external_id(call, principal.kind, message.external_id, besides=principal.id)


SETTERS: Mapping[str, Setter] = {
    "display_name": set_display_name,
    "active": set_active,
    "external_id": set_external_id,
}
"""What can change on users and service principals."""


def delete(call: Call, sent_etag: str) -> Empty:
    """Deletes the bound principal. Raises SYSTEM_OBJECT, ETAG_MISMATCH, LAST_ADMIN."""
    principal = call.row(Principal, call.self_id)
    refuse_system(principal)
    check_etag(principal, sent_etag)
    bury(call, principal)
    call.uow.session.flush()
    assert_admin_remains(call)
    return Empty()


def bury(call: Call, principal: Principal) -> None:
    """Ends a principal with its tokens, memberships and the roles on it; ownership and grants stay under its id (semantics 3.1).

    They are nobody's: a principal made again under the name is another one.
    """
    session = call.uow.session
    for row in (
        *principals.memberships(session, principal.id),
        *grants.of_securable(session, principal.id),
        *federation_policies.of_principal(session, principal.id),
    ):
        session.delete(row)
    call.detail["revoked_tokens"] = _revoke_tokens(call, principal.id)
    principal.deleted_time, principal.active, principal.name_key = call.now, False, principal.id


def _revoke_tokens(call: Call, principal_id: str) -> int:
    live = tokens.of_principal(call.uow.session, principal_id)
    for token in live:
        call.uow.session.delete(token)
    return len(live)


def _free_external_id(call: Call, kind: str, text: str, *, besides: str = "") -> str:
    external_id = validation.external_id(text)
    found = principals.by_external_id(call.uow.session, kind, external_id) if external_id else None
    if found is not None and found.id != besides:
        seen = call.decider.visible(call.caller.id, call.workspace_id, found.id)
        raise AlreadyExists(
            Reason.EXTERNAL_ID_TAKEN,
            f"the external id {external_id!r} is taken" + (f" by {found.name}" if seen else ""),
            external_id=external_id,
            kind=kind,
        )
    return external_id


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
