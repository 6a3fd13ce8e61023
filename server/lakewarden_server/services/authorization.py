"""The engine's questions, answered from the snapshot alone: no SQL but the read of the head."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from lakewarden.v1 import authorization_pb2 as pb
from lakewarden.v1 import grants_pb2
from lakewarden_policy import (
    KINDS,
    Access,
    Asked,
    InvalidName,
    Securable,
    explain_privilege,
    show_privilege,
)
from lakewarden_server.services import (
    access_lists,
    explanations,
    plan_rules,
    simulations,
    validation,
    watching,
)
from lakewarden_server.services.call import Call
from lakewarden_server.services.grants import parse_privilege
from lakewarden_server.services.past import as_of

COLUMNS_PER_ACCESS_MAX = 4_096


class AuthorizationService:
    """Implements `lakewarden.v1.AuthorizationService`."""

    def check(self, request: pb.CheckRequest, call: Call) -> pb.CheckResponse:
        """One decision, now or as it would have been at an earlier state."""
        asked = as_of(request, call)
        return pb.CheckResponse(
            verdict=verdict(request.access, asked, explain=request.explain), revision=asked.revision
        )

    def batch_check(self, request: pb.BatchCheckRequest, call: Call) -> pb.BatchCheckResponse:
        """Many decisions at one revision."""
        return pb.BatchCheckResponse(
            verdicts=_verdicts(request.accesses, call, explain=request.explain), revision=call.revision
        )

    def authorize_plan(self, request: pb.AuthorizePlanRequest, call: Call) -> pb.AuthorizePlanResponse:
        """A plan is allowed when each of its accesses is. An empty plan asks nothing and is allowed nothing."""
        verdicts = _verdicts(request.accesses, call, explain=True, engine=frozenset(request.capabilities))
        return pb.AuthorizePlanResponse(
            allowed=all(found.allowed for found in verdicts), verdicts=verdicts, revision=call.revision
        )

    def explain(self, request: pb.ExplainRequest, call: Call) -> pb.ExplainResponse:
        """The proof of a yes, or everything missing of a no, what to do about it and who can."""
        return explanations.explain(request, call)

    def simulate(self, request: pb.SimulateRequest, call: Call) -> pb.SimulateResponse:
        """The answer of `check` after changes that are not made."""
        return simulations.simulate(request, call)

    def filter_securables(
        self, request: pb.FilterSecurablesRequest, call: Call
    ) -> pb.FilterSecurablesResponse:
        """Which of many names the subject may use or see."""
        return access_lists.filter_securables(request, call, call.subject)

    def list_accessible(self, request: pb.ListAccessibleRequest, call: Call) -> pb.ListAccessibleResponse:
        """What the subject may use or see below a container."""
        return access_lists.list_accessible(request, call, call.subject)

    def list_principals(self, request: pb.ListPrincipalsRequest, call: Call) -> pb.ListPrincipalsResponse:
        """Who may use a privilege on an object, now or at an earlier state."""
        return access_lists.list_principals(request, as_of(request, call))

    def watch_policy(self, request: pb.WatchPolicyRequest, call: Call) -> pb.WatchPolicyResponse:
        """What an engine-side replica has to know, or what changed of it since."""
        return watching.watch_policy(request, call)


def _verdicts(
    accesses: Sequence[pb.Access], call: Call, *, explain: bool, engine: Collection[int] | None = None
) -> list[pb.Verdict]:
    validation.repeated(accesses, "accesses", required=True)
    asking = _Asking(call, engine)
    return [asking.verdict(access, explain=explain) for access in accesses]


def verdict(
    access: pb.Access, call: Call, *, explain: bool, engine: Collection[int] | None = None
) -> pb.Verdict:
    """One answer: the subject's own rights decide, from the calling workspace; an `engine` is also told how to read, by what it can apply.

    Raises INVALID_ARGUMENT errors.
    """
    return _Asking(call, engine, once=True).verdict(access, explain=explain)


class _Asking:
    """The accesses of one call: what they have in common is worked out once, and what lies beside each other decided together."""

    def __init__(self, call: Call, engine: Collection[int] | None, *, once: bool = False) -> None:
        self._call, self._engine, self._once = call, engine, once
        self._subject = call.subject
        self._privileges: dict[tuple[str, str], str] = {}
        self._questions: dict[tuple[str, str], Access] = {}

    def verdict(self, access: pb.Access, *, explain: bool) -> pb.Verdict:
        """The answer about one of them. Raises INVALID_ARGUMENT errors."""
        call, subject = self._call, self._subject
        kind = _kind(access)
        privilege = self._privileges.get((kind, access.privilege))
        if privilege is None:
            privilege = self._privileges[kind, access.privilege] = parse_privilege(
                call, kind, access.privilege
            )
        found = _resolve(access, _kinds_meant(kind, privilege, is_plan=self._engine is not None), call)
        if subject is not None and found is not None:
            if self._allows(subject, found, privilege):
                return _allowed(call, found, kind, privilege, subject, self._engine)
            if explain and call.decider.visible(subject, call.workspace_id, found.id):
                explanation = explain_privilege(call.decider, subject, call.workspace_id, found.id, privilege)
                return pb.Verdict(reason=explanation.message, fixes=explanation.statements)
        return pb.Verdict(reason=_unseen(access, kind, privilege) if explain else "")

    def _allows(self, subject: str, found: Securable, privilege: str) -> bool:
        call = self._call
        if self._once:
            return call.decider.privilege(subject, call.workspace_id, found.id, privilege).allowed
        question = self._questions.get((found.kind, privilege))
        if question is None:
            asked = Asked(subject, call.workspace_id, found.kind, privilege)
            question = self._questions[found.kind, privilege] = Access(call.decider, asked)
        return question.also(found)


def _allowed(
    call: Call, found: Securable, kind: str, privilege: str, subject: str, engine: Collection[int] | None
) -> pb.Verdict:
    answer = pb.Verdict(allowed=True)
    if engine is None:
        return answer
    try:
        plan_rules.add_rules(
            answer,
            call,
            found=found,
            kind=kind,
            privilege=privilege,
            subject=subject,
            capabilities=engine,
        )
    except plan_rules.Unenforceable as error:
        name = f"{KINDS[found.kind].label} {call.snapshot.full_name(found.id)}"
        return pb.Verdict(reason=f"{show_privilege(privilege)} denied on {name}: {error}.")
    return answer


def _unseen(access: pb.Access, kind: str, privilege: str) -> str:
    """The same words for what is absent and for what the subject may not see."""
    return (
        f"{show_privilege(privilege)} denied on {KINDS[kind].label} {access.full_name}: "
        "it does not exist, or may not be seen from this workspace."
    )


def _kind(access: pb.Access) -> str:
    if access.securable_type not in _KINDS:
        raise validation.invalid("securable_type", f"say one of {', '.join(_KINDS.values())}")
    if len(access.columns) > COLUMNS_PER_ACCESS_MAX:
        raise validation.invalid("columns", f"more than {COLUMNS_PER_ACCESS_MAX}")
    return _KINDS[access.securable_type]


def _kinds_meant(kind: str, privilege: str, *, is_plan: bool) -> tuple[str, ...]:
    """The kinds an access may be about: an engine that reads knows of a name only whether it has rows of it."""
    unsure = is_plan and privilege == "SELECT" and kind in {"TABLE", "VIEW"}
    return (kind, *plan_rules.STORED_KINDS) if unsure else (kind,)


def _resolve(access: pb.Access, kinds: Sequence[str], call: Call) -> Securable | None:
    if not access.full_name:
        raise validation.invalid("full_name", "it is empty")
    try:
        for kind in kinds:
            found = call.snapshot.resolve(kind, access.full_name, call.metastore_id)
            if found is not None:
                return found
    except InvalidName:
        pass
    return None


def securable_kinds(values: Iterable[tuple[str, int]]) -> dict[int, str]:
    """Enum number -> kind, without the unspecified one."""
    return {number: name for name, number in values if number}


_KINDS = securable_kinds(grants_pb2.SecurableType.items())
