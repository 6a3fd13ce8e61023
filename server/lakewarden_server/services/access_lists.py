"""Questions about many objects or many people at once: FilterSecurables, ListAccessible, ListPrincipals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from lakewarden.v1 import authorization_pb2 as pb
from lakewarden.v1 import grants_pb2
from lakewarden_policy import (
    IN_WORKSPACE,
    Access,
    Asked,
    InvalidName,
    accessible,
    containers_below,
    filter_names,
    principals_allowed,
    root_of,
    source_of,
    steps_below,
)
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.grants import parse_privilege
from lakewarden_server.services.paging import page_size_of
from lakewarden_server.services.sources import source_message
from lakewarden_server.services.workspace_objects import listed_place, workspace_of

FULL_NAMES_MAX = 100_000
_KINDS = {number: name for name, number in grants_pb2.SecurableType.items() if number}
# Name keys hold no dot, so a path of them is one text.
_SEPARATOR = "."

Found = TypeVar("Found")


def filter_securables(
    request: pb.FilterSecurablesRequest, call: Call, subject: str | None
) -> pb.FilterSecurablesResponse:
    """Answers FilterSecurables: nothing for a subject of whom the caller is told nothing."""
    if len(request.full_names) > FULL_NAMES_MAX:
        raise validation.invalid("full_names", f"more than {FULL_NAMES_MAX:,}; send them in several calls")
    if not request.full_names:
        raise validation.invalid("full_names", "it is empty")
    access = _access(request, call, subject)
    indices = filter_names(access, call.metastore_id, request.full_names) if subject else []
    return pb.FilterSecurablesResponse(indices=indices, revision=call.revision)


def list_accessible(
    request: pb.ListAccessibleRequest, call: Call, subject: str | None
) -> pb.ListAccessibleResponse:
    """Answers ListAccessible; the page goes on behind the last path of the one before."""
    access = _access(request, call, subject)
    kind = access.asked.kind
    list_name = f"accessible/{subject or request.subject}/{kind}/{access.asked.privilege}/{request.parent}"
    last = call.pager.read(list_name, request.page_token) if request.page_token else ""
    found = (
        _objects(access, request.parent, last, call)
        if kind in IN_WORKSPACE
        else _below(access, request.parent, last, call)
    )
    page, more = _page(found, request.page_size)
    token = call.pager.write(list_name, _SEPARATOR.join(page[-1][0])) if more else ""
    return pb.ListAccessibleResponse(
        full_names=[call.snapshot.full_name(object_id) for _, object_id in page],
        next_page_token=token,
        revision=call.revision,
    )


def list_principals(request: pb.ListPrincipalsRequest, call: Call) -> pb.ListPrincipalsResponse:
    """Answers ListPrincipals, from behind the last name of the page before."""
    kind = call.snapshot.securables[call.self_id].kind
    privilege = parse_privilege(call, kind, request.privilege)
    moment = (request.as_of_revision, request.as_of_time.ToJsonString())
    list_name = f"principals/{call.self_id}/{privilege}/{moment}"
    last = call.pager.read(list_name, request.page_token) if request.page_token else ""
    found = principals_allowed(call.decider, call.workspace_id, call.self_id, privilege, after=last)
    page, more = _page(found, request.page_size)
    # Who may list the grants of a view need not see what its owner holds on the tables it reads.
    told = {call.self_id, *call.snapshot.ancestors(call.self_id)}
    return pb.ListPrincipalsResponse(
        principals=[
            pb.AllowedPrincipal(
                principal=principal.name,
                how=[
                    source_message(source_of(call.decider, principal.id, row), call)
                    for row in dict.fromkeys(proof)
                    if row.object_id in told
                ],
            )
            for principal, proof in page
        ],
        next_page_token=call.pager.write(list_name, page[-1][0].name_key) if more else "",
        revision=call.revision,
    )


def _access(
    request: pb.FilterSecurablesRequest | pb.ListAccessibleRequest, call: Call, subject: str | None
) -> Access:
    kind = _KINDS.get(request.securable_type)
    if kind is None:
        raise validation.invalid("securable_type", f"say one of {', '.join(_KINDS.values())}")
    privilege = parse_privilege(call, kind, request.privilege) if request.privilege else None
    return Access(call.decider, Asked(subject or "", call.workspace_id, kind, privilege))


def _below(access: Access, parent: str, last: str, call: Call) -> Iterable[tuple[tuple[str, ...], str]]:
    """Path and id of what the subject has below a container, from behind the path `last` on."""
    steps, root = _start(parent, access.asked.kind, call)
    after = tuple(last.split(_SEPARATOR)) if last else ()
    return accessible(access, root, steps, after=after) if access.asked.subject_id and root else ()


def _objects(access: Access, parent: str, last: str, call: Call) -> Iterable[tuple[tuple[str, ...], str]]:
    """The same of objects of the calling workspace, which have one key each however deep they lie."""
    place = listed_place(call, workspace_of(call), parent)
    if place is None or not access.asked.subject_id:
        return ()
    found = (
        child for container in containers_below(call.snapshot, place) for child in access.children(container)
    )
    keyed = sorted((call.snapshot.securables[child].name_key, child) for child in found)
    return [((key,), child) for key, child in keyed if key > last]


def _start(parent: str, kind: str, call: Call) -> tuple[tuple[str, ...], str | None]:
    """The kinds to walk through and where to start; None where the container is absent. Raises FIELD_INVALID."""
    if not parent:
        return steps_below(kind, None), root_of(kind, call.metastore_id)
    steps = steps_below(kind, None)
    depth = parent.count(".") + 1
    if depth >= len(steps):
        raise validation.invalid("parent", f"{parent} is not the name of a container of a {kind.lower()}")
    try:
        container = call.snapshot.resolve(steps[depth - 1], parent, call.metastore_id)
    except InvalidName:
        container = None
    return steps[depth:], container.id if container else None


def _page(found: Iterator[Found] | Iterable[Found], page_size: int) -> tuple[list[Found], bool]:
    """A full page of what comes, and whether there is more."""
    size = page_size_of(page_size)
    page = list(islice(found, size + 1))
    return page[:size], len(page) > size
