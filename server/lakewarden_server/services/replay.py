"""Decides logged decisions again, each on the state, at the time and by the policy it was taken, and tells what differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

from lakewarden.v1 import audit_pb2 as pb
from lakewarden.v1 import authorization_pb2
from lakewarden.v1.grants_pb2 import SecurableType
from lakewarden_policy import (
    ACCOUNT_ID,
    IN_WORKSPACE,
    KINDS,
    InvalidName,
    Operation,
    Securable,
    UnknownOperation,
)
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import FailedPrecondition, InvalidArgument, Reason
from lakewarden_server.services import authorization, validation
from lakewarden_server.services.audit_messages import read, record_message, written
from lakewarden_server.services.call import Call
from lakewarden_server.services.denials import is_told_absent
from lakewarden_server.services.paging import page_size_of
from lakewarden_server.storage.decisions import TEXT_CHARACTERS_MAX
from lakewarden_server.storage.history import Moment
from lakewarden_server.storage.repositories import audit_records
from lakewarden_server.storage.repositories.audit_records import DECISION, Wanted

SHARE_OF_TIME = 0.5
"""Of the time left to the call, what it spends on records before it ends its page."""
_OF_THE_POLICY = {Reason.ACCESS_DENIED, Reason.PRIVILEGE_MISSING, Reason.OBJECT_NOT_FOUND}
"""Refusals that operations and state decide; the others come from a token, and tokens are not kept in the log."""
_AS_OF = "authorization.as_of"


class Skipped(Exception):
    """A record that cannot be decided again; says why."""


class Differs(Exception):
    """A record that cannot have been made as it stands; says what does not fit."""


class _Page(NamedTuple):
    skipped: Counter[str]
    differences: list[pb.ReplayDifference]
    moments: dict[int, Moment]
    """By revision: decisions come many to a revision."""


def replay(request: pb.ReplayDecisionsRequest, call: Call) -> pb.ReplayDecisionsResponse:
    """Answers ReplayDecisions: a page of decisions, the oldest first."""
    start, end = (validation.optional_time(request, field) for field in ("start_time", "end_time"))
    list_name = f"replay/{start}/{end}"
    wanted = Wanted(
        start_time=start,
        end_time=end,
        oldest_first=True,
        after=read(call.pager.read(list_name, request.page_token)) if request.page_token else None,
        logs=(DECISION,),
    )
    size = page_size_of(request.page_size)
    rows = audit_records.find(call.uow.connection, wanted, limit=size + 1)
    ends = monotonic() + (call.deadline - monotonic()) * SHARE_OF_TIME
    page, done = _Page(Counter(), [], {}), 0
    for row in rows[:size]:
        if done and monotonic() >= ends:
            break
        _count(row, call, page)
        done += 1
    more = done < len(rows)
    return pb.ReplayDecisionsResponse(
        replayed=done - page.skipped.total(),
        skipped=page.skipped,
        differences=page.differences,
        next_page_token=call.pager.write(list_name, written(audit_records.position(rows[done - 1])))
        if more
        else "",
    )


def _count(row: Any, call: Call, page: _Page) -> None:
    try:
        allowed = _decide(row, call, page.moments)
    except Skipped as reason:
        page.skipped[str(reason)] += 1
        return
    except Differs as problem:
        outcome, text = pb.AuditRecord.OUTCOME_UNSPECIFIED, str(problem)
    else:
        outcome = pb.AuditRecord.ALLOWED if allowed else pb.AuditRecord.DENIED
        if row.outcome == pb.AuditRecord.Outcome.Name(outcome):
            return
        text = f"logged as {row.outcome}, decided again it is {pb.AuditRecord.Outcome.Name(outcome)}"
    difference = pb.ReplayDifference(record=record_message(row, call), outcome=outcome, problem=text)
    page.differences.append(difference)


def _decide(row: Any, call: Call, moments: dict[int, Moment]) -> bool:
    """Whether it is allowed when decided again. Raises `Skipped` or `Differs`."""
    if row.operation == _AS_OF:
        raise Skipped("a question about the past")
    if row.nonce is None or row.policy_digest is None:
        raise Skipped("logged by a release that did not note enough")
    moment = _moment(row, call, moments)
    try:
        then = _as_it_was(row, call, moment)
    except FailedPrecondition as error:
        raise Skipped(error.message) from None
    return _access(row, then) if row.privilege is not None else _operations(row, then)


def _moment(row: Any, call: Call, moments: dict[int, Moment]) -> Moment:
    """The state the record names. That it has another nonce means it was made in another history, or the record was changed."""
    moment = moments.get(row.revision)
    if moment is None:
        try:
            moment = call.follower.past.moment(call.uow, revision=row.revision)
        except FailedPrecondition as error:
            kind = Differs if row.revision > call.uow.revision else Skipped
            raise kind(error.message) from None
        moments[row.revision] = moment
    if moment.head.nonce != row.nonce:
        raise Differs(f"it was not decided on revision {row.revision} of this history")
    return moment._replace(time=row.time, policy_digest=row.policy_digest)


def _as_it_was(row: Any, call: Call, moment: Moment) -> Call:
    """The call that was decided, as far as decisions depend on it."""
    decider = call.follower.past.decider(call.uow, moment)
    workspace = decider.snapshot.securables.get(row.workspace_id or "")
    objects = {"workspace": row.workspace_id} if row.workspace_id else {}
    return replace(
        call,
        caller=call.caller._replace(id=row.actor_id, name=row.actor_name),
        decider=decider,
        now=row.time,
        workspace_id=row.workspace_id,
        metastore_id=workspace.metastore_id if workspace else None,
        objects={**objects, "subject": row.subject_id} if row.subject_id else objects,
    )


def _access(row: Any, then: Call) -> bool:
    if row.object_kind not in dict(SecurableType.items()):
        raise Differs(f"there is no kind {row.object_kind}")
    access = authorization_pb2.Access(
        securable_type=SecurableType.Value(row.object_kind),
        full_name=row.object_name,
        privilege=row.privilege,
    )
    try:
        found = then.snapshot.resolve(row.object_kind, row.object_name, then.metastore_id, then.workspace_id)
    except InvalidName:
        found = None
    if (found.id if found else None) != row.object_id:
        raise Differs(f"{row.object_name} was not the object {row.object_id} at that revision")
    try:
        capabilities = _value(row.capabilities)
        engine = None if capabilities is None else frozenset(capabilities)
        return authorization.verdict(access, then, explain=False, engine=engine).allowed
    except InvalidArgument as error:
        raise Differs(error.message) from None


def _value(text: str | None) -> Any:
    try:
        return audit_records.value(text)
    except ValueError:
        raise Differs("the logged decision was edited and cannot be read") from None


def _operations(row: Any, then: Call) -> bool:
    """Whether every operation a refused call selected is allowed over the objects it bound."""
    if row.reason not in _OF_THE_POLICY or row.objects is None:
        raise Skipped(f"refused for {row.reason}, which the state does not decide")
    objects = _value(row.objects)
    if not isinstance(objects, dict):
        raise Differs("the logged decision was edited and cannot be read")
    operations = [_selected(spelled, row, then) for spelled in row.operation.split(", ")]
    located = _target(row, operations[0][0], then)
    if located is not None:
        kind, found, container = located
        bound = objects.get("self") or objects.get("parent")
        if (found.id if found else None) != bound:
            raise Differs(f"{row.object_name} was not the object {bound} at that revision")
        if found is None:
            return _is_empty_list(operations[0][0], then, kind, container)
    allowed = True
    for name, selector, operation in operations:
        if operation.asks_references:
            raise Skipped("a definition whose text is not in the log")
        decision = then.decider.operation(row.actor_id, row.workspace_id, name, objects, selector=selector)
        allowed = allowed and decision.allowed
    return allowed


def _selected(spelled: str, row: Any, then: Call) -> tuple[str, str | None, Operation]:
    """The operation, its selector and its rule. Raises `Differs`, and `Skipped` where the log could not keep all of them."""
    noun, _, rest = spelled.partition(".")
    verb, _, selector = rest.partition(".")
    name = f"{noun}.{verb}"
    try:
        return name, selector or None, then.decider.policy.operation(name, selector or None)
    except UnknownOperation:
        raise _misread(row.operation, f"there was no operation {spelled}") from None


def _misread(text: str, problem: str) -> Skipped | Differs:
    """What a text that cannot be read means: it was changed, unless it is longer than what the log keeps."""
    if len(text) >= TEXT_CHARACTERS_MAX:
        return Skipped("a text of which the log keeps only the beginning")
    return Differs(problem)


def _target(row: Any, operation: str, then: Call) -> tuple[str, Securable | None, Securable | None] | None:
    """Kind of what a refused call was about, that object and what it lies in; None for a call about nothing that has a name.

    A create and a list are about the container, which may go without saying; `pipeline/binding.py` binds it so.
    """
    noun, _, verb = operation.partition(".")
    kind, name = noun.upper(), row.object_name
    if kind not in KINDS or (verb == "create" and kind in IN_WORKSPACE):
        # Objects of a workspace are registered in the one that calls, whose rights alone decide.
        return None
    if verb in ("create", "list"):
        kind = KINDS[kind].parents[0]
        if not name and kind in ("ACCOUNT", "METASTORE"):
            implied = ACCOUNT_ID if kind == "ACCOUNT" else then.metastore_id
            return kind, then.snapshot.securables.get(implied or ""), None
    try:
        located = then.snapshot.locate(kind, name, then.metastore_id, then.workspace_id)
    except InvalidName as error:
        raise _misread(name, str(error)) from None
    return kind, located.securable, located.container


def _is_empty_list(operation: str, then: Call, kind: str, container: Securable | None) -> bool:
    """Whether a call about what nobody has is allowed: a list is, and empty, unless the caller is told that it is absent."""
    container_id = container.id if container else None
    told = is_told_absent(then.decider, then.caller.id, then.workspace_id, kind, container_id)
    return operation.endswith(".list") and not told
