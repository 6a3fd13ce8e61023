"""What every securable noun does alike: message fields, creation, paging, updates by mask, deletion of a subtree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from lakewarden_policy import ACCOUNT_ID, KINDS, name_key, validate_name
from lakewarden_server.core.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, Reason
from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import Securable
from lakewarden_server.services import functions_in_use, validation
from lakewarden_server.services.call import Call
from lakewarden_server.storage.repositories import grants, places, references, securables, tokens

Entity = TypeVar("Entity", bound=Securable)
Setter = Callable[[Any, Any, Call], None]
DEFINED_KINDS = frozenset({"VIEW", "MATERIALIZED_VIEW", "STREAMING_TABLE", "FUNCTION"})
"""Kinds with a definition that references others."""


def fill(message: Any, entity: Securable, call: Call) -> None:
    """Copies the fields every securable message has (fields 1 to 11) from its row."""
    message.id = entity.id
    message.full_name = full_name(entity, call)
    message.name = entity.name
    message.owner = call.principal_name(entity.owner_id)
    message.comment = entity.comment
    message.properties.update(entity.properties)
    message.etag = etag(entity)
    message.create_time.FromDatetime(entity.create_time)
    message.created_by = call.principal_name(entity.created_by)
    message.update_time.FromDatetime(entity.update_time)
    message.updated_by = call.principal_name(entity.updated_by)


def full_name(entity: Securable, call: Call) -> str:
    """Dotted name from the catalog down; a metastore's, workspace's or catalog's is its own name."""
    if KINDS[entity.kind].name_parts == 1 or entity.parent_id is None:
        return entity.name
    return f"{call.snapshot.full_name(entity.parent_id)}.{entity.name}"


def etag(entity: Any) -> str:
    """Opaque to clients: the object's last characters of identity and its revision."""
    return f"{entity.id[-12:]}-{entity.revision}"


def check_etag(entity: Any, sent: str) -> None:
    """Raises ETAG_MISMATCH when the caller's copy is not the current one; an empty etag skips the check."""
    if sent and sent != etag(entity):
        raise Aborted(
            Reason.ETAG_MISMATCH, "it changed since it was read: get it again, then repeat the change"
        )


def create(
    call: Call, entity_class: type[Entity], message: Any, *, metastore_id: str | None, **details: Any
) -> Entity:
    """Adds a securable under the bound parent, owned by the caller. Raises NAME_INVALID, NAME_TAKEN, FIELD_INVALID."""
    kind = str(entity_class.__mapper_args__["polymorphic_identity"])
    return add(
        call,
        entity_class,
        kind=kind,
        parent_id=call.objects.get("parent") or ACCOUNT_ID,
        metastore_id=metastore_id,
        name=validation.named(validate_name, message.name, kind),
        comment=validation.comment(message.comment),
        properties=validation.properties(message.properties),
        owner_id=owner_id(call, message.owner) if message.owner else call.caller.id,
        **details,
    )


def add(
    call: Call, entity_class: type[Entity], *, kind: str, name: str, parent_id: str, **values: Any
) -> Entity:
    """Adds one row after checking that its name is free. Raises NAME_TAKEN."""
    refuse_taken(call, kind=kind, parent_id=parent_id, name=name)
    entity = entity_class(
        id=new_id(), kind=kind, parent_id=parent_id, name=name, name_key=name_key(name), **values
    )
    call.uow.session.add(entity)
    return entity


def refuse_taken(
    call: Call, *, kind: str, parent_id: str, name: str, besides: str | None = None, remedy: str = "choose another"
) -> None:  # fmt: skip
    """Raises NAME_TAKEN when a live object of the same namespace has that name."""
    taken = call.snapshot.child(parent_id, kind, name_key(name))
    if taken is not None and taken.id != besides:
        raise AlreadyExists(
            Reason.NAME_TAKEN, f"the name {name!r} is taken there: {remedy}", name=name, kind=kind
        )


def owner_id(call: Call, name: str) -> str:
    """Id of the active principal who shall own something. Raises PRINCIPAL_UNKNOWN, FIELD_INVALID."""
    found = principal_id(call, name, field="owner")
    if not call.decider.is_active(found):
        raise validation.invalid("owner", f"{name} is disabled; name an active principal")
    return found


def principal_id(call: Call, name: str, *, field: str) -> str:
    """Id of the principal of that name. Raises PRINCIPAL_UNKNOWN."""
    principal = call.snapshot.principal_named(name) if name else None
    if principal is None:
        raise unknown_principal(name, field=field)
    return principal.id


def unknown_principal(name: str, *, field: str) -> InvalidArgument:
    """The answer to a name that is nobody's, and to one whose bearer the caller must not learn of."""
    return InvalidArgument(
        Reason.PRINCIPAL_UNKNOWN,
        f"{field}: there is no principal {name!r}; give a user's email, a group's name or an application id",
        field=field,
    )


