"""The engine's questions, answered from the snapshot alone: no SQL but the read of the head."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from lakewarden.v1 import authorization_pb2 as pb
from lakewarden.v1 import grants_pb2
from lakewarden_policy import (
    KINDS,
    Access,
    Asked,
    Decider,
    InvalidName,
    Securable,
    explain_privilege,
    filter_names,
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

COLUMNS_PER_ACCESS_MAX: Final = 4_096
QUESTIONS_KEPT_MAX: Final = 64
"""Of one state: how many questions (a subject, a kind, a privilege) batches find with what earlier ones worked out of containers."""


class AuthorizationService:
    """Implements `lakewarden.v1.AuthorizationService`."""

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    def check(self, request: pb.CheckRequest, call: Call) -> pb.CheckResponse:
        """One decision, now or as it would have been at an earlier state."""
        asked = as_of(request, call)
        return pb.CheckResponse(
            verdict=verdict(request.access, asked, explain=request.explain), revision=asked.revision
        )

    def batch_check(self, request: pb.BatchCheckRequest, call: Call) -> pb.BatchCheckResponse:
        """Many decisions at one revision."""
        return pb.BatchCheckResponse(
            verdicts=self._verdicts(request.accesses, call, explain=request.explain), revision=call.revision
        )

    def authorize_plan(self, request: pb.AuthorizePlanRequest, call: Call) -> pb.AuthorizePlanResponse:
        """A plan is allowed when each of its accesses is. An empty plan asks nothing and is allowed nothing."""
        verdicts = self._verdicts(
            request.accesses, call, explain=True, engine=frozenset(request.capabilities)
        )
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
        self,
        accesses: Sequence[pb.Access],
        call: Call,
        *,
        explain: bool,
        engine: Collection[int] | None = None,
    ) -> list[pb.Verdict]:
        validation.repeated(accesses, "accesses", required=True)
        kept = self._kept
        if kept is None or kept.decider is not call.decider:
            kept = self._kept = _Kept(call.decider)
        if not explain and engine is None:
            return _yes_or_no(accesses, call, kept)
        asking = _Asking(call, engine, kept)
        return [asking.verdict(access, explain=explain) for access in accesses]


class _Kept:
    """Questions asked of one state, with what was worked out of containers; what is asked of the next state begins anew.

    Outside of the decider: a cycle of the two would keep states alive that the collector does not look at.
    """

    def __init__(self, decider: Decider) -> None:
        self.decider = decider
        self._questions: dict[Asked, Access] = {}

    def question(self, asked: Asked) -> Access:
        """The question, the same for all who ask it, from any thread."""
        found = self._questions.get(asked)
        if found is None:
            if len(self._questions) >= QUESTIONS_KEPT_MAX:
                self._questions = {}
            found = self._questions[asked] = Access(self.decider, asked)
        return found


def _yes_or_no(accesses: Sequence[pb.Access], call: Call, kept: _Kept) -> list[pb.Verdict]:
    """What `_Asking` answers where nothing but yes or no is wanted: the names of a kind are looked up container by container.

    Raises the same INVALID_ARGUMENT errors, about the first access that has one.
    """
    alike: dict[tuple[int, str], _Alike] = {}
    for index, access in enumerate(accesses):
        key = (access.securable_type, access.privilege)
        found = alike.get(key)
        if found is None:
            kind = _kind(access)
            found = alike[key] = _Alike(kind, parse_privilege(call, kind, access.privilege), [], [])
        elif access.columns:
            _kind(access)
        if not access.full_name:
            raise validation.invalid("full_name", "it is empty")
        found.positions.append(index)
        found.names.append(access.full_name)
    verdicts, subject = [_NO] * len(accesses), call.subject
    if subject is None:
        return verdicts
    for kind, privilege, positions, names in alike.values():
        question = kept.question(Asked(subject, call.workspace_id, kind, privilege))
        for allowed in filter_names(question, call.metastore_id, names):
            verdicts[positions[allowed]] = _YES
    return verdicts


class _Alike(NamedTuple):
    """Accesses of one batch that differ in their names alone, and where in the batch they stand."""

    kind: str
    privilege: str
    positions: list[int]
    names: list[str]


def verdict(
    access: pb.Access, call: Call, *, explain: bool, engine: Collection[int] | None = None
) -> pb.Verdict:
    """One answer: the subject's own rights decide, from the calling workspace; an `engine` is also told how to read, by what it can apply.

    Raises INVALID_ARGUMENT errors.
    """
    return _Asking(call, engine).verdict(access, explain=explain)


class _Asking:
    """The accesses of one call: what they have in common is worked out once, and what lies beside each other decided together."""

    def __init__(self, call: Call, engine: Collection[int] | None, kept: _Kept | None = None) -> None:
        """Without ``kept`` for a call that asks once."""
        self._call, self._engine, self._kept = call, engine, kept
        self._subject, self._snapshot = call.subject, call.snapshot
        self._privileges: dict[tuple[str, str], str] = {}
        self._questions: dict[tuple[str, str], Access] = {}

    def verdict(self, access: pb.Access, *, explain: bool) -> pb.Verdict:
        """The answer about one of them. Raises INVALID_ARGUMENT errors."""
        call, subject = self._call, self._subject
        kind, asked = _kind(access), access.privilege
        privilege = self._privileges.get((kind, asked))
        if privilege is None:
            privilege = self._privileges[kind, asked] = parse_privilege(call, kind, asked)
        found = self._resolved(access.full_name, kind, privilege)
        if subject is not None and found is not None:
            if self._allows(subject, found, privilege):
                return _allowed(call, found, kind, privilege, subject, self._engine)
            if explain and call.decider.visible(subject, call.workspace_id, found.id):
                explanation = explain_privilege(call.decider, subject, call.workspace_id, found.id, privilege)
                return pb.Verdict(reason=explanation.message, fixes=explanation.statements)
        return pb.Verdict(reason=_unseen(access, kind, privilege)) if explain else pb.Verdict()

    def _resolved(self, full_name: str, kind: str, privilege: str) -> Securable | None:
        """What an access is about. An engine that reads knows of a name only whether it has rows of it."""
        if not full_name:
            raise validation.invalid("full_name", "it is empty")
        metastore_id = self._call.metastore_id
        try:
            found = self._snapshot.resolve(kind, full_name, metastore_id, self._call.workspace_id)
            if found is None and self._engine is not None and privilege == "SELECT":
                for stored in plan_rules.STORED_KINDS if kind in _UNSURE_KINDS else ():
                    found = found or self._snapshot.resolve(stored, full_name, metastore_id)
        except InvalidName:
            return None
        return found

    def _allows(self, subject: str, found: Securable, privilege: str) -> bool:
        call = self._call
        if self._kept is None:
            return call.decider.privilege(subject, call.workspace_id, found.id, privilege).allowed
        question = self._questions.get((found.kind, privilege))
        if question is None:
            asked = Asked(subject, call.workspace_id, found.kind, privilege)
            question = self._questions[found.kind, privilege] = self._kept.question(asked)
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
    kind = _KINDS.get(access.securable_type)
    if kind is None:
        raise validation.invalid("securable_type", f"say one of {', '.join(_KINDS.values())}")
    if len(access.columns) > COLUMNS_PER_ACCESS_MAX:
        raise validation.invalid("columns", f"more than {COLUMNS_PER_ACCESS_MAX}")
    return kind


def securable_kinds(values: Iterable[tuple[str, int]]) -> dict[int, str]:
    """Enum number -> kind, without the unspecified one."""
    return {number: name for name, number in values if number}


_YES, _NO = pb.Verdict(allowed=True), pb.Verdict()
_UNSURE_KINDS: Final = frozenset({"TABLE", "VIEW"})
_KINDS = securable_kinds(grants_pb2.SecurableType.items())
