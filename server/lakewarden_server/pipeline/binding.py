"""From a request to the ids its rule speaks of: names are resolved once, on the state the decision is made on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf.message import Message

from lakewarden_policy import (
    ACCOUNT_ID,
    KINDS,
    Decider,
    InvalidName,
    Located,
    Reference,
    location_of,
    spell_privilege,
)
from lakewarden_server.authn.authenticator import Caller
from lakewarden_server.authn.tokens import TRADED, TokenKind
from lakewarden_server.core.errors import InvalidArgument, PermissionDenied, Reason
from lakewarden_server.core.urls import InvalidUrl, canonical_url
from lakewarden_server.pipeline.rules import AS_OF, Binding, Method

BOOTSTRAP_OPERATION = "token.create"
EXCHANGE_OPERATION = "token.exchange"
_ACCOUNT_LEVEL = frozenset(kind.name for kind in KINDS.values() if kind.parents in {(), ("ACCOUNT",)})
"""Kinds that are found without a workspace."""
_OF_THE_ACCOUNT = _ACCOUNT_LEVEL | {"AUDIT", "FEDERATION_POLICY", "IP_ACCESS_LIST"}
"""What a token that is limited to a workspace does not touch; nor does it ask about the past."""
LOCATION_KIND = "EXTERNAL_LOCATION"
"""Bound by a URL that lies in it, not by its name."""


UNKNOWN_WORKSPACE_ID = "unknown"
"""Stands for a named workspace that does not exist; no object has this id, so nothing is reachable from it."""


class Place(NamedTuple):
    """Where a call comes from: its workspace and the metastore that is attached to, either may be absent."""

    workspace_id: str | None
    metastore_id: str | None


class Beside(NamedTuple):
    """An object named beside the one the request is about; `object_id` is None where nobody has that name."""

    name: str
    kind: str
    text: str
    object_id: str | None


class Referenced(NamedTuple):
    """Something a definition uses, and what has that name now, if anything."""

    reference: Reference
    object_id: str | None


class Bound(NamedTuple):
    """What a request names, as ids, and the operations it selects."""

    noun: str
    objects: dict[str, str]
    operations: tuple[tuple[str, str | None], ...]
    """Operation and selector; all must be allowed."""
    absent_kind: str | None
    """Kind of the object or container the request names and nobody has."""
    container_id: str | None
    """The deepest container found of what is absent."""
    named: str
    """The name as the request spelled it, for messages."""
    beside: tuple[Beside, ...] = ()
    """What else the rule binds."""
    references: tuple[Referenced, ...] = ()
    """What the definition in the request uses; known once it was parsed."""

    @property
    def is_of_the_past(self) -> bool:
        """Whether the request asks for an earlier state."""
        return self.operations == ((AS_OF, None),)


class Admitted(NamedTuple):
    """A call that was authenticated and bound on one state; allowed, unless it stands in the record of a denial."""

    caller: Caller
    place: Place
    bound: Bound
    decider: Decider


def bind(
    method: Method, request: Message, decider: Decider, caller: Caller, place: Place, *, prepared: object = None
) -> Bound:  # fmt: skip
    """Resolves the names a rule binds, and those in what the method `prepared`.

    Raises WORKSPACE_REQUIRED and, for a kind that does not exist, FIELD_INVALID.
    """
    rule = method.rule
    if rule.as_of and _names_past(method, request):
        return _bind_past(method, request, decider, place)
    kind = _kind(method, request)
    noun = kind.lower() if kind else method.noun
    objects: dict[str, str] = {"workspace": place.workspace_id} if place.workspace_id else {}
    role, wanted, named = _target(method, kind, request)
    located = None
    if wanted:
        implied = role == "parent" and not rule.parent
        located = _implied(decider, wanted, place) if implied else _locate(decider, wanted, named, place)
    if role and located and located.securable:
        objects[role] = located.securable.id
    if rule.subject:
        subject_name = _text(request, rule.subject)
        subject = decider.snapshot.principal_named(subject_name) if subject_name else None
        if subject or not subject_name:
            objects["subject"] = subject.id if subject else caller.id
        named = named or subject_name
    operation = rule.operation if method.noun else f"{noun}.{rule.operation}"
    selectors, beside = _selectors(method, request), tuple[Beside, ...]()
    if rule.bind:
        beside = tuple(_beside(method, request, decider, place))
        objects.update((found.name, found.object_id) for found in beside if found.object_id)
        if any(found.name == "workspace" and not found.object_id for found in beside):
            # Else the calling workspace would stand for the one that was named.
            objects["workspace"] = UNKNOWN_WORKSPACE_ID
        rows = decider.policy.operations
        selectors += [found.name for found in beside if f"{operation}.{found.name}" in rows]
    selections = tuple((operation, selector) for selector in dict.fromkeys(selectors)) or ((operation, None),)
    absent = located is not None and located.securable is None
    if absent and wanted == "METASTORE" and role == "parent" and not operation.endswith(".list"):
        _refuse_unattached(decider, caller, place)
    container = located.container.id if located and located.container else None
    references = tuple(_references(method, prepared, decider, place)) if rule.references else ()
    return Bound(noun, objects, selections, wanted if absent else None, container, named, beside, references)


def check_token(bound: Bound, caller: Caller) -> None:
    """What the token itself forbids, whatever its principal may do.

    A bootstrap token creates one token, for its own principal. A client secret or a provider's token is traded for an access token and does nothing else, and
    nothing else is traded, or an access token could be renewed without them. A token limited to a workspace does no account-level work, or its thief could make
    himself an unlimited one. Raises BOOTSTRAP_TOKEN_RESTRICTED, CREDENTIAL_UNSUITABLE or WORKSPACE_DENIED.
    """
    operation = bound.operations[0][0]
    for_another = bound.noun == "token" and bound.objects.get("subject") != caller.id
    if caller.token_kind is TokenKind.BOOTSTRAP and (operation != BOOTSTRAP_OPERATION or for_another):
        raise PermissionDenied(
            Reason.BOOTSTRAP_TOKEN_RESTRICTED,
            "a one-time token only creates a token for its own principal: run `lakewarden login` with it",
        )
    if (caller.token_kind in TRADED) != (operation == EXCHANGE_OPERATION):
        raise PermissionDenied(
            Reason.CREDENTIAL_UNSUITABLE,
            "a client secret or a token of an identity provider is traded for an access token, with which everything else is done, and nothing else is traded",
        )
    if caller.token_workspace_id and (
        for_another or bound.noun.upper() in _OF_THE_ACCOUNT or bound.is_of_the_past
    ):
        raise PermissionDenied(
            Reason.WORKSPACE_DENIED,
            f"{operation} is account-level work: use a token that is not limited to a workspace",
        )


def _kind(method: Method, request: Message) -> str | None:
    if not method.rule.securable_type:
        return method.kind
    kinds, path = method.kinds, method.rule.securable_type
    kind = kinds.get(_value(request, path))
    if kind is None:
        field = path.rpartition(".")[2]
        raise InvalidArgument(
            Reason.FIELD_INVALID, f"{field}: say one of {', '.join(kinds.values())}", field=field
        )
    return kind


def _target(method: Method, kind: str | None, request: Message) -> tuple[str, str | None, str]:
    """Role, kind and name of what a request is about: itself, a named container, or the one that goes without saying."""
    rule = method.rule
    if kind is None:
        return "", None, ""
    if rule.self:
        return "self", kind, _text(request, rule.self)
    if rule.operation.endswith((".create", ".list")):
        return "parent", KINDS[kind].parents[0], _text(request, rule.parent) if rule.parent else ""
    return "", None, ""


def _beside(method: Method, request: Message, decider: Decider, place: Place) -> Iterator[Beside]:
    """The objects of `Rule.bind`; an empty field names none, nor does one the update mask leaves alone."""
    for binding in method.rule.bind:
        text = _text(request, binding.field)
        mask: Any = getattr(request, method.rule.update_mask) if method.rule.update_mask else None
        if not text or (mask is not None and binding.field.rpartition(".")[2] not in mask.paths):
            continue
        if not binding.kind:
            principal = decider.snapshot.principal_named(text)
            yield Beside(binding.name, "PRINCIPAL", text, principal.id if principal else None)
            continue
        if binding.kind == LOCATION_KIND:
            yield _covering(binding, text, decider, place)
            continue
        found = _locate(decider, binding.kind, text, place).securable
        yield Beside(binding.name, binding.kind, text, found.id if found else None)


def _covering(binding: Binding, text: str, decider: Decider, place: Place) -> Beside:
    """The external location a URL lies in. Raises FIELD_INVALID for a URL that could lie in none, whoever asks."""
    require_workspace(place)
    field = binding.field.rpartition(".")[2]
    try:
        url = canonical_url(text)
    except InvalidUrl as error:
        raise InvalidArgument(Reason.FIELD_INVALID, f"{field}: {error}", field=field) from None
    found = location_of(decider.snapshot, url, place.metastore_id)
    return Beside(binding.name, binding.kind, f"covering {url}", found.id if found else None)


def _references(method: Method, prepared: object, decider: Decider, place: Place) -> Iterator[Referenced]:
    if prepared is None:
        return
    for reference in prepared.references:  # type: ignore[attr-defined]
        found = decider.snapshot.referenced(reference, place.metastore_id)
        yield Referenced(reference, found.id if found else None)


def _locate(decider: Decider, kind: str, named: str, place: Place) -> Located:
    """The object of that name. Raises NAME_INVALID for what is the name of nothing anywhere, which tells nobody anything."""
    if kind not in _ACCOUNT_LEVEL:
        require_workspace(place)
    try:
        return decider.snapshot.locate(kind, named, place.metastore_id, place.workspace_id)
    except InvalidName as error:
        raise InvalidArgument(Reason.NAME_INVALID, str(error), field="name") from None


def _implied(decider: Decider, kind: str, place: Place) -> Located:
    """The container that goes without saying: the one account, or the metastore of the calling workspace."""
    if kind == "METASTORE":
        require_workspace(place)
        return Located(decider.snapshot.securables.get(place.metastore_id or ""), None, None)
    return Located(decider.snapshot.securables[ACCOUNT_ID], None, None)


def require_workspace(place: Place) -> None:
    """Raises WORKSPACE_REQUIRED where the call names no workspace, nor the token one it is limited to."""
    if place.workspace_id is None:
        raise InvalidArgument(
            Reason.WORKSPACE_REQUIRED,
            "this call works inside a workspace: send the metadata `lakewarden-workspace: <name>`",
        )


def _refuse_unattached(decider: Decider, caller: Caller, place: Place) -> None:
    """Tells who may see the workspace that it is attached to nothing; to others it is one like any they may not use."""
    workspace = place.workspace_id or ""
    if decider.visible(caller.id, workspace, workspace):
        name = decider.snapshot.full_name(workspace)
        raise InvalidArgument(
            Reason.WORKSPACE_REQUIRED,
            f"workspace {name} is attached to no metastore: an account admin runs `lakewarden workspace attach {name} METASTORE`",
        )


def _selectors(method: Method, request: Message) -> list[str]:
    """Mask paths or privileges, each once; privileges in their stored spelling so that they select their row."""
    if method.rule.update_mask:
        mask: Any = getattr(request, method.rule.update_mask)
        return list(dict.fromkeys(mask.paths))
    if method.rule.privileges:
        texts = _texts([request], method.rule.privileges.split("."))
        return list(dict.fromkeys(spell_privilege(text) for text in texts))
    return []


def _bind_past(method: Method, request: Message, decider: Decider, place: Place) -> Bound:
    """A question about an earlier state: what its names mean is found there; of today's only the subject is noted, for the log."""
    objects = {"workspace": place.workspace_id} if place.workspace_id else {}
    named = _text(request, method.rule.subject) if method.rule.subject else ""
    subject = decider.snapshot.principal_named(named) if named else None
    if subject:
        objects["subject"] = subject.id
    return Bound("authorization", objects, ((AS_OF, None),), None, None, "")


def _names_past(method: Method, request: Message) -> bool:
    """Whether the request sets a field that names an earlier state."""
    for name, has_presence in method.past_fields:
        if request.HasField(name) if has_presence else getattr(request, name):
            return True
    return False


def _texts(messages: list[Any], path: list[str]) -> Iterator[str]:
    for message in messages:
        value = getattr(message, path[0])
        if len(path) == 1:
            yield from value
        else:
            yield from _texts(list(value), path[1:])


def _text(request: Message, path: str) -> str:
    return str(_value(request, path))


def _value(request: Message, path: str) -> Any:
    if "." not in path:
        return getattr(request, path)
    value: Any = request
    for part in path.split("."):
        value = getattr(value, part)
    return value