def page(
    call: Call, entity_class: type[Entity], kind: str, parent_id: str | None, request: Any
) -> tuple[Sequence[Entity], str]:
    """One page of the children the caller may see, in the order of their keys, and the next page's token."""
    # An absent container is an empty one, down to the checks of the page: they must not tell it from a hidden one.
    visible = (
        call.decider.visible_children(call.caller.id, call.workspace_id, parent_id, kind) if parent_id else ()
    )
    ids, token = call.pager.page(
        visible,
        lambda child: call.snapshot.securables[child].name_key,
        list_name=f"{kind}/{parent_id}",
        page_size=request.page_size,
        page_token=request.page_token,
    )
    return call.rows(securables.by_ids(call.uow.session, entity_class, ids), expected=len(ids)), token


def update(
    call: Call, entity_class: type[Entity], message: Any, paths: Sequence[str], setters: Mapping[str, Setter]
) -> Entity:
    """Applies the fields of an update mask to the bound object. Raises ETAG_MISMATCH, UPDATE_MASK_INVALID and each setter's own."""
    entity = call.row(entity_class, call.self_id)
    check_etag(entity, message.etag)
    for path in validation.mask_paths(paths, setters):
        setters[path](entity, message, call)
    call.detail["update_mask"] = list(paths)
    return entity


def set_name(entity: Any, message: Any, call: Call) -> None:
    """Renames; identity, grants and children stay."""
    name = validation.named(validate_name, message.name, entity.kind)
    refuse_taken(call, kind=entity.kind, parent_id=entity.parent_id, name=name, besides=entity.id)
    call.detail["renamed_from"] = entity.name
    entity.name = name
    entity.name_key = name_key(name)


def set_comment(entity: Any, message: Any, call: Call) -> None:
    """Replaces the comment."""
    entity.comment = validation.comment(message.comment)


def set_properties(entity: Any, message: Any, call: Call) -> None:
    """Replaces all properties."""
    entity.properties = validation.properties(message.properties)


def set_owner(entity: Any, message: Any, call: Call) -> None:
    """Transfers ownership."""
    call.detail["owner_before"] = call.principal_name(entity.owner_id)
    entity.owner_id = owner_id(call, message.owner)
    call.detail["owner_after"] = call.principal_name(entity.owner_id)


def set_read_only(entity: Any, message: Any, call: Call) -> None:
    """Allows or forbids writing; a setter of the kinds that have it."""
    entity.read_only = message.read_only


SETTERS: Mapping[str, Setter] = {
    "name": set_name,
    "comment": set_comment,
    "properties": set_properties,
    "owner": set_owner,
}
"""What can change on every securable."""


def delete(
    call: Call, *, force: bool, sent_etag: str, disposable: Callable[[Call, str], bool] | None = None,
    restorable: bool = False,
) -> None:  # fmt: skip
    """Deletes the bound object with its grants, and with `force` everything inside; one transaction.

    `disposable` says whether what is inside may go without `force`; what is `restorable` keeps its grants, which confer
    nothing until it is back. Raises NOT_EMPTY, ETAG_MISMATCH, FUNCTION_IN_USE.
    """
    entity = call.row(Securable, call.self_id)
    check_etag(entity, sent_etag)
    session = call.uow.session
    occupied = securables.has_children(session, entity.id)
    if occupied and not force and not (disposable and disposable(call, entity.id)):
        raise FailedPrecondition(
            Reason.NOT_EMPTY,
            f"{entity.kind.lower()} {full_name(entity, call)} is not empty: delete what is inside first, or use force",
            kind=entity.kind,
        )
    inside = list(securables.subtree(session, entity.id)) if occupied else [entity]
    functions_in_use.refuse_deletion(call, {doomed.id: doomed.kind for doomed in inside})
    for doomed in inside:
        doomed.deleted_time = call.now
        if doomed.kind in DEFINED_KINDS:
            references.delete(session, doomed.id)
        for grant in () if restorable else grants.of_securable(session, doomed.id):
            session.delete(grant)
    places.forget_belongings(session, [doomed.id for doomed in inside])
    call.detail["deleted"] = len(inside)


def refuse_used(used: bool, problem: str) -> None:
    """Raises IN_USE when something else depends on what would change; it is not named, since it may be hidden."""
    if used:
        raise FailedPrecondition(Reason.IN_USE, f"{problem}: change or delete those first, or use force")


def delete_tokens_of_workspace(call: Call, workspace_id: str) -> None:
    """Tokens limited to a workspace end with it."""
    for token in tokens.of_workspace(call.uow.session, workspace_id):
        call.uow.session.delete(token)
