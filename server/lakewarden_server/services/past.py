"""Questions about an earlier state: the same questions, asked by a call that stands in that state."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from lakewarden.v1.grants_pb2 import SecurableType
from lakewarden_policy import InvalidName
from lakewarden_server.core.errors import FailedPrecondition, InvalidArgument, NotFound, Reason
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.storage.history import Moment

_TYPES = frozenset(SecurableType.values()) - {0}
_REVISION = re.compile(r"(?:([\w-]+):)?([0-9]{1,18})", re.ASCII)


def as_of(request: Any, call: Call) -> Call:
    """The call as if it had been made at the state that `as_of_revision` or `as_of_time` names; the call itself for neither.

    Names mean what they meant then: the subject is whoever had its name, and the workspace is attached to what it was. Raises
    FIELD_INVALID, HISTORY_MISMATCH or HISTORY_UNAVAILABLE.
    """
    timed = request.HasField("as_of_time")
    if not timed and not request.as_of_revision:
        return call
    if timed and request.as_of_revision:
        raise validation.invalid("as_of_time", "a revision is named too: say one of them")
    past = call.follower.past
    if timed:
        moment = past.moment(call.uow, time=validation.time(request.as_of_time, "as_of_time"))
    else:
        moment = past.moment(call.uow, revision=revision_number(request.as_of_revision, call))
    asked = at_moment(call, moment, subject=getattr(request, "subject", ""))
    if hasattr(request, "full_name"):
        asked.objects = {**asked.objects, "self": _object(request, asked)}
    return asked


def at_moment(call: Call, moment: Moment, *, subject: str) -> Call:
    """The call at that moment, about the principal that had the name `subject` then; about the caller when it is empty."""
    decider = call.follower.past.decider(call.uow, moment)
    snapshot = decider.snapshot
    workspace = snapshot.securables.get(call.workspace_id or "")
    named = snapshot.principal_named(subject) if subject else snapshot.principals.get(call.caller.id)
    objects = {name: found for name, found in call.objects.items() if name != "subject"}
    return replace(
        call,
        decider=decider,
        now=moment.time,
        metastore_id=workspace.metastore_id if workspace else None,
        objects={**objects, "subject": named.id} if named else objects,
    )


def _object(request: Any, asked: Call) -> str:
    """The object that had the request's name then. Raises OBJECT_NOT_FOUND or FIELD_INVALID."""
    kind = SecurableType.Name(request.securable_type) if request.securable_type in _TYPES else ""
    try:
        place = (asked.metastore_id, asked.workspace_id)
        found = asked.snapshot.resolve(kind, request.full_name, *place) if kind else None
    except InvalidName as error:
        raise InvalidArgument(Reason.NAME_INVALID, str(error), field="full_name") from None
    if found is None:
        raise NotFound(
            Reason.OBJECT_NOT_FOUND,
            f"there was no {kind.lower()} {request.full_name} in revision {asked.revision}",
            kind=kind,
            name=request.full_name,
        )
    return found.id


def revision_number(text: str, call: Call) -> int:
    """The number of a revision of this history, from `<epoch>:<number>` or the number. Raises FIELD_INVALID or HISTORY_MISMATCH."""
    matched = _REVISION.fullmatch(text)
    if matched is None:
        raise validation.invalid("as_of_revision", "it reads <epoch>:<number>, or the number alone")
    epoch, number = matched.groups()
    if epoch not in (None, call.snapshot.head.epoch):
        raise FailedPrecondition(
            Reason.HISTORY_MISMATCH,
            "the revision is of another history (restored or replaced); its number alone asks this one",
        )
    return int(number)
