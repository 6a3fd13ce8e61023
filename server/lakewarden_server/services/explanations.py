"""Explain: the engine's answer in names and words, without anything that neither the caller nor the subject may see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lakewarden.v1 import authorization_pb2 as pb
from lakewarden_policy import (
    ACCOUNT_ID,
    KINDS,
    Action,
    Answer,
    Fix,
    Giver,
    Need,
    Obstacle,
    Remedy,
    Unreached,
    explain_access,
    name_key,
    quote_principal,
    show_privilege,
)
from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.denials import unseen
from lakewarden_server.services.grants import parse_privilege, sees_all
from lakewarden_server.services.sources import step_message, type_of

_ACTIONS = {
    Action.ENABLE: pb.Fix.ENABLE,
    Action.ATTACH: pb.Fix.ATTACH,
    Action.BIND: pb.Fix.BIND,
    Action.GRANT: pb.Fix.GRANT,
}


def explain(request: pb.ExplainRequest, call: Call) -> pb.ExplainResponse:
    """Answers Explain. Raises ACCESS_DENIED where neither the caller nor the subject sees the object."""
    kind = call.snapshot.securables[call.self_id].kind
    subject = asked_subject(request.subject, call)
    view = View(call, subject, _workspace(request.workspace, call))
    if not view.sees(call.self_id):
        raise unseen(kind, request.full_name)
    privilege = parse_privilege(call, kind, request.privilege)
    answer = explain_access(call.decider, subject, view.workspace_id, call.self_id, privilege)
    if answer.allowed:
        return pb.ExplainResponse(allowed=True, proof=view.proof(answer), revision=call.revision)
    problems = list(dict.fromkeys(view.problems(answer)))
    return pb.ExplainResponse(problems=problems, fixes=view.fixes(answer), revision=call.revision)


def asked_subject(name: str, call: Call) -> str:
    """Id of whom the question is about. Raises PRINCIPAL_UNKNOWN.

    To an engine, somebody who is not assigned to its workspace is nobody, as in Check.
    """
    subject = call.objects.get("subject") if sees_all(call) else call.subject
    if subject is None:
        raise InvalidArgument(
            Reason.PRINCIPAL_UNKNOWN,
            f"subject: there is no principal {name!r}, or it is not assigned to this workspace",
            field="subject",
        )
    return subject


@dataclass(frozen=True, slots=True)
class View:
    """One explanation as its reader may have it."""

    call: Call
    subject_id: str
    workspace_id: str | None
    """The workspace asked about."""

    def sees(self, object_id: str) -> bool:
        """Whether the caller may see an object from where they call, or the subject from the workspace asked about."""
        decider, call = self.call.decider, self.call
        return decider.visible(call.caller.id, call.workspace_id, object_id) or decider.visible(
            self.subject_id, self.workspace_id, object_id
        )

    def proof(self, answer: Answer) -> list[pb.ProofStep]:
        """The steps of a yes, without what an owner holds on something the reader does not see."""
        told = (step for step in answer.steps if self._tells(step.need.object_id))
        return [step_message(step.need, step.source, self.call) for step in told if step.source]

    def problems(self, answer: Answer) -> Iterator[str]:
        """Everything that is missing or in the way, a sentence each."""
        for obstacle in answer.obstacles:
            yield self._obstacle(obstacle)
        for need in answer.missing:
            yield self._missing(need)
        for object_id, reason in answer.broken:
            name = self._name(object_id) if self._tells(object_id) else "something it reads"
            yield f"{name} cannot be used by anybody: {reason}"

    def fixes(self, answer: Answer) -> list[pb.Fix]:
        """What to do; nothing where some of it may not be told, since the rest alone does not help."""
        if not all(self._tells(fix.remedy.object_id) for fix in answer.fixes):
            return []
        return [self._fix(fix) for fix in answer.fixes]

    def _tells(self, object_id: str) -> bool:
        """Whether an object may be named: containers of what is seen stand in its name."""
        known = (self.call.self_id, *self.call.snapshot.ancestors(self.call.self_id))
        if object_id in known or object_id in (self.workspace_id, self.subject_id):
            return True
        return self.sees(object_id)

    def _obstacle(self, obstacle: Obstacle) -> str:
        reason, subject_id, object_id, _ = obstacle
        who, workspace = self.call.principal_name(subject_id), self._workspace_name()
        if reason is Unreached.INACTIVE_SUBJECT:
            return f"{who} is disabled"
        if reason is Unreached.NOT_ASSIGNED:
            return f"{who} is not assigned to workspace {workspace}"
        if reason is Unreached.NOT_ATTACHED:
            return (
                f"workspace {workspace} is not attached to the metastore of {self._name(self.call.self_id)}"
            )
        if reason in (Unreached.NOT_BOUND, Unreached.READ_ONLY):
            name = self._name(object_id) if self._tells(object_id) else "something it reads"
            bound = "not bound" if reason is Unreached.NOT_BOUND else "bound for reading only"
            return f"{name} is isolated and {bound} to workspace {workspace}"
        if reason is Unreached.READ_ONLY_PLACE:
            name = self._name(object_id) if self._tells(object_id) else "what it is reached with"
            return f"{name} is read-only: nobody writes files there"
        return str(reason.value)

    def _missing(self, need: Need) -> str:
        who = self.call.principal_name(need.subject_id)
        if not self._tells(need.object_id):
            return f"{who}, with whose rights it runs, may not use something it reads"
        what = f"{who} has no {show_privilege(need.act.partition(':')[2])} on {self._name(need.object_id)}"
        return (
            what if need.subject_id == self.subject_id else f"{what}, which is read with the rights of {who}"
        )

    def _fix(self, fix: Fix) -> pb.Fix:
        remedy, call = fix.remedy, self.call
        is_principal = remedy.action is Action.ENABLE
        return pb.Fix(
            action=_ACTIONS[remedy.action],
            securable_type=type_of(remedy.object_id, call),
            full_name="" if is_principal else call.snapshot.full_name(remedy.object_id),
            principal=call.principal_name(remedy.object_id if is_principal else remedy.principal_id),
            privilege=remedy.privilege or "",
            workspace=call.snapshot.full_name(remedy.workspace_id) if remedy.workspace_id else "",
            statement=_statement(remedy, call),
            givers=_once(self._giver(giver) for giver in fix.givers),
        )

    def _giver(self, giver: Giver) -> pb.Giver:
        """Who can do it: an owner's name is told with what it owns, another holder's to whom the grants there are shown."""
        call, row = self.call, giver.row
        noun, _, privilege = row.act.partition(":")
        kind = call.snapshot.securables[row.object_id].kind
        is_told = self._tells(row.object_id)
        named = is_told and (privilege == "OWNER" or sees_all(call, row.object_id))
        group = call.snapshot.principals[giver.principal_id].kind == "GROUP"
        place = giver.workspace_id
        return pb.Giver(
            principal=call.principal_name(giver.principal_id) if named else "",
            is_group=named and group,
            because=_because(
                noun, privilege, self._name(row.object_id) if is_told else f"a {KINDS[kind].label}"
            ),
            workspace=call.snapshot.full_name(place) if place and self._tells(place) else "",
        )

    def _name(self, object_id: str) -> str:
        label = KINDS[self.call.snapshot.securables[object_id].kind].label
        return f"{label} {self.call.snapshot.full_name(object_id)}"

    def _workspace_name(self) -> str:
        known = self.call.snapshot.securables.get(self.workspace_id or "")
        return known.name if known else ""


def _statement(remedy: Remedy, call: Call) -> str:
    if remedy.action is not Action.GRANT:
        return ""
    kind = KINDS[call.snapshot.securables[remedy.object_id].kind].label.upper()
    return (
        f"GRANT {show_privilege(remedy.privilege or '')} ON {kind} {call.snapshot.full_name(remedy.object_id)} "
        f"TO {quote_principal(call.principal_name(remedy.principal_id))}"
    )


def _because(noun: str, privilege: str, name: str) -> str:
    if noun == "ACCOUNT":
        return "account admin"
    if (noun, privilege) == ("METASTORE", "OWNER"):
        return "metastore admin"
    return f"owner of {name}" if privilege == "OWNER" else f"{show_privilege(privilege)} on {name}"


def _once(givers: Iterable[pb.Giver]) -> list[pb.Giver]:
    """Each once: of several who may not be named only one is left for each reason."""
    found: dict[bytes, pb.Giver] = {}
    for giver in givers:
        found.setdefault(giver.SerializeToString(deterministic=True), giver)
    return list(found.values())


def _workspace(name: str, call: Call) -> str | None:
    """Id of the workspace asked about. Raises FIELD_INVALID for one the caller may not see, as for one that is not there.

    An engine speaks for others in its own workspace only, and a token that is limited to a workspace of no other one.
    """
    if not name:
        return call.workspace_id
    found = call.snapshot.child(ACCOUNT_ID, "WORKSPACE", name_key(name))
    own = call.objects.get("subject") == call.caller.id or sees_all(call)
    limit = call.caller.token_workspace_id
    beyond = limit is not None and found is not None and found.id != limit
    if (
        found is None
        or beyond
        or not own
        or not call.decider.visible(call.caller.id, call.workspace_id, found.id)
    ):
        raise validation.invalid("workspace", f"there is no workspace {name}, or you may not ask about it")
    return found.id
